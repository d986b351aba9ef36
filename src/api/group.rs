//! The `ElectionGroup`: the desired state of a group.
//!
//! Defaults are part of the types. serde fills them in where a field is absent. The schema is
//! derived from the same attributes, so that the API server does the same. `tests/crd/` keeps
//! both in step with `Default`.

#![expect(unreachable_pub, reason = "the derive of KubeSchema copies each type into a function")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema, ResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::status::ElectionGroupStatus;
use super::{PAUSED_ANNOTATION, schema, selector};

/// Which pods form the group, and how one of them comes to lead.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "election-operator.io",
    version = "v1alpha1",
    kind = "ElectionGroup",
    namespaced,
    status = "ElectionGroupStatus",
    shortname = "eg",
    category = "election",
    derive = "PartialEq",
    selectable = ".status.leader.name",
    doc = "An ElectionGroup selects a set of pods. The operator elects one of them, holds a Lease in its \
           name and labels it as the leader: a Service that selects this label reaches the active replica.",
    printcolumn = r#"{"name": "Leader", "type": "string", "jsonPath": ".status.leader.name",
        "description": "The pod that leads"}"#,
    printcolumn = r#"{"name": "Ready", "type": "string",
        "jsonPath": ".status.conditions[?(@.type=='Ready')].status",
        "description": "One eligible pod carries the leader label, and no other pod does"}"#,
    printcolumn = r#"{"name": "Reason", "type": "string",
        "jsonPath": ".status.conditions[?(@.type=='Ready')].reason",
        "description": "Why the group is Ready or not"}"#,
    printcolumn = r#"{"name": "Eligible", "type": "integer", "jsonPath": ".status.eligible",
        "description": "Pods that could lead now"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name": "Term", "type": "integer", "jsonPath": ".status.term", "priority": 1,
        "description": "Rises with every change of leader"}"#,
    printcolumn = r#"{"name": "Mode", "type": "string", "jsonPath": ".spec.mode", "priority": 1,
        "description": "Who elects: the operator (Managed) or the pods (Observed)"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = schema::tidy)]
#[x_kube(
    validation = Rule::new(
        "self.mode == 'Observed' || !has(self.lease.renewSeconds) || self.lease.renewSeconds * 2 < \
         (has(self.lease.durationSeconds) ? self.lease.durationSeconds : 60)"
    )
        .message(
            "lease.renewSeconds * 2 must be less than lease.durationSeconds (60 if not set): a renewal needs two \
             chances"
        )
        .field_path(".lease.renewSeconds"),
    validation = Rule::new("self.mode == 'Observed' || !has(self.lease.__namespace__)")
        .message("lease.namespace needs mode: Observed: the operator holds the Lease of a Managed group beside it")
        .field_path(".lease.namespace"),
    validation = Rule::new(
        "!has(self.selector.matchLabels) || !(self.roleLabel.key in self.selector.matchLabels)"
    )
        .message("must not select by roleLabel.key: the operator writes this label")
        .field_path(".selector.matchLabels"),
    validation = Rule::new(
        "!has(self.selector.matchExpressions) || \
         !self.selector.matchExpressions.exists(e, e.key == self.roleLabel.key)"
    )
        .message("must not select by roleLabel.key: the operator writes this label")
        .field_path(".selector.matchExpressions"),
    validation = Rule::new(
        "self.preference.all(p, \
         (!has(p.selector.matchLabels) || !(self.roleLabel.key in p.selector.matchLabels)) && \
         (!has(p.selector.matchExpressions) || \
         !p.selector.matchExpressions.exists(e, e.key == self.roleLabel.key)))"
    )
        .message(
            "must not select by roleLabel.key: who leads would be preferred, or the others, and the leader \
             change for ever"
        )
        .field_path(".preference")
)]
pub struct ElectionGroupSpec {
    /// The pods of the group, in the namespace of the `ElectionGroup`. At least one requirement;
    /// the key of `roleLabel` is not allowed in it. For example `{matchLabels: {app: orders}}`.
    #[schemars(schema_with = "selector::schema")]
    pub selector: LabelSelector,

    /// `Managed`: the operator elects a leader and owns the Lease. `Observed`: the pods elect among
    /// themselves and hold the Lease, the operator labels the holder and never writes the Lease.
    /// Cannot be changed. For example `Observed`, for a program that elects with client-go.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self == oldSelf").message("mode cannot be changed"))]
    pub mode: Mode,

    /// The Lease of the group. For example `{durationSeconds: 90, renewSeconds: 30}`.
    #[serde(default)]
    pub lease: LeaseSpec,

    /// The label by which a Service finds the leader. For example `{leader: primary, follower:
    /// replica}`.
    #[serde(default)]
    pub role_label: RoleLabelSpec,

    /// The Services whose traffic the operator sends to the leader by itself. For example
    /// `{services: [orders-active]}`.
    #[serde(default)]
    pub routing: RoutingSpec,

    /// When a leader is replaced. Managed mode. For example `{notReadySeconds: 5}`.
    #[serde(default)]
    pub failover: FailoverSpec,

    /// Which pods are preferred as leader: the weights of all entries that match a pod add up, and
    /// the pod of the highest sum is elected. The key of `roleLabel` is not allowed in them.
    /// Managed mode. For example `[{selector: {matchLabels: {zone: a}}, weight: 100}]`.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub preference: Vec<Preference>,

    /// Whether the group moves back to a more preferred pod. `Never`: a healthy leader stays.
    /// `WhenSteady`: move to a pod of strictly higher weight once the group has had no change for
    /// `failbackQuietSeconds` and every pod is Ready. Managed mode. For example `WhenSteady`, with
    /// a preferred zone.
    #[serde(default)]
    pub failback: Failback,

    /// For how many seconds the group must have had no change (of its leader, status and pods)
    /// before `failback: WhenSteady` moves the leader. For example `300`.
    #[serde(default = "number::<60>")]
    #[schemars(range(min = 0, max = 86_400))]
    pub failback_quiet_seconds: u32,

    /// Move nothing: Lease and labels stay as they are, are renewed and repaired, but no other pod
    /// becomes leader, and a leader that is gone is not replaced. Only pods that an older group
    /// selects, too, are let go. The annotation `election-operator.io/paused: "true"` does the same.
    /// For example `true`, during maintenance.
    #[serde(default)]
    pub paused: bool,

    /// How many changes of leader `status.history` keeps; the newest one stays while it is under
    /// way and, in Observed mode, while nobody leads. For example `50`.
    #[serde(default = "number::<10>")]
    #[schemars(range(min = 0, max = 50))]
    pub history_limit: u32,
}

/// Who elects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum Mode {
    /// The operator.
    #[default]
    Managed,
    /// The pods themselves.
    Observed,
}

/// The Lease of the group.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = schema::tidy)]
#[x_kube(
    validation = Rule::new(
        "has(self.name) == has(oldSelf.name) && (!has(self.name) || self.name == oldSelf.name)"
    )
        .message("lease.name cannot be set, changed or unset after creation")
        .field_path(".name"),
    validation = Rule::new(
        "has(self.__namespace__) == has(oldSelf.__namespace__) && \
         (!has(self.__namespace__) || self.__namespace__ == oldSelf.__namespace__)"
    )
        .message("lease.namespace cannot be set, changed or unset after creation")
        .field_path(".namespace")
)]
pub struct LeaseSpec {
    /// The name of the Lease. Not set: the name of the `ElectionGroup`.
    /// Cannot be set, changed or unset after creation. For example `orders-leader`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object_name")]
    pub name: Option<String>,

    /// The namespace of the Lease. Not set: that of the `ElectionGroup`. Observed mode only: the
    /// operator reads the Lease there, and must serve that namespace, too. Cannot be set, changed
    /// or unset after creation. For example `kube-system`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::namespace_name")]
    pub namespace: Option<String>,

    /// For how many seconds the Lease is valid after a renewal. Not set: 60, in Observed mode 15.
    /// In Managed mode it has no influence on failover: the operator does not wait for the Lease,
    /// which is there for those who read it. In Observed mode the Lease's own
    /// `leaseDurationSeconds` counts, and this is used only where it has none. For example `90`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 3, max = 86_400))]
    pub duration_seconds: Option<u32>,

    /// The seconds between two renewals in Managed mode: twice as much must be less than
    /// `durationSeconds`. Not set: a third of `durationSeconds`. In Observed mode it has no
    /// meaning. For example `15`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 43_199))]
    pub renew_seconds: Option<u32>,
}

/// The label by which a Service finds the leader.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = schema::tidy)]
#[x_kube(
    validation = Rule::new("self.leader != self.follower")
        .message("roleLabel.leader and roleLabel.follower must differ")
        .field_path(".leader"),
    validation = Rule::new("self.leader != oldSelf.follower && self.follower != oldSelf.leader")
        .message(
            "a value of roleLabel cannot become the other one: followers would be leaders until they are written \
             anew; take a third value first"
        )
        .field_path(".leader")
)]
pub struct RoleLabelSpec {
    /// The key of the label. Cannot be changed. Not a key that Kubernetes or a controller writes,
    /// and not one that the pods' controller selects by: it would let each pod go that is labelled.
    /// For example `example.com/role`.
    #[serde(default = "default_role_key")]
    #[schemars(schema_with = "schema::role_label_key")]
    #[x_kube(validation = Rule::new("self == oldSelf").message("roleLabel.key cannot be changed"))]
    pub key: String,

    /// Its value on the leader. Not empty, and not the value of `follower`. For example `primary`.
    #[serde(default = "default_leader")]
    #[schemars(schema_with = "schema::label_value_not_empty")]
    pub leader: String,

    /// Its value on all other pods of the group. Empty: they do not carry the label. For example
    /// `replica`.
    #[serde(default = "default_follower")]
    #[schemars(schema_with = "schema::label_value")]
    pub follower: String,
}

/// The Services whose traffic the operator sends to the leader by itself.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = schema::tidy)]
pub struct RoutingSpec {
    /// Names of Services of the same namespace, at most 4, each without a selector. The operator
    /// writes their `EndpointSlice`s: one endpoint, the leader, replaced by a single write. A
    /// client then waits for one change of the endpoints at a failover, and with the role label for
    /// two. For example `[orders-active]`.
    #[serde(default)]
    #[schemars(schema_with = "schema::service_names")]
    pub services: Vec<String>,
}

/// When a leader is replaced.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = schema::tidy)]
pub struct FailoverSpec {
    /// For how many seconds a leader may be not Ready, counted from when the operator saw it,
    /// before it is replaced. For example `5`.
    #[serde(default)]
    #[schemars(range(min = 0, max = 86_400))]
    pub not_ready_seconds: u32,

    /// After how many seconds without a sign of its node (a renewal of the node's Lease) a leader
    /// is replaced, and not before the node has missed two renewals: a kubelet renews every quarter
    /// of its Lease's duration, 10 s by default. 0: do not look at nodes; else at least 15. Each 10
    /// s more forgive one more lost renewal. For example `45`.
    #[serde(default = "number::<35>")]
    #[schemars(range(min = 0, max = 86_400))]
    #[x_kube(validation = Rule::new("self == 0 || self >= 15")
        .message("must be 0, or at least 15: a node is heard every 10 s"))]
    pub node_silent_seconds: u32,

    /// For how many seconds a pod must have been Ready before it can lead. If no pod has been, it
    /// does not count at the first election, nor after a leader that is gone or terminating. For
    /// example `10`.
    #[serde(default)]
    #[schemars(range(min = 0, max = 86_400))]
    pub min_ready_seconds: u32,

    /// The least number of seconds between two replacements of a leader that still exists, against
    /// flapping readiness. A deleted or terminating leader is always replaced at once. For example
    /// `60`.
    #[serde(default)]
    #[schemars(range(min = 0, max = 86_400))]
    pub cooldown_seconds: u32,

    /// What happens to the label of a leader that must be replaced when no other pod can lead:
    /// `Keep` it where it is, or `Clear` it. For example `Clear`, where no leader is better than
    /// one that is not Ready.
    #[serde(default)]
    pub when_no_candidate: WhenNoCandidate,
}

/// What to do when nobody can lead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum WhenNoCandidate {
    /// The label stays where it is.
    #[default]
    Keep,
    /// Nobody carries the label.
    Clear,
}

/// A weight for the pods that match a selector.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = schema::tidy)]
pub struct Preference {
    /// The pods that get the weight. At least one requirement. For example `{matchLabels: {zone:
    /// a}}`.
    #[schemars(schema_with = "selector::schema")]
    pub selector: LabelSelector,

    /// What is added to the preference of a matching pod; higher is preferred. For example `100`.
    #[schemars(range(min = -1000, max = 1000))]
    pub weight: i32,
}

/// Whether the group moves back to a more preferred pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum Failback {
    /// A healthy leader stays.
    #[default]
    Never,
    /// It moves once the group is steady.
    WhenSteady,
}

impl ElectionGroupSpec {
    /// For how many seconds the Lease is valid after a renewal.
    #[must_use]
    pub fn lease_duration_seconds(&self) -> u32 {
        let unset = match self.mode {
            Mode::Managed => 60,
            Mode::Observed => 15,
        };
        self.lease.duration_seconds.unwrap_or(unset)
    }

    /// The seconds between two renewals.
    #[must_use]
    pub fn lease_renew_seconds(&self) -> u32 {
        self.lease.renew_seconds.unwrap_or_else(|| (self.lease_duration_seconds() / 3).max(1))
    }
}

impl ElectionGroup {
    /// The name of the group's Lease.
    #[must_use]
    pub fn lease_name(&self) -> String {
        self.spec.lease.name.clone().unwrap_or_else(|| self.name_any())
    }

    /// The namespace of the group's Lease, if it is another one than that of the group.
    #[must_use]
    pub fn other_lease_namespace(&self) -> Option<&str> {
        let namespace = self.spec.lease.namespace.as_deref();
        namespace.filter(|namespace| self.metadata.namespace.as_deref() != Some(namespace))
    }

    /// A user has paused the group, in its spec or by annotation.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        let annotation = self.annotations().get(PAUSED_ANNOTATION);
        self.spec.paused || annotation.is_some_and(|value| value == "true")
    }
}

impl Default for ElectionGroupSpec {
    fn default() -> Self {
        Self {
            selector: LabelSelector::default(),
            mode: Mode::default(),
            lease: LeaseSpec::default(),
            role_label: RoleLabelSpec::default(),
            routing: RoutingSpec::default(),
            failover: FailoverSpec::default(),
            preference: Vec::new(),
            failback: Failback::default(),
            failback_quiet_seconds: number::<60>(),
            paused: false,
            history_limit: number::<10>(),
        }
    }
}

impl Default for RoleLabelSpec {
    fn default() -> Self {
        Self { key: default_role_key(), leader: default_leader(), follower: default_follower() }
    }
}

impl Default for FailoverSpec {
    fn default() -> Self {
        Self {
            not_ready_seconds: 0,
            node_silent_seconds: number::<35>(),
            min_ready_seconds: 0,
            cooldown_seconds: 0,
            when_no_candidate: WhenNoCandidate::Keep,
        }
    }
}

const fn number<const N: u32>() -> u32 {
    N
}

fn default_role_key() -> String {
    "role".to_owned()
}

fn default_leader() -> String {
    "leader".to_owned()
}

fn default_follower() -> String {
    "follower".to_owned()
}
