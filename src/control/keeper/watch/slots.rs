//! The slots of one name: who of those that it leads to has which.
//!
//! Workers know members by their slots, so nobody's slot changes while it stays, and who comes back finds its old
//! one. A newcomer takes a slot that nobody had, else one that is vacant again, else that of the member that left
//! longest ago, once its last session has ended. Where there is none it waits for one. No clock and no counters are
//! read here.

use std::mem;

use super::found::Found;

/// How long a slot stays with who has left it, in nanoseconds: until surely every worker has heard of that.
const SETTLE_NS: u64 = 1_000_000_000;

/// The slots of one name, numbered from 0.
#[derive(Debug)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    /// Those for whom there is no slot, in their order.
    waiting: Vec<Found>,
}

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Somebody has a slot that it did not have.
    Came(usize, Found),
    /// Who has a slot is elsewhere now, or has another weight.
    Changed(usize, Found),
    /// The name leads no more to who has the slot.
    Went(usize),
    /// And nobody has a session there any more.
    Vacated(usize),
}

#[derive(Debug, Default)]
enum Slot {
    /// Nobody has ever had it.
    #[default]
    Fresh,
    Held(Found),
    Left {
        found: Found,
        at_ns: u64,
    },
    /// It left, and its sessions have ended.
    Vacant {
        found: Found,
        at_ns: u64,
    },
}

impl Slots {
    pub fn new(len: usize) -> Self {
        Self { slots: (0..len).map(|_| Slot::default()).collect(), waiting: Vec::new() }
    }

    /// Takes an answer: all that the name leads to now (of several by one name, the first). `is_idle`: nobody has a
    /// session there.
    pub fn merge(&mut self, answer: Vec<Found>, now_ns: u64, is_idle: impl Fn(usize) -> bool) -> Vec<Change> {
        let answer = each_once(answer);
        let mut changes = self.let_go(&answer, now_ns);
        self.waiting.clear();
        for found in answer {
            match self.slots.iter().position(|slot| slot.knows(&found)) {
                Some(slot) => changes.extend(self.welcome_back(slot, found)),
                None => self.waiting.push(found),
            }
        }
        self.seat(&mut changes, now_ns, &is_idle);
        changes
    }

    /// Time has passed: slots come free, and those who wait for one get it.
    pub fn tidy(&mut self, now_ns: u64, is_idle: impl Fn(usize) -> bool) -> Vec<Change> {
        let mut changes = Vec::new();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if slot.is_settled(now_ns)
                && is_idle(index)
                && let Slot::Left { found, at_ns } = mem::take(slot)
            {
                *slot = Slot::Vacant { found, at_ns };
                changes.push(Change::Vacated(index));
            }
        }
        self.seat(&mut changes, now_ns, &is_idle);
        changes
    }

    /// Whether time alone will change something.
    pub fn is_restless(&self) -> bool {
        self.slots.iter().any(|slot| matches!(slot, Slot::Left { .. }))
    }

    /// How many find no slot.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn let_go(&mut self, answer: &[Found], now_ns: u64) -> Vec<Change> {
        let mut changes = Vec::new();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let is_named = |found: &Found| answer.iter().any(|named| named.name == found.name);
            match mem::take(slot) {
                Slot::Held(found) if !is_named(&found) => {
                    *slot = Slot::Left { found, at_ns: now_ns };
                    changes.push(Change::Went(index));
                }
                other => *slot = other,
            }
        }
        changes
    }

    fn welcome_back(&mut self, index: usize, found: Found) -> Option<Change> {
        let change = match &self.slots[index] {
            Slot::Held(held) if *held == found => return None,
            Slot::Held(_) => Change::Changed(index, found.clone()),
            _ => Change::Came(index, found.clone()),
        };
        self.slots[index] = Slot::Held(found);
        Some(change)
    }

    fn seat(&mut self, changes: &mut Vec<Change>, now_ns: u64, is_idle: &impl Fn(usize) -> bool) {
        let mut waiting = mem::take(&mut self.waiting).into_iter();
        while let Some(index) = self.free(now_ns, is_idle) {
            let Some(found) = waiting.next() else { return };
            changes.push(Change::Came(index, found.clone()));
            self.slots[index] = Slot::Held(found);
        }
        self.waiting = waiting.collect();
    }

    /// The slot that a newcomer gets.
    fn free(&self, now_ns: u64, is_idle: &impl Fn(usize) -> bool) -> Option<usize> {
        let rank = |(index, slot): (usize, &Slot)| match slot {
            Slot::Fresh => Some((0, 0, index)),
            Slot::Vacant { at_ns, .. } => Some((1, *at_ns, index)),
            Slot::Left { at_ns, .. } if slot.is_settled(now_ns) && is_idle(index) => Some((2, *at_ns, index)),
            Slot::Left { .. } | Slot::Held(_) => None,
        };
        self.slots.iter().enumerate().filter_map(rank).min().map(|(.., index)| index)
    }
}

impl Slot {
    /// Whether it is, or was, this one's.
    fn knows(&self, other: &Found) -> bool {
        match self {
            Self::Fresh => false,
            Self::Held(found) | Self::Left { found, .. } | Self::Vacant { found, .. } => {
                found.name == other.name
            }
        }
    }

    fn is_settled(&self, now_ns: u64) -> bool {
        matches!(self, Self::Left { at_ns, .. } if now_ns.saturating_sub(*at_ns) >= SETTLE_NS)
    }
}

fn each_once(answer: Vec<Found>) -> Vec<Found> {
    let mut each: Vec<Found> = Vec::with_capacity(answer.len());
    for found in answer {
        if each.iter().all(|known| known.name != found.name) {
            each.push(found);
        }
    }
    each
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn found(name: &str, weight: u32) -> Found {
        Found { name: name.into(), targets: Box::default(), weight, backup: false }
    }

    fn answer(names: &str) -> Vec<Found> {
        names.chars().map(|name| found(&name.to_string(), 1)).collect()
    }

    /// What changes, as `+a0` (a came, slot 0), `-0`, `~a0`, `v0`.
    fn told(changes: &[Change]) -> String {
        let tell = |change: &Change| match change {
            Change::Came(slot, found) => format!("+{}{slot}", found.name),
            Change::Changed(slot, found) => format!("~{}{slot}", found.name),
            Change::Went(slot) => format!("-{slot}"),
            Change::Vacated(slot) => format!("v{slot}"),
        };
        changes.iter().map(tell).collect::<Vec<_>>().join(" ")
    }

    fn merge(slots: &mut Slots, names: &str, now_ns: u64) -> String {
        told(&slots.merge(answer(names), now_ns, |_| true))
    }

    #[test]
    fn who_stays_keeps_its_slot_and_who_comes_back_finds_it() {
        let mut slots = Slots::new(4);
        assert_eq!(merge(&mut slots, "abc", 0), "+a0 +b1 +c2");
        assert_eq!(merge(&mut slots, "cab", 1), "", "order means nothing");
        assert_eq!(merge(&mut slots, "ac", 2), "-1");
        assert_eq!(merge(&mut slots, "cadb", 3), "+b1 +d3");
        assert_eq!(merge(&mut slots, "d", 4), "-0 -1 -2");
        assert_eq!(told(&slots.tidy(4 + SETTLE_NS, |slot| slot != 1)), "v0 v2");
        assert!(slots.is_restless(), "b has sessions");
        assert_eq!(merge(&mut slots, "dba", 5 + SETTLE_NS), "+b1 +a0");
    }

    #[test]
    fn a_newcomer_takes_the_slot_of_who_left_longest_ago_once_it_is_idle() {
        let mut slots = Slots::new(2);
        merge(&mut slots, "ab", 0);
        assert_eq!(merge(&mut slots, "b", 1), "-0");
        assert_eq!(merge(&mut slots, "c", 2), "-1");
        assert_eq!(slots.waiting(), 1, "workers may not have heard yet that a has left");
        let late_ns = 10 * SETTLE_NS;
        assert_eq!(told(&slots.tidy(late_ns, |_| false)), "");
        assert_eq!(told(&slots.tidy(late_ns, |slot| slot == 1)), "v1 +c1", "a left first, but has sessions");
        assert_eq!((slots.waiting(), slots.is_restless()), (0, true));
    }

    #[test]
    fn more_than_there_are_slots_wait_without_disturbing_who_is_there() {
        let mut slots = Slots::new(2);
        assert_eq!(merge(&mut slots, "abcd", 0), "+a0 +b1");
        assert_eq!(merge(&mut slots, "dcba", 1), "", "an answer that was rotated moves nobody");
        assert_eq!(slots.waiting(), 2);
        assert_eq!(merge(&mut slots, "dcb", 2), "-0");
        assert_eq!(told(&slots.tidy(2 + SETTLE_NS, |_| true)), "v0 +d0");
        assert_eq!(slots.waiting(), 1);
    }

    #[test]
    fn another_weight_is_a_change_of_the_same_member() {
        let mut slots = Slots::new(1);
        merge(&mut slots, "a", 0);
        assert_eq!(told(&slots.merge(vec![found("a", 2)], 1, |_| false)), "~a0");
        assert_eq!(told(&slots.merge(vec![found("a", 2), found("a", 3)], 1, |_| false)), "");
    }

    /// What workers believe, from the changes alone.
    fn replay(believed: &mut [Option<String>], changes: &[Change]) {
        for change in changes {
            match change {
                Change::Came(slot, found) | Change::Changed(slot, found) => {
                    believed[*slot] = Some(found.name.to_string());
                }
                Change::Went(slot) | Change::Vacated(slot) => believed[*slot] = None,
            }
        }
    }

    proptest! {
        #[test]
        fn everybody_named_has_one_slot_or_waits_for_one(
            steps in prop::collection::vec(("[a-h]{0,6}", 0..3_u64, any::<u8>()), 1..60),
        ) {
            const SLOTS: usize = 4;
            let (mut slots, mut believed, mut now_ns) = (Slots::new(SLOTS), vec![None; SLOTS], 0);
            for (names, seconds, busy) in steps {
                now_ns += seconds * SETTLE_NS / 2;
                let is_idle = |slot: usize| busy & (1 << slot) == 0;
                let before = believed.clone();
                replay(&mut believed, &slots.merge(answer(&names), now_ns, is_idle));
                replay(&mut believed, &slots.tidy(now_ns, is_idle));
                let named: BTreeSet<String> = names.chars().map(String::from).collect();
                let seated: Vec<_> = believed.iter().flatten().cloned().collect();
                let distinct: BTreeSet<_> = seated.iter().cloned().collect();
                prop_assert_eq!(distinct.len(), seated.len(), "nobody has two");
                prop_assert!(distinct.is_subset(&named), "nobody has one who isn't named");
                prop_assert_eq!(seated.len() + slots.waiting(), named.len());
                for (before, now) in before.iter().zip(&believed) {
                    if let Some(name) = before && named.contains(name) {
                        prop_assert_eq!(now.as_ref(), Some(name), "who stays keeps its slot");
                    }
                }
            }
            replay(&mut believed, &slots.tidy(now_ns + SETTLE_NS, |_| true));
            let left = believed.iter().flatten().count();
            prop_assert!(slots.waiting() == 0 || left == SLOTS, "nobody waits beside a free slot");
        }
    }
}
