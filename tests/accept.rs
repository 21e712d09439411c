//! Which worker gets a connection: what each accept mode promises, as clients and the report see it.
//!
//! Four workers, 400 connections, one at a time. `exclusive` and `rotate` promise something only to connections
//! that come when the workers are idle: a worker that was woken and hasn't run yet is not in the kernel's wait
//! queue, and the next connection goes to its neighbour. A millisecond between two connections is enough for
//! that, except on a machine that is busy with other things: there, each waits until all workers sleep.

mod support;

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    process::Output,
};

use evenkeel::measure::balance::{Balance, Verdict};
use serde_json::Value;
use support::{
    Server, TempDir, eventually,
    load::{greeted, load},
    skip, total,
};

const WORKERS: usize = 4;
const CONNECTIONS: u64 = 400;
/// How often a run with spaced connections may be spoilt by whatever else the machine does.
const TRIES: usize = 3;

/// What is seen of one run.
struct Seen {
    /// Connections that each worker has greeted.
    accepted: Vec<u64>,
    report: Value,
    /// The report as `evenkeel report` shows it, in one line.
    text: String,
}

#[test]
fn exclusive_packs_the_first_worker() {
    when_idle(&["--accept", "exclusive"], |seen| {
        seen.says(Verdict::WorseThanChance) && seen.accepted[0] >= CONNECTIONS * 95 / 100
    });
}

#[test]
fn rotate_is_even() {
    when_idle(&["--accept", "rotate"], Seen::is_even);
}

#[test]
fn dealing_in_turn_is_even() {
    let seen = spaced(&["--accept", "dealt", "--deal", "round-robin"]);
    assert!(seen.is_even(), "{:?}", seen.accepted);
    assert_eq!(seen.accepted, [CONNECTIONS / WORKERS as u64; WORKERS], "whatever the machine does");
    assert_eq!(seen.report["acceptor"]["accepted"], CONNECTIONS);
}

#[test]
fn dealing_to_the_least_loaded_is_even() {
    let seen = spaced(&["--accept", "dealt", "--deal", "least-loaded"]);
    assert!(seen.is_even(), "{:?}", seen.accepted);
}

/// The kernel's hash doesn't care how busy anybody is.
#[test]
fn private_is_as_even_as_chance() {
    let seen = spaced(&["--accept", "private"]);
    let balance = Balance::of_counts(&seen.accepted);
    let p_value = balance.by_chance.and_then(|chance| chance.p_value).expect("there is data");
    assert!(p_value >= 1e-4, "{:?} by chance: p = {p_value}", seen.accepted);
    assert!(seen.says(Verdict::of(&seen.accepted)), "{}", seen.text);
}

#[test]
fn shared_serves_everybody_and_wakes_too_many() {
    let seen = spaced(&["--accept", "shared"]);
    assert_eq!(seen.accepted.iter().sum::<u64>(), CONNECTIONS);
    let sleeps = |accept| total(&settled(&["--accept", accept]).report, "context_switches_voluntary");
    let ratios: Vec<_> = (0..TRIES)
        .map(|_| sleeps("shared") as f64 / sleeps("exclusive") as f64)
        // Each connection wakes all that are idle: with four workers up to four times as many.
        .take_while(|ratio| *ratio < 1.5)
        .collect();
    assert!(ratios.len() < TRIES, "the herd doesn't show: {ratios:?}");
}

/// On loopback the core that takes a packet is the one that sent it.
#[test]
fn local_prefers_the_worker_on_the_core_of_the_packet() {
    let Some(cores) = two_cores() else { return skip("a single core has no neighbour") };
    for (worker, core) in cores.iter().enumerate() {
        let listed = format!("{},{}", cores[0], cores[1]);
        let server = Server::start(&["--workers", "2", "--cores", &listed, "--accept", "local", "--greet"]);
        let core = core.to_string();
        let seen = load(&server, &["--connect-only", "--connections", "100", "--greet", "--cores", &core]);
        let accepted = greeted(&seen, 2);
        assert_eq!(accepted[worker], 100, "client on core {core}: {accepted:?}");
        let notes = server.report()["notes"].to_string();
        assert!(notes.contains("on loopback the core that takes a packet is the client's own"), "{notes}");
    }
}

#[test]
fn the_least_loaded_worker_is_the_one_whose_connections_have_ended() {
    let arguments = ["--workers", "4", "--accept", "dealt", "--deal", "least-loaded", "--greet"];
    let mut server = Server::start(&arguments);
    let mut clients: Vec<_> = (0..8).map(|_| greeted_client(&server)).collect();
    for worker in [2, 0, 3] {
        let before = total(&server.report_now(), "closed");
        clients.retain(|(of, _)| *of != worker);
        // The snapshot of an iteration comes before its turns: what it counts as closed is on the board.
        eventually("both are closed", || (total(&server.report_now(), "closed") == before + 2).then_some(()));
        let fresh: Vec<_> = (0..2).map(|_| greeted_client(&server)).collect();
        assert_eq!(fresh.iter().map(|(of, _)| *of).collect::<Vec<_>>(), [worker; 2]);
        clients.extend(fresh);
    }
    drop(clients);
    server.report();
}

/// Late binding: who has turns to run leaves new connections in the queue to whoever has none, however long
/// each of its turns is.
#[test]
fn a_worker_with_a_backlog_of_turns_leaves_the_shared_queue_to_others() {
    const LATE: usize = 20;
    let mode =
        ["--accept", "exclusive", "--workers", "2", "--no-pin", "--greet", "--work", "block:fixed:15ms"];
    let server = Server::start(&mode);
    let (early, _): (Vec<_>, Vec<_>) =
        (0..40).map(|_| greeted_client(&server)).partition(|(worker, _)| *worker == 0);
    assert!(early.len() > LATE, "the first worker got only {} of 40", early.len());
    let say = |mut client: &TcpStream| client.write_all(b"x").expect("there is room");
    early.iter().for_each(|(_, client)| say(client));
    let late: Vec<_> = (0..LATE).map(|_| server.connect()).inspect(|client| say(client)).collect();
    let taken = late.iter().map(greeting).filter(|worker| *worker == 0).count();
    assert!(taken <= LATE / 4, "the worker with {} turns to run took {taken} of {LATE}", early.len());
}

/// How many are accepted before a worker goes to the back is a number like any other.
#[test]
fn rotate_every_takes_so_many_at_a_time() {
    let server = Server::start(&["--workers", "2", "--accept", "rotate", "--rotate-every", "10", "--greet"]);
    let order: Vec<_> = one_by_one(&server, 40).into_iter().map(|(worker, _)| worker).collect();
    let expected: Vec<u64> = (0..40).map(|connection| connection / 10 % 2).collect();
    assert_eq!(order, expected);
    server.report();
}

impl Seen {
    /// What clients and the report see is the same, however it is spread.
    fn new(accepted: Vec<u64>, server: Server) -> Self {
        let ended = server.stop();
        let report = ended.report();
        assert_eq!(accepted.iter().sum::<u64>(), CONNECTIONS);
        let workers = report["workers"].as_array().expect("an array").iter();
        let counted: Vec<_> = workers.map(|worker| worker["accepted"].as_u64().expect("a count")).collect();
        assert_eq!(accepted, counted, "clients and the report see the same");
        assert_eq!(report["balance"]["accepted"]["per_worker"], Value::from(counted));
        Self { accepted, report, text: shown(&ended.stdout) }
    }

    /// Within 5 % of even, which chance would not give.
    fn is_even(&self) -> bool {
        let mean = CONNECTIONS / WORKERS as u64;
        self.says(Verdict::BetterThanChance)
            && self.accepted.iter().all(|count| count.abs_diff(mean) * 20 <= mean)
    }

    /// Whether the report has this verdict, and says it in words: this one and no other.
    fn says(&self, verdict: Verdict) -> bool {
        let Self { report, text, .. } = self;
        let start = format!("Balance: {CONNECTIONS} connections over {WORKERS} workers,");
        assert!(text.contains(&start), "{text}");
        let all = [Verdict::BetterThanChance, Verdict::ByChance, Verdict::WorseThanChance];
        let said: Vec<_> = all.into_iter().filter(|verdict| text.contains(verdict.name())).collect();
        assert_eq!(said.len(), 1, "{text}");
        assert_eq!(report["balance"]["accepted"]["verdict"], said[0].name(), "{text}");
        said == [verdict]
    }
}

/// Something that holds for workers that are idle: in some run of spaced connections, or at the latest where
/// each connection waits for them.
fn when_idle(mode: &[&str], holds: impl Fn(&Seen) -> bool) {
    let is_seen = (0..TRIES).any(|_| holds(&spaced(mode)));
    if !is_seen {
        let seen = settled(mode);
        assert!(holds(&seen), "{mode:?}: {:?}", seen.accepted);
    }
}

/// Connections that come every millisecond.
fn spaced(mode: &[&str]) -> Seen {
    let server = Server::start(&[&["--workers", "4", "--greet"], mode].concat());
    let arguments = ["--connect-only", "--connections", "400", "--connect-spacing", "1ms", "--greet"];
    Seen::new(greeted(&load(&server, &arguments), WORKERS), server)
}

/// Connections that come when all workers sleep.
fn settled(mode: &[&str]) -> Seen {
    let server = Server::start(&[&["--workers", "4", "--greet"], mode].concat());
    let mut accepted = vec![0; WORKERS];
    one_by_one(&server, CONNECTIONS).iter().for_each(|(worker, _)| accepted[*worker as usize] += 1);
    Seen::new(accepted, server)
}

/// Clients of whom each comes when all workers sleep, with the workers that greeted them.
fn one_by_one(server: &Server, clients: u64) -> Vec<(u64, TcpStream)> {
    let next = |_| {
        server.settle();
        greeted_client(server)
    };
    (0..clients).map(next).collect()
}

fn shown(json: &str) -> String {
    let folder = TempDir::new();
    let file = folder.file("report.json");
    fs::write(&file, json).expect("it is ours");
    let Output { status, stdout, .. } = support::run(&["report", &file]);
    assert!(status.success());
    let text = String::from_utf8(stdout).expect("reports are UTF-8");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A client, and the worker that greeted it.
fn greeted_client(server: &Server) -> (u64, TcpStream) {
    let client = server.connect();
    (greeting(&client), client)
}

/// The worker that greets a client.
fn greeting(mut client: &TcpStream) -> u64 {
    let mut greeting = [0; 16];
    client.read_exact(&mut greeting).expect("a greeting");
    let worker = greeting.first_chunk().expect("16 bytes have a first half");
    u64::from_le_bytes(*worker)
}

fn two_cores() -> Option<[usize; 2]> {
    let cores = core_affinity::get_core_ids()?;
    Some([cores.first()?.id, cores.get(1)?.id])
}
