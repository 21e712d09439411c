//! What a message costs in system calls, counted by strace.
//!
//! Two runs that differ only in their number of messages: starting, connecting and stopping cancel out.

mod support;

use std::collections::BTreeMap;

use evenkeel::{Trigger, config::Measure};
use support::{
    Server,
    load::load,
    skip,
    strace::{Calls, calls, can_trace, counts},
    total,
};

/// Messages of the two runs.
const FEW: u64 = 2_000;
const MANY: u64 = 10_000;

/// The report counts the worker's calls as they are made, whatever it measures.
#[test]
fn what_is_counted_is_what_strace_sees() {
    for trigger in Trigger::ALL {
        let trigger = ["--trigger", trigger.name()];
        for measure in [Measure::Full, Measure::Off] {
            assert_counted(&[&["echo", "--measure", measure.name()], &trigger[..]].concat(), "64");
        }
        assert_counted(&[&["echo", "--timestamps"], &trigger[..]].concat(), "64");
        assert_counted(&[&["proxy", "--forward", "copy"], &trigger[..]].concat(), "64");
        assert_counted(&[&["proxy", "--forward", "splice"], &trigger[..]].concat(), "200000");
    }
}

fn assert_counted(arguments: &[&str], size: &str) {
    if !can_trace() {
        return skip("no strace that may trace: system calls are not counted");
    }
    let echo = Server::start(&[]);
    let upstream = echo.address().to_string();
    let upstream = if arguments[0] == "proxy" { &["--upstream", &upstream][..] } else { &[] };
    let common = ["--listen", "127.0.0.1:0", "--report", "json", "--workers", "1"];
    let arguments = [arguments, &common, upstream].concat();
    let names = "recvfrom,recvmsg,sendto,sendmsg,splice,epoll_ctl,epoll_wait,epoll_pwait,epoll_pwait2";
    let (report, calls) = calls(names, |command| {
        let server = Server::start_with(command, &arguments);
        load(&server, &["--connections", "8", "--messages", "400", "--churn", "20", "--size", size]);
        server.report()
    });
    let of_worker = |name: &str| calls.begin(&format!("{name}({},", worker_epoll(&calls)));
    let found_nothing = calls.failed("recvfrom", "EAGAIN") + calls.failed("recvmsg", "EAGAIN");
    for (count, seen) in [
        ("reads", calls.begin("recvfrom(") + calls.begin("recvmsg(")),
        ("read_eagain", found_nothing),
        ("writes", calls.begin("sendto(") + calls.begin("sendmsg(")),
        ("splices", calls.begin("splice(")),
        ("epoll_waits", ["epoll_wait", "epoll_pwait", "epoll_pwait2"].map(of_worker).iter().sum()),
        ("epoll_ctls", of_worker("epoll_ctl")),
    ] {
        assert_eq!(total(&report, count), seen, "{count} of {arguments:?}");
    }
    assert!(total(&report, "reads") >= 400 && total(&report, "epoll_waits") > 0, "{arguments:?}");
    assert_eq!(total(&report, "splices") > 0, size != "64", "{arguments:?}");
}

/// The main thread has an epoll too, and registers what is in the worker's at the start.
fn worker_epoll(calls: &Calls) -> String {
    calls.first_argument("epoll_", "sendto(")
}

/// Without the flag nothing changes, and with it one read still is one call.
#[test]
fn timestamps_cost_no_more_calls() {
    if !can_trace() {
        return skip("no strace that may trace: system calls are not counted");
    }
    let run = |flags: &[&str]| {
        let arguments = ["echo", "--listen", "127.0.0.1:0", "--report", "json", "--workers", "1"];
        let arguments = [&arguments[..], flags].concat();
        let counted = counts(|command| {
            let server = Server::start_with(command, &arguments);
            load(&server, &["--connections", "1", "--messages", "1000"]);
            server.report();
        });
        ["recvfrom", "recvmsg", "clock_gettime"].map(|name| counted.get(name).copied().unwrap_or(0))
    };
    let ([plain, none, _], [other, stamped, clock]) = (run(&[]), run(&["--timestamps"]));
    assert!(plain >= 1000 && plain == stamped, "{plain} {stamped}");
    assert_eq!((none, other, clock), (0, 0, 0));
}

/// epoll_wait, read, write; and a little for what happens now and then.
#[test]
fn ping_pong_costs_three_calls_a_message() {
    for trigger in ["level", "edge"] {
        assert_cost(trigger, 1, 3.05);
    }
}

/// One epoll_wait serves several of them.
#[test]
fn fifty_busy_connections_share_their_waits() {
    for trigger in ["level", "edge"] {
        assert_cost(trigger, 50, 2.5);
    }
}

fn assert_cost(trigger: &str, connections: u64, at_most: f64) {
    if !can_trace() {
        return skip("no strace that may trace: system calls are not counted");
    }
    let (few, many) = (traced(trigger, connections, FEW), traced(trigger, connections, MANY));
    let calls = |counts: &BTreeMap<String, u64>| counts.values().sum::<u64>();
    let each = (calls(&many) as f64 - calls(&few) as f64) / (MANY - FEW) as f64;
    assert!(each <= at_most, "{trigger}, {connections} connections: {each} a message; {few:?}, {many:?}");
    // Less than a read and a write each, and something was not counted.
    assert!(each >= 1.9, "{trigger}, {connections} connections: {each} a message; {few:?}, {many:?}");
}

/// System calls of a server that has answered so many messages, by name.
fn traced(trigger: &str, connections: u64, messages: u64) -> BTreeMap<String, u64> {
    let arguments = ["echo", "--listen", "127.0.0.1:0", "--report", "json", "--workers", "1"];
    let arguments = [&arguments, &["--trigger", trigger][..]].concat();
    let (connections, messages_asked) = (connections.to_string(), messages.to_string());
    counts(|command| {
        let server = Server::start_with(command, &arguments);
        let seen = load(&server, &["--connections", &connections, "--messages", &messages_asked]);
        assert_eq!(seen["messages"], messages);
        assert_eq!(total(&server.report(), "messages"), messages);
    })
}
