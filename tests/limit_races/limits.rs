//! What each limit of a service does to the one who is one too many.

use std::{
    net::{IpAddr, SocketAddr, TcpListener},
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};

use crate::support::{
    Server,
    client::{Client, Target},
    eventually,
    proxy::{Books, Ledger, Site, address_of, listen},
    total,
};

/// A proxy with so many workers and these limits.
fn site(workers: &str, flags: &[&str]) -> Site {
    let upstream = listen("127.0.0.1:0");
    let address = address_of(&upstream).to_string();
    site_before(upstream, &[address], workers, flags)
}

fn site_before(upstream: TcpListener, upstreams: &[String], workers: &str, flags: &[&str]) -> Site {
    let ledger = Ledger::new();
    let file = ledger.file();
    let flags = [&["--workers", workers][..], &Ledger::arguments(&file), flags].concat();
    Site::of(Server::proxy(upstreams, &flags), upstream, ledger)
}

/// Waits until so many wait in the queue.
fn until_queued(site: &mut Site, sessions: u64) {
    eventually("they wait in the queue", || {
        (total(&site.proxy.report_now(), "queued") == sessions).then_some(())
    });
}

/// How many sessions ended with a code.
fn ended(books: &Books, code: &str) -> usize {
    books.codes().get(code).copied().unwrap_or(0)
}

#[test]
fn one_too_many_is_reset_and_told_why() {
    let site = site("2", &["--limit-connections", "2"]);
    let (first, second) = (site.acquainted_pair(), site.acquainted_pair());
    site.connect().expect_reset();
    drop(first);
    eventually("it has ended", || (site.ledger().len() == 2).then_some(()));
    let third = site.acquainted_pair();
    drop((second, third));
    let books = site.end();
    assert_eq!((ended(&books, "LC"), total(&books.report, "refused_limit")), (1, 1));
}

#[test]
fn who_waits_is_served_in_order_and_told_how_long() {
    let mut site = site("1", &["--limit-connections", "1", "--limit-queue", "3"]);
    let (served, at_upstream) = site.acquainted_pair();
    let mut waiting = Vec::new();
    for name in [b"a", b"b", b"c"] {
        let client = site.connect();
        client.send(name);
        waiting.push(client);
        until_queued(&mut site, waiting.len() as u64);
    }
    // The queue is full.
    site.connect().expect_reset();
    let mut last = (served, at_upstream);
    for name in [b"a", b"b", b"c"] {
        drop(last);
        let upstream = site.accept();
        upstream.expect(name);
        last = (waiting.remove(0), upstream);
    }
    drop(last);
    let books = site.end();
    assert_eq!(ended(&books, "LC"), 1);
    assert_eq!(total(&books.report, "queued_max"), 3);
    let queued =
        books.ledger.iter().filter(|line| line["queued_ns"].as_u64().is_some_and(|queued_ns| queued_ns > 0));
    assert_eq!(queued.count(), 3);
}

#[test]
fn who_waits_too_long_is_reset() {
    let flags = ["--limit-connections", "1", "--limit-queue", "5", "--limit-queue-timeout", "100ms"];
    let site = site("2", &flags);
    let pair = site.acquainted_pair();
    let waiting: Vec<_> = (0..5).map(|_| site.connect()).collect();
    waiting.iter().for_each(Client::expect_reset);
    drop(pair);
    let books = site.end();
    assert_eq!(ended(&books, "TQ"), 5);
    assert_eq!(total(&books.report, "refused_limit"), 5);
    assert_eq!((total(&books.report, "queued"), total(&books.report, "queued_max") > 0), (0, true));
}

/// Its place in the queue goes to another, and its turn to the next.
#[test]
fn who_leaves_the_queue_makes_room_in_it() {
    let mut site = site("1", &["--limit-connections", "1", "--limit-queue", "2"]);
    let pair = site.acquainted_pair();
    let (gone, next) = (site.connect(), site.connect());
    until_queued(&mut site, 2);
    gone.reset();
    until_queued(&mut site, 1);
    let last = site.connect();
    until_queued(&mut site, 2);
    drop(pair);
    for client in [next, last] {
        let upstream = site.accept();
        client.send(b"!");
        upstream.expect(b"!");
        drop((client, upstream));
    }
    let books = site.end();
    assert_eq!((ended(&books, "cQ"), books.ledger.len()), (1, 4));
}

/// What one worker has cached is there for the other one, to the last slot.
#[test]
fn an_idle_worker_lends() {
    const LIMIT: usize = 64;
    for queue in ["0", "1"] {
        let flags = ["--accept", "dealt", "--limit-connections", "64", "--limit-queue", queue];
        let site = site("2", &flags);
        // Each worker in turn: both have had sessions, and have cached what they got for them.
        let pairs: Vec<_> = (0..10).map(|_| site.acquainted_pair()).collect();
        drop(pairs);
        eventually("they have ended", || (site.ledger().len() == 10).then_some(()));
        // Those of the second worker end at once: in the end the first has all the slots.
        let mut kept = Vec::new();
        while kept.len() < LIMIT {
            kept.push(site.acquainted_pair());
            if kept.len() < LIMIT {
                drop(site.acquainted_pair());
                let lines = 10 + kept.len();
                eventually("it has ended", || (site.ledger().len() >= lines).then_some(()));
            }
        }
        let one_too_many = site.connect();
        match queue {
            "0" => one_too_many.expect_reset(),
            _ => {
                drop(kept.pop());
                site.accept();
            }
        }
        drop(one_too_many);
        drop(kept);
        let books = site.end();
        assert_eq!(ended(&books, "LC"), usize::from(queue == "0"));
        let workers: Vec<_> = books.ledger.iter().filter_map(|line| line["worker"].as_u64()).collect();
        assert!(workers.contains(&0) && workers.contains(&1), "{workers:?}");
    }
}

#[test]
fn each_listener_has_a_limit_of_its_own() {
    let site = site("2", &["--listen", "127.0.0.1:0", "--limit-listener", "1"]);
    let other = Target::parse(&site.proxy.listening()[1]);
    let one = site.acquainted_pair();
    let client = Client::connect(&other);
    let two = (client, site.accept());
    for target in [&site.target, &other] {
        Client::connect(target).expect_reset();
    }
    drop((one, two));
    assert_eq!(ended(&site.end(), "LC"), 2);
}

#[test]
fn each_source_has_a_limit_of_its_own() {
    let site = site("2", &["--limit-per-source", "2"]);
    let address = site.proxy.address();
    let connect = |source: &str| {
        let client = connect_from(source, address);
        (client, site.accept())
    };
    let pairs = [connect("127.0.0.2"), connect("127.0.0.2"), connect("127.0.0.3")];
    connect_from("127.0.0.2", address).expect_reset();
    let last = connect("127.0.0.3");
    connect_from("127.0.0.3", address).expect_reset();
    drop((pairs, last));
    eventually("they have ended", || (site.ledger().len() == 6).then_some(()));
    drop((connect("127.0.0.2"), connect("127.0.0.2")));
    let books = site.end();
    assert_eq!((ended(&books, "LC"), total(&books.report, "refused_limit")), (2, 2));
}

/// Those at their limit are passed over; when all are, whoever comes waits for the first that has room.
#[test]
fn each_upstream_has_a_limit_of_its_own() {
    let (one, other) = (listen("127.0.0.1:0"), listen("127.0.0.1:0"));
    let upstreams = [&one, &other].map(|upstream| address_of(upstream).to_string());
    let flags = ["--balance", "least-connections", "--limit-upstream", "2", "--limit-queue", "1"];
    let mut site = site_before(one, &upstreams, "2", &flags);
    let clients: Vec<_> = (0..4).map(|_| site.connect()).collect();
    let at_one: Vec<_> = (0..2).map(|_| site.accept()).collect();
    let mut at_other: Vec<_> = (0..2).map(|_| Client::accept(&other)).collect();
    let waiting = site.connect();
    until_queued(&mut site, 1);
    site.connect().expect_reset();
    // After a first byte, as a session that is reset unused goes to somebody else.
    let gone = at_other.pop().expect("there are two");
    gone.send(b"!");
    gone.reset();
    let served = Client::accept(&other);
    waiting.send(b"!");
    served.expect(b"!");
    drop((clients, at_one, at_other, waiting, served));
    let books = site.end();
    assert_eq!((ended(&books, "LC"), books.ledger.len()), (1, 6));
}

/// An upstream that refuses gives its slot back each time, and the session goes to the other one.
#[test]
fn failed_attempts_hold_no_slot() {
    let upstream = listen("127.0.0.1:0");
    let dead = {
        let gone = listen("127.0.0.1:0");
        address_of(&gone).to_string()
    };
    let upstreams = [dead, address_of(&upstream).to_string()];
    let flags = ["--balance", "round-robin", "--limit-upstream", "2", "--health-eject-after", "off"];
    let site = site_before(upstream, &upstreams, "2", &flags);
    for sessions in 1..=20 {
        drop(site.acquainted_pair());
        eventually("it has ended", || (site.ledger().len() == sessions).then_some(()));
    }
    let report = site.end().report;
    assert_eq!(total(&report, "connects"), 20);
    // If it kept its slots it would be passed over after two.
    assert!(total(&report, "connects_failed") > 5);
}

#[test]
fn who_comes_too_fast_is_reset() {
    let site = site("2", &["--limit-accept-rate", "1/m"]);
    let pair = site.acquainted_pair();
    (0..5).for_each(|_| site.connect().expect_reset());
    drop(pair);
    assert_eq!(ended(&site.end(), "LC"), 5);
}

#[test]
fn who_comes_too_fast_waits_for_its_time() {
    const INTERVAL: Duration = Duration::from_millis(100);
    let site = site("2", &["--limit-accept-rate", "10/s", "--limit-queue", "3"]);
    let start = Instant::now();
    let clients: Vec<_> = (0..4).map(|_| site.connect()).collect();
    let upstreams: Vec<_> = (0..4).map(|_| site.accept()).collect();
    // Three intervals, less what a clock that is read once an iteration is slow by.
    assert!(start.elapsed() >= 2 * INTERVAL, "four within {:?}", start.elapsed());
    drop((clients, upstreams));
    let books = site.end();
    assert_eq!((books.ledger.len(), total(&books.report, "refused_limit")), (4, 0));
    assert!(total(&books.report, "queued_max") > 0);
}

/// Those who wait are served for as long as the drain time lasts; who is left is cut off.
#[test]
fn who_waits_at_a_stop_has_the_drain_time() {
    let flags = ["--limit-connections", "1", "--limit-queue", "2", "--drain", "1s"];
    let mut site = site("2", &flags);
    let (client, upstream) = site.acquainted_pair();
    let (waiting, left) = (site.connect(), site.connect());
    until_queued(&mut site, 2);
    site.proxy.signal(rustix::process::Signal::TERM);
    site.until_closed();
    drop((client, upstream));
    let next = site.accept();
    // Whichever of them it is, the other one never has its turn.
    let books = site.wait();
    drop((waiting, left, next));
    let cut =
        books.codes().iter().filter(|(code, _)| code.starts_with('D')).map(|(_, count)| count).sum::<usize>();
    assert_eq!((cut, ended(&books, "DQ")), (2, 1), "{:?}", books.codes());
}

/// A client with this address of its own.
fn connect_from(source: &str, to: SocketAddr) -> Client {
    let fd: OwnedFd = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .expect("a descriptor is free");
    let source: IpAddr = source.parse().expect("an address");
    bind(&fd, &SocketAddr::new(source, 0)).expect("all of 127.0.0.0/8 is this machine's");
    connect(&fd, &to).expect("the server listens");
    Client::from(std::net::TcpStream::from(fd))
}
