//! The commands of all pods of a Nominated group: which of them run, by the one time of the
//! simulation, and which laws they break.
//!
//! * X1: at most one runs at any moment, those of pods and Leases that are gone included.
//! * X2: while a pod is labelled in a term, no command of a lower term runs.
//! * X7: a pod releases the Lease once its command has ended.
//! * X9: no two commands have one token.

use std::collections::{BTreeMap, BTreeSet};

use lease_elector::FencingToken;
use serde_json::Value;
use testkit::api_server::Commit;
use testkit::json::At;
use testkit::judge::Pod;
use testkit::kind::Kind;

/// A command that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The UID of its pod.
    pub pod: String,
    /// The UID of the Lease that its pod took.
    lease: String,
    /// The term of the nomination.
    pub term: u64,
}

#[derive(Default)]
pub struct Commands {
    /// By their numbers.
    running: BTreeMap<u64, Command>,
    pub starts: u64,
    /// The terms of commands so far, by UID of the Lease, and by UID of the group.
    tokens: BTreeSet<(String, u64)>,
    /// The highest term of a promotion, by UID of the group.
    promoted: BTreeMap<String, u64>,
    /// The UIDs of groups, by UID of the Lease.
    owners: BTreeMap<String, String>,
    /// The UIDs of groups whose status was emptied. Their terms may begin anew.
    forgetful: BTreeSet<String>,
}

impl Commands {
    /// A command starts. Returns its number, and the law that it breaks.
    pub fn start(&mut self, pod: &str, token: &FencingToken) -> (u64, Option<String>) {
        let term = token.nomination.unwrap_or_default();
        let command = Command { pod: pod.to_owned(), lease: token.uid.clone(), term };
        let broken = self.broken_by(&command);
        self.starts += 1;
        self.running.insert(self.starts, command);
        (self.starts, broken)
    }

    fn broken_by(&mut self, command: &Command) -> Option<String> {
        let Command { lease, term, .. } = command;
        let mut is_repeated = !self.tokens.insert((lease.clone(), *term));
        let owner = self.owners.get(lease).filter(|owner| !self.forgetful.contains(*owner)).cloned();
        if let Some(owner) = &owner {
            is_repeated |= !self.tokens.insert((owner.clone(), *term));
        }
        let promoted = owner.and_then(|owner| self.promoted.get(&owner)).filter(|promoted| *promoted > term);
        if let Some(other) = self.running.values().next() {
            return Some(format!("X1: {command:?} starts while {other:?} runs"));
        }
        if is_repeated {
            return Some(format!("X9: {command:?} is not the first one in its term"));
        }
        promoted.map(|promoted| format!("X2: {command:?} starts, a pod was promoted in term {promoted}"))
    }

    pub fn end(&mut self, number: u64) {
        self.running.remove(&number);
    }

    /// The command that runs, with its number. None: none does, or more than one.
    pub fn only(&self) -> Option<(u64, &Command)> {
        let mut running = self.running.iter();
        let only = running.next().filter(|_| running.next().is_none());
        only.map(|(number, command)| (*number, command))
    }

    /// Whether one runs.
    pub fn any(&self) -> bool {
        !self.running.is_empty()
    }

    /// Whether the command of a pod runs.
    pub fn runs(&self, pod: &str) -> bool {
        self.running.values().any(|command| command.pod == pod)
    }

    /// Takes in a commit. Returns the law that it breaks.
    pub fn see(&mut self, commit: &Commit) -> Option<String> {
        let uid = || commit.object.text("/metadata/uid").to_owned();
        match commit.kind {
            Kind::Lease => {
                let owner = commit.object.text("/metadata/ownerReferences/0/uid").to_owned();
                self.owners.insert(uid(), owner);
                None
            }
            Kind::Group => {
                let had_record = commit.before.as_ref().is_some_and(|before| !term(before).is_null());
                if !commit.by_client && had_record && term(&commit.object).is_null() {
                    self.forgetful.insert(uid());
                }
                None
            }
            Kind::Pod if commit.by_client => self.see_label(&Pod::read(&commit.object)),
            _ => None,
        }
    }

    fn see_label(&mut self, pod: &Pod) -> Option<String> {
        let term: u64 = pod.term.parse().ok().filter(|_| pod.label("role") == "leader")?;
        let group = pod.group_uid();
        let promoted = self.promoted.entry(group.to_owned()).or_default();
        *promoted = term.max(*promoted);
        let is_lower = |command: &&Command| {
            self.owners.get(&command.lease).is_some_and(|owner| owner == group) && command.term < term
        };
        let lower = self.running.values().find(is_lower).filter(|_| !self.forgetful.contains(group));
        lower.map(|lower| format!("X2: {} is labelled in term {term} while {lower:?} runs", pod.uid))
    }

    /// The write of a pod's companion has this effect on the Lease. Returns the law that it breaks.
    pub fn see_write(&self, before: Option<&Value>, after: Option<&Value>) -> Option<String> {
        let (held, holds) = (holder(before), holder(after));
        let (_, pod) = held.rsplit_once('_')?;
        (holds.is_empty() && self.runs(pod)).then(|| format!("X7: {held} is released, and its command runs"))
    }
}

fn term(group: &Value) -> &Value {
    group.at("/status/term")
}

fn holder(lease: Option<&Value>) -> &str {
    lease.map_or("", |lease| lease.text("/spec/holderIdentity"))
}
