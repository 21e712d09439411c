//! What a message costs in system calls, counted by strace.
//!
//! Two runs that differ only in their number of messages: starting, connecting and stopping cancel out.

mod support;

use std::{
    collections::BTreeMap,
    fs,
    process::{Command, Stdio},
};

use support::{Server, TempDir, eventually, load::load, skip, total};

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
    let folder = TempDir::new();
    let file = folder.file("counts");
    let mut command = Command::new("strace");
    // -D: the process that we start, and signal, is the server; strace watches from the side.
    command.args(["-D", "-f", "-c", "-o", &file, env!("CARGO_BIN_EXE_evenkeel")]);
    let arguments = ["echo", "--listen", "127.0.0.1:0", "--report", "json", "--workers", "1"];
    let server = Server::start_with(command, &[&arguments, &["--trigger", trigger][..]].concat());
    let (connections, messages_asked) = (connections.to_string(), messages.to_string());
    let seen = load(&server, &["--connections", &connections, "--messages", &messages_asked]);
    assert_eq!(seen["messages"], messages);
    assert_eq!(total(&server.report(), "messages"), messages);
    let text = eventually("strace has written its table", || {
        fs::read_to_string(&file).ok().filter(|text| text.lines().any(|line| line.ends_with(" total")))
    });
    parse(&text)
}

/// The table of `strace -c`: a line `% time, seconds, usecs/call, calls, [errors,] name` for each call.
fn parse(table: &str) -> BTreeMap<String, u64> {
    let line = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let name = fields.last().filter(|name| **name != "total")?;
        Some(((*name).to_owned(), fields.get(3)?.parse().ok()?))
    };
    table.lines().filter_map(line).collect()
}

/// strace may be missing, or forbidden (a container without CAP_SYS_PTRACE).
fn can_trace() -> bool {
    let mut command = Command::new("strace");
    command.args(["-f", "-c", "-o", "/dev/null", "true"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
