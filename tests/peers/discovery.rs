//! dnsmasq: names whose answers change, or stop coming, while sessions come and go.
//!
//! All its answers are good for a second, so that what changes is soon known. A load runs through each change, whose
//! clients check each byte and may not see a single error.

use std::{
    fs,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::Value;

use crate::{
    examples,
    front::Front,
    peer::{Peer, free_address, free_port, program},
    support::{
        Server, TempDir,
        client::{Client, Target},
        evenkeel, load,
    },
};

/// Where members are, all at one port: addresses of a name can't have ports of their own.
const ONE: &str = "127.0.0.11";
const OTHER: &str = "127.0.0.12";
const THIRD: &str = "127.0.0.13";
const NAME: &str = "echo.test";

/// A hundred sessions a second, until it is told to end.
const LOAD: [&str; 10] =
    ["--connections", "8", "--rate", "500", "--churn", "5", "--duration", "1h", "--warmup", "0"];

/// What counts as some sessions.
const SOME: u64 = 50;

/// Asking again after failures takes up to half a minute.
const PATIENCE: Duration = Duration::from_secs(90);

#[test]
#[ignore = "needs dnsmasq-base installed; run by .ci/run"]
fn sessions_follow_the_addresses_of_a_name() {
    let port = free_port(&[ONE, OTHER]);
    let [one, other] = [ONE, OTHER].map(|host| echo(host, port));
    let names = Names::start(&[(ONE, NAME)], &[]);
    let dir = TempDir::new();
    let mut front = names.front(&format!("dns:{NAME}:{port}"), &dir);
    until(&mut front, ONE, "is found", |member| member.state == "up");
    let held = front.connect();
    held.ping(b"before");
    let load = load::start(&front.server, &LOAD);

    names.answer(&[(OTHER, NAME)]);
    until(&mut front, ONE, "leaves", |member| member.state == "leaving");
    until_some(&mut front, OTHER);
    let gone = until(&mut front, ONE, "drains", |member| member.active == 1);
    until_some(&mut front, OTHER);
    assert_eq!(look(&mut front, ONE).connected, gone.connected, "no session goes to who has left");
    held.ping(b"who has left still serves whom it had");
    drop(held);
    until(&mut front, ONE, "is empty", |member| member.active == 0);
    drop(one);

    // It comes back, beside the other, in the place that it had.
    let one = echo(ONE, port);
    names.answer(&[(ONE, NAME), (OTHER, NAME)]);
    until(&mut front, ONE, "is back", |member| member.state == "up");
    until_some(&mut front, ONE);
    until_some(&mut front, OTHER);
    load.stop();
    front.finish();
    drop((one, other));
}

#[test]
#[ignore = "needs dnsmasq-base installed; run by .ci/run"]
fn service_records_say_who_and_how_much() {
    const SESSIONS: u64 = 400;
    let hosts = [(ONE, "one.test"), (OTHER, "other.test"), (THIRD, "third.test")];
    let ports = hosts.map(|(host, _)| free_port(&[host]));
    let members: Vec<_> = hosts.iter().zip(ports).map(|((host, _), port)| echo(host, port)).collect();
    let record = |member: usize, priority: u32, weight: u32| {
        format!("_echo._tcp.test,{},{},{priority},{weight}", hosts[member].1, ports[member])
    };
    let (light, heavy, spare) = (record(0, 10, 1), record(1, 10, 3), record(2, 20, 1));
    let mut names = Names::start(&hosts, &[&light, &heavy, &spare]);
    let dir = TempDir::new();
    let mut front = names.front("srv:_echo._tcp.test", &dir);
    for host in [ONE, OTHER, THIRD] {
        until(&mut front, host, "is found", |member| member.state == "up");
    }
    for _ in 0..SESSIONS {
        front.connect().ping(b"hello");
    }
    let [one, other, third] = [ONE, OTHER, THIRD].map(|host| look(&mut front, host).connected);
    assert_eq!((one + other, third), (SESSIONS, 0), "a spare one isn't needed");
    // Each worker takes its own turns, which may end within a round.
    assert!(one.abs_diff(SESSIONS / 4) <= 8, "{one} and {other} of weights 1 and 3");

    let load = load::start(&front.server, &LOAD);
    names.restart(&[&heavy, &spare]);
    until(&mut front, ONE, "leaves", |member| member.state != "up");
    until_some(&mut front, OTHER);
    assert_eq!(look(&mut front, THIRD).connected, 0);
    names.restart(&[&spare]);
    until(&mut front, OTHER, "leaves", |member| member.state != "up");
    until_some(&mut front, THIRD);
    load.stop();
    front.finish();
    drop(members);
}

#[test]
#[ignore = "needs dnsmasq-base installed; run by .ci/run"]
fn a_dns_server_that_is_away_is_not_missed() {
    outage(Names::kill, Duration::from_secs(5));
}

/// Nobody answers, and nobody says that nobody does.
#[test]
#[ignore = "needs dnsmasq-base installed; run by .ci/run"]
fn a_dns_server_that_is_silent_is_not_missed() {
    outage(Names::silence, Duration::from_secs(5));
}

#[test]
#[ignore = "needs dnsmasq-base installed, and two minutes; run by .ci/run full"]
fn a_dns_server_is_not_missed_for_a_whole_minute() {
    outage(Names::kill, Duration::from_secs(60));
}

/// What is known goes on to be used, and is said to be old; when answers come again, theirs is the word.
fn outage(begin: fn(&mut Names), duration: Duration) {
    let port = free_port(&[ONE, OTHER]);
    let members = [ONE, OTHER].map(|host| echo(host, port));
    let mut names = Names::start(&[(ONE, NAME)], &[]);
    let dir = TempDir::new();
    let mut front = names.front(&format!("dns:{NAME}:{port}"), &dir);
    until(&mut front, ONE, "is found", |member| member.state == "up" && !member.is_stale);
    let held = front.connect();
    held.ping(b"before");
    let load = load::start(&front.server, &LOAD);

    begin(&mut names);
    let end = Instant::now() + duration;
    until(&mut front, ONE, "is known to be old", |member| member.is_stale);
    thread::sleep(end.saturating_duration_since(Instant::now()));
    assert_eq!(look(&mut front, ONE).state, "up");
    until_some(&mut front, ONE);

    names.write_hosts(&[(OTHER, NAME)]);
    names.restart(&[]);
    until(&mut front, OTHER, "is found", |member| member.state == "up" && !member.is_stale);
    until(&mut front, ONE, "leaves", |member| member.state == "leaving");
    until_some(&mut front, OTHER);
    held.ping(b"after");
    drop(held);
    load.stop();
    until(&mut front, ONE, "is empty", |member| member.active == 0);
    front.finish();
    drop(members);
}

#[test]
#[ignore = "needs dnsmasq-base installed; run by .ci/run"]
fn the_discovery_example_finds_its_servers() {
    let (api, cache) = (free_port(&[ONE, OTHER]), free_port(&[THIRD]));
    let [one, other, third] = [(ONE, api), (OTHER, api), (THIRD, cache)].map(|(host, port)| echo(host, port));
    let spare = Server::start_with(evenkeel(), &["echo", "--listen", "127.0.0.1:0", "--report", "json"]);
    let hosts = [(ONE, "api-1.node.consul"), (OTHER, "api-2.node.consul"), (THIRD, "cache.service.consul")];
    let records = [1, 2].map(|node| format!("_api._tcp.service.consul,api-{node}.node.consul,{api},1,1"));
    let names = Names::start(&hosts, &records.each_ref().map(String::as_str));
    let dir = TempDir::new();
    let mut front = examples::front(
        "discovery",
        &dir,
        &[
            ("127.0.0.1:8600", &names.address),
            ("127.0.0.1:8090", "127.0.0.1:0"),
            ("127.0.0.1:8091", &spare.listening()[0]),
            ("127.0.0.1:8079", "127.0.0.1:0"),
            ("cache.service.consul:6379", &format!("cache.service.consul:{cache}")),
        ],
    );
    for host in [ONE, OTHER, THIRD] {
        until(&mut front, host, "is found", |member| member.state == "up");
    }
    let [apis, caches] = <[String; 2]>::try_from(front.server.listening())
        .expect("two listeners")
        .map(|at| Target::parse(&at));
    for _ in 0..20 {
        Client::connect(&apis).ping(b"api");
    }
    Client::connect(&caches).ping(b"cache");
    let [ones, others, thirds] = [ONE, OTHER, THIRD].map(|host| look(&mut front, host).connected);
    assert_eq!((ones + others, thirds), (20, 1));
    assert!(ones > 0 && others > 0, "{ones} and {others}");
    // With both gone, the spare one serves.
    drop((one, other));
    Client::connect(&apis).ping(b"spare");
    front.finish();
    drop(third);
}

/// dnsmasq on a port of its own.
struct Names {
    peer: Option<Peer>,
    address: String,
    dir: TempDir,
}

impl Names {
    /// With addresses of names, and service records: `NAME,TARGET,PORT,PRIORITY,WEIGHT`.
    fn start(hosts: &[(&str, &str)], records: &[&str]) -> Self {
        let mut names = Self { peer: None, address: free_address(), dir: TempDir::new() };
        names.write_hosts(hosts);
        names.restart(records);
        names
    }

    /// A proxy that asks it, for members at this place.
    fn front(&self, place: &str, dir: &TempDir) -> Front {
        let flags = ["--workers", "2", "--resolver", &self.address, "--balance", "round-robin"];
        Front::start_with("127.0.0.1:0", place, "auto", dir, &flags)
    }

    /// From now on names have these addresses.
    fn answer(&self, hosts: &[(&str, &str)]) {
        self.write_hosts(hosts);
        self.peer.as_ref().expect("it runs").signal(Signal::HUP);
    }

    fn write_hosts(&self, hosts: &[(&str, &str)]) {
        let text: String = hosts.iter().map(|(address, name)| format!("{address} {name}\n")).collect();
        fs::write(self.dir.file("hosts"), text).expect("a folder of ours");
    }

    /// Another one in its place, with these service records.
    fn restart(&mut self, records: &[&str]) {
        self.kill();
        let hosts = self.dir.file("hosts");
        let (address, port) = self.address.rsplit_once(':').expect("HOST:PORT");
        let mut command = Command::new(program("dnsmasq", "dnsmasq-base"));
        command.args(["--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--local-ttl=1"]);
        command.args(["--local=/test/", "--local=/consul/", "--bind-interfaces", "--log-facility=-"]);
        command.arg(format!("--addn-hosts={hosts}")).arg(format!("--listen-address={address}"));
        command.arg(format!("--port={port}"));
        command.args(records.iter().map(|record| format!("--srv-host={record}")));
        let log = self.dir.path().join("log");
        self.peer = Some(Peer::start(command, &log, &format!("read {hosts}"), Signal::TERM));
    }

    /// Nobody is there any more.
    fn kill(&mut self) {
        if let Some(peer) = self.peer.take() {
            peer.kill();
        }
    }

    /// It is still there, and says nothing.
    fn silence(&mut self) {
        self.peer.as_ref().expect("it runs").signal(Signal::STOP);
    }
}

fn echo(host: &str, port: u16) -> Server {
    let address = format!("{host}:{port}");
    Server::start_with(evenkeel(), &["echo", "--workers", "1", "--listen", &address, "--report", "json"])
}

/// What the report says of a member; of one that it doesn't name, nothing.
#[derive(Debug, Default)]
struct Member {
    state: String,
    connected: u64,
    active: u64,
    is_stale: bool,
}

fn look(front: &mut Front, host: &str) -> Member {
    let report = front.server.report_now();
    let is_there =
        |member: &&Value| member["address"].as_str().is_some_and(|at| at.contains(&format!("{host}:")));
    let all = report["upstreams"].as_array().expect("a proxy has upstreams");
    let found: Vec<_> = all.iter().filter(is_there).collect();
    assert!(found.len() <= 1, "a member has one place: {found:?}");
    let Some(member) = found.first() else { return Member::default() };
    let count = |name: &str| member[name].as_u64().unwrap_or_else(|| panic!("no {name}: {member}"));
    Member {
        state: member["state"].as_str().expect("each has a state").to_owned(),
        connected: count("connected"),
        active: count("active"),
        is_stale: member["stale"].as_bool().expect("each says whether its answer is old"),
    }
}

fn until(front: &mut Front, host: &str, what: &str, is_so: impl Fn(&Member) -> bool) -> Member {
    let start = Instant::now();
    loop {
        let member = look(front, host);
        if is_so(&member) {
            return member;
        }
        assert!(start.elapsed() < PATIENCE, "in vain: {host} {what}: {member:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until some more sessions have come to a member.
fn until_some(front: &mut Front, host: &str) {
    let before = look(front, host).connected;
    until(front, host, "is chosen", |member| member.connected >= before + SOME);
}
