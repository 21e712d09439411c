//! Readiness told in ways that mislead: ends before data, ends for ever, ends of somebody else.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use evenkeel::config::Forward;

use crate::support::{
    Server,
    client::{Client, End},
    namespace::{Namespace, within},
    proxy::{PATTERN, Site, Way, everywhere, expect_stream, fill, for_each, send_stream},
    total,
};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// How long a proxy is watched doing nothing.
const WATCHED: Duration = Duration::from_secs(1);

/// Data, FIN and the end of the whole connection are told at once, with more to read than a buffer or a pipe holds.
#[test]
fn hup_before_in() {
    let namespace = Namespace::new();
    if let Some(namespace) = &namespace {
        namespace.set("ipv4/tcp_rmem", "4096 2097152 2097152");
    }
    // Without that, the proxy's sockets take no more than a small buffer.
    let unread = if namespace.is_some() { 300 * KIB } else { 50 * KIB };
    everywhere(|way| {
        let site = Site::start_in(namespace.as_ref(), way, &[]);
        for is_backwards in [false, true] {
            for other_has_ended in [false, true] {
                for end in [End::Fin, End::Reset] {
                    within(namespace.as_ref(), || {
                        let (client, upstream) = site.acquainted_pair();
                        let ends = if is_backwards { (upstream, client) } else { (client, upstream) };
                        all_at_once(&site, ends, unread, other_has_ended, end);
                    });
                }
            }
        }
        site.end();
    });
}

fn all_at_once(site: &Site, ends: (Client, Client), unread: usize, other_has_ended: bool, end: End) {
    let (first, second) = ends;
    if other_has_ended {
        second.finish();
        first.expect_end();
    }
    let first = site.while_frozen(|| {
        send_stream(&first, 0, unread);
        first.flush();
        match end {
            End::Fin => {
                first.finish();
                Some(first)
            }
            End::Reset => {
                first.reset();
                None
            }
        }
    });
    expect_stream(&second, 0, unread);
    assert_eq!(second.drain(), (0, end), "other has ended: {other_has_ended}");
    drop(first);
}

/// A busy stream.
pub fn bulk_stream(first: &Client, second: &Client) {
    const LEN: usize = 4 * MIB;
    thread::scope(|scope| {
        scope.spawn(|| send_stream(first, 0, LEN));
        expect_stream(second, 0, LEN);
    });
}

/// An upstream that has said all and gone by the time its connection is noticed isn't down.
#[test]
fn hup_while_connecting() {
    const SESSIONS: usize = 50;
    everywhere(|way| {
        let site = Site::start(way, &[]);
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..SESSIONS {
                    site.accept().send(b"hello and good bye");
                }
            });
            for _ in 0..SESSIONS {
                let client = site.connect();
                client.expect(b"hello and good bye");
                client.expect_end();
            }
        });
        let books = site.end();
        books.assert_codes(&["UD"]);
        assert_eq!(total(&books.report, "connects_failed"), 0);
        assert_eq!(total(&books.report, "connects"), SESSIONS as u64);
    });
}

/// An upstream that resets each connection as soon as it is there: no answer, and not one that looks whole.
#[test]
fn reset_while_connecting() {
    everywhere(|way| {
        let site = Site::start(way, &["--retries", "1"]);
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                site.upstream.set_nonblocking(true).expect("it is a socket");
                while !is_over.load(Relaxed) {
                    site.upstream
                        .accept()
                        .map_or_else(|_| thread::yield_now(), |(it, _)| Client::from(it).reset());
                }
            });
            for _ in 0..5 {
                site.connect().expect_reset();
            }
            is_over.store(true, Relaxed);
        });
        site.end().assert_codes(&["FC", "uW"]);
    });
}

/// Pairs with an end that nobody can act upon cost no wakeups, and none of them outlives its timer.
#[test]
fn wake_loop() {
    let scenes = [quiet as fn(&Site) -> Vec<Client>, reset_before_a_stalled_reader];
    let scenes: Vec<_> = Way::all().into_iter().flat_map(|way| scenes.map(|scene| (way, scene))).collect();
    let namespace = Namespace::narrow();
    let prepare = |(way, scene): (Way, fn(&Site) -> Vec<Client>)| {
        let flags = ["--idle-timeout", "4s", "--half-closed-timeout", "4s"];
        let site = Site::start_in(namespace.as_ref(), way, &flags);
        let ends = within(namespace.as_ref(), || scene(&site));
        (way, site, ends)
    };
    let prepare = &prepare;
    let prepared: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = scenes.into_iter().map(|scene| scope.spawn(move || prepare(scene))).collect();
        threads.into_iter().map(|thread| thread.join().expect("it can be prepared")).collect()
    });
    let watched: Vec<_> = prepared.iter().map(|(_, site, _)| Watch::begin(&site.proxy)).collect();
    thread::sleep(WATCHED);
    let seen: Vec<_> =
        prepared.iter().zip(watched).map(|((_, site, _), watch)| watch.end(&site.proxy)).collect();
    let numbers: Vec<_> = (0..prepared.len()).collect();
    for_each(&numbers, |number| {
        let (way, site, ends) = &prepared[number];
        assert_calm(&seen[number], &format!("{way}, {} ends, {:?}", ends.len(), site.proxy.ready));
    });
    for (way, site, ends) in prepared {
        // Their ends are still there, so that only a timer ends them.
        println!("{way}: {:?}", site.end().codes());
        drop(ends);
    }
}

/// A pair of each kind that has nothing to do, though epoll could go on telling that there is something.
fn quiet(site: &Site) -> Vec<Client> {
    let mut ends = Vec::new();
    for is_backwards in [false, true] {
        let pair = |(client, upstream)| if is_backwards { (upstream, client) } else { (client, upstream) };
        // Half-closed; half-closed behind bytes that nobody takes; and the other way blocked.
        let (ended, silent) = pair(site.pair());
        ended.finish();
        silent.expect_end();
        let (stalled, stalling) = pair(site.narrow_pair());
        fill(&stalled, 64 * MIB);
        let (ended_behind, stalling_behind) = pair(site.narrow_pair());
        fill(&ended_behind, 64 * MIB);
        ended_behind.finish();
        let (blocked, silent_end) = pair(site.narrow_pair());
        silent_end.finish();
        blocked.expect_end();
        fill(&blocked, 64 * MIB);
        ends.extend([ended, silent, stalled, stalling, ended_behind, stalling_behind, blocked, silent_end]);
    }
    ends
}

/// What the proxy holds can't be delivered, and its source is gone.
fn reset_before_a_stalled_reader(site: &Site) -> Vec<Client> {
    let (client, stalling_upstream) = site.narrow_pair();
    fill(&client, 64 * MIB);
    client.reset();
    let (stalling_client, upstream) = site.narrow_pair();
    fill(&upstream, 64 * MIB);
    upstream.reset();
    vec![stalling_upstream, stalling_client]
}

/// What a proxy did in a while.
struct Watch {
    start: Instant,
    sleeps: u64,
    ticks: u64,
}

impl Watch {
    fn begin(proxy: &Server) -> Self {
        Self { start: Instant::now(), sleeps: proxy.sleeps(), ticks: proxy.cpu_ticks() }
    }

    fn end(self, proxy: &Server) -> Self {
        let start = self.start;
        Self { start, sleeps: proxy.sleeps() - self.sleeps, ticks: proxy.cpu_ticks() - self.ticks }
    }
}

/// Spinning would be tens of thousands of wakeups, or a core's whole time. A session that waits for the last byte
/// to be acknowledged looks for it now and then.
fn assert_calm(seen: &Watch, what: &str) {
    let seconds = seen.start.elapsed().as_secs_f64();
    assert!((seen.sleeps as f64) < 200.0 * seconds, "{} wakeups in {seconds} s: {what}", seen.sleeps);
    // A tick is 10 ms.
    assert!(seen.ticks as f64 * 0.01 < seconds / 4.0, "{} ticks in {seconds} s: {what}", seen.ticks);
}

/// Sessions end by both of their sockets while others come and get the same descriptors, all in one batch.
#[test]
fn stale_event() {
    const SESSIONS: usize = 40;
    everywhere(|way| {
        let mut site = Site::start(way, &[]);
        let mut pairs: Vec<_> = (0..SESSIONS).map(|_| site.acquainted_pair()).collect();
        for round in 0..10 {
            let waiting: Vec<_> = site.while_frozen(|| {
                for (number, (client, upstream)) in pairs.drain(..).enumerate() {
                    client.send(b"last words");
                    upstream.send(b"last words");
                    // Both, or one by reset and the other in good order.
                    if (number + round) % 3 != 0 {
                        client.reset()
                    } else {
                        drop(client)
                    }
                    if (number + round) % 3 != 1 { upstream.reset() } else { drop(upstream) }
                }
                let connect = |number| {
                    let client = site.connect();
                    send_stream(&client, number, 100);
                    client
                };
                (0..SESSIONS).map(connect).collect()
            });
            pairs = pair_up(&site, waiting);
        }
        drop(pairs);
        let report = site.forget();
        assert_eq!(total(&report, "accepted"), 11 * SESSIONS as u64);
        site.end();
    });
}

/// Finds the other end of each client by what it has sent, and answers.
fn pair_up(site: &Site, clients: Vec<Client>) -> Vec<(Client, Client)> {
    let mut clients: Vec<_> = clients.into_iter().map(Some).collect();
    let count = clients.len();
    let paired = (0..count).map(|_| {
        let upstream = site.accept();
        let mut bytes = [0; 100];
        let len = upstream.receive(&mut bytes).expect("a live connection");
        let sent = |number: &usize| bytes[..len] == *PATTERN.at(*number, len);
        let number = (0..count).find(sent).expect("one client sent it");
        let client = clients[number].take().expect("no session gets what another sent");
        expect_stream(&upstream, number + len, 100 - len);
        upstream.send(b"welcome");
        client.expect(b"welcome");
        (client, upstream)
    });
    paired.collect()
}

/// A small message that takes the way of a bulk stream isn't held back for more to come.
#[test]
fn splice_cork() {
    for way in Way::all().into_iter().filter(|way| way.forward != Forward::Copy) {
        let copy = Way { forward: Forward::Copy, ..way };
        // The machine may be busy with something else just then; a cork is there each time.
        let attempts: Vec<_> =
            (0..3).map(|_| compare(copy, way)).take_while(|fault| fault.is_some()).collect();
        assert!(attempts.len() < 3, "{way}: {attempts:?}");
    }
}

/// What is slower by far, if anything is.
fn compare(copy: Way, other: Way) -> Option<String> {
    let sites = [copy, other].map(|way| Site::start(way, &[]));
    let pairs = [sites[0].pair(), sites[1].pair()];
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..4 {
        for (client, upstream) in &pairs {
            bulk_stream(client, upstream);
        }
        for len in [1, 70_001] {
            for _ in 0..25 {
                for ((client, upstream), times) in pairs.iter().zip(&mut times) {
                    times.push(round_trip(client, upstream, len));
                }
            }
        }
    }
    drop(pairs);
    for site in sites {
        site.end();
    }
    times.iter_mut().for_each(|times| times.sort_unstable());
    let [copied, other] = times;
    let late = [50, 99].map(|percent| {
        let at = copied.len() * percent / 100;
        (other[at] > 10 * copied[at]).then(|| format!("p{percent} {:?}, copied {:?}", other[at], copied[at]))
    });
    late.into_iter().flatten().next()
}

fn round_trip(client: &Client, upstream: &Client, len: usize) -> Duration {
    let start = Instant::now();
    for (from, to) in [(client, upstream), (upstream, client)] {
        send_stream(from, 0, len);
        expect_stream(to, 0, len);
    }
    start.elapsed()
}
