//! What measuring costs: no system call, and a stated number of instructions a message.
//!
//! Counts don't mind a busy machine. What it costs in time is told by `cargo bench --bench floor`, with its interval.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
};

use super::{
    alone,
    support::{
        Server, TempDir,
        load::load,
        skip,
        strace::{can_trace, counts},
    },
};

/// Messages of the two runs, whose difference is what messages cost.
const FEW: u64 = 1_000;
const MANY: u64 = 5_000;

/// What `--measure full` may cost more than `off`: user-space instructions a message, in ping-pong, where each message
/// pays a whole iteration of the loop. (160 of 1,015 with Linux 6.18, x86-64 and Rust 1.95.)
const INSTRUCTIONS_MAX: f64 = 200.0;

/// What callgrind runs: so many messages to warm up, so many that count.
const WARM_UP: usize = 1_000;
const COUNTED: usize = 5_000;

#[test]
fn measuring_costs_no_system_call() {
    if !can_trace() {
        return skip("no strace that may trace: system calls are not counted");
    }
    let _machine = alone();
    for connections in ["1", "20"] {
        let [full, off] = ["full", "off"].map(|measure| calls_per_message(measure, connections));
        for name in full.keys().chain(off.keys()) {
            let [with, without] = [&full, &off].map(|calls| calls.get(name).copied().unwrap_or(0.0));
            // How many events a wait has is a matter of timing, where there are several connections.
            let is_by_chance = connections != "1" && name.contains("epoll_");
            // What happens now and then may fall in one run and not in the other.
            assert!(
                is_by_chance || (with - without).abs() < 0.02,
                "{name} with {connections} connections: {with} and {without}"
            );
        }
        assert!(full["recvfrom"] > 0.9 && full["sendto"] > 0.9, "{full:?}");
    }
}

/// System calls a message, by name: of two runs the difference, so that starting and stopping cancel out.
fn calls_per_message(measure: &str, connections: &str) -> BTreeMap<String, f64> {
    let [few, many] = [FEW, MANY].map(|messages| traced(measure, connections, messages));
    let per_message = |(name, count): (String, u64)| {
        let before = few.get(&name).copied().unwrap_or(0);
        (name, (count as f64 - before as f64) / (MANY - FEW) as f64)
    };
    many.into_iter().map(per_message).collect()
}

/// System calls of a server that has answered so many messages, by name.
fn traced(measure: &str, connections: &str, messages: u64) -> BTreeMap<String, u64> {
    let arguments =
        ["echo", "--listen", "127.0.0.1:0", "--report", "json", "--workers", "1", "--measure", measure];
    counts(|command| {
        let server = Server::start_with(command, &arguments);
        load(&server, &["--connections", connections, "--messages", &messages.to_string()]);
        server.stop();
    })
}

/// Of an optimised build: `cargo test --release --test instrument -- --ignored`.
#[test]
#[ignore = "heavy: under callgrind, of an optimised build"]
fn measuring_costs_a_stated_number_of_instructions() {
    if cfg!(debug_assertions) {
        return skip("instructions are those of an optimised build: cargo test --release");
    }
    if !is_installed("valgrind") || !is_installed("vgdb") {
        return skip("no valgrind: instructions are not counted");
    }
    let [full, off] = ["full", "off"].map(instructions_per_message);
    println!("instructions a message: {full:.0} with --measure full, {off:.0} with off");
    assert!(full > off, "{full} and {off}: does off measure?");
    assert!(full - off <= INSTRUCTIONS_MAX, "{full} - {off} is more than {INSTRUCTIONS_MAX}");
}

/// Callgrind is told from outside to forget what it counted, and to write it down, so only the messages between count.
fn instructions_per_message(measure: &str) -> f64 {
    let folder = TempDir::new();
    let file = folder.file("callgrind");
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--tool=callgrind", &format!("--callgrind-out-file={file}")]);
    command.arg(env!("CARGO_BIN_EXE_evenkeel"));
    let server = Server::start_with(
        command,
        &[
            "echo",
            "--listen",
            "127.0.0.1:0",
            "--report",
            "json",
            "--workers",
            "1",
            "--no-pin",
            "--measure",
            measure,
        ],
    );
    let mut client = server.connect();
    exchange(&mut client, WARM_UP);
    tell_callgrind(&server, "zero");
    exchange(&mut client, COUNTED);
    tell_callgrind(&server, "dump");
    drop(client);
    server.stop();
    let profile = fs::read_to_string(format!("{file}.1")).expect("callgrind has written its file");
    let total = profile.lines().find_map(|line| line.strip_prefix("totals: ")).expect("a total");
    total.trim().parse::<f64>().expect("a number") / COUNTED as f64
}

fn exchange(client: &mut TcpStream, messages: usize) {
    let mut buffer = [7; 64];
    for _ in 0..messages {
        client.write_all(&buffer).expect("a live connection");
        client.read_exact(&mut buffer).expect("the echo");
    }
}

fn tell_callgrind(server: &Server, what: &str) {
    let pid = format!("--pid={}", server.pid().as_raw_nonzero());
    let output = Command::new("vgdb").args([&pid, what]).output().expect("vgdb starts");
    assert!(output.status.success(), "vgdb {what}: {}", String::from_utf8_lossy(&output.stderr));
}

fn is_installed(program: &str) -> bool {
    let mut question = Command::new(program);
    question.arg("--help").stdout(Stdio::null()).stderr(Stdio::null());
    question.status().is_ok()
}
