//! The examples of docs/operations.md, run as they stand there.
//!
//! A block of TOML begins with a comment that is its path; nothing but addresses, ports and paths is changed before it
//! is run. Those that want peers of their own are run where these are: [`front`].

use std::{fs, path::Path};

use rustix::process::Signal;

use crate::{
    front::Front,
    peer::{client, port, said},
    postgres::{Place, Postgres, pgbench_and_check},
    redis,
    support::{Server, TempDir, assert_adds_up, evenkeel, run, total},
};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md");

/// But for the ledger's folder, which the page has one make first.
#[test]
fn the_examples_pass_the_check_as_they_stand() {
    for name in ["postgres", "failover", "redis", "tls", "web", "discovery", "limits"] {
        let dir = TempDir::new();
        let path = dir.file("as-it-stands.toml");
        let folder = dir.path().to_str().expect("UTF-8");
        fs::write(&path, example(name).replace("/var/log/evenkeel", folder)).expect("a folder of ours");
        let output = run(&["check", &path]);
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
#[ignore = "needs postgresql and postgresql-contrib installed; run by .ci/run"]
fn the_postgresql_example_serves_pgbench() {
    let (postgres, dir) = (Postgres::start(), TempDir::new());
    let (socket, ledger) = (dir.file(".s.PGSQL.6432"), dir.file("ledger"));
    let server = start(
        "postgres",
        &dir,
        &[
            ("127.0.0.1:6432", "127.0.0.1:0"),
            ("/run/evenkeel/.s.PGSQL.6432", &socket),
            ("127.0.0.1:5432", &postgres.tcp),
            ("/var/log/evenkeel/postgres.log", &ledger),
        ],
    );
    for address in server.listening() {
        pgbench_and_check(&Place::of(&address), &postgres.place(), "3");
    }
    // A hang-up is noted, and nothing else: the next statement is served.
    server.signal(Signal::HUP);
    // What the document says of finding a session of the ledger in the server's log.
    let seen =
        Place::of(&server.listening()[0]).sql("SELECT host(inet_client_addr()) || ':' || inet_client_port()");
    let text = assert_all_in_ledger(server, &ledger, "end=CD");
    assert!(text.contains(&format!(" local={} ", seen.trim())), "{seen}: {text}");
}

#[test]
#[ignore = "needs redis-server and redis-tools installed; run by .ci/run"]
fn the_redis_example_serves_redis_benchmark() {
    let (_redis, _folder, address) = redis::start();
    let dir = TempDir::new();
    let ledger = dir.file("ledger");
    let server = start(
        "redis",
        &dir,
        &[
            ("127.0.0.1:7379", "127.0.0.1:0"),
            ("127.0.0.1:6379", &address),
            ("/var/log/evenkeel/redis.log", &ledger),
        ],
    );
    let front = &server.listening()[0];
    let mut ping = client("redis-cli", "redis-tools");
    assert_eq!(said(ping.args(["-p", port(front), "ping"])).trim(), "PONG");
    redis::benchmark(front, 50_000, &["-t", "set,get"]);
    assert_all_in_ledger(server, &ledger, r#""end":"CD""#);
}

/// An example with changes and a ledger in JSON.
pub fn front(name: &str, dir: &TempDir, changes: &[(&str, &str)]) -> Front {
    let (theirs, ours) = (format!("/var/log/evenkeel/{name}.log"), dir.file("ledger"));
    let server = start(name, dir, &[changes, &[(theirs.as_str(), ours.as_str())]].concat());
    Front::of(server, ours)
}

/// The block of TOML that says that this is its file.
fn example(name: &str) -> String {
    let document = fs::read_to_string(DOCUMENT).expect("docs/operations.md is there");
    let first_line = format!("# /etc/evenkeel/{name}.toml\n");
    let (_, rest) =
        document.split_once(&format!("```toml\n{first_line}")).expect("the document has the block");
    let (block, _) = rest.split_once("```").expect("the block ends");
    first_line + block
}

/// `evenkeel run` with an example in which ports and paths are those of this test.
fn start(name: &str, dir: &TempDir, changes: &[(&str, &str)]) -> Server {
    let text = changes.iter().fold(example(name), |text, (from, to)| {
        assert!(text.contains(from), "the example has no {from}");
        text.replace(from, to)
    });
    let path = dir.file("example.toml");
    fs::write(&path, &text).expect("a folder of ours");
    let lines = text.lines().filter(|line| line.starts_with("listen = "));
    let listeners = lines.map(|line| line.matches(", ").count() + 1).sum();
    Server::start_for(evenkeel(), &["run", &path, "--report", "json"], listeners)
}

/// Each session has its line, and a usual one is there. Returns the ledger.
fn assert_all_in_ledger(server: Server, ledger: &str, usual: &str) -> String {
    let report = server.report();
    assert_adds_up(&report);
    let text = fs::read_to_string(Path::new(ledger)).expect("the ledger was written");
    assert!(text.contains(usual), "{text}");
    assert_eq!(text.lines().count() as u64, total(&report, "accepted"));
    assert_eq!((total(&report, "active"), total(&report, "ledger_dropped")), (0, 0));
    text
}
