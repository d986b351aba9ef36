//! The `ElectionGroup`: the desired state of a group.
//!
//! Defaults are part of the types. serde fills them in where a field is absent. The schema is
//! derived from the same attributes, so that the API server does the same. `tests/crd/` keeps
//! both in step with `Default`.

#![expect(unreachable_pub, reason = "the derive of KubeSchema copies each type into a function")]

mod failover;
mod lease;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema, ResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::status::ElectionGroupStatus;
use super::{PAUSED_ANNOTATION, schema, selector};

pub use self::failover::{FailoverSpec, WhenNoCandidate};
pub use self::lease::LeaseSpec;

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
        "description": "Who elects: the operator (Managed, Nominated) or the pods (Observed)"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = schema::tidy)]
#[x_kube(
    validation = Rule::new(
        "self.mode != 'Managed' || !has(self.lease.renewSeconds) || self.lease.renewSeconds * 2 < \
         (has(self.lease.durationSeconds) ? self.lease.durationSeconds : 60)"
    )
        .message(
            "lease.renewSeconds * 2 must be less than lease.durationSeconds (60 if not set): a renewal needs two \
             chances"
        )
        .field_path(".lease.renewSeconds"),
    validation = Rule::new("self.mode == 'Observed' || !has(self.lease.__namespace__)")
        .message("lease.namespace needs mode: Observed: in the other modes the Lease is beside its group")
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
    /// `Nominated`: the operator elects, and the elected pod takes the Lease; `election-operator
    /// elect --nominated` in the pods runs a command only while its pod holds it, so that at most
    /// one runs. Cannot be changed. For example `Observed`, for a program that elects with
    /// client-go.
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

    /// When a leader is replaced. Managed and Nominated mode. For example `{notReadySeconds: 5}`.
    #[serde(default)]
    pub failover: FailoverSpec,

    /// Which pods are preferred as leader: the weights of all entries that match a pod add up, and
    /// the pod of the highest sum is elected. The key of `roleLabel` is not allowed in them.
    /// Not in Observed mode. For example `[{selector: {matchLabels: {zone: a}}, weight: 100}]`.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub preference: Vec<Preference>,

    /// Whether the group moves back to a more preferred pod. `Never`: a healthy leader stays.
    /// `WhenSteady`: move to a pod of strictly higher weight once the group has had no change for
    /// `failbackQuietSeconds` and every pod is Ready. Not in Observed mode. For example
    /// `WhenSteady`, with a preferred zone.
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
    /// The operator, and the pod holds the Lease.
    Nominated,
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
            Mode::Observed | Mode::Nominated => 15,
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
