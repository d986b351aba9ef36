//! The book of a simulated world: what happened, and which rule it broke.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lease_elector::{ActiveTerm, LeaderView};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::support::millis;

#[derive(Default)]
pub(super) struct Book {
    pub(super) log: Vec<String>,
    pub(super) violations: Vec<String>,
    /// The newest work, by number, and when it started.
    newest: Option<(u64, Instant)>,
    works: u64,
    term: Option<(String, i32)>,
    version: u64,
    nomination: Option<u64>,
    /// A user has written the Lease: two electors may lead up to this moment.
    pub(super) excused_until: Option<Instant>,
    pub(super) states: BTreeMap<usize, (String, watch::Receiver<LeaderView>, f64)>,
    start: Option<Instant>,
}

#[derive(Clone, Default)]
pub(super) struct Shared(Arc<Mutex<Book>>);

impl Shared {
    pub(super) fn with<T>(&self, f: impl FnOnce(&mut Book) -> T) -> T {
        f(&mut self.0.lock().unwrap())
    }
}

impl Book {
    pub(super) fn say(&mut self, text: &str) {
        let at = self.start.get_or_insert_with(Instant::now).elapsed().as_secs_f64();
        self.log.push(format!("{at:8.3} {text}"));
    }

    fn violate(&mut self, text: &str) {
        self.say(&format!("VIOLATION {text}"));
        self.violations.push(text.to_owned());
    }

    fn excused(&self) -> bool {
        self.excused_until.is_some_and(|until| Instant::now() < until)
    }

    pub(super) fn started(&mut self, who: &str, active: &ActiveTerm) -> u64 {
        self.works += 1;
        let term = active.token();
        self.say(&format!("{who} works, term {term:?}"));
        let version = term.acquired_version.parse().unwrap();
        if version <= self.version {
            // Only possible after a user's edit: the answer to the acquisition came when another
            // elector already led.
            if !self.excused() {
                self.violate("a version that does not grow");
            }
            return self.works;
        }
        if term.nomination.is_some() && term.nomination <= self.nomination {
            self.violate("a nomination that was worked on before");
        }
        self.nomination = term.nomination;
        self.newest = Some((self.works, Instant::now()));
        self.version = version;
        let before = self.term.replace((term.uid.clone(), term.transitions));
        if before.is_some_and(|(uid, transitions)| uid == term.uid && transitions >= term.transitions) {
            self.violate("a term that does not grow");
        }
        self.works
    }

    /// Work number `work` acts: is it alone, and within its time?
    pub(super) fn ticked(&mut self, who: &str, work: u64, last_commit: Option<Instant>, limit: Duration) {
        let now = Instant::now();
        if self.newest.is_some_and(|(newest, _)| newest != work) && !self.excused() {
            self.violate(&format!("{who} works beside another"));
        }
        if last_commit.is_none_or(|commit| now > commit + limit + millis(2)) && !self.excused() {
            self.violate(&format!("{who} works after its time"));
        }
    }

    /// At this moment at most one elector may claim to lead, and not beyond its deadline.
    pub(super) fn check_claims(&mut self, commits: &BTreeMap<String, Instant>, deadline: Duration) {
        let claim = |(who, state, rate): &(String, watch::Receiver<LeaderView>, f64)| {
            state.borrow().is_leader().then(|| (who.clone(), *rate))
        };
        let leaders: Vec<_> = self.states.values().filter_map(claim).collect();
        if leaders.len() > 1 && !self.excused() {
            self.violate(&format!("{leaders:?} lead"));
        }
        for (who, rate) in leaders {
            let limit = deadline.div_f64(rate) + millis(2);
            if commits.get(&who).is_none_or(|commit| Instant::now() > *commit + limit) {
                self.violate(&format!("{who} claims to lead after its deadline"));
            }
        }
    }
}

/// Checks the order of notes: started, lost, work ended, perhaps released, stopped.
pub(super) fn orderly(notes: &[String]) -> Result<(), String> {
    let mut expected: &[&str] = &["started"];
    for note in notes.iter().filter(|note| !note.starts_with("new")) {
        let kind = if note.starts_with("started") || note.starts_with("lost") {
            note.split(' ').next().unwrap()
        } else {
            note
        };
        // A Lease acquired by a write that a stop overtook is released without a term.
        let alone = kind == "released" && expected == ["started"];
        if !alone && !expected.contains(&kind) {
            return Err(format!("{note} instead of {expected:?} in {notes:?}"));
        }
        expected = match kind {
            "started" => &["lost"],
            "lost" => &["work ended"],
            "work ended" => &["released", "stopped"],
            "released" if !alone => &["stopped"],
            _ => &["started"],
        };
    }
    if expected == ["started"] { Ok(()) } else { Err(format!("ended before {expected:?}: {notes:?}")) }
}
