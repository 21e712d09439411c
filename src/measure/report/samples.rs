//! Reports with made-up, fixed figures, for the tests of what is said about them.

use std::time::{Duration, UNIX_EPOCH};

use super::{ListenerInfo, Machine, Report, RunInfo, ServiceInfo, UpstreamInfo};
use crate::{
    config::{AcceptMode, Balance, Forward, Options},
    measure::{
        counts::{Counts, Errors, UpstreamCounts},
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

/// Two workers that forward for two services, to three upstreams one of which was down for a while.
pub(crate) fn proxy() -> Report {
    let options = Options::default();
    let mut workers = vec![snapshot(0, 210), snapshot(1, 190)];
    workers.iter_mut().for_each(forward);
    let mut run = run(&options, workers.len());
    let service = |name: &str, index: usize, address: &str| ServiceInfo {
        name: name.to_owned(),
        kind: "proxy".to_owned(),
        listeners: vec![ListenerInfo { index, address: address.to_owned(), accept: options.accept }],
        balance: Some(Balance::P2c),
        forward: Some(Forward::Auto),
    };
    run.services =
        vec![service("db", 0, "127.0.0.1:5000"), service("cache", 1, "unix:/run/evenkeel/cache.sock")];
    let upstream = |service: &str, address: &str, weight| UpstreamInfo {
        service: service.to_owned(),
        address: address.to_owned(),
        weight,
        state: "up",
        ..UpstreamInfo::default()
    };
    run.upstreams = vec![
        upstream("db", "127.0.0.1:5432", 2),
        upstream("db", "127.0.0.1:5433", 1),
        upstream("cache", "127.0.0.1:6379", 1),
    ];
    as_if_elsewhere(Report::new(run, &workers, None))
}

/// What a worker of a proxy has counted besides: four fifths of its sessions were for the first service, and two
/// of them found no upstream.
fn forward(worker: &mut WorkerSnapshot) {
    let counts = &mut worker.counts;
    let fifth = counts.accepted / 5;
    let first = counts.closed - 2 * fifth - 2;
    counts.bytes_out *= 12;
    worker.accepted_by = vec![counts.accepted - fifth, fifth];
    worker.upstreams = vec![
        upstream(counts, 3, 0, &[("CD", first - 6), ("UD", 5), ("TD", 1)]),
        upstream(counts, 1, 7, &[("CD", fifth - 12), ("UD", 6), ("uD", 4), ("TH", 1), ("cW", 1), ("FC", 2)]),
        upstream(counts, 1, 0, &[("CD", fifth - 4), ("CW", 4)]),
    ];
    worker.upstreams[0].active = counts.active;
    worker.upstreams[0].connected += counts.active;
    worker.upstreams[1].connected -= 2;
    worker.upstreams.iter().for_each(|upstream| worker.ends += &upstream.ends);
    (counts.connects, counts.connects_failed) = (counts.accepted - 2, 7);
    counts.errors = Errors { reset: 5, timeout: 2, connect: 7, ..Errors::default() };
    (counts.bytes_to_upstream, counts.bytes_from_upstream) = (counts.bytes_in, counts.bytes_out);
    counts.bytes_spliced = counts.bytes_out / 2;
    counts.ledger_dropped = 1;
    for i in 0..counts.accepted {
        worker.histograms.connect.saturating_record(90_000 + i * 3_500);
        worker.histograms.first_byte.saturating_record(400_000 + i * 45_000);
    }
    for i in 0..counts.accepted * 30 {
        worker.histograms.transit.saturating_record(4_000 + i % 97 * 200);
    }
}

/// An upstream that took so many fifths of the bytes.
fn upstream(counts: &Counts, fifths: u64, failed: u64, codes: &[(&str, u64)]) -> UpstreamCounts {
    let mut ends = Ends::default();
    for (code, count) in codes {
        let code = code.parse().expect("two letters that mean something");
        (0..*count).for_each(|_| ends.add(code));
    }
    UpstreamCounts {
        active: 0,
        connected: ends.total(),
        failed,
        bytes_to: counts.bytes_in / 5 * fifths,
        bytes_from: counts.bytes_out / 5 * fifths,
        ejections: 0,
        ends,
    }
}

/// As many workers as `accepted` has entries, with all else in proportion to it.
pub(crate) fn report(accept: AcceptMode, accepted: &[u64], acceptor: Option<&AcceptorSnapshot>) -> Report {
    let options = Options { accept, ..Options::default() };
    let workers: Vec<_> =
        accepted.iter().enumerate().map(|(worker, &accepted)| snapshot(worker, accepted)).collect();
    let mut run = run(&options, accepted.len());
    run.services = vec![ServiceInfo {
        name: "echo".to_owned(),
        kind: "echo".to_owned(),
        listeners: vec![ListenerInfo { index: 0, address: "127.0.0.1:7000".to_owned(), accept }],
        ..ServiceInfo::default()
    }];
    as_if_elsewhere(Report::new(run, &workers, acceptor))
}

fn run(options: &Options, workers: usize) -> RunInfo<'_> {
    let started = UNIX_EPOCH + Duration::from_secs(1_772_366_400);
    RunInfo { cores: (0..workers).collect(), ..RunInfo::new(started, Duration::from_secs(10), options) }
}

/// What differs from machine to machine and from version to version has no place in fixed figures.
fn as_if_elsewhere(report: Report) -> Report {
    let machine = Machine { cpus: 4, kernel: "6.18.0".to_owned() };
    Report { machine, version: "0.1.0".to_owned(), ..report }
}

/// What a worker might hand out.
pub(crate) fn snapshot(worker: usize, accepted: u64) -> WorkerSnapshot {
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
            reads: messages + accepted - accepted / 20,
            writes: messages,
            epoll_waits: messages * 4 / 5,
            epoll_ctls: accepted + 2,
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
