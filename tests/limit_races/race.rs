//! More clients than there are slots, all at once and for a while, in every accept mode.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, atomic::Ordering::SeqCst},
    thread,
    time::Duration,
};

use evenkeel::{AcceptMode, sys::limits};

use crate::{
    crowd::{Crowd, Fates},
    support::{Server, proxy::for_each, skip, total},
    upstream::Upstream,
};

/// Slots, and those who want one.
const LIMIT: usize = 1_000;
const CLIENTS: usize = 5_000;
/// Descriptors that a process needs besides those of its connections.
const SPARE: usize = 200;
/// How long sessions come and go before it is looked at more closely.
const CHURN: Duration = Duration::from_millis(600);
/// So many sessions end at a time, again and again: how soon others have their slots is looked at.
const REPLACED: [usize; 8] = [1, 1, 1, 3, 10, 30, 100, 300];
/// How long a slot may be free beside somebody who waits, in microseconds. What matters is that it isn't until one of them
/// runs into a timeout; 50 ms are what an idle machine must keep to.
const FREE_MAX_US: u64 = 1_000_000;

#[derive(Clone, Copy)]
struct Race {
    accept: AcceptMode,
    workers: &'static str,
}

impl fmt::Display for Race {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--accept {} --workers {}", self.accept, self.workers)
    }
}

impl Race {
    fn all() -> Vec<Self> {
        let of = |workers| AcceptMode::ALL.iter().map(move |&accept| Self { accept, workers });
        ["2", "8"].into_iter().flat_map(of).collect()
    }

    /// Lets clients loose on a proxy with these limits; nobody may see one session too many. Its last report, and what
    /// became of the clients.
    fn run(self, flags: &[&str]) -> (serde_json::Value, Fates) {
        let upstream = Upstream::start(LIMIT);
        let common = ["--workers", self.workers, "--accept", self.accept.name()];
        let proxy = Server::proxy(&[&upstream.address], &[&common, flags].concat());
        let crowd = Crowd::start(proxy.address(), CLIENTS);
        thread::sleep(CHURN);
        upstream.hold(true);
        upstream.until_serves(LIMIT);
        for sessions in REPLACED {
            upstream.replace(sessions);
        }
        upstream.hold(false);
        let fates = crowd.end();
        let report = proxy.report();
        let tally = upstream.tally();
        assert_eq!(tally.most.load(SeqCst), LIMIT, "the most that were served at once");
        let refill_us = tally.refill_max_us.load(SeqCst);
        println!("{self}: {fates:?}, slots free for {refill_us} us at most");
        assert!(refill_us < FREE_MAX_US, "a slot was free for {refill_us} us");
        // Everything adds up, on all sides.
        assert_eq!(total(&report, "connects"), tally.accepted.load(SeqCst));
        assert_eq!(total(&report, "connects"), fates.served);
        assert_eq!(total(&report, "refused_limit"), fates.refused);
        assert_eq!(total(&report, "accepted"), fates.served + fates.refused);
        assert_eq!((total(&report, "active"), total(&report, "queued"), fates.dismissed), (0, 0, 0));
        (report, fates)
    }
}

/// One such crowd at a time fits a machine. `None`, and said why, where the limit of descriptors is too low.
fn alone() -> Option<MutexGuard<'static, ()>> {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let (allowed, needed) = (limits::raise_descriptors(), (CLIENTS + LIMIT + SPARE) as u64);
    if allowed < needed {
        skip(&format!("{CLIENTS} clients need a hard limit of {needed} descriptors, not {allowed}"));
        return None;
    }
    Some(alone)
}

/// Whoever finds no slot waits for one, and nobody is refused.
#[test]
fn limit_races_with_a_queue() {
    let Some(_alone) = alone() else { return };
    for_each(&Race::all(), |race| {
        let flags = ["--limit-connections", "1000", "--limit-queue", "5000", "--limit-queue-timeout", "60s"];
        let (report, fates) = race.run(&flags);
        assert_eq!(fates.refused, 0);
        assert!(total(&report, "queued_max") > 0);
    });
}

/// Whoever finds no slot is reset at once.
#[test]
fn limit_races_without_a_queue() {
    let Some(_alone) = alone() else { return };
    for_each(&Race::all(), |race| {
        let (report, fates) = race.run(&["--limit-connections", "1000"]);
        assert!(fates.refused > 0);
        assert_eq!(total(&report, "queued_max"), 0);
    });
}

/// The same where it is the upstream that has the limit, and where several limits stand one behind the other.
#[test]
fn limit_races_of_other_limits() {
    let Some(_alone) = alone() else { return };
    let queue = ["--limit-queue", "5000", "--limit-queue-timeout", "60s"];
    for limits in [
        &["--limit-upstream", "1000"][..],
        &["--limit-listener", "1000"],
        &["--limit-listener", "1100", "--limit-connections", "1050", "--limit-upstream", "1000"],
    ] {
        let race = Race { accept: AcceptMode::Private, workers: "4" };
        let (_, fates) = race.run(&[limits, &queue].concat());
        assert_eq!(fates.refused, 0, "{limits:?}");
    }
}
