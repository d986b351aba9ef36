//! What a Lease says of the pod that is followed. Pure.

use serde_json::Value;

use crate::elector::decisions::record::ElectionRecord;
use crate::elector::lease_client::read_record;

/// The pod that this process speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowedPod {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// What its program elects by, if that is not the pod's name (mode Observed).
    pub identity: Option<String>,
}

/// A Lease as a read or the watch showed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseSight {
    /// What every elector reads.
    pub record: ElectionRecord,
    /// Who may take the Lease. Only a Lease of mode Nominated has it, also an empty one.
    nominee: Option<String>,
    /// The UID of the pod that holds the Lease (mode Managed).
    holder_uid: Option<String>,
    /// The operator's term (modes Managed and Nominated).
    term: Option<i64>,
}

impl LeaseSight {
    /// Reads a Lease. None: it is none.
    #[must_use]
    pub fn of(lease: &Value) -> Option<Self> {
        let annotations = lease.get("metadata")?.get("annotations");
        let note = |name: &str| {
            let value = annotations?.get(format!("election-operator.io/{name}"))?.as_str()?;
            Some(value.to_owned())
        };
        Some(Self {
            record: read_record(lease)?,
            nominee: note("nominee"),
            holder_uid: note("holder-uid"),
            term: note("term").and_then(|term| term.parse().ok()),
        })
    }

    /// Whether the Lease names this very pod as the leader. A predecessor of the same name is
    /// another pod. A holder is none while somebody is nominated: it was asked to end its term.
    #[must_use]
    pub fn names(&self, pod: &FollowedPod) -> bool {
        let FollowedPod { name, uid, identity } = pod;
        let holder = &*self.record.holder;
        if self.nominee.is_some() {
            return !self.is_ending() && holder == format!("{name}_{uid}");
        }
        if self.is_managed() {
            return holder == name && self.holder_uid.as_ref() == Some(uid);
        }
        let rest = holder.strip_prefix(identity.as_ref().unwrap_or(name));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    }

    /// The name of the leader's pod, or what its program elects by. Empty: there is none.
    #[must_use]
    pub fn leader(&self) -> &str {
        let (pod, _) = self.record.holder.split_once('_').unwrap_or((&self.record.holder, ""));
        if self.is_ending() { "" } else { pod }
    }

    /// The number of the leader's term.
    #[must_use]
    pub fn term(&self) -> i64 {
        let operators = self.term.filter(|_| self.nominee.is_some() || self.is_managed());
        operators.unwrap_or_else(|| self.record.transitions.into())
    }

    /// Whether its holder must renew it to stay the leader. In mode Managed the operator renews:
    /// without it the leader stays.
    #[must_use]
    pub fn expires(&self) -> bool {
        !self.is_managed()
    }

    /// The operator wrote the Lease, and names a pod. What pods write by themselves has mostly a
    /// `_`, which no name of a pod has: a mark of an earlier group may be left on their Lease.
    fn is_managed(&self) -> bool {
        self.nominee.is_none() && self.term.is_some() && !self.record.holder.contains('_')
    }

    fn is_ending(&self) -> bool {
        self.nominee.as_ref().is_some_and(|nominee| !nominee.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sight(holder: &str, notes: &[(&str, &str)]) -> LeaseSight {
        let notes = notes.iter().map(|(name, value)| (format!("election-operator.io/{name}"), json!(value)));
        let metadata = json!({ "uid": "l", "annotations": serde_json::Map::from_iter(notes) });
        let spec = json!({ "holderIdentity": holder, "leaseTransitions": 3 });
        LeaseSight::of(&json!({ "metadata": metadata, "spec": spec })).unwrap()
    }

    fn orders_1() -> FollowedPod {
        FollowedPod { name: "orders-1".to_owned(), uid: "u1".to_owned(), identity: None }
    }

    #[test]
    fn only_this_very_pod_is_the_holder_in_each_mode() {
        let managed = [("term", "7"), ("holder-uid", "u1")];
        for (is_self, what, lease) in [
            (true, "Managed", sight("orders-1", &managed)),
            (false, "Managed, a predecessor", sight("orders-1", &[("term", "7"), ("holder-uid", "u0")])),
            (false, "Managed, written by an old operator", sight("orders-1", &[("term", "7")])),
            (false, "Managed, another one", sight("orders-2", &managed)),
            (false, "Managed, free", sight("", &[("term", "7")])),
            (true, "Observed, by name", sight("orders-1", &[])),
            (true, "Observed, by name and suffix", sight("orders-1_4711", &[])),
            (true, "Observed, on a Lease of an earlier group", sight("orders-1_4711", &managed)),
            (false, "Observed, a longer name", sight("orders-10", &[])),
            (false, "Observed, a longer name and suffix", sight("orders-10_4711", &[])),
            (false, "Observed, free", sight("", &[])),
            (true, "Nominated", sight("orders-1_u1", &[("nominee", ""), ("term", "7")])),
            (false, "Nominated, a predecessor", sight("orders-1_u0", &[("nominee", "")])),
            (false, "Nominated, by name", sight("orders-1", &[("nominee", "")])),
            (false, "Nominated, asked to end", sight("orders-1_u1", &[("nominee", "orders-2/u2")])),
            (false, "Nominated anew, not yet taken", sight("orders-1_u1", &[("nominee", "orders-1/u1")])),
            (false, "Nominated, not yet taken", sight("", &[("nominee", "orders-1/u1")])),
        ] {
            assert_eq!(lease.names(&orders_1()), is_self, "{what}");
        }
    }

    #[test]
    fn a_program_with_an_identity_of_its_own_is_known_by_it_alone() {
        let pod = FollowedPod { identity: Some("host-7".to_owned()), ..orders_1() };
        for (is_self, holder) in
            [(true, "host-7"), (true, "host-7_4711"), (false, "host-70"), (false, "orders-1")]
        {
            assert_eq!(sight(holder, &[]).names(&pod), is_self, "{holder}");
        }
        assert!(sight("orders-1", &[("term", "7"), ("holder-uid", "u1")]).names(&pod), "the operator's word");
    }

    #[test]
    fn the_term_is_the_operator_s_and_that_of_the_lease_where_no_operator_writes() {
        assert_eq!(sight("orders-1", &[("term", "7")]).term(), 7);
        assert_eq!(sight("orders-1_u1", &[("term", "7"), ("nominee", "")]).term(), 7);
        assert_eq!(sight("orders-1_4711", &[("term", "7")]).term(), 3);
        assert_eq!(sight("orders-1", &[]).term(), 3);
    }

    #[test]
    fn the_leader_is_a_pod_and_none_while_it_was_asked_to_end() {
        assert_eq!(sight("orders-1", &[]).leader(), "orders-1");
        assert_eq!(sight("orders-1_u1", &[("nominee", "")]).leader(), "orders-1");
        assert_eq!(sight("orders-1_u1", &[("nominee", "orders-2/u2")]).leader(), "");
    }
}
