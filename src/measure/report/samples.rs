//! Reports with made-up, fixed figures, for the tests of what is said about them.

use std::time::{Duration, UNIX_EPOCH};

use super::{ListenerInfo, Machine, Report, RunInfo, ServiceInfo};
use crate::{
    config::{AcceptMode, Options},
    measure::{
        counts::{Counts, Errors},
        histograms::Histograms,
        ledger::Ends,
        snapshot::{AcceptorSnapshot, WorkerSnapshot},
    },
};

/// Four workers as a hash would load them.
pub(crate) fn private() -> Report {
    report(AcceptMode::Private, &[104, 98, 91, 107], None)
}

/// Four workers of which the first takes nearly all.
pub(crate) fn exclusive() -> Report {
    report(AcceptMode::Exclusive, &[390, 8, 2, 0], None)
}

/// Four workers with equal shares.
pub(crate) fn dealt() -> Report {
    let acceptor = AcceptorSnapshot {
        accepted: 400,
        wakeups: 398,
        accept_eagain: 398,
        context_switches: 405,
        ..AcceptorSnapshot::default()
    };
    report(AcceptMode::Dealt, &[100; 4], Some(&acceptor))
}

/// A server that nobody came to.
pub(crate) fn empty() -> Report {
    report(AcceptMode::Private, &[0, 0], None)
}

/// As many workers as `accepted` has entries, with all else in proportion to it.
pub(crate) fn report(accept: AcceptMode, accepted: &[u64], acceptor: Option<&AcceptorSnapshot>) -> Report {
    let options = Options { accept, ..Options::default() };
    let workers: Vec<_> =
        accepted.iter().enumerate().map(|(worker, &accepted)| snapshot(worker, accepted)).collect();
    let mut run =
        RunInfo::new(UNIX_EPOCH + Duration::from_secs(1_772_366_400), Duration::from_secs(10), &options);
    run.cores = (0..accepted.len()).collect();
    run.services = vec![ServiceInfo {
        name: "echo".to_owned(),
        kind: "echo".to_owned(),
        listeners: vec![ListenerInfo { index: 0, address: "127.0.0.1:7000".to_owned(), accept }],
        ..ServiceInfo::default()
    }];
    let report = Report::new(run, &workers, acceptor);
    // What differs from machine to machine and from version to version has no place in fixed figures.
    let machine = Machine { cpus: 4, kernel: "6.18.0".to_owned() };
    Report { machine, version: "0.1.0".to_owned(), ..report }
}

fn snapshot(worker: usize, accepted: u64) -> WorkerSnapshot {
    let messages = accepted * 3_000;
    WorkerSnapshot {
        worker,
        core: Some(worker),
        counts: Counts {
            accepted,
            closed: accepted - accepted / 20,
            active: accepted / 20,
            messages,
            bytes_in: messages * 64,
            bytes_out: messages * 64,
            wakeups: messages * 4 / 5,
            spurious_wakeups: accepted / 10,
            events: messages,
            accept_eagain: accepted,
            context_switches: messages * 3 / 4,
            context_switches_voluntary: messages * 3 / 4 - accepted,
            context_switches_involuntary: accepted,
            busy_ns: messages * 6_000,
            cpu_ns: messages * 6_100,
            errors: Errors { reset: accepted / 50, ..Errors::default() },
            ..Counts::default()
        },
        active_avg: accepted as f64 / 2.0,
        active_max: accepted * 3 / 5,
        accept_queue_max: accepted / 30,
        accepted_by: vec![accepted],
        ends: Ends::default(),
        upstreams: Vec::new(),
        histograms: histograms(accepted),
    }
}

/// Durations on a logarithmic ramp from `low_ns` to `high_ns`, dense at the low end, as latencies are.
fn histograms(accepted: u64) -> Histograms {
    let mut histograms = Histograms::default();
    let samples = accepted * 30;
    for i in 0..samples {
        let rank = (i as f64 + 0.5) / samples as f64;
        let at = |low_ns: f64, high_ns: f64| (low_ns * (high_ns / low_ns).powf(rank.powi(4))) as u64;
        histograms.event_delay.saturating_record(at(300.0, 400_000.0));
        histograms.turn.saturating_record(at(2_000.0, 90_000.0));
        histograms.iteration.saturating_record(at(2_500.0, 600_000.0));
        histograms.wait.saturating_record(at(8_000.0, 20_000_000.0));
        histograms.batch.saturating_record(1 + i % 4);
    }
    for i in 0..accepted {
        histograms.session_life.saturating_record(2_000_000_000 + i * 10_000_000);
    }
    histograms
}
