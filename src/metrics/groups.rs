//! The series of each group: what its status says, for the alerts of its owner.

use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue};
use prometheus_client::metrics::MetricType;

use super::OnceASecond;
use crate::clock::Clock;

/// The figures of one group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupFigures {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub group: String,
    /// `spec.mode`.
    pub mode: &'static str,
    /// The reason of its condition `Ready`. Empty: it has none yet.
    pub reason: String,
    /// Its condition `Ready` is True.
    pub ready: bool,
    /// The recorded leader.
    pub leader: Option<String>,
    /// The pods that could come to lead, now or later.
    pub candidates: i64,
    /// The candidates that could lead now.
    pub eligible: i64,
    /// The term.
    pub term: i64,
    /// When the leader last changed, in seconds since the Unix epoch. None: it never did, or the
    /// status does not tell.
    pub last_change_seconds: Option<f64>,
    /// Why the operator refuses to serve it, if it does: the reason of its condition `Accepted`.
    pub refused: Option<String>,
    /// A user paused it.
    pub paused: bool,
}

/// Writes the series of all groups at a scrape. A group that is gone has none.
pub(super) struct GroupSeries {
    groups: OnceASecond<Vec<GroupFigures>>,
    clock: Clock,
}

impl GroupSeries {
    pub(super) fn new(clock: Clock) -> Self {
        Self { groups: OnceASecond::default(), clock }
    }

    pub(super) fn read_from(&self, groups: impl Fn() -> Vec<GroupFigures> + Send + Sync + 'static) {
        // An operator has one cache for its whole life.
        let _ = self.groups.source.set(Box::new(groups));
    }
}

impl fmt::Debug for GroupSeries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GroupSeries")
    }
}

impl Collector for GroupSeries {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let now = Duration::from_millis(self.clock.now().0);
        let Some(groups) = self.groups.get(now) else { return Ok(()) };
        let mut out = Series { encoder, groups: &groups };
        out.infos("group", "Mode and the reason of Ready", |group| {
            Some([("mode", group.mode), ("reason", group.reason.as_str())])
        })?;
        out.infos("group_leader", "The recorded leader", |group| {
            group.leader.as_deref().map(|leader| [("pod", leader)])
        })?;
        out.gauges("group_ready", "1 while the group is Ready", |group| Some(i64::from(group.ready)))?;
        let help = "Pods selected, neither finished nor being deleted nor a Job's";
        out.gauges("group_candidates", help, |group| Some(group.candidates))?;
        out.gauges("group_eligible", "Candidates that could lead now", |group| Some(group.eligible))?;
        out.gauges("group_term", "Rises with each change of leader", |group| Some(group.term))?;
        out.gauges("group_last_change_timestamp_seconds", "When the leader last changed", |group| {
            group.last_change_seconds
        })?;
        out.gauges("group_paused", "1 while the group is paused", |group| Some(i64::from(group.paused)))?;
        out.refused()
    }
}

/// One family after the other, each with a line for each group.
struct Series<'e, 'g> {
    encoder: DescriptorEncoder<'e>,
    groups: &'g [GroupFigures],
}

impl<'g> Series<'_, 'g> {
    /// Groups that are served have no line: the reason is a label.
    fn refused(&mut self) -> fmt::Result {
        let help = "1 while the operator refuses to serve the group";
        let mut family = self.encoder.encode_descriptor("group_refused", help, None, MetricType::Gauge)?;
        for group in self.groups {
            let Some(reason) = &group.refused else { continue };
            let [namespace, name] = labels(group);
            family.encode_family(&[namespace, name, ("reason", reason)])?.encode_gauge(&1_i64)?;
        }
        Ok(())
    }

    fn gauges<V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        value: impl Fn(&GroupFigures) -> Option<V>,
    ) -> fmt::Result {
        let mut family = self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for group in self.groups {
            let Some(value) = value(group) else { continue };
            family.encode_family(&labels(group))?.encode_gauge(&value)?;
        }
        Ok(())
    }

    fn infos<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        facts: impl Fn(&'g GroupFigures) -> Option<[(&'static str, &'g str); N]>,
    ) -> fmt::Result {
        let mut family = self.encoder.encode_descriptor(name, help, None, MetricType::Info)?;
        for group in self.groups {
            let Some(facts) = facts(group) else { continue };
            family.encode_family(&labels(group))?.encode_info(&facts)?;
        }
        Ok(())
    }
}

fn labels(group: &GroupFigures) -> [(&'static str, &str); 2] {
    [("namespace", &group.namespace), ("group", &group.group)]
}
