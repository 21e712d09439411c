//! Members that have just come up get less at first.
//!
//! At each choice a coin is tossed for each of them: who loses is passed over this time, if there is another of its
//! tier. The chance to win rises from [`START`] to 1 over the time. So the share that a way of balancing would give
//! to a member is cut down in the same measure, whichever way it is.
//!
//! One way needs more than that. `least-connections` would give *all* sessions to a newcomer, who has none, and a tenth
//! of all may be far more than its share: there the chance is also multiplied by its weight against all. And with
//! `maglev` the coin is the source's, not the moment's: a source goes over to its member once, and stays.

use std::time::Duration;

use fastrand::Rng;

use super::tier::Tier;
use crate::upstream::{
    maglev::Source,
    roster::{Roster, Standing},
};

/// The chance to begin with.
const START: f64 = 0.1;

/// Who starts slowly, among the members of one group.
#[derive(Debug, Default)]
pub(super) struct SlowStart {
    over_ns: u64,
    starting: Vec<Starting>,
    /// Those of them who have lost the last toss.
    passed_over: Vec<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Starting {
    number: usize,
    since_ns: u64,
    /// The chance at the end.
    full: f64,
}

impl SlowStart {
    /// Members start over this time; `None`: at once.
    pub fn new(over: Option<Duration>) -> Self {
        let over_ns = over.map_or(0, |over| u64::try_from(over.as_nanos()).unwrap_or(u64::MAX));
        Self { over_ns, ..Self::default() }
    }

    /// Who starts, according to a roster. Those whose time is over leave with the next toss.
    pub fn renew(&mut self, roster: &Roster, tiers: &[Tier]) {
        if self.over_ns == 0 {
            return;
        }
        let starting = tiers.iter().flat_map(|tier| {
            tier.numbers().filter_map(move |number| {
                let member = &roster.members[number];
                let since_ns = member.up_since_ns.filter(|_| member.standing == Standing::Up)?;
                Some(Starting { number, since_ns, full: tier.chance_of_newcomer(number) })
            })
        });
        self.starting = starting.collect();
    }

    /// Decides who is passed over this time: whether anybody is.
    #[inline]
    pub fn toss(&mut self, source: Option<Source>, now_ns: u64, random: &mut Rng) -> bool {
        if self.starting.is_empty() {
            return false;
        }
        let over_ns = self.over_ns;
        self.starting.retain(|it| it.age_ns(now_ns) < over_ns);
        self.passed_over.clear();
        for it in &self.starting {
            let coin = source.map_or_else(|| random.f64(), |source| source.coin(it.number));
            if coin >= it.chance(over_ns, now_ns) {
                self.passed_over.push(it.number);
            }
        }
        !self.passed_over.is_empty()
    }

    /// Whether a member has lost the toss.
    pub fn passes_over(&self, number: usize) -> bool {
        self.passed_over.contains(&number)
    }
}

impl Starting {
    const fn age_ns(&self, now_ns: u64) -> u64 {
        now_ns.saturating_sub(self.since_ns)
    }

    fn chance(&self, over_ns: u64, now_ns: u64) -> f64 {
        let done = self.age_ns(now_ns) as f64 / over_ns as f64;
        self.full * (START + (1.0 - START) * done.min(1.0))
    }
}
