//! At the limits: out of descriptors, and thousands of connections that do nothing.

mod support;

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    process::Command,
    time::{Duration, Instant},
};

use evenkeel::{AcceptMode, Trigger, sys::limits};
use serde_json::Value;
use support::{Server, TempDir, eventually, skip, total};

/// `ulimit -n` of the servers that run out.
const DESCRIPTORS: usize = 256;
/// Clients of each such server.
const CLIENTS: usize = 400;
/// How long it is watched doing nothing.
const WATCHED: Duration = Duration::from_secs(1);
/// Clients that do nothing.
const IDLE_CLIENTS: usize = 9_000;
/// Descriptors that a process needs besides those of its connections.
const SPARE: usize = 100;

#[test]
fn out_of_descriptors_with_level_triggered_listeners() {
    run_out_of_descriptors(Trigger::Level);
}

#[test]
fn out_of_descriptors_with_edge_triggered_listeners() {
    run_out_of_descriptors(Trigger::Edge);
}

#[test]
fn out_of_descriptors_with_oneshot_listeners() {
    run_out_of_descriptors(Trigger::Oneshot);
}

/// Nothing can be opened, not even a report file: that is told, and it serves on.
#[test]
fn a_report_file_without_a_descriptor_for_it() {
    let folder = TempDir::new();
    let mut full = Full::start(&["--report-file", &folder.file("report.json")]);
    full.report();
    let line = full.server.next_stderr_line();
    assert!(line.contains("cannot write the report") && line.contains("too many open files"), "{line}");
    full.recover();
}

#[test]
fn nine_thousand_idle_connections_level() {
    idle_connections_cost_little(Trigger::Level);
}

#[test]
fn nine_thousand_idle_connections_edge() {
    idle_connections_cost_little(Trigger::Edge);
}

/// Every accept mode at once, so that they are watched in the same second.
fn run_out_of_descriptors(listen: Trigger) {
    let modes = AcceptMode::ALL.iter().filter(|accept| accept.allows(listen));
    let mut servers: Vec<_> = modes
        .map(|accept| Full::start(&["--accept", accept.name(), "--listen-trigger", listen.name()]))
        .collect();
    for full in &mut servers {
        full.begin_to_watch();
    }
    std::thread::sleep(WATCHED);
    for mut full in servers {
        full.assert_calm();
        full.recover();
    }
}

/// A server that has no descriptor left, and clients that wait for it.
struct Full {
    server: Server,
    served: Vec<TcpStream>,
    queued: Vec<TcpStream>,
    /// When watching began, the process's CPU time until then, and the report.
    before: Option<(Instant, u64, Value)>,
}

impl Full {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new("sh");
        let script = format!("ulimit -n {DESCRIPTORS}; exec \"$@\"");
        command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_evenkeel")]);
        let common = ["echo", "--listen", "127.0.0.1:0", "--report", "json", "--workers", "4"];
        let mut server = Server::start_with(command, &[&common, arguments].concat());
        let mut waiting: Vec<_> = (0..CLIENTS).map(|_| server.connect()).collect();
        waiting.iter_mut().for_each(say_hello);
        let mut served = Vec::new();
        eventually("it serves as many as it has descriptors for", || {
            let (answered, rest) = waiting.drain(..).partition(is_answered);
            waiting = rest;
            served.extend::<Vec<_>>(answered);
            // Some 20 are its own.
            (server.descriptors() == DESCRIPTORS && served.len() >= DESCRIPTORS - 50).then_some(())
        });
        eventually("it counts that it has none left", || {
            (limit_hits(&server.report_now()) > 0).then_some(())
        });
        Self { server, served, queued: waiting, before: None }
    }

    fn report(&mut self) -> Value {
        self.server.report_now()
    }

    fn begin_to_watch(&mut self) {
        let report = self.report();
        self.before = Some((Instant::now(), self.server.cpu_ticks(), report));
    }

    /// It tries again ten times a second for each listener that a worker watches, and else does nothing. Spinning
    /// would be tens of thousands of tries, wakeups or both, and a core's whole time.
    fn assert_calm(&mut self) {
        let (start, ticks, before) = self.before.take().expect("watching has begun");
        let ticks = self.server.cpu_ticks() - ticks;
        let after = self.report();
        let elapsed = start.elapsed();
        let tries = limit_hits(&after) - limit_hits(&before);
        let wakeups = total(&after, "wakeups") - total(&before, "wakeups");
        let at_most = 4 * (10.0 * elapsed.as_secs_f64()).ceil() as u64 + 20;
        assert!((1..=at_most).contains(&tries), "{tries} tries in {elapsed:?}");
        assert!(wakeups <= 4 * at_most, "{wakeups} wakeups in {elapsed:?}");
        // A tick is 10 ms.
        assert!(ticks as f64 * 0.01 < elapsed.as_secs_f64() / 2.0, "{ticks} ticks of {elapsed:?}");
    }

    /// Clients leave; those that were queued are served, though none of them does anything for it.
    fn recover(mut self) {
        let served = self.served.len();
        self.served.clear();
        let mut waiting = self.queued;
        eventually("everybody else is served", || {
            waiting.retain_mut(|client| !is_answered(client));
            waiting.is_empty().then_some(())
        });
        drop(waiting);
        let report = self.server.report();
        assert_eq!(total(&report, "accepted"), CLIENTS as u64, "{served} at first");
        assert_eq!(total(&report, "messages"), CLIENTS as u64);
        assert!(limit_hits(&report) > 0);
    }
}

/// How often accepting found no descriptor; in `dealt` it is the acceptor that accepts.
fn limit_hits(report: &Value) -> u64 {
    let acceptors = report["acceptor"]["fd_limit"].as_u64().unwrap_or(0);
    report["totals"]["errors"]["fd_limit"].as_u64().expect("a count") + acceptors
}

fn say_hello(client: &mut TcpStream) {
    client.write_all(b"hello").expect("a live connection");
    client.set_nonblocking(true).expect("a TCP socket");
}

fn is_answered(client: &TcpStream) -> bool {
    let mut answer = [0; 8];
    match (&mut &*client).read(&mut answer) {
        Ok(len) => {
            assert_eq!(&answer[..len], b"hello", "{client:?}");
            true
        }
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
            false
        }
    }
}

fn idle_connections_cost_little(trigger: Trigger) {
    let allowed = limits::raise_descriptors();
    if allowed < (IDLE_CLIENTS + SPARE) as u64 {
        return skip(&format!("{IDLE_CLIENTS} connections need a hard limit of descriptors above {allowed}"));
    }
    let server = Server::start(&["--workers", "2", "--trigger", trigger.name()]);
    // What is needed once is there when a few have come and spoken.
    let mut clients: Vec<_> = (0..50).map(|_| client_that_spoke(&server)).collect();
    let before = server.memory();
    clients.extend((0..IDLE_CLIENTS).map(|_| client_that_spoke(&server)));
    let bytes = server.memory().saturating_sub(before) / IDLE_CLIENTS as u64;
    assert!(bytes < 200, "{bytes} bytes for each connection");
    server.settle();
    let sleeps = server.sleeps();
    std::thread::sleep(WATCHED);
    let wakeups = server.sleeps() - sleeps;
    assert!(wakeups <= 2, "{wakeups} wakeups for nothing");
    drop(clients);
    let report = server.report();
    assert_eq!(total(&report, "accepted"), (IDLE_CLIENTS + 50) as u64);
}

/// A client that has had its message back and will say nothing more.
fn client_that_spoke(server: &Server) -> TcpStream {
    let mut client = server.connect();
    client.write_all(b"hello").expect("a live connection");
    client.read_exact(&mut [0; 5]).expect("the echo");
    client
}
