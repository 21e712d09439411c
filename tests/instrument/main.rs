//! The instrument proves itself: what is known beforehand comes out as it is known.
//!
//! A stall of a known length, answers that take a known time, and measuring that costs what it is said to cost. Times
//! are compared with arithmetic and have some tries, since the machine may add stalls of its own; counts have none.
//! (That open-loop arrivals are those of a Poisson process is a test of `tools/load/schedule.rs`.)
#![cfg(feature = "tools")]

mod cost;
mod known_delay;
mod stall;
#[path = "../support/mod.rs"]
mod support;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// How often the machine may spoil what arithmetic takes for granted.
const TRIES: usize = 3;

/// One at a time: tests about time would measure each other.
fn alone() -> MutexGuard<'static, ()> {
    static MACHINE: Mutex<()> = Mutex::new(());
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Something that holds in one of some tries, each of which tells what it saw.
fn in_some_try<T: std::fmt::Debug>(run: impl Fn() -> T, holds: impl Fn(&T) -> bool) {
    let mut in_vain = Vec::new();
    for _ in 0..TRIES {
        let seen = run();
        if holds(&seen) {
            return;
        }
        in_vain.push(seen);
    }
    panic!("in no try: {in_vain:#?}");
}
