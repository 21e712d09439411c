//! More clients than there are slots, all at once and for a while, in every accept mode.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, atomic::Ordering::SeqCst},
    thread,
    time::Duration,
};

use evenkeel::{AcceptMode, sys::limits};
use serde_json::Value;

use crate::{
    crowd::{Crowd, Fates},
    support::{Server, proxy::for_each, skip, total},
    upstream::Upstream,
};

/// Slots, and those who want one.
const LIMIT: usize = 1_000;
const CLIENTS: usize = 5_000;
/// How often that is tried.
const TRIES: usize = 3;
/// The limit, and a queue that takes everybody.
const QUEUED: [&str; 6] =
    ["--limit-connections", "1000", "--limit-queue", "5000", "--limit-queue-timeout", "60s"];
/// Descriptors that a process needs besides those of its connections.
const SPARE: usize = 200;
/// How long sessions come and go before it is looked at more closely.
const CHURN: Duration = Duration::from_millis(400);
/// So many sessions end at a time, again and again, and as many others have to take their slots.
const REPLACED: [usize; 12] = [1, 1, 1, 1, 1, 1, 1, 1, 3, 10, 30, 100];
/// How long a slot may be free beside somebody who waits.
const FREE_MAX: Duration = Duration::from_millis(50);

/// What came of a race.
struct Outcome {
    /// The proxy's last report.
    report: Value,
    fates: Fates,
    /// How long a single slot was free at most until it was taken.
    free_max: Duration,
}

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

    /// Lets clients loose on a proxy with these limits; nobody may see one session too many.
    fn run(self, flags: &[&str]) -> Outcome {
        let upstream = Upstream::start(LIMIT);
        // Neither the proxy nor the upstream may have time for every connect within a second.
        let common = ["--workers", self.workers, "--accept", self.accept.name(), "--connect-timeout", "8s"];
        let proxy = Server::proxy(&[&upstream.address], &[&common, flags].concat());
        let crowd = Crowd::start(proxy.address(), CLIENTS);
        thread::sleep(CHURN);
        upstream.hold(true);
        upstream.until_serves(LIMIT);
        let refills = REPLACED.map(|sessions| (sessions, upstream.replace(sessions)));
        // The first one finds clients that are still on their way.
        let one_by_one =
            refills.iter().skip(1).filter(|(sessions, _)| *sessions == 1).map(|(_, refill)| *refill);
        let free_max = one_by_one.max().unwrap_or_default();
        upstream.hold(false);
        let fates = crowd.end();
        let report = proxy.report();
        let tally = upstream.tally();
        assert_eq!(tally.most.load(SeqCst), LIMIT, "the most that were served at once");
        println!("{self}: {fates:?}, a slot free for {free_max:?} at most, slots taken after {refills:?}");
        // Everything adds up, on all sides.
        assert_eq!(total(&report, "connects"), tally.accepted.load(SeqCst));
        assert_eq!(total(&report, "connects"), fates.served);
        assert_eq!(total(&report, "refused_limit"), fates.refused);
        assert_eq!(total(&report, "accepted"), fates.served + fates.refused);
        assert_eq!((total(&report, "active"), total(&report, "queued"), fates.dismissed), (0, 0, 0));
        Outcome { report, fates, free_max }
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
        let Outcome { report, fates, .. } = race.run(&QUEUED);
        assert_eq!(fates.refused, 0);
        assert!(total(&report, "queued_max") > 0);
    });
}

#[test]
#[ignore = "by the clock, on a machine that does nothing else, for `.ci/run full`"]
fn nobody_waits_beside_a_free_slot() {
    let Some(_alone) = alone() else { return };
    for_each(&Race::all(), |race| {
        // A run may be spoilt by whatever else the machine does.
        let keeps_to_it = (0..TRIES).any(|_| race.run(&QUEUED).free_max < FREE_MAX);
        assert!(keeps_to_it, "a slot was free for longer than {FREE_MAX:?}");
    });
}

/// Whoever finds no slot is reset at once.
#[test]
fn limit_races_without_a_queue() {
    let Some(_alone) = alone() else { return };
    for_each(&Race::all(), |race| {
        let Outcome { report, fates, .. } = race.run(&["--limit-connections", "1000"]);
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
        let Outcome { fates, .. } = race.run(&[limits, &queue].concat());
        assert_eq!(fates.refused, 0, "{limits:?}");
    }
}
