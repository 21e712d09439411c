//! Redis: many small messages, and one long pipeline.

use std::{fmt::Write as _, fs, path::Path, process::Command};

use rustix::process::Signal;

use crate::{
    front::{FORWARDERS, Front},
    peer::{Peer, client, free_address, port, program, said},
    support::TempDir,
};

const KEYS: usize = 100_000;
const REQUESTS: usize = 100_000;

#[test]
#[ignore = "needs redis-server and redis-tools installed; run by .ci/run"]
fn redis_benchmark_has_each_request_answered() {
    for route in Route::ALL {
        let redis = Redis::start();
        let (front, dir) = redis.front(route, "auto");
        benchmark(&front.address(), REQUESTS, &["-t", "set,get"]);
        benchmark(&front.address(), REQUESTS, &["-t", "incr", "-P", "32"]);
        benchmark(&front.address(), REQUESTS / 100, &["-t", "lpush", "-d", "100000"]);
        let stats = said(cli(&redis.tcp).args(["INFO", "commandstats"]));
        for (command, calls) in [("set", REQUESTS), ("get", REQUESTS), ("incr", REQUESTS)] {
            assert!(stats.contains(&format!("cmdstat_{command}:calls={calls},")), "{route:?}: {stats}");
        }
        assert_eq!(said(cli(&redis.tcp).args(["LLEN", "mylist"])).trim(), (REQUESTS / 100).to_string());
        front.finish();
        drop(dir);
    }
}

#[test]
#[ignore = "needs redis-server and redis-tools installed; run by .ci/run"]
fn redis_benchmark_gets_a_connection_for_each_request() {
    let redis = Redis::start();
    let (front, dir) = redis.front(Route::Tcp, "auto");
    benchmark(&front.address(), 5_000, &["-t", "set", "-k", "0"]);
    let ledger = front.finish();
    assert!(ledger.len() >= 5_000, "{} sessions", ledger.len());
    drop(dir);
}

#[test]
#[ignore = "needs redis-server and redis-tools installed; run by .ci/run"]
fn redis_gets_a_long_pipeline_whole_and_gives_it_back() {
    for (route, forward) in Route::ALL.iter().flat_map(|route| FORWARDERS.map(|forward| (*route, forward))) {
        let redis = Redis::start();
        let (front, dir) = redis.front(route, forward);
        let (sets, values) = (dir.path().join("sets"), dir.path().join("values"));
        fs::write(&sets, pipeline()).expect("a folder of ours");
        fs::write(&values, all_values()).expect("a folder of ours");

        let answer = said(cli(&front.address()).arg("--pipe").stdin(open(&sets)));
        assert!(answer.contains(&format!("errors: 0, replies: {KEYS}")), "{route:?} {forward}: {answer}");
        assert_eq!(said(cli(&redis.tcp).arg("DBSIZE")).trim(), KEYS.to_string());

        // All values by one command: a long request, a longer answer.
        fs::write(&sets, ask_for_all()).expect("a folder of ours");
        let back = said(cli(&front.address()).stdin(open(&sets)));
        assert!(back == all_values(), "{route:?} {forward}: other values came back");
        front.finish();
    }
}

/// By what the client reaches the proxy, and the proxy Redis.
#[derive(Clone, Copy, Debug)]
enum Route {
    Tcp,
    TcpToUnix,
    Unix,
}

impl Route {
    const ALL: [Self; 3] = [Self::Tcp, Self::TcpToUnix, Self::Unix];
}

/// A Redis of this test's own, which keeps nothing.
struct Redis {
    _peer: Peer,
    tcp: String,
    unix: String,
    _dir: TempDir,
}

impl Redis {
    fn start() -> Self {
        let (_peer, dir, tcp) = start();
        Self { _peer, tcp, unix: format!("unix:{}", dir.file("redis.sock")), _dir: dir }
    }

    fn front(&self, route: Route, forward: &str) -> (Front, TempDir) {
        let dir = TempDir::new();
        let (listen, upstream) = match route {
            Route::Tcp => ("127.0.0.1:0".to_owned(), &self.tcp),
            Route::TcpToUnix => ("127.0.0.1:0".to_owned(), &self.unix),
            Route::Unix => (format!("unix:{}", dir.file("front.sock")), &self.unix),
        };
        (Front::start(&listen, upstream, forward, &dir), dir)
    }
}

/// A Redis on a free port, and on redis.sock in its folder. Drop the peer before the folder.
pub fn start() -> (Peer, TempDir, String) {
    let (dir, address) = (TempDir::new(), free_address());
    let mut command = Command::new(program("redis-server", "redis-server"));
    command.args(["--bind", "127.0.0.1", "--port", port(&address)]).args([
        "--save",
        "",
        "--appendonly",
        "no",
    ]);
    command.args(["--dir", &dir.file(""), "--unixsocket", &dir.file("redis.sock")]);
    let peer = Peer::start(command, &dir.path().join("log"), "Ready to accept connections", Signal::TERM);
    (peer, dir, address)
}

/// `redis-benchmark` with 50 connections, which has to end well and without a word on stderr.
pub fn benchmark(address: &str, requests: usize, more: &[&str]) {
    let mut command = at(client("redis-benchmark", "redis-tools"), address);
    let text = said(command.args(["--csv", "-c", "50", "-n", &requests.to_string()]).args(more));
    assert!(!text.contains("Error") && !text.contains("ERR"), "{text}");
}

fn cli(address: &str) -> Command {
    at(client("redis-cli", "redis-tools"), address)
}

/// Redis' own flags for an address.
fn at(mut command: Command, address: &str) -> Command {
    match address.strip_prefix("unix:") {
        Some(path) => command.args(["-s", path]),
        None => command.args(["-h", "127.0.0.1", "-p", port(address)]),
    };
    command
}

fn open(path: &Path) -> fs::File {
    fs::File::open(path).expect("the file was written")
}

fn value(key: usize) -> String {
    format!("value-{key}-{}", "x".repeat(key % 64))
}

/// A SET for each key, in Redis' protocol.
fn pipeline() -> String {
    (0..KEYS).fold(String::new(), |mut text, key| {
        let (name, value) = (format!("key:{key}"), value(key));
        write!(text, "*3\r\n$3\r\nSET\r\n${}\r\n{name}\r\n${}\r\n{value}\r\n", name.len(), value.len())
            .expect("a string takes it");
        text
    })
}

fn ask_for_all() -> String {
    let names: Vec<_> = (0..KEYS).map(|key| format!("key:{key}")).collect();
    format!("MGET {}\n", names.join(" "))
}

/// As redis-cli prints the answer where nobody looks: a line each.
fn all_values() -> String {
    (0..KEYS).map(|key| value(key) + "\n").collect()
}
