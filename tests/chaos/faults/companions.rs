//! The companions of nominated pods, and what strikes them.

use testkit::judge::Pod;

use super::{Chaos, Undo};
use crate::companions::{Strike, Victim};

impl Chaos {
    /// Each new pod of a group that nominates has its companion. That of a pod that is gone lives on
    /// for a while: its node may be cut off.
    pub(super) fn keep_companions(&self) {
        let nominated = self.world.nominated();
        let pods: Vec<_> = {
            let journal = self.world.feed.look();
            let is_nominated = |pod: &&Pod| nominated.iter().any(|group| pod.label("app") == group);
            journal.present().pods().filter(is_nominated).cloned().collect()
        };
        let present: Vec<_> = pods.iter().map(|pod| pod.uid.clone()).collect();
        let mut companions = self.companions.borrow_mut();
        companions.end_some_of_the_gone(&present);
        companions.start_for(pods.into_iter());
    }

    /// A process of a companion is killed or stopped: its guard and its COMMAND are such, too.
    pub(super) fn strike_companion(&mut self) {
        let holders: Vec<_> = {
            let journal = self.world.feed.look();
            let holders = self.world.nominated().into_iter().filter_map(|group| {
                let holder = &journal.present().lease(&group)?.holder;
                holder.split_once('_').map(|(_, uid)| uid.to_owned())
            });
            holders.collect()
        };
        let companions = self.companions.get_mut();
        let Some(uid) = companions.choose(&holders) else { return };
        let victim = match self.random.below(4) {
            0 | 1 => Victim::Companion,
            2 => Victim::Guard,
            _ => Victim::Command,
        };
        let stop = self.random.below(2) == 0;
        let strike = if stop { Strike::Stop(victim) } else { Strike::Kill(victim) };
        if companions.strike(&uid, strike) {
            self.count(match (stop, victim) {
                (true, Victim::Companion) => "companion stopped",
                (true, Victim::Guard) => "guard stopped",
                (true, Victim::Command) => "COMMAND stopped",
                (false, Victim::Companion) => "companion killed",
                (false, Victim::Guard) => "guard killed",
                (false, Victim::Command) => "COMMAND killed",
            });
            self.later(6000, Undo::Companion(uid));
        }
    }
}
