//! Shares, retries, backups and ejections, as report and ledger tell them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::support::{
    Server,
    client::{Client, Target},
    evenkeel, eventually,
    proxy::{Books, Ledger, for_each},
    total,
    upstreams::{BlackHole, dead_ports},
};

/// Sessions of a run; the weights 1, 2, 3 share them evenly.
const SESSIONS: u64 = 600;
const WEIGHTS: [u64; 3] = [1, 2, 3];

/// A proxy before three echo servers of these weights.
struct Balanced {
    proxy: Server,
    echoes: Vec<Server>,
    target: Target,
}

impl Balanced {
    fn start(balance: &str, workers: &str) -> Self {
        let echoes = WEIGHTS.map(|_| Server::start(&["--workers", "1"]));
        let upstreams: Vec<_> =
            echoes.iter().zip(WEIGHTS).map(|(echo, weight)| format!("{}={weight}", echo.address())).collect();
        let proxy = Server::proxy(&upstreams, &["--balance", balance, "--workers", workers]);
        let target = Target::parse(&proxy.listening()[0]);
        Self { proxy, echoes: echoes.into(), target }
    }

    fn client(&self) -> Client {
        let client = Client::connect(&self.target);
        client.ping(b"hello");
        client
    }

    /// The report, and how many sessions each upstream had.
    fn end(self) -> [u64; 3] {
        let report = self.proxy.report();
        let upstreams = report["upstreams"].as_array().expect("one for each");
        let shares = [0, 1, 2].map(|number: usize| count(&upstreams[number], "connected"));
        assert_eq!(shares.iter().sum::<u64>(), SESSIONS);
        assert_eq!(total(&report, "connects"), SESSIONS);
        for (upstream, (echo, share)) in upstreams.iter().zip(self.echoes.into_iter().zip(shares)) {
            assert_eq!(upstream["address"], echo.address().to_string());
            assert_eq!((count(upstream, "active"), count(upstream, "failed")), (0, 0), "{upstream}");
            assert_eq!((count(upstream, "bytes_to"), count(upstream, "bytes_from")), (5 * share, 5 * share));
            assert_eq!(total(&echo.report(), "accepted"), share, "what the upstream itself counts");
        }
        shares
    }
}

fn count(object: &Value, name: &str) -> u64 {
    object[name].as_u64().unwrap_or_else(|| panic!("no {name}: {object}"))
}

#[test]
fn round_robin_is_exact() {
    let balanced = Balanced::start("round-robin", "1");
    (0..SESSIONS).for_each(|_| drop(balanced.client()));
    assert_eq!(balanced.end(), WEIGHTS.map(|weight| SESSIONS / 6 * weight));
}

/// Sessions that stay are what it goes by.
#[test]
fn least_connections_is_exact_where_one_worker_sees_all() {
    let balanced = Balanced::start("least-connections", "1");
    let clients: Vec<_> = (0..SESSIONS).map(|_| balanced.client()).collect();
    drop(clients);
    assert_eq!(balanced.end(), WEIGHTS.map(|weight| SESSIONS / 6 * weight));
}

/// Workers know of each other, a little late.
#[test]
fn loads_are_known_across_workers() {
    for_each(&["least-connections", "p2c"], |balance| {
        let balanced = Balanced::start(balance, "3");
        let clients: Vec<_> = (0..SESSIONS).map(|_| balanced.client()).collect();
        drop(clients);
        assert_near(balanced.end(), 20);
    });
}

/// Five times the spread that chance alone has (9, 12, 12 of 100, 200, 300) is less than this.
#[test]
fn chance_follows_the_weights() {
    for_each(&["random", "round-robin"], |balance| {
        let balanced = Balanced::start(balance, "2");
        (0..SESSIONS).for_each(|_| drop(balanced.client()));
        assert_near(balanced.end(), 62);
    });
}

/// Eight workers, and as many clients at a time: how far they are from one that chooses for all.
#[test]
fn eight_workers_are_near_one() {
    const CLIENTS: u64 = 8;
    for_each(&["least-connections", "p2c", "round-robin", "random"], |balance| {
        let balanced = Balanced::start(balance, "8");
        thread::scope(|scope| {
            let come = || (0..SESSIONS / CLIENTS).map(|_| balanced.client()).collect::<Vec<_>>();
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(come)).collect();
            let clients = clients.into_iter().map(|clients| clients.join().expect("each is served"));
            drop(clients.collect::<Vec<_>>());
        });
        let shares = balanced.end();
        println!("{balance}, 8 workers: {shares:?}");
        assert_near(shares, if balance == "random" { 62 } else { 28 });
    });
}

fn assert_near(shares: [u64; 3], distance: u64) {
    let near =
        shares.iter().zip(WEIGHTS).all(|(share, weight)| share.abs_diff(SESSIONS / 6 * weight) <= distance);
    assert!(near, "{shares:?} for the weights {WEIGHTS:?}");
}

/// Some sessions meet a dead upstream first (it is left alone for a while then), and none of them notices.
#[test]
fn retries_are_counted() {
    const CLIENTS: u64 = 50;
    let echo = Server::start(&["--workers", "1"]);
    let upstreams = [dead_ports().next().expect("a port is unused"), echo.address().to_string()];
    let proxy = Server::proxy(&upstreams, &["--balance", "round-robin", "--workers", "1"]);
    let target = Target::parse(&proxy.listening()[0]);
    for _ in 0..CLIENTS {
        Client::connect(&target).ping(b"hello");
    }
    let report = proxy.report();
    let of = |number: usize, name: &str| count(&report["upstreams"][number], name);
    let failed = of(0, "failed");
    assert!((1..=CLIENTS / 2).contains(&failed), "{failed} of {CLIENTS} met the dead one");
    assert_eq!((of(0, "connected"), of(1, "connected"), of(1, "failed")), (0, CLIENTS, 0));
    assert_eq!((total(&report, "connects"), total(&report, "connects_failed")), (CLIENTS, failed));
    assert_eq!(report["totals"]["errors"]["connect"], failed);
    echo.report();
}

/// As many failures as sessions meet a dead upstream for; a rest is twice as long as the one before.
#[test]
fn a_dead_upstream_is_met_less_and_less_often() {
    const CLIENTS: u64 = 500;
    let echo = echo();
    let upstreams = [dead_ports().next().expect("a port is unused"), echo.address().to_string()];
    let flags = ["--balance", "round-robin", "--workers", "1", "--health-eject-for", "20ms"];
    let proxy = Server::proxy(&upstreams, &flags);
    let target = Target::parse(&proxy.listening()[0]);
    (0..CLIENTS).for_each(|_| Client::connect(&target).ping(b"hello"));
    let report = proxy.report();
    let [failed, ejections] = ["failed", "ejections"].map(|name| count(&report["upstreams"][0], name));
    assert!((2..=CLIENTS / 10).contains(&failed), "{failed} of {CLIENTS} met the dead one");
    // Each of them came alone, after a rest.
    assert_eq!(failed, ejections);
    echo.report();
}

/// An upstream that neither takes nor refuses costs a client its time: one at a time, not half of all.
#[test]
fn one_session_at_a_time_finds_out_whether_an_upstream_is_well_again() {
    const WAVE: usize = 10;
    const WAVES: u64 = 5;
    let (hole, echo) = (BlackHole::new(), echo());
    let flags = ["--balance", "round-robin", "--workers", "1", "--connect-timeout", "200ms"];
    let flags = [&flags[..], &["--health-eject-for", "10ms"]].concat();
    let mut proxy = Server::proxy(&[hole.address(), echo.address().to_string()], &flags);
    let target = Target::parse(&proxy.listening()[0]);
    let wave = || {
        let clients: Vec<_> = (0..WAVE).map(|_| Client::connect(&target)).collect();
        clients.iter().for_each(|client| client.ping(b"hello"));
    };
    let failed = |proxy: &mut Server| count(&proxy.report_now()["upstreams"][0], "failed");
    wave();
    let before = failed(&mut proxy);
    assert!(before > 0, "nobody was sent to it");
    for _ in 0..WAVES {
        // Its longest rest: then it is somebody's turn.
        thread::sleep(Duration::from_millis(300));
        wave();
    }
    let after = failed(&mut proxy);
    assert!(
        (before + 1..=before + WAVES).contains(&after),
        "{before}, then {after} in {WAVES} waves of {WAVE}"
    );
    proxy.report();
    echo.report();
}

/// Its rest was to be long, but the other has gone as well.
#[test]
fn an_ejected_upstream_is_asked_when_nobody_else_is_left() {
    let [returning, gone] = [echo(), echo()];
    let addresses = [&returning, &gone].map(|echo| echo.address().to_string());
    drop((returning, gone));
    let flags =
        ["--balance", "round-robin", "--workers", "1", "--retries", "1000", "--health-eject-for", "10m"];
    let mut proxy = Server::proxy(&addresses, &flags);
    let client = Client::connect(&Target::parse(&proxy.listening()[0]));
    client.send(b"hello");
    eventually("it is ejected", || {
        let report = proxy.report_now();
        let ejections = (0..2).map(|number| count(&report["upstreams"][number], "ejections")).sum::<u64>();
        (ejections > 0).then_some(())
    });
    let returned = echo_at(&addresses[0]);
    client.expect(b"hello");
    drop(client);
    let report = proxy.report();
    assert_eq!(count(&report["upstreams"][0], "connected"), 1);
    returned.report();
}

#[test]
fn a_backup_serves_while_nobody_else_can() {
    let (first, backup) = (echo(), echo());
    let address = first.address().to_string();
    let other = backup.address().to_string();
    let flags = ["--backup", &other, "--workers", "1", "--health-eject-for", "50ms"];
    let mut proxy = Server::proxy(&[&address], &flags);
    let target = Target::parse(&proxy.listening()[0]);
    let come = || Client::connect(&target).ping(b"hello");
    let had = |proxy: &mut Server| {
        let report = proxy.report_now();
        [0, 1].map(|number: usize| count(&report["upstreams"][number], "connected"))
    };
    (0..20).for_each(|_| come());
    assert_eq!(had(&mut proxy), [20, 0]);
    drop(first);
    (0..20).for_each(|_| come());
    assert_eq!(had(&mut proxy), [20, 20], "nobody notices");
    let first = echo_at(&address);
    eventually("it is found to be well again", || {
        come();
        (had(&mut proxy)[0] > 20).then_some(())
    });
    let [_, before] = had(&mut proxy);
    (0..20).for_each(|_| come());
    assert_eq!(had(&mut proxy)[1], before);
    proxy.report();
    first.report();
    backup.report();
}

/// Whichever worker has it, whichever proxy, and in whatever order that was told of its upstreams. Where one has gone
/// nobody moves but its own sources.
#[test]
fn a_source_keeps_its_upstream() {
    let mut echoes = vec![echo(), echo(), echo()];
    let mut upstreams: Vec<_> = echoes.iter().map(|echo| echo.address().to_string()).collect();
    let before = by_source(&upstreams);
    let used: BTreeSet<_> = before.values().collect();
    assert_eq!(used.len(), upstreams.len(), "{before:?}");
    upstreams.reverse();
    assert_eq!(by_source(&upstreams), before);
    let gone = echoes.remove(0).address().to_string();
    for (source, upstream) in by_source(&upstreams) {
        assert!(upstream == before[&source] || before[&source] == gone, "{source} went to {upstream}");
        assert_ne!(upstream, gone);
    }
    echoes.into_iter().for_each(|echo| drop(echo.report()));
}

/// By source address, the upstream of each of its sessions.
fn by_source(upstreams: &[String]) -> BTreeMap<Ipv4Addr, String> {
    let ledger = Ledger::new();
    let file = ledger.file();
    let flags = [&["--balance", "maglev", "--workers", "4"][..], &Ledger::arguments(&file)].concat();
    let proxy = Server::proxy(upstreams, &flags);
    let target = Target::parse(&proxy.listening()[0]);
    for source in (0..3).flat_map(|_| (1..=40).map(|host| Ipv4Addr::new(127, 0, 1, host))) {
        Client::connect_from(source.into(), &target).ping(b"hello");
    }
    let mut went = BTreeMap::new();
    for line in Books::close(proxy, &ledger).ledger {
        let [client, upstream] = ["client", "upstream"].map(|name| line[name].as_str().expect("an address"));
        let (source, _) = client.rsplit_once(':').expect("a port");
        let source = source.parse().expect("an address");
        let before = went.insert(source, upstream.to_owned());
        assert!(before.is_none_or(|before| before == upstream), "{source} went elsewhere too");
    }
    went
}

fn echo() -> Server {
    Server::start(&["--workers", "1"])
}

/// Where there was one before.
fn echo_at(address: &str) -> Server {
    let flags = ["echo", "--listen", address, "--report", "json", "--workers", "1"];
    Server::start_with(evenkeel(), &flags)
}
