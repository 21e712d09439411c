//! A stop: sessions finish, or are reset when the drain time is over or whoever stops it loses patience.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{
    client::Client,
    eventually,
    proxy::{Books, Site, Way, everywhere, expect_stream, listen, send_stream},
    total,
    upstreams::BlackHole,
};

/// A session that would go on for ever if it were let.
const FOR_EVER: &str = "24h";

#[test]
fn sessions_finish() {
    everywhere(|way| {
        let site = Site::start(way, &["--drain", FOR_EVER]);
        let pairs = [site.acquainted_pair(), site.pair(), site.acquainted_pair()];
        pairs[2].0.finish();
        site.proxy.signal(Signal::TERM);
        site.until_closed();
        for (number, (client, upstream)) in pairs.into_iter().enumerate() {
            for (from, to) in [(&upstream, &client), (&client, &upstream)] {
                // One has ended its stream already.
                if number < 2 || std::ptr::eq(from, &upstream) {
                    send_stream(from, 0, 300_000);
                    expect_stream(to, 0, 300_000);
                    from.finish();
                }
                to.expect_end();
            }
        }
        let books = site.wait();
        books.assert_codes(&["UD", "CW"]);
        assert_eq!(total(&books.report, "drain_cut"), 0);
    });
}

/// What the kernel has taken for it is served: it was promised.
#[test]
fn what_is_queued_is_served() {
    const CLIENTS: usize = 10;
    everywhere(|way| {
        let site = Site::start(way, &["--drain", FOR_EVER]);
        let clients: Vec<_> = site.while_frozen(|| {
            let clients = (0..CLIENTS).map(|_| site.connect()).collect();
            site.proxy.signal(Signal::TERM);
            clients
        });
        clients.iter().for_each(|client| client.send(b"question"));
        for _ in &clients {
            let upstream = site.accept();
            upstream.expect(b"question");
            upstream.send(b"answer");
        }
        clients.iter().for_each(|client| client.expect(b"answer"));
        clients.iter().for_each(Client::expect_end);
        drop(clients);
        site.wait().assert_codes(&["UD"]);
    });
}

/// A session that is still connecting is one of those that may finish.
#[test]
fn connecting_goes_on() {
    let hole = BlackHole::new();
    let flags = ["--drain", FOR_EVER, "--connect-timeout", "20s", "--connect-total-timeout", "20s"];
    let way = Way::DEFAULT;
    let site = Site::before(listen("127.0.0.1:0"), &[hole.address()], way, &flags);
    let client = site.connect();
    client.send(b"question");
    client.finish();
    eventually("the client is accepted", || site.has_sessions().then_some(()));
    site.proxy.signal(Signal::TERM);
    site.until_closed();
    hole.open();
    let answered = loop {
        let (upstream, from) = hole.listener.accept().expect("it listens");
        if !hole.is_filler(from) {
            break Client::from(upstream);
        }
    };
    answered.expect(b"question");
    answered.send(b"answer");
    drop(answered);
    client.expect(b"answer");
    client.expect_end();
    drop(client);
    site.wait().assert_codes(&["CW"]);
}

/// Each side is reset, so that none takes its stream for whole; and not before its time.
#[test]
fn the_end_of_the_drain_time_resets() {
    const DRAIN: Duration = Duration::from_millis(200);
    everywhere(|way| {
        let site = Site::start(way, &["--drain", "200ms"]);
        let pairs = [site.acquainted_pair(), site.pair()];
        let start = Instant::now();
        site.proxy.signal(Signal::TERM);
        for (client, upstream) in &pairs {
            client.expect_reset();
            upstream.expect_reset();
        }
        assert!(start.elapsed() >= DRAIN, "cut off after {:?}", start.elapsed());
        let books = site.wait();
        books.assert_codes(&["DW"]);
        assert_eq!(total(&books.report, "drain_cut"), 2);
    });
}

#[test]
fn a_second_signal_resets_at_once() {
    everywhere(|way| {
        let site = Site::start(way, &["--drain", FOR_EVER]);
        let pairs = [site.acquainted_pair(), site.pair()];
        site.proxy.signal(Signal::TERM);
        site.until_closed();
        assert!(pairs.iter().all(|(client, upstream)| !client.has_news() && !upstream.has_news()));
        site.proxy.signal(Signal::INT);
        for (client, upstream) in &pairs {
            client.expect_reset();
            upstream.expect_reset();
        }
        let books: Books = site.wait();
        books.assert_codes(&["DW"]);
        assert_eq!(total(&books.report, "drain_cut"), 2);
    });
}
