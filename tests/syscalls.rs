//! What a message costs in system calls, counted by strace.
//!
//! Two runs that differ only in their number of messages: starting, connecting and stopping cancel out.

mod support;

use std::collections::BTreeMap;

use support::{
    Server,
    load::load,
    skip,
    strace::{can_trace, counts},
    total,
};

/// Messages of the two runs.
const FEW: u64 = 2_000;
const MANY: u64 = 10_000;

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
