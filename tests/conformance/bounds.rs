//! What one session may cost the others, the server's memory, and its end.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread,
    time::Duration,
};

use evenkeel::config::Trigger;
use rustix::process::Signal;

use crate::{
    client::{Client, Pattern, Target},
    exchange::{self, Stream, UNBOUNDED},
    site::{Site, for_each},
    support::{eventually, total},
};

/// A connection that always has more to read than a turn may take doesn't keep the others of its worker waiting.
/// Each message costs the worker more time than the client needs to send the next: a worker that read until
/// there is nothing left would never come to an end with it.
#[test]
fn a_firehose_starves_nobody() {
    const MICE: usize = 4;
    const ROUNDS: usize = 50;
    /// What the firehose may move meanwhile: some thousand turns, where a fair worker needs a few a round.
    const BYTES_MAX: usize = 256 << 20;
    for_each(Trigger::ALL, |_, trigger, seed| {
        let flags =
            ["--workers", "1", "--budget", "16k", "--work", "spin:fixed:200us", "--trigger", trigger.name()];
        let site = Site::start(&flags, seed);
        let (hungry, flows) = (AtomicUsize::new(MICE), AtomicBool::new(false));
        let moved = thread::scope(|scope| {
            let firehose = scope.spawn(|| firehose(&site, BYTES_MAX, &flows, || hungry.load(Relaxed) == 0));
            eventually("the firehose flows", || flows.load(Relaxed).then_some(()));
            for mouse in 0..MICE {
                let (site, hungry) = (&site, &hungry);
                scope.spawn(move || {
                    let client = site.connect();
                    (0..ROUNDS).for_each(|round| client.ping(site.pattern.at(mouse + round, 64)));
                    site.enter(&site.books.bytes, ROUNDS * 64);
                    hungry.fetch_sub(1, Relaxed);
                });
            }
            firehose.join().expect("its bytes came back")
        });
        assert!(moved < BYTES_MAX, "the mice starved while {moved} bytes went through the firehose");
        site.end();
    });
}

/// One connection at full speed in both directions, until `is_enough` or so many bytes. Says how many it moved.
fn firehose(site: &Site, most: usize, flows: &AtomicBool, is_enough: impl Fn() -> bool + Sync) -> usize {
    let client = site.connect();
    let moved = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut sent = 0;
            while sent < most && !is_enough() {
                client.send(site.pattern.at(sent, Pattern::PART_MAX));
                sent += Pattern::PART_MAX;
            }
            client.finish();
            sent
        });
        let (mut buffer, mut received) = (vec![0; Pattern::PART_MAX], 0);
        while let Ok(more @ 1..) = client.receive(&mut buffer) {
            assert!(buffer[..more] == *site.pattern.at(received, more), "wrong after {received} bytes");
            received += more;
            flows.store(true, Relaxed);
        }
        assert_eq!(writer.join().expect("it sends"), received, "sent, received");
        received
    });
    site.enter(&site.books.bytes, moved);
    moved
}

/// Clients that write and don't read cost the server 64 KiB of backlog each, in chunks of 16, and no more.
#[test]
fn stopped_readers_cost_bounded_memory() {
    const CLIENTS: usize = 24;
    const EACH_KIB: usize = 64 + 2 * 16;
    /// The pool of spare chunks, and what an allocator and a debug build take besides.
    const SLACK_KIB: usize = 1024 + 1024;
    for_each(Trigger::ALL, |_, trigger, seed| {
        let site = Site::start(&["--workers", "1", "--trigger", trigger.name()], seed);
        let stream = Stream { start: 0, len: UNBOUNDED };
        exchange::everything(&site);
        let before_kib = anonymous_kib(&site);
        let stopped: Vec<(Client, usize)> = (0..CLIENTS)
            .map(|_| {
                let client = site.connect_narrow();
                let sent = stream.fill(&site, &client);
                assert!(sent < stream.len, "{sent} bytes were taken from a client that reads nothing");
                (client, sent)
            })
            .collect();
        let grown_kib = anonymous_kib(&site).saturating_sub(before_kib);
        assert!(grown_kib <= CLIENTS * EACH_KIB + SLACK_KIB, "{grown_kib} KiB for {CLIENTS} stopped readers");
        let other = site.connect();
        other.ping(b"served meanwhile");
        for (client, sent) in stopped {
            Stream { len: sent, ..stream }.expect(&site, &client, 0);
            site.enter(&site.books.bytes, sent);
        }
        site.enter(&site.books.bytes, 16);
        drop(other);
        site.end();
    });
}

fn anonymous_kib(site: &Site) -> usize {
    let status = site.server.proc("status");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("Linux 4.5 or later");
    line.trim().trim_end_matches(" kB").parse().expect("a number of kB")
}

/// The silent one ends, by FIN and counted; the one that talks outlives two of them.
#[test]
fn only_the_silent_time_out() {
    for_each(Trigger::ALL, |_, trigger, seed| {
        let site =
            Site::start(&["--workers", "1", "--idle-timeout", "1s", "--trigger", trigger.name()], seed);
        let talker = site.connect();
        let mut rounds = 0;
        for _ in 0..2 {
            let ended = AtomicBool::new(false);
            thread::scope(|scope| {
                scope.spawn(|| {
                    let silent = site.connect();
                    silent.expect_end();
                    ended.store(true, Relaxed);
                });
                while !ended.load(Relaxed) {
                    talker.ping(b"still here");
                    rounds += 1;
                    thread::sleep(Duration::from_millis(5));
                }
            });
        }
        site.enter(&site.books.bytes, 10 * rounds);
        site.enter(&site.books.timeouts, 2);
        talker.finish();
        talker.expect_end();
        site.end();
    });
}

/// A client that neither says nor takes anything is silent too, whatever it has sent before.
#[test]
fn a_stopped_reader_times_out() {
    for_each(Trigger::ALL, |_, trigger, seed| {
        let flags = ["--workers", "1", "--idle-timeout", "500ms", "--trigger", trigger.name()];
        let mut site = Site::start(&flags, seed);
        let (client, stream) = backlogged(&mut site);
        site.enter(&site.books.doubtful_bytes, stream.len);
        site.enter(&site.books.timeouts, 1);
        eventually("its session ends", || (total(&site.interim(), "active") == 0).then_some(()));
        drop(client);
        site.end();
    });
}

/// A stop leaves a session the time to get rid of what it has: the client gets every byte, then FIN.
#[test]
fn a_drain_delivers_the_backlog() {
    for_each(Trigger::ALL, |_, trigger, seed| {
        let mut site = Site::start(&["--workers", "1", "--drain", "1h", "--trigger", trigger.name()], seed);
        let (client, stream) = backlogged(&mut site);
        site.server.signal(Signal::TERM);
        until_refused(&site);
        stream.expect(&site, &client, 0);
        client.expect_end();
        drop(client);
        site.enter(&site.books.bytes, stream.len);
        site.wait();
    });
}

/// A client that never reads is cut off when the drain time is over, and counted.
#[test]
fn a_drain_ends() {
    for_each(Trigger::ALL, |_, trigger, seed| {
        let mut site =
            Site::start(&["--workers", "1", "--drain", "300ms", "--trigger", trigger.name()], seed);
        let (client, stream) = backlogged(&mut site);
        site.server.signal(Signal::TERM);
        site.enter(&site.books.doubtful_bytes, stream.len);
        site.enter(&site.books.drain_cuts, 1);
        let report = site.wait();
        assert!(total(&report, "bytes_undelivered") > 0, "{}", report["totals"]);
        drop(client);
    });
}

/// A client of a server with one worker that has sent so much without reading that the server holds a backlog
/// for it for good, while the client itself holds back nothing.
fn backlogged(site: &mut Site) -> (Client, Stream) {
    const LOOKS: usize = 5;
    let client = site.connect_narrow();
    let mut stream = Stream { start: 17, len: 0 };
    loop {
        let sent = stream.len;
        stream.len += 32 << 10;
        stream.send(site, &client, sent, || Pattern::PART_MAX);
        let mut looks = 0;
        let is_backlogged = eventually("all is echoed, or the server holds a backlog", || {
            let report = site.interim();
            let (bytes_in, bytes_out) = (total(&report, "bytes_in"), total(&report, "bytes_out"));
            looks = if bytes_in > bytes_out { looks + 1 } else { 0 };
            (looks >= LOOKS || bytes_out == stream.len as u64).then_some(looks >= LOOKS)
        });
        if is_backlogged {
            return (client, stream);
        }
    }
}

/// The server has closed its listeners. A connection that it still took gets FIN.
fn until_refused(site: &Site) {
    let Target::Tcp(address) = site.target else { panic!("{:?}", site.target) };
    eventually("the server takes no more connections", || match std::net::TcpStream::connect(address) {
        Ok(_) => {
            site.enter(&site.books.doubtful_connects, 1);
            None
        }
        Err(_) => Some(()),
    });
}

/// A client that neither reads the end nor closes is waited for, not polled for.
#[test]
fn a_stop_does_not_spin_while_clients_stay() {
    const ITERATIONS_MAX: u64 = 200;
    for_each(Trigger::ALL, |_, trigger, seed| {
        let site = Site::start(&["--workers", "1", "--trigger", trigger.name()], seed);
        let client = site.connect();
        client.ping(b"hello");
        site.enter(&site.books.bytes, 5);
        site.server.signal(Signal::TERM);
        let report = site.wait();
        let iterations = report["histograms"]["iteration"]["count"].as_u64().expect("a count");
        assert!(iterations <= ITERATIONS_MAX, "{iterations} iterations for one message and a stop");
        drop(client);
    });
}
