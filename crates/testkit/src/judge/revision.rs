//! The few facts of an object that the judge reads: plain JSON in.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::Value;

use super::selector::Selector;
use crate::json::At;

/// One revision of one object.
#[derive(Clone, Debug)]
pub struct Revision {
    /// The revision of the whole store: one counter for all kinds.
    pub number: u64,
    /// The object as it is from here on.
    pub object: Object,
    /// The object is deleted from here on.
    pub gone: bool,
    /// When it arrived, counted from the beginning.
    pub at: Duration,
}

/// An object of one of the kinds that the judge knows.
#[derive(Clone, Debug)]
pub enum Object {
    /// A pod.
    Pod(Pod),
    /// An `ElectionGroup`.
    Group(Box<Group>),
    /// A Lease.
    Lease(Lease),
    /// An `EndpointSlice`.
    Slice(Slice),
}

/// A pod. Only operators write its role label, `term` and `group`, and now and then a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// The annotation `term`.
    pub term: String,
    /// The annotation `group`: name and UID of the group that owns the pod.
    pub group: String,
    /// The annotation `identity`: under which the pod may hold a Lease, besides its name.
    pub identity: String,
    /// The node, if the pod uses that node's network.
    pub host: String,
    /// The pod is Running, Ready, not terminating and not excluded.
    pub able: bool,
}

/// An `ElectionGroup`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are facts of the object, and independent")]
pub struct Group {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `spec.selector`.
    pub selector: Selector,
    /// `spec.roleLabel.key`.
    pub role_key: String,
    /// `spec.roleLabel.leader`.
    pub leader_value: String,
    /// The name of its Lease.
    pub lease: String,
    /// The UID of the recorded leader.
    pub leader: String,
    /// The recorded term.
    pub term: Option<u64>,
    /// `status.unfenced`: `name/uid`, or `*` for every pod.
    pub unfenced: Vec<String>,
    /// `spec.mode`.
    pub mode: Mode,
    /// `spec.paused`.
    pub paused: bool,
    /// The condition Ready.
    pub ready: bool,
    /// A user asks for a switchover.
    pub switchover: bool,
    /// `spec.routing.services`.
    pub services: Vec<String>,
    /// The condition Routed.
    pub routed: bool,
}

/// Who elects, and who holds the Lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The operator elects, and holds the Lease in the name of the pod.
    #[default]
    Managed,
    /// The pods elect, and hold the Lease.
    Observed,
    /// The operator elects, and the pod holds the Lease.
    Nominated,
}

/// A Lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `spec.holderIdentity`.
    pub holder: String,
    /// The annotation `nominee`: name and UID of the pod that may take it.
    pub nominee: String,
    /// The annotation `term`.
    pub term: Option<u64>,
    /// The field managers that the API server still finds in it.
    pub managers: Vec<String>,
}

/// An `EndpointSlice`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// The UID of the group that owns it, if its label says that an operator manages it.
    pub group: String,
    /// The Service.
    pub service: String,
    /// `addressType`.
    pub family: String,
    /// The annotation `term`.
    pub term: Option<u64>,
    /// Its endpoints, one for each address.
    pub endpoints: Vec<Endpoint>,
}

/// An address of an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// The UID of its pod.
    pub pod: String,
    /// The address.
    pub address: String,
    /// Clients may be sent to it.
    pub ready: bool,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// An annotation of the operator's own prefix.
fn annotation(object: &Value, key: &str) -> String {
    text(&object.at("/metadata/annotations")[format!("election-operator.io/{key}")])
}

/// The text at `pointer`, or the API's default.
fn or(object: &Value, pointer: &str, usual: &str) -> String {
    object.at(pointer).as_str().unwrap_or(usual).to_owned()
}

impl Pod {
    /// The facts of a pod.
    #[must_use]
    pub fn read(object: &Value) -> Self {
        let labels = object.at("/metadata/labels").as_object().into_iter().flatten();
        let terminating = !object.at("/metadata/deletionTimestamp").is_null();
        let running = object.text("/status/phase") == "Running";
        let excluded = annotation(object, "exclude") == "true";
        let on_host = object.at("/spec/hostNetwork") == true;
        Self {
            name: text(object.at("/metadata/name")),
            uid: text(object.at("/metadata/uid")),
            labels: labels.map(|(key, value)| (key.clone(), text(value))).collect(),
            term: annotation(object, "term"),
            group: annotation(object, "group"),
            identity: annotation(object, "identity"),
            host: if on_host { text(object.at("/spec/nodeName")) } else { String::new() },
            able: running && !terminating && !excluded && object.has("Ready", "True"),
        }
    }

    /// The value of a label, or nothing.
    #[must_use]
    pub fn label(&self, key: &str) -> &str {
        self.labels.get(key).map_or("", String::as_str)
    }

    /// The UID of the group that owns it.
    #[must_use]
    pub fn group_uid(&self) -> &str {
        self.group.split_once('/').map_or("", |(_, uid)| uid)
    }

    /// Whether it carries the leader label of this group.
    #[must_use]
    pub fn leads(&self, group: &Group) -> bool {
        self.label(&group.role_key) == group.leader_value
    }
}

impl Group {
    /// The facts of a group.
    #[must_use]
    pub fn read(object: &Value) -> Self {
        let name = text(object.at("/metadata/name"));
        let unfenced = object.list("/status/unfenced").iter();
        Self {
            uid: text(object.at("/metadata/uid")),
            selector: Selector::read(object.at("/spec/selector")),
            role_key: or(object, "/spec/roleLabel/key", "role"),
            leader_value: or(object, "/spec/roleLabel/leader", "leader"),
            lease: or(object, "/spec/lease/name", &name),
            leader: text(object.at("/status/leader/uid")),
            term: object.at("/status/term").as_u64(),
            unfenced: unfenced.map(text).collect(),
            mode: Mode::read(object.text("/spec/mode")),
            paused: object.at("/spec/paused") == true,
            ready: object.has("Ready", "True"),
            switchover: !annotation(object, "switchover").is_empty(),
            services: object.list("/spec/routing/services").iter().map(text).collect(),
            routed: object.has("Routed", "True"),
            name,
        }
    }

    /// As whom a pod holds the Lease of this group.
    pub(super) fn holder_name(&self, pod: &Pod) -> String {
        match self.mode {
            Mode::Nominated => format!("{}_{}", pod.name, pod.uid),
            Mode::Managed | Mode::Observed => pod.name.clone(),
        }
    }

    /// Whether its selector matches a pod.
    #[must_use]
    pub fn selects(&self, pod: &Pod) -> bool {
        self.selector.matches(&pod.labels)
    }

    /// Whether `unfenced` lists a pod. An entry that names no pod lists every pod.
    pub(super) fn lists_as_unfenced(&self, uid: &str) -> bool {
        let lists = |entry: &String| entry.rsplit_once('/').is_none_or(|(_, listed)| listed == uid);
        self.unfenced.iter().any(lists)
    }
}

impl Mode {
    fn read(text: &str) -> Self {
        match text {
            "Observed" => Self::Observed,
            "Nominated" => Self::Nominated,
            _ => Self::Managed,
        }
    }
}

impl Lease {
    /// The facts of a Lease.
    #[must_use]
    pub fn read(object: &Value) -> Self {
        let managers = object.list("/metadata/managedFields").iter();
        Self {
            name: text(object.at("/metadata/name")),
            uid: text(object.at("/metadata/uid")),
            holder: text(object.at("/spec/holderIdentity")),
            nominee: annotation(object, "nominee"),
            term: annotation(object, "term").parse().ok(),
            managers: managers.map(|entry| entry.text("/manager").to_owned()).collect(),
        }
    }

    /// Whether this field manager alone wrote it.
    #[must_use]
    pub fn is_written_by(&self, manager: &str) -> bool {
        self.managers.iter().all(|found| found == manager)
    }
}

impl Slice {
    /// The facts of a slice.
    #[must_use]
    pub fn read(object: &Value) -> Self {
        let labels = object.at("/metadata/labels");
        let is_managed = labels["endpointslice.kubernetes.io/managed-by"] == "election-operator.io";
        let mut owners = object.list("/metadata/ownerReferences").iter();
        let owner = owners.find(|owner| is_managed && owner["kind"] == "ElectionGroup");
        Self {
            name: text(object.at("/metadata/name")),
            uid: text(object.at("/metadata/uid")),
            group: owner.map(|owner| text(&owner["uid"])).unwrap_or_default(),
            service: text(&labels["kubernetes.io/service-name"]),
            family: text(object.at("/addressType")),
            term: annotation(object, "term").parse().ok(),
            endpoints: object.list("/endpoints").iter().flat_map(Endpoint::read).collect(),
        }
    }
}

impl Endpoint {
    /// One for each address. One that does not say whether it is ready is.
    fn read(endpoint: &Value) -> Vec<Self> {
        let ready = endpoint.at("/conditions/ready") != false;
        let pod = endpoint.text("/targetRef/uid");
        let of = |address| Self { pod: pod.to_owned(), address: text(address), ready };
        endpoint.list("/addresses").iter().map(of).collect()
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gone = if self.gone { " gone" } else { "" };
        write!(f, "{:>8} {:>9.3} s ", self.number, self.at.as_secs_f64())?;
        match &self.object {
            Object::Pod(Pod { name, uid, labels, term, group, able, .. }) => {
                write!(f, "pod {name} {uid} {labels:?} term={term} group={group} able={able}{gone}")
            }
            Object::Group(group) => {
                let Group { name, uid, leader, term, unfenced, paused, ready, .. } = &**group;
                let record = format!("leader={leader} term={term:?} unfenced={unfenced:?}");
                write!(f, "group {name} {uid} {record} paused={paused} Ready={ready}{gone}")
            }
            Object::Lease(Lease { name, uid, holder, nominee, term, managers }) => {
                let by = managers.join(" and ");
                write!(f, "lease {name} {uid} holder={holder} nominee={nominee} term={term:?} by {by}{gone}")
            }
            Object::Slice(Slice { name, uid, service, term, endpoints, .. }) => {
                let pods: Vec<_> = endpoints.iter().map(|endpoint| &endpoint.pod).collect();
                write!(f, "slice {name} {uid} service={service} term={term:?} endpoints={pods:?}{gone}")
            }
        }
    }
}
