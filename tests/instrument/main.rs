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

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    thread::sleep,
    time::{Duration, Instant},
};

/// How often the machine may spoil what arithmetic takes for granted.
const TRIES: usize = 3;

/// One at a time: tests about time would measure each other. What such a test starts goes before what else runs on the
/// machine, where it may.
fn alone() -> MutexGuard<'static, ()> {
    static MACHINE: Mutex<()> = Mutex::new(());
    // It takes a privilege. What this thread starts inherits it.
    let _ = rustix::process::setpriority_process(None, -10);
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Something that holds in one of some tries, each of which tells what it saw.
fn in_some_try<T: std::fmt::Debug>(mut run: impl FnMut() -> T, holds: impl Fn(&T) -> bool) {
    let mut in_vain = Vec::new();
    for _ in 0..TRIES {
        await_quiet();
        let seen = run();
        if holds(&seen) {
            return;
        }
        in_vain.push(seen);
    }
    panic!("in no try, on a machine that wakes a sleeper {:?} late: {in_vain:#?}", median_lateness());
}

/// Waits until the machine wakes a sleeper on time, as far as one may wait for that.
fn await_quiet() {
    const LATE_MAX: Duration = Duration::from_micros(200);
    const PATIENCE: Duration = Duration::from_secs(20);
    let start = Instant::now();
    while start.elapsed() < PATIENCE && median_lateness() > LATE_MAX {
        sleep(Duration::from_millis(500));
    }
}

fn median_lateness() -> Duration {
    const NAP: Duration = Duration::from_millis(10);
    let mut late: Vec<_> = (0..21)
        .map(|_| {
            let start = Instant::now();
            sleep(NAP);
            start.elapsed() - NAP
        })
        .collect();
    late.sort();
    late[late.len() / 2]
}
