//! Which upstream a session goes to.
//!
//! Each worker has a balancer of its own for each group of a service, so that choosing takes no lock; what other
//! workers do it sees in [`Loads`]. Nothing here connects, waits or reads a clock: who asks is told a number, counts
//! the session with [`Loads::add`] at once (while it connects it is a load too), and if that came to nothing takes it
//! back, notes it, and asks again.
//!
//! A balancer sees to what a roster says: who is up, who is a backup, who has just come. What a session has tried, whom
//! this worker has ejected and who is at a limit is the caller's to say, each time, by `open`.
//!
//! Loads are compared by what they would be *with* the session, for their weight: (sessions + 1) / weight. So an
//! upstream of weight 2 gets the first session before one of weight 1, and the second one too, or not, by chance.

mod slow_start;
mod tier;

use std::{net::IpAddr, ops::Range, time::Duration};

use fastrand::Rng;

use super::{loads::Loads, maglev::Source, roster::Roster};
use crate::config::Balance;
use slow_start::SlowStart;
use tier::Tier;

/// Chooses among the members of one group of a service, for one worker.
#[derive(Debug)]
pub struct Balancer {
    /// The number, in [`Loads`], of the service's first member.
    first: usize,
    group: Range<usize>,
    /// Whether the same source shall have the same member.
    by_source: bool,
    /// The ordinary members; the backups, while none of those is open.
    tiers: [Tier; 2],
    slow_start: SlowStart,
    random: Rng,
}

/// Which tiers there are, in the order in which they are asked: whether they are of backups.
const TIERS: [bool; 2] = [false, true];

impl Balancer {
    /// A balancer for a group of this roster, whose members are numbered in [`Loads`] from `first` on. Workers may have
    /// the same seed: each draws numbers of its own from it, or they would all choose alike. A weight of 0 counts as 1.
    pub fn new(
        balance: Balance,
        roster: &Roster,
        group: Range<usize>,
        first: usize,
        worker: usize,
        seed: u64,
    ) -> Self {
        let from = first + group.start;
        let random = Rng::with_seed(seed ^ spread(from as u64) ^ spread(worker as u64).rotate_left(32));
        let tiers = TIERS.map(|backup| Tier::new(balance, roster, group.clone(), backup, worker));
        let by_source = balance == Balance::Maglev;
        Self { first, group, by_source, tiers, slow_start: SlowStart::default(), random }
    }

    /// The same, and who comes up from now on gets a share that rises over this time.
    pub fn with_slow_start(mut self, over: Option<Duration>) -> Self {
        self.slow_start = SlowStart::new(over);
        self
    }

    /// Another roster. Turns go on, and sources stay where they are, as far as their members are the same.
    pub fn renew(&mut self, roster: &Roster) {
        for (tier, backup) in self.tiers.iter_mut().zip(TIERS) {
            tier.renew(roster, self.group.clone(), backup);
        }
        self.slow_start.renew(roster, &self.tiers);
    }

    /// The member for a session from this source, by its number within the service; `None` where nobody is usable.
    pub fn choose(
        &mut self,
        loads: &Loads,
        open: impl Fn(usize) -> bool,
        source: Option<IpAddr>,
        now_ns: u64,
    ) -> Option<usize> {
        let Self { first, by_source, tiers, slow_start, random, .. } = self;
        let first = *first;
        let source = source.filter(|_| *by_source).map(Source::of);
        let sessions = |number| loads.total(first + number);
        let is_slowed = slow_start.toss(source, now_ns, random);
        tiers.iter_mut().find_map(|tier| {
            let is_fast = |number| open(number) && !slow_start.passes_over(number);
            let fast = if is_slowed { tier.choose(sessions, is_fast, source, random) } else { None };
            fast.or_else(|| tier.choose(sessions, &open, source, random))
        })
    }
}

/// Numbers that lie close together, far apart: 2^64 divided by the golden ratio.
const fn spread(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests;
