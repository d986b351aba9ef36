//! What the checker reads of an object: plain JSON in, a few facts out.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use crate::world::AUTHOR;

/// One revision of one object.
#[derive(Clone, Debug)]
pub(crate) struct Revision {
    /// The revision of the whole store: one counter for all kinds.
    pub(crate) number: u64,
    pub(crate) object: Object,
    /// The object is gone from here on.
    pub(crate) gone: bool,
    /// When it arrived here, counted from the beginning.
    pub(crate) at: Duration,
}

#[derive(Clone, Debug)]
pub(crate) enum Object {
    Pod(Pod),
    Group(Group),
    Lease(Lease),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pod {
    pub(crate) name: String,
    pub(crate) uid: String,
    /// The value of the label that the group selects by: the name of the group.
    pub(crate) app: String,
    pub(crate) marks: Marks,
    /// Under which it may hold a Lease, besides its name.
    pub(crate) identity: String,
    /// It could lead.
    pub(crate) able: bool,
}

/// What only operators write on a pod, and now and then the test.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) role: String,
    pub(crate) term: String,
    pub(crate) group: String,
}

impl Marks {
    /// A role that no operator has put there.
    pub(crate) fn is_role_alone(&self) -> bool {
        !self.role.is_empty() && self.group.is_empty()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) uid: String,
    /// The UID of the recorded leader.
    pub(crate) leader: String,
    pub(crate) term: Option<u64>,
    /// The pods elect (mode Observed).
    pub(crate) observed: bool,
    pub(crate) paused: bool,
    /// The condition Ready.
    pub(crate) ready: bool,
}

/// A Lease; each has the name of its group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) holder: String,
    /// Everybody whose writes the API server still finds in it.
    pub(crate) authors: Vec<String>,
}

impl Pod {
    pub(crate) fn read(object: &Value) -> Self {
        let metadata = &object["metadata"];
        let annotation = |key: &str| text(&metadata["annotations"][format!("election-operator.io/{key}")]);
        let excluded = annotation("exclude") == "true";
        let terminating = !metadata["deletionTimestamp"].is_null();
        let running = object["status"]["phase"] == "Running";
        Self {
            name: text(&metadata["name"]),
            uid: text(&metadata["uid"]),
            app: text(&metadata["labels"]["app"]),
            marks: Marks {
                role: text(&metadata["labels"]["role"]),
                term: annotation("term"),
                group: annotation("group"),
            },
            identity: annotation("identity"),
            able: running && !terminating && !excluded && is_true(object, "Ready"),
        }
    }

    pub(crate) fn leads(&self) -> bool {
        self.marks.role == "leader"
    }

    /// The UID of the group that marked it.
    pub(crate) fn group_uid(&self) -> &str {
        self.marks.group.split_once('/').map_or("", |(_, uid)| uid)
    }
}

impl Group {
    pub(crate) fn read(object: &Value) -> Self {
        let (metadata, status) = (&object["metadata"], &object["status"]);
        Self {
            name: text(&metadata["name"]),
            uid: text(&metadata["uid"]),
            leader: text(&status["leader"]["uid"]),
            term: status["term"].as_u64(),
            observed: object["spec"]["mode"] == "Observed",
            paused: object["spec"]["paused"] == true,
            ready: is_true(object, "Ready"),
        }
    }
}

impl Lease {
    pub(crate) fn read(object: &Value) -> Self {
        let metadata = &object["metadata"];
        let authors = metadata["managedFields"].as_array().into_iter().flatten();
        Self {
            name: text(&metadata["name"]),
            uid: text(&metadata["uid"]),
            holder: text(&object["spec"]["holderIdentity"]),
            authors: authors.map(|author| text(&author["manager"])).collect(),
        }
    }

    /// Nobody but the test wrote it.
    pub(crate) fn is_the_tests(&self) -> bool {
        self.authors.iter().all(|author| author == AUTHOR)
    }

    /// The one of these pods that it names: by its name, by that and an underscore, or by its identity; the first of
    /// these that fits any decides, and if it fits two, it names nobody.
    pub(crate) fn names<'a>(&self, pods: &[&'a Pod]) -> Option<&'a Pod> {
        let holder = self.holder.as_str();
        let before_underscore = holder.split_once('_').map(|(name, _)| name);
        let fits: [&dyn Fn(&Pod) -> bool; 3] =
            [&|pod| pod.name == holder, &|pod| before_underscore == Some(&pod.name), &|pod| {
                !holder.is_empty() && pod.identity == holder
            }];
        let fitting = fits.map(|fits| pods.iter().copied().filter(|pod| fits(pod)).collect::<Vec<_>>());
        match fitting.into_iter().find(|pods| !pods.is_empty())?.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }
}

impl Revision {
    /// The group that it concerns, by name.
    pub(crate) fn about(&self) -> &str {
        match &self.object {
            Object::Pod(pod) => &pod.app,
            Object::Group(group) => &group.name,
            Object::Lease(lease) => &lease.name,
        }
    }

    pub(crate) fn uid(&self) -> &str {
        match &self.object {
            Object::Pod(pod) => &pod.uid,
            Object::Group(group) => &group.uid,
            Object::Lease(lease) => &lease.uid,
        }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gone = if self.gone { " gone" } else { "" };
        write!(f, "{:>8} {:>9.3} s ", self.number, self.at.as_secs_f64())?;
        match &self.object {
            Object::Pod(Pod { name, uid, marks, able, .. }) => {
                let Marks { role, term, group } = marks;
                write!(f, "pod {name} {uid} role={role} term={term} group={group} able={able}{gone}")
            }
            Object::Group(Group { name, uid, leader, term, paused, ready, .. }) => {
                write!(
                    f,
                    "group {name} {uid} leader={leader} term={term:?} paused={paused} Ready={ready}{gone}"
                )
            }
            Object::Lease(Lease { name, uid, holder, authors }) => {
                write!(f, "lease {name} {uid} holder={holder} by {}{gone}", authors.join(" and "))
            }
        }
    }
}

fn is_true(object: &Value, condition: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|found| found["type"] == condition && found["status"] == "True")
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
