//! What the planner is told: a group, its pods, its Lease and its Services, as this operator sees
//! them.
//!
//! This module has types and plain facts. It decides nothing.

pub mod group;
pub mod lease;
pub mod pod;
pub mod route;
pub mod route_problem;
pub mod service;
pub mod snapshot;
pub mod status;
pub mod view;

pub use group::{ElectionMode, GroupPolicy, Refusal, SeenGroup};
pub use lease::{LeaseClaim, LeaseContent, SeenLease};
pub use pod::{GonePod, Membership, Owner, PodPhase, Role, SeenPod};
pub use route::{
    Endpoint, EndpointPort, Family, NamedPort, OtherSlice, PodNetwork, RouteRefusal, RoutedPort, SeenRoute,
    SeenSlice, SliceContent, SliceName, SliceObject, TargetPort,
};
pub use route_problem::RouteProblem;
pub use service::{SeenBudget, SeenService, SelectionProblem, Warning};
pub use snapshot::Snapshot;
pub use status::{
    CandidateReport, Condition, GroupStatus, LeaderChange, LeaderRecord, RecordedLeader, RecordedLease,
    Stamp, Unfenced,
};
pub use view::GroupView;
