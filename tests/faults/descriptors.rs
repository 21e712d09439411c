//! Descriptors: none is left behind, on whatever path a session ends; and what happens when there is none left.

use std::{
    process::Command,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use evenkeel::{Trigger, config::Forward};
use rustix::io::Errno;

use crate::{
    events::bulk_stream,
    support::{
        Server,
        client::{Client, End, Sent, Target},
        eventually,
        proxy::{self, Books, Ledger, PATTERN, Site, Way, everywhere, for_each},
        total,
        upstreams::{BlackHole, dead_ports},
    },
};

const KIB: usize = 1 << 10;

/// Bulk streams are cut off while there are bytes in their pipes: the pipes are closed, or come back empty.
#[test]
fn pipe_leak() {
    everywhere(|way| abort_bulk_streams(way, if way.forward == Forward::Copy { 20 } else { 200 }));
}

#[test]
#[ignore = "tens of thousands of bulk streams, for `.ci/run full`"]
fn pipe_leak_ten_thousand_times() {
    for_each(&Way::forwarders(), |way| abort_bulk_streams(way, 10_000));
}

fn abort_bulk_streams(way: Way, sessions: usize) {
    /// Spare pipes that a worker may keep, for one stream at a time on each of two workers.
    const PIPES_MAX: usize = 64;
    let mut site = Site::start(way, &[]);
    let before = site.proxy.open_pipes();
    for number in 0..sessions {
        let (client, upstream) = site.acquainted_pair();
        let (writer, reader) = if number % 2 == 0 { (client, upstream) } else { (upstream, client) };
        // More than goes through in one turn; nobody reads.
        write_in_bulk(&writer, 512 * KIB);
        match number % 3 {
            0 => writer.reset(),
            1 => reader.reset(),
            _ => (reader.reset(), writer.reset()).1,
        }
    }
    let report = site.forget();
    let pipes = site.proxy.open_pipes() - before;
    assert!(pipes <= PIPES_MAX, "{pipes} pipes after {sessions} aborts");
    if way.forward == Forward::Splice {
        assert!(total(&report, "bytes_spliced") > 0, "nothing went through a pipe");
    }
    // What a pipe still held of one stream would come out of the next.
    let (client, upstream) = site.acquainted_pair();
    bulk_stream(&client, &upstream);
    bulk_stream(&upstream, &client);
    drop((client, upstream));
    site.end();
}

fn write_in_bulk(writer: &Client, most: usize) {
    let (mut sent, mut refusals) = (0, 0);
    while sent < most && refusals < 20 {
        match writer.try_send(PATTERN.at(sent, 32 * KIB)) {
            Sent::Bytes(more) => sent += more,
            Sent::WouldBlock => {
                refusals += 1;
                thread::yield_now();
            }
        }
    }
}

/// A limit of 64 descriptors and 200 clients: those that can't be served wait or are told; nothing spins, and as
/// soon as descriptors are free it goes on.
#[test]
fn emfile_spin() {
    let echo = Server::start(&[]);
    let ways = Way::all();
    let mut full: Vec<_> = ways.iter().map(|&way| Full::start(way, &echo)).collect();
    let watched: Vec<_> = full.iter_mut().map(Full::begin_to_watch).collect();
    thread::sleep(Duration::from_secs(1));
    for (way, (mut full, before)) in ways.iter().zip(full.into_iter().zip(watched)) {
        full.assert_calm(before, way);
        full.recover();
    }
    echo.report();
}

/// A proxy without descriptors, and its clients.
struct Full {
    proxy: Server,
    ledger: Ledger,
    clients: Vec<Client>,
    served: Vec<Client>,
    reset: usize,
}

/// When watching began, and what had been done until then.
struct Before {
    start: Instant,
    wakeups: u64,
    ticks: u64,
}

impl Full {
    const DESCRIPTORS: usize = 64;
    const CLIENTS: usize = 200;

    fn start(way: Way, echo: &Server) -> Self {
        let ledger = Ledger::new();
        let file = ledger.file();
        let mut command = Command::new("prlimit");
        command.args([&format!("--nofile={}", Self::DESCRIPTORS), env!("CARGO_BIN_EXE_evenkeel")]);
        let upstream = echo.address().to_string();
        let common = ["proxy", "--listen", "127.0.0.1:0", "--upstream", &upstream, "--report", "json"];
        let flags = [&common[..], &["--workers", "2"], &way.arguments(), &Ledger::arguments(&file)].concat();
        let proxy = Server::start_with(command, &flags);
        let target = Target::parse(&proxy.listening()[0]);
        let connect = |_| {
            let client = Client::connect(&target);
            // It may have been reset already; that is told once.
            client.send_or_fail(b"hello").is_ok().then_some(client)
        };
        let clients: Vec<_> = (0..Self::CLIENTS).filter_map(connect).collect();
        let reset = Self::CLIENTS - clients.len();
        Self { proxy, ledger, clients, served: Vec::new(), reset }
    }

    /// Takes out those that have had an answer, or a reset.
    fn sort(&mut self) {
        let (told, waiting): (Vec<_>, Vec<_>) = self.clients.drain(..).partition(Client::has_news);
        self.clients = waiting;
        for client in told {
            match client.receive(&mut [0; 5]) {
                Ok(5) => self.served.push(client),
                Err(Errno::CONNRESET) => self.reset += 1,
                other => panic!("neither an answer nor a reset: {other:?}"),
            }
        }
    }

    fn begin_to_watch(&mut self) -> Before {
        eventually("it counts that it has none left", || {
            self.sort();
            (self.limit_hits() > 0 && !self.served.is_empty()).then_some(())
        });
        let wakeups = total(&self.proxy.report_now(), "wakeups");
        Before { start: Instant::now(), wakeups, ticks: self.proxy.cpu_ticks() }
    }

    fn limit_hits(&mut self) -> u64 {
        self.proxy.report_now()["totals"]["errors"]["fd_limit"].as_u64().expect("a count")
    }

    fn assert_calm(&mut self, before: Before, way: &Way) {
        let ticks = self.proxy.cpu_ticks() - before.ticks;
        let wakeups = total(&self.proxy.report_now(), "wakeups") - before.wakeups;
        let seconds = before.start.elapsed().as_secs_f64();
        // It may try again ten times a second on each of two workers, and serve a few clients meanwhile.
        assert!((wakeups as f64) < 300.0 * seconds, "{way}: {wakeups} wakeups in {seconds} s");
        // A tick is 10 ms.
        assert!(ticks as f64 * 0.01 < seconds / 4.0, "{way}: {ticks} ticks in {seconds} s");
    }

    /// Clients leave as they are served: everybody else has a turn, or is told.
    fn recover(mut self) {
        let mut served = 0;
        eventually("everybody is served or reset", || {
            self.sort();
            served += self.served.drain(..).count();
            self.clients.is_empty().then_some(())
        });
        assert_eq!(served + self.reset, Self::CLIENTS);
        let last = Client::connect(&Target::parse(&self.proxy.listening()[0]));
        last.ping(b"and now?");
        last.finish();
        last.expect_end();
        let books = Books::close(self.proxy, &self.ledger);
        let failed = books.ledger.iter().filter(|line| line["end"] == "EC").count();
        assert_eq!(failed, self.reset, "{:?}", books.codes());
        assert!(books.report["totals"]["errors"]["fd_limit"].as_u64() > Some(0));
    }
}

/// A hundred thousand connects that fail at once, and some that fail by time: nothing is left of any.
#[test]
fn connect_fd_leak() {
    // Each session tries each of ten dead upstreams once, without a pause between them.
    const UPSTREAMS: usize = 10;
    for_each(&Way::all(), |way| {
        let sessions = if way.trigger == Trigger::Edge { 10_000 } else { 300 };
        let upstreams: Vec<_> = dead_ports().take(UPSTREAMS).collect();
        let mut site = silent_site(&upstreams, way, &["--retries", "0"]);
        refused(&site, 20);
        let before = (site.forget(), site.proxy.descriptors()).1;
        refused(&site, sessions);
        let report = site.forget();
        assert!(
            site.proxy.descriptors() <= before,
            "{} descriptors, {before} before",
            site.proxy.descriptors()
        );
        let attempts = ((sessions + 20) * UPSTREAMS) as u64;
        assert_eq!(total(&report, "connects_failed"), attempts);
        assert_eq!(
            (total(&report, "connects"), report["totals"]["errors"]["connect"].as_u64()),
            (0, Some(attempts))
        );
        let books = site.end();
        books.assert_codes(&["FC"]);
        assert!(books.ledger.iter().all(|line| line["attempts"] == UPSTREAMS), "{}", books.ledger[0]);
    });
}

/// So many clients, a few at a time, that get a reset each.
fn refused(site: &Site, sessions: usize) {
    let left = AtomicUsize::new(sessions);
    let claim = || left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while claim() {
                    site.connect().expect_reset();
                }
            });
        }
    });
}

#[test]
fn connects_that_time_out_leave_nothing() {
    const SESSIONS: usize = 30;
    everywhere(|way| {
        let hole = BlackHole::new();
        let flags = ["--retries", "0", "--connect-timeout", "100ms"];
        let site = silent_site(&[hole.address()], way, &flags);
        let clients: Vec<_> = (0..SESSIONS).map(|_| site.connect()).collect();
        clients.iter().for_each(Client::expect_reset);
        let books = site.end();
        books.assert_codes(&["TC"]);
        assert_eq!(total(&books.report, "connects_failed"), SESSIONS as u64);
    });
}

/// Answers to a connect that come when its time is over: whichever is first, the connection is used or closed.
#[test]
fn close_wait_pile() {
    const SESSIONS: usize = 50;
    // The kernel asks a second time after a second, which is also the time that a connect has.
    const JUST_BEFORE: Duration = Duration::from_millis(900);
    let run = |way: Way| {
        let hole = BlackHole::new();
        let site = silent_site(&[hole.address()], way, &["--retries", "0", "--connect-timeout", "1s"]);
        let clients: Vec<_> = (0..SESSIONS).map(|_| site.connect()).collect();
        thread::sleep(JUST_BEFORE);
        hole.open();
        let are_told = AtomicBool::new(false);
        let outcomes: Vec<_> = thread::scope(|scope| {
            scope.spawn(|| greet_and_close(&hole, &are_told));
            let outcomes = clients.iter().map(Client::drain).collect();
            are_told.store(true, Relaxed);
            outcomes
        });
        for (received, end) in outcomes {
            assert!(matches!((received, end), (0, End::Reset) | (8, End::Fin)), "{received}, {end:?}");
        }
        drop(clients);
        site.end().assert_codes(&["TC", "UD"]);
    };
    let failed: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> =
            Way::all().into_iter().map(|way| (way, scope.spawn(move || run(way)))).collect();
        threads
            .into_iter()
            .filter_map(|(way, thread)| thread.join().is_err().then(|| way.to_string()))
            .collect()
    });
    assert!(failed.is_empty(), "failed with: {}", failed.join(", "));
}

fn greet_and_close(hole: &BlackHole, are_told: &AtomicBool) {
    hole.listener.set_nonblocking(true).expect("it is a socket");
    while !are_told.load(Relaxed) {
        match hole.listener.accept() {
            // Whoever gave up in the meantime has reset it.
            Ok((stream, _)) => drop(Client::from(stream).send_or_fail(b"greeting")),
            Err(_) => thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// A site whose upstreams are all elsewhere.
fn silent_site(upstreams: &[String], way: Way, arguments: &[&str]) -> Site {
    Site::before(proxy::listen("127.0.0.1:0"), upstreams, way, arguments)
}
