//! A number of slots that all workers share, for where nobody waits and nothing is cached: a word, and one atomic step
//! each way.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// So many slots. The word says all that there is to know, and orders nothing else: hence `Relaxed`.
#[derive(Debug)]
#[repr(align(128))]
pub struct Slots {
    free: AtomicU64,
}

impl Slots {
    /// All of them free.
    pub fn new(slots: u64) -> Self {
        Self { free: AtomicU64::new(slots) }
    }

    /// Takes one, where one is free.
    #[inline]
    pub fn take(&self) -> bool {
        self.free.fetch_update(Relaxed, Relaxed, |free| free.checked_sub(1)).is_ok()
    }

    /// Gives one back that was taken.
    #[inline]
    pub fn give_back(&self) {
        self.free.fetch_add(1, Relaxed);
    }

    /// How many are free.
    pub fn free(&self) -> u64 {
        self.free.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicU64, thread};

    use super::*;

    #[test]
    fn never_more_than_there_are() {
        const SLOTS: u64 = 3;
        let (slots, taken) = (Slots::new(SLOTS), AtomicU64::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        if slots.take() {
                            assert!(taken.fetch_add(1, Relaxed) < SLOTS);
                            taken.fetch_sub(1, Relaxed);
                            slots.give_back();
                        }
                    }
                });
            }
        });
        assert_eq!(slots.free(), SLOTS);
        assert!(!Slots::new(0).take());
    }
}
