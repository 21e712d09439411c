//! Shares and retries, as the report tells them.

use serde_json::Value;

use crate::support::{
    Server,
    client::{Client, Target},
    proxy::for_each,
    total,
    upstreams::dead_ports,
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
