//! Runs the planner for an operator of the model.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use planner::plan::{Fact, Intent, Plan};
use planner::seen::{GroupView, Snapshot};
use planner::{Millis, Version, plan, plan_group};

use crate::objects::{
    GroupObject, LeaseObject, OTHER_GROUP, PODS, PodAction, PodObject, RecordObject, Request, SliceObject,
};
use crate::operator_state::{Listed, Operator, Times, Waits};
use crate::planned_requests::pod_request;
use crate::seen_snapshot::{Writer, group_identity, identity, number};
use crate::world::Rule;

/// A plan, as requests step by step.
pub struct Steps {
    pub requests: Vec<Vec<Request>>,
    /// S4: after these requests the next plan is empty.
    pub keeps_s4: bool,
}

type Objects = (Option<GroupObject>, [Option<PodObject>; PODS], Option<LeaseObject>, Option<SliceObject>);

type Copies = (Objects, (u16, u16), Listed, [bool; 2], Times, Waits);

type Plans = HashMap<(Copies, Option<Rule>), Option<Rc<Steps>>>;

thread_local! {
    static PLANS: RefCell<Plans> = RefCell::default();
}

/// What the operator would do now, if anything. Reports that keep the record are left out: they
/// change no other object.
pub fn plan_of(op: &Operator, without: Option<Rule>) -> Option<Rc<Steps>> {
    let objects = (op.group, op.pods, op.lease, op.slice);
    let copies =
        (objects, (op.gone, op.ended), op.listed, [op.knows_other, op.knows_rival], op.times, op.waits);
    let known = PLANS.with_borrow(|plans| plans.get(&(copies, without)).cloned());
    known.unwrap_or_else(|| {
        let steps = make(op, without).filter(|steps| !steps.requests.is_empty()).map(Rc::new);
        PLANS.with_borrow_mut(|plans| plans.insert((copies, without), steps.clone()));
        steps
    })
}

fn make(op: &Operator, without: Option<Rule>) -> Option<Steps> {
    let Some(group) = op.group else {
        return clean_after(op);
    };
    let writer = Writer { op, group, without };
    let snapshot = writer.snapshot();
    let plan = plan_group(&snapshot);
    let keeps_s4 = without.is_some() || leaves_nothing(&snapshot, &plan);
    let mut requests: Vec<Vec<Request>> = Vec::new();
    for step in plan.steps() {
        let step: Vec<_> = step.intents.iter().filter_map(|intent| writer.request(intent)).collect();
        requests.extend(Some(step).filter(|step| !step.is_empty()));
    }
    drop_reports(group.record, &mut requests);
    list_after_write(&mut requests);
    match without {
        Some(Rule::FenceBeforePromotion) => promote_first(&mut requests),
        Some(Rule::RecordAfterOwner) => confirm_at_once(&mut requests),
        Some(Rule::LookAfterCreation) => look_before_creation(&mut requests),
        Some(Rule::RecordBeforeRoute) => {
            route_beside(&mut requests, |request| matches!(request, Request::Status { .. }));
        }
        Some(Rule::ConfirmRecordBeforeRoute) => {
            route_beside(&mut requests, |request| matches!(request, Request::ConfirmRecord { .. }));
        }
        _ => {}
    }
    Some(Steps { requests, keeps_s4 })
}

/// Drops status writes that keep the record.
fn drop_reports(mut last: Option<RecordObject>, requests: &mut Vec<Vec<Request>>) {
    for step in &mut *requests {
        step.retain(|request| match request {
            Request::Status { record, .. } => std::mem::replace(&mut last, *record) != *record,
            _ => true,
        });
    }
    requests.retain(|step| !step.is_empty());
}

/// Notes which lists are for a record that the plan itself writes.
fn list_after_write(requests: &mut [Vec<Request>]) {
    let mut written = false;
    for request in requests.iter_mut().flatten() {
        match request {
            Request::Status { .. } => written = true,
            Request::List { after_write, .. } => *after_write = written,
            _ => {}
        }
    }
}

fn promote_first(requests: &mut [Vec<Request>]) {
    let promotes =
        |step: &Vec<Request>| matches!(step[..], [Request::Pod { action: PodAction::Promote, .. }]);
    if let Some(at) = requests.iter().position(promotes)
        && at > 0
        && requests[at - 1]
            .iter()
            .any(|request| matches!(request, Request::Pod { action: PodAction::Fence, .. }))
    {
        requests.swap(at - 1, at);
    }
}

/// Moves a confirmation of the record into the step that confirms the owner.
fn confirm_at_once(requests: &mut Vec<Vec<Request>>) {
    let confirms = |step: &[Request]| matches!(step, [Request::ConfirmRecord { .. }]);
    let owner =
        |step: &Vec<Request>| step.iter().any(|request| matches!(request, Request::ConfirmGroupGone(_)));
    if let Some(at) = requests.iter().position(owner)
        && requests.get(at + 1).is_some_and(|step| confirms(step))
    {
        let confirmation = requests.remove(at + 1);
        requests[at].extend(confirmation);
    }
}

/// Moves routes into the step before them, if that has such a request.
fn route_beside(requests: &mut Vec<Vec<Request>>, earlier: impl Fn(&Request) -> bool) {
    let is_route = |request: &Request| matches!(request, Request::Route { .. });
    for at in 1..requests.len() {
        if requests[at - 1].iter().any(&earlier) {
            let (routes, others): (Vec<_>, Vec<_>) = requests[at].iter().partition(|r| is_route(r));
            requests[at] = others;
            requests[at - 1].extend(routes);
        }
    }
    requests.retain(|step| !step.is_empty());
}

/// The plan looks for other slices before it creates its own, and not before it fills it.
fn look_before_creation(requests: &mut Vec<Vec<Request>>) {
    for step in &mut *requests {
        step.retain(|request| *request != Request::ConfirmAlone);
    }
    let creates = |step: &Vec<Request>| step.iter().any(|r| matches!(r, Request::CreateSlice { .. }));
    if let Some(at) = requests.iter().position(creates) {
        requests.insert(at, vec![Request::ConfirmAlone]);
    }
}

fn leaves_nothing(snapshot: &Snapshot, first: &Plan) -> bool {
    let intents = || first.intents();
    // A slice is created empty, and a Lease without a nominee. The next plan goes on.
    let creates = |intent: &Intent| match intent {
        Intent::WriteNomination(write) => write.base.is_none(),
        intent => matches!(intent, Intent::ListPods(_) | Intent::CreateSlice(..)),
    };
    if intents().any(creates) {
        return true;
    }
    let mut after = snapshot.clone();
    intents().for_each(|intent| after.project(intent));
    let next = plan_group(&after);
    // A slice is filled for the first time by a plan that does nothing else.
    let fills = |plan: &Plan| {
        plan.intents().any(|intent| matches!(intent, Intent::Confirm(Fact::NoOtherSlices { .. })))
    };
    next.steps().is_empty() || (!fills(first) && fills(&next))
}

/// Our group is deleted: once that is confirmed, its pods are released.
fn clean_after(op: &Operator) -> Option<Steps> {
    let left = |pod: &&PodObject| pod.owner != 0 && pod.owner != OTHER_GROUP;
    let owner = op.pods.iter().flatten().find(left)?.owner;
    let pods = op.pods.iter().flatten().filter(|pod| pod.owner == owner);
    let pods: Vec<_> = pods.map(|pod| (identity(pod.uid, None), Version(pod.version.into()))).collect();
    let plan = plan(&GroupView::Deleted {
        group: group_identity(owner),
        pods,
        deleted_at: None,
        now: Millis::default(),
    });
    let request = |intent: &Intent| match intent {
        Intent::Confirm(Fact::GroupGone(group)) => Some(Request::ConfirmGroupGone(number(&group.uid))),
        Intent::Release(pod, version) => Some(pod_request(pod, *version, PodAction::Release, 0, owner)),
        _ => None,
    };
    let requests =
        plan.steps().iter().map(|step| step.intents.iter().filter_map(request).collect()).collect();
    Some(Steps { requests, keeps_s4: true })
}
