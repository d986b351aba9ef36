//! What is done to the leader.

use std::process::Child;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, EvictParams};

use crate::cluster::{Cluster, Cut};
use crate::traffic::now;
use crate::world::{World, name, node};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Switchover,
    Deleted,
    ForceDeleted,
    Drained,
    NotReady,
    Crashed,
    /// The active pod of the operator is deleted by force, and the leader with it.
    OperatorDeleted,
    /// The leader is deleted when `helm upgrade` replaces the active pod of the operator.
    OperatorUpgraded,
    /// The node of the leader is off the network.
    NodeLost,
}

/// What was done, and what has to be undone.
pub(super) struct Done {
    pub(super) cause: u64,
    /// When the operator could know of it; none if that is the same.
    pub(super) detected: Option<u64>,
    cut: Option<Cut>,
    upgrade: Option<Child>,
}

impl Cause {
    pub(super) const ALL: &[Self] = &[
        Self::Switchover,
        Self::Deleted,
        Self::ForceDeleted,
        Self::Drained,
        Self::NotReady,
        Self::Crashed,
        Self::OperatorDeleted,
        Self::OperatorUpgraded,
        Self::NodeLost,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Switchover => "switchover",
            Self::Deleted => "deleted",
            Self::ForceDeleted => "force-deleted",
            Self::Drained => "drained",
            Self::NotReady => "not Ready",
            Self::Crashed => "crashed",
            Self::OperatorDeleted => "active operator deleted, and the leader with it",
            Self::OperatorUpgraded => "operator upgraded by helm, and the leader deleted",
            Self::NodeLost => "node lost, from the record on",
        }
    }

    /// Makes it happen. The cluster can cut a node off where that is the cause.
    pub(super) async fn happens(self, world: &World, leader: &Pod, other: &str) -> Done {
        let place = node(leader);
        let leader = &name(leader);
        let mut done = Done { cause: now(), detected: None, cut: None, upgrade: None };
        match self {
            Self::Switchover => world.switch_to("orders", other).await,
            Self::Deleted => delete(world, leader, None).await,
            Self::ForceDeleted => delete(world, leader, Some(0)).await,
            Self::Drained => {
                world.cluster.kubectl(&["cordon", &place]);
                done.cause = now();
                // As `kubectl drain` does, which waits until the pod is deleted.
                let evicted = world.pods().evict(leader, &EvictParams::default()).await;
                evicted.expect("it can be evicted");
            }
            Self::NotReady => {
                signal(world, leader, "USR1");
                // The kubelet's probe fails three times before the pod is not Ready: that is the cause.
                done.cause = world.until_not_ready(leader).await;
            }
            Self::Crashed => done.cause = signal(world, leader, "TERM").unwrap_or(done.cause),
            Self::OperatorDeleted => {
                let operator = world.active_operator().await;
                let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
                done.cause = now();
                world.operators().delete(&operator, &at_once).await.expect("it can be deleted");
                delete(world, leader, None).await;
            }
            Self::OperatorUpgraded => {
                let operator = world.active_operator().await;
                done.upgrade = Some(world.cluster.begin_upgrade());
                World::until_ending(&world.operators(), &operator).await;
                done.cause = now();
                delete(world, leader, None).await;
            }
            Self::NodeLost => {
                done.cut = Some(Cluster::cut(&place).expect("ELECTION_OPERATOR_NODES_CUT is set"));
                done.detected = Some(world.until_recorded_other("orders", leader).await);
            }
        }
        done
    }

    /// Makes the old leader's application healthy again, or its node usable.
    pub(super) async fn ends(self, world: &World, leader: &Pod, mut done: Done) {
        match self {
            Self::NotReady => drop(signal(world, &name(leader), "USR1")),
            Self::Drained => drop(world.cluster.kubectl(&["uncordon", &node(leader)])),
            Self::NodeLost => {
                drop(done.cut.take());
                world.until_node_ready(&node(leader)).await;
            }
            Self::OperatorUpgraded => {
                let ended = done.upgrade.as_mut().map(Child::wait);
                assert!(ended.is_some_and(|ended| ended.is_ok_and(|how| how.success())), "helm has failed");
            }
            Self::OperatorDeleted => world.until_operator_complete(),
            Self::Switchover | Self::Deleted | Self::ForceDeleted | Self::Crashed => (),
        }
    }
}

async fn delete(world: &World, pod: &str, grace: Option<u32>) {
    let how = DeleteParams { grace_period_seconds: grace, ..DeleteParams::default() };
    world.pods().delete(pod, &how).await.expect("it can be deleted");
}

/// Sends a signal to the application, and gives back when. `kubectl exec` may end with the container.
fn signal(world: &World, pod: &str, signal: &str) -> Option<u64> {
    let arguments = ["--namespace", &world.namespace, "exec", pod, "--", "/kit", "signal", signal];
    world.cluster.kubectl_prints(&arguments).trim().parse().ok()
}
