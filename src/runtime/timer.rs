//! A coarse timer wheel that holds tokens; the deadlines are kept elsewhere.
//!
//! The deadline of a session lives in the session, so that moving it (an idle timeout is moved by each
//! read) costs one store and never touches the wheel. The wheel holds one entry a session, filed under
//! some moment not after its deadline; when that moment comes the owner looks: over, or filed again. A session
//! that ends, or wants to be told sooner, takes its entry back, so the wheel never holds more than there is.
//!
//! Four levels of 64 slots (Varghese and Lauck, 'Hashed and Hierarchical Timing Wheels', SOSP 1987,
//! scheme 6), 1.05 ms, 67 ms, 4.3 s and 275 s wide, with a bit a slot, so that the next moment is found
//! without a walk. An entry is filed in the finest level whose span reaches it and comes out when its slot
//! begins, up to a slot's width early; filing it again then finds a finer level. Beyond 4.9 hours it
//! simply comes out early more often. `now` is an argument: nothing here reads a clock.

use slab::Slab;

const TICK_SHIFT: u32 = 20;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const LEVELS: usize = 4;

/// Entries by the moment at which to look at them.
pub struct Wheel<T> {
    levels: [Level; LEVELS],
    entries: Slab<Entry<T>>,
    /// The tick up to which entries have come out.
    now_tick: u64,
}

/// Names an entry until it has come out or was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filed(u32);

struct Entry<T> {
    value: T,
    level: u8,
    slot: u8,
    /// Where it is in its slot.
    position: u32,
}

struct Level {
    occupied: u64,
    slots: [Vec<Filed>; SLOTS],
}

impl<T> Wheel<T> {
    /// An empty wheel that starts at `now_ns`.
    pub fn new(now_ns: u64) -> Self {
        let level = || Level { occupied: 0, slots: std::array::from_fn(|_| Vec::new()) };
        let levels = std::array::from_fn(|_| level());
        Self { levels, entries: Slab::new(), now_tick: now_ns >> TICK_SHIFT }
    }

    /// Files an entry to come out not before `deadline_ns` less a slot's width, and, where the deadline is
    /// within 67 ms, not before it. A deadline that has passed comes out at the next tick.
    pub fn file(&mut self, deadline_ns: u64, value: T) -> Filed {
        // Rounded up: coming out a tick late is a coarse timer, a tick early would be a wakeup for nothing.
        let tick = deadline_ns.div_ceil(1 << TICK_SHIFT).max(self.now_tick + 1);
        let level = (0..LEVELS - 1).find(|level| slots_ahead(*level, self.now_tick, tick) < SLOTS as u64);
        let level = level.unwrap_or(LEVELS - 1);
        let ahead = slots_ahead(level, self.now_tick, tick).min(SLOTS as u64 - 1);
        let slot = ((self.now_tick >> (level as u32 * SLOT_BITS)) + ahead) as usize % SLOTS;
        let Level { occupied, slots } = &mut self.levels[level];
        *occupied |= 1 << slot;
        // At most as many entries as sessions and listeners: 32 bits are plenty.
        let position = slots[slot].len() as u32;
        let key = self.entries.insert(Entry { value, level: level as u8, slot: slot as u8, position });
        let filed = Filed(key as u32);
        slots[slot].push(filed);
        filed
    }

    /// Takes an entry back that has not come out.
    pub fn take_back(&mut self, filed: Filed) {
        let Some(Entry { level, slot, position, .. }) = self.entries.try_remove(filed.0 as usize) else {
            return;
        };
        let Level { occupied, slots } = &mut self.levels[usize::from(level)];
        let filed = &mut slots[usize::from(slot)];
        filed.swap_remove(position as usize);
        if let Some(moved) = filed.get(position as usize) {
            self.entries[moved.0 as usize].position = position;
        }
        if filed.is_empty() {
            *occupied &= !(1 << slot);
        }
    }

    /// When the next entry comes out, in the clock's nanoseconds; `None` where there is none.
    pub fn next_ns(&self) -> Option<u64> {
        if self.entries.is_empty() {
            return None;
        }
        (0..LEVELS).filter_map(|level| self.next_tick(level)).min().map(|tick| tick << TICK_SHIFT)
    }

    /// Takes out what is due at `now_ns` into `due`.
    pub fn expire(&mut self, now_ns: u64, due: &mut Vec<T>) {
        let now_tick = now_ns >> TICK_SHIFT;
        if now_tick <= self.now_tick {
            return;
        }
        for level in 0..LEVELS {
            let shift = level as u32 * SLOT_BITS;
            let (from, to) = (self.now_tick >> shift, now_tick >> shift);
            // After a long sleep every slot has begun, once is enough.
            for slot in (from + 1..=to).take(SLOTS) {
                self.empty(level, slot as usize % SLOTS, due);
            }
        }
        self.now_tick = now_tick;
    }

    fn empty(&mut self, level: usize, slot: usize, due: &mut Vec<T>) {
        let level = &mut self.levels[level];
        if level.occupied & 1 << slot != 0 {
            level.occupied &= !(1 << slot);
            // Its memory goes too: else each slot would keep room for the most that it ever held.
            let filed = std::mem::take(&mut level.slots[slot]);
            due.extend(filed.into_iter().map(|filed| self.entries.remove(filed.0 as usize).value));
        }
    }

    /// The tick at which the next occupied slot of a level begins.
    fn next_tick(&self, level: usize) -> Option<u64> {
        let shift = level as u32 * SLOT_BITS;
        let current = self.now_tick >> shift;
        // Bit 0 of the rotated mask is the slot after the current one.
        let rotated = self.levels[level].occupied.rotate_right((current as u32 + 1) % SLOTS as u32);
        (rotated != 0).then(|| (current + 1 + u64::from(rotated.trailing_zeros())) << shift)
    }
}

/// How many slots of this level begin after `now_tick` and not after `tick`.
fn slots_ahead(level: usize, now_tick: u64, tick: u64) -> u64 {
    let shift = level as u32 * SLOT_BITS;
    (tick >> shift) - (now_tick >> shift)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const MS: u64 = 1_000_000;

    proptest! {
        /// Against an ordered map, with the owner's rule (over, or filed again): each deadline is told once,
        /// never before its time, and at the first look after it plus a tick.
        #[test]
        fn deadlines_are_told_once_and_in_time(
            start in 0u64..1 << 45,
            deadlines in prop::collection::vec((0u64..20_000_000 * MS, any::<bool>()), 0..60),
            steps in prop::collection::vec(1u64..3_000_000 * MS, 1..60),
        ) {
            let mut wheel = Wheel::new(start);
            let mut model: BTreeMap<usize, (u64, Filed)> = BTreeMap::new();
            for (id, (after, _)) in deadlines.iter().enumerate() {
                model.insert(id, (start + after, wheel.file(start + after, id)));
            }
            for (id, _) in deadlines.iter().enumerate().filter(|(_, (_, taken_back))| *taken_back) {
                let (_, filed) = model.remove(&id).expect("it was filed");
                wheel.take_back(filed);
            }
            let mut now = start;
            let mut due = Vec::new();
            for step in steps {
                now += step;
                wheel.expire(now, &mut due);
                for id in due.drain(..) {
                    let (deadline, _) = model[&id];
                    if deadline <= now {
                        model.remove(&id);
                    } else {
                        model.insert(id, (deadline, wheel.file(deadline, id)));
                    }
                }
                let tick = 1u64 << TICK_SHIFT;
                let missed = model.values().any(|(deadline, _)| *deadline + tick <= now);
                prop_assert!(!missed, "a deadline was missed");
                prop_assert_eq!(wheel.entries.len(), model.len());
                let earliest = model.values().map(|(deadline, _)| *deadline).min();
                prop_assert_eq!(wheel.next_ns().is_some(), earliest.is_some());
                if let (Some(next), Some(earliest)) = (wheel.next_ns(), earliest) {
                    prop_assert!(next > now && next <= earliest + tick, "the next look comes too late");
                }
            }
        }
    }

    #[test]
    fn an_hour_takes_few_looks() {
        let (mut wheel, mut due, mut looks) = (Wheel::new(0), Vec::new(), 0);
        let deadline = 3_600_000 * MS;
        wheel.file(deadline, ());
        while let Some(next) = wheel.next_ns() {
            looks += 1;
            wheel.expire(next, &mut due);
            if due.pop().is_some() && next < deadline {
                wheel.file(deadline, ());
            }
        }
        assert!(looks <= 8, "{looks} wakeups for one idle hour");
    }
}
