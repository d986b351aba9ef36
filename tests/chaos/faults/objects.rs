//! Faults of objects: of pods, of what users and electors write, and of the admission of writes.

use std::time::Duration;

use kube::api::DeleteParams;
use serde_json::{Value, json};
use testkit::feed::{GROUP, TERM};
use testkit::judge::Pod;
use tokio::time::Instant;

use super::{Chaos, Undo, tolerate};
use crate::admission::Webhook;
use crate::world::{PODS, TAMPERED, identity, is_role_alone, merge, service, version};

impl Chaos {
    pub(super) async fn strike_pod(&mut self) {
        let pod = self.pod();
        self.strike_elector_of(&pod);
        match self.random.below(8) {
            0..3 => self.make_unready(&pod).await,
            3 => {
                self.count("pod deleted");
                tolerate(self.world.delete_pod(&pod, true).await);
                self.later(3000, Undo::Create(pod));
            }
            4 => {
                self.count("pod evicted");
                tolerate(self.world.delete_pod(&pod, false).await);
                self.later(3000, Undo::Create(pod));
            }
            5 => {
                self.count("pod recreated");
                tolerate(self.world.delete_pod(&pod, true).await);
                tolerate(self.world.create_pod(&pod).await);
            }
            6 => {
                self.count("pod terminating");
                tolerate(self.world.hold(&pod, true).await);
                tolerate(self.world.delete_pod(&pod, true).await);
                self.later(5000, Undo::Release(pod));
            }
            _ => {
                self.count("pod excluded");
                tolerate(merge(&self.world.pods, &pod, exclusion(true)).await);
                self.later(3000, Undo::Include(pod));
            }
        }
    }

    /// What strikes a pod may strike its elector; else it goes on, also for a pod that is gone.
    fn strike_elector_of(&mut self, pod: &str) {
        if self.elects(pod) && self.random.below(2) == 0 {
            self.electors.kill(pod);
            self.later(4000, Undo::Elector(pod.to_owned()));
        }
    }

    pub(super) async fn make_unready(&mut self, pod: &str) {
        self.count("pod not Ready");
        tolerate(self.world.set_ready(pod, false).await);
        self.later(3000, Undo::Ready(pod.to_owned()));
    }

    /// A user writes over what only operators write. What no user may do is to lower a term:
    /// nothing else tells an operator that its record is out of date.
    pub(super) async fn tamper(&mut self) {
        let pod = self.pod();
        let label = |value: Value| json!({ "metadata": { "labels": { "role": value } } });
        let annotations = |term: Value, group: Option<Value>| {
            let mut annotations = json!({ TERM: term });
            if let Some(group) = group {
                annotations[GROUP] = group;
            }
            json!({ "metadata": { "annotations": annotations } })
        };
        let mut patch = match self.random.below(9) {
            0..3 => label(json!("leader")),
            3 => label(Value::Null),
            4 => label(json!("follower")),
            5 => label(json!("king")),
            6 => annotations(json!("seven"), None),
            7 => annotations(json!(self.far_above(&pod)), None),
            _ => annotations(Value::Null, Some(Value::Null)),
        };
        patch["metadata"]["annotations"][TAMPERED] = json!(self.tampered.len().to_string());
        self.count("marks tampered with");
        if let Some(written) = tolerate(merge(&self.world.pods, &pod, patch).await) {
            self.tampered.insert(version(&written));
        }
    }

    /// A user deletes the slice of a group, or writes over what only operators write.
    pub(super) async fn strike_slice(&mut self) {
        let (group, spec) = self.group();
        let Some(service) = service(&spec) else { return };
        let pods: Vec<_> = (0..PODS).map(|ordinal| format!("{group}-{ordinal}")).collect();
        let (what, first) =
            (self.random.below(6), usize::try_from(self.random.below(PODS)).expect("a small number"));
        let slice = {
            let journal = self.world.feed.look();
            let mut slices = journal.present().slices();
            slices.find(|slice| slice.service == service).map(|slice| slice.name.clone())
        };
        let Some(slice) = slice else { return };
        let mut patch = match what {
            0..2 => {
                self.count("slice deleted");
                tolerate(self.world.slices.delete(&slice, &DeleteParams::default()).await.map(|_| ()));
                return;
            }
            2 => json!({ "endpoints": [self.endpoint(&pods[first])] }),
            3 => {
                let next = (first + 1) % pods.len();
                json!({ "endpoints": [self.endpoint(&pods[first]), self.endpoint(&pods[next])] })
            }
            4 => json!({ "metadata": { "annotations": { TERM: self.far_above(&group) } } }),
            _ => json!({ "metadata": { "annotations": { TERM: null } } }),
        };
        patch["metadata"]["annotations"][TAMPERED] = json!(self.tampered.len().to_string());
        self.count("slice tampered with");
        if let Some(written) = tolerate(merge(&self.world.slices, &slice, patch).await) {
            self.tampered.insert(version(&written));
        }
    }

    /// A pod as a user writes it into a slice.
    fn endpoint(&self, name: &str) -> Value {
        let journal = self.world.feed.look();
        let uid = journal.present().pods().find(|pod| pod.name == name).map(|pod| pod.uid.clone());
        let target = json!({ "kind": "Pod", "name": name, "uid": uid });
        json!({ "addresses": ["10.9.8.7"], "conditions": { "ready": true }, "targetRef": target })
    }

    /// A term that no operator reaches meanwhile.
    fn far_above(&self, pod: &str) -> String {
        let group = pod.split('-').next().unwrap_or_default();
        let term = self.world.feed.look().present().group(group).and_then(|group| group.term);
        (term.unwrap_or_default() + 1000).to_string()
    }

    /// The Lease of the group of `pod` names another holder at once: that pod's elector if it runs,
    /// else a holder that does not renew it.
    pub(super) async fn hand_over_lease(&mut self, pod: &str) {
        self.count("Lease handed over");
        let group = pod.split('-').next().unwrap_or_default();
        let to = format!("{group}-{}", self.random.below(PODS));
        tolerate(self.world.give_lease(group, &self.electors.identity(&to)).await);
    }

    /// Something becomes of an elector, or of what it holds.
    pub(super) async fn strike_holder(&mut self) {
        let observed = self.world.observed();
        let at = self.random.below(observed.len() as u64);
        let group = &observed[usize::try_from(at).expect("a small number")];
        let leader = self.leader_of(group);
        let any = format!("{group}-{}", self.random.below(PODS));
        let pod = leader.unwrap_or(any);
        match self.random.below(5) {
            0 => {
                self.count("Lease released");
                tolerate(self.world.give_lease(group, "").await);
            }
            1 => {
                self.count("elector resigned");
                self.electors.kill(&pod);
                tolerate(self.world.give_lease(group, "").await);
                self.later(3000, Undo::Elector(pod));
            }
            2 => {
                self.count("elector restarted");
                self.electors.kill(&pod);
                self.electors.start(&pod);
            }
            // Often it comes back when its Lease has run out.
            _ => {
                self.count("elector killed");
                self.electors.kill(&pod);
                self.later(6000, Undo::Elector(pod));
            }
        }
    }

    pub(super) async fn strike_lease(&mut self) {
        let (lease, spec) = self.group();
        // A holder that a user removes goes on: that is no fault of the protocol.
        if self.random.below(3) == 0 || spec["mode"] == "Nominated" {
            self.count("Lease deleted");
            tolerate(self.world.leases.delete(&lease, &DeleteParams::default()).await.map(|_| ()));
            return;
        }
        self.count("Lease edited");
        let patch = match self.random.below(9) {
            0 => json!({ "spec": { "holderIdentity": "somebody" } }),
            1 => json!({ "spec": { "holderIdentity": null, "renewTime": null } }),
            2 => json!({ "spec": { "leaseDurationSeconds": 3600 } }),
            3 => json!({ "spec": { "renewTime": "9999-12-31T23:59:59.999999Z" } }),
            4 => {
                json!({ "spec": { "renewTime": "1970-01-01T00:00:00.000000Z", "leaseTransitions": 2_147_483_647 } })
            }
            5 => json!({ "metadata": { "annotations": { TERM: "none" } } }),
            6 => json!({ "spec": { "leaseDurationSeconds": null } }),
            number => {
                // In Observed mode the former may be either of two pods.
                let ordinal = if number == 7 { 0 } else { PODS - 1 };
                json!({ "spec": { "holderIdentity": identity(&format!("{lease}-{ordinal}")) } })
            }
        };
        tolerate(merge(&self.world.leases, &lease, patch).await);
    }

    pub(super) async fn strike_group(&mut self) {
        let (group, spec) = self.group();
        match self.random.below(10) {
            0..3 => {
                self.count("group paused");
                tolerate(merge(&self.world.groups, &group, json!({ "spec": { "paused": true } })).await);
                self.later(2000, Undo::Resume(group));
            }
            3 => {
                self.count("group recreated");
                tolerate(self.world.groups.delete(&group, &DeleteParams::default()).await.map(|_| ()));
                let pause = self.random.below(300);
                tokio::time::sleep(Duration::from_millis(pause)).await;
                tolerate(self.world.create_group(&group, &spec).await);
            }
            _ => {
                self.count("switchover");
                let ordinal = self.random.below(PODS);
                tolerate(self.world.ask_to_switch(&group, &format!("{group}-{ordinal}")).await);
            }
        }
    }

    /// A webhook begins to be asked that never answers, for a few writes or for many.
    pub(super) async fn strike_admission(&mut self) {
        let seconds = 2 + self.random.below(5);
        let webhook = if self.random.below(2) == 0 { Webhook::Events } else { Webhook::Writes };
        let begun = match webhook {
            Webhook::Events => self.webhooks.refuse_events(seconds).await,
            Webhook::Writes => {
                let all = ["pods", "electiongroups/status", "leases", "endpointslices"];
                let chosen = match self.random.below(5) {
                    0 => &all[..1],
                    1 => &all[1..2],
                    2 => &all[2..3],
                    3 => &all[3..],
                    _ => &all[..],
                };
                self.webhooks.slow_down(chosen, seconds).await
            }
        };
        // One that is asked already goes on.
        if tolerate(begun).is_some() {
            self.count(match webhook {
                Webhook::Events => "Events API away",
                Webhook::Writes => "slow webhook",
            });
            self.later(12_000, Undo::Webhook(webhook));
        }
    }

    /// The pod is there and could lead.
    pub(super) async fn mend(&self, pod: &str) {
        let feed = &self.world.feed;
        let patience = Instant::now() + crate::world::PATIENCE;
        let is = |what: &dyn Fn(&Pod) -> bool| {
            feed.look().present().pods().any(|seen| seen.name == pod && what(seen))
        };
        loop {
            tolerate(self.world.hold(pod, false).await);
            tolerate(self.world.create_pod(pod).await);
            tolerate(merge(&self.world.pods, pod, exclusion(false)).await);
            tolerate(self.world.take_back_label(pod).await);
            for _ in 0..20 {
                if is(&|pod| pod.able) && !is(&is_role_alone) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
            tolerate(self.world.set_ready(pod, true).await);
            assert!(Instant::now() < patience, "{pod} does not get Ready");
        }
    }
}

pub(super) fn exclusion(excluded: bool) -> Value {
    let value = if excluded { json!("true") } else { Value::Null };
    json!({ "metadata": { "annotations": { "election-operator.io/exclude": value } } })
}
