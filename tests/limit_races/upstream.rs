//! An upstream that counts the sessions that it serves at once.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    io::{ErrorKind, Read, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use fastrand::Rng;
use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};
use slab::Slab;

use crate::support::eventually;

/// How long a session lasts, in milliseconds.
const LIFE_MS: std::ops::Range<u64> = 5..40;
/// A session that the proxy has ended may be seen to end after the next one has come: not by as much as this.
const SETTLE: Duration = Duration::from_millis(4);
const LISTENER: Token = Token(usize::MAX);

/// It greets each session with a byte and ends it after a while, or when it is told to.
pub struct Upstream {
    pub address: String,
    tally: Arc<Tally>,
    thread: Option<JoinHandle<()>>,
}

/// What is known of its sessions.
#[derive(Default)]
pub struct Tally {
    /// How many it serves.
    pub served: AtomicUsize,
    /// The most that it has served at once.
    pub most: AtomicUsize,
    pub accepted: AtomicU64,
    /// How often it was filled up again, and how long that took the last time.
    refills: AtomicU64,
    refill_us: AtomicU64,
    holds: AtomicBool,
    to_end: AtomicUsize,
    stops: AtomicBool,
}

impl Upstream {
    /// One that is expected to have so many sessions at most.
    pub fn start(limit: usize) -> Self {
        let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).expect("a port is free");
        // A full accept queue would let connections live that it knows nothing of: the last packet of their handshake
        // is dropped, and nobody says anything that would be answered by a reset.
        rustix::net::listen(&listener, 4096).expect("it is bound");
        let address = listener.local_addr().expect("it is bound").to_string();
        let tally = Arc::new(Tally::default());
        let thread = {
            let tally = Arc::clone(&tally);
            thread::spawn(move || Server::new(listener, tally, limit).run())
        };
        Self { address, tally, thread: Some(thread) }
    }

    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Whether sessions last for as long as their clients like.
    pub fn hold(&self, holds: bool) {
        self.tally.holds.store(holds, SeqCst);
    }

    /// Ends so many sessions, and waits until it has as many again; how long that took.
    pub fn replace(&self, sessions: usize) -> Duration {
        let refills = self.tally.refills.load(SeqCst);
        self.tally.to_end.store(sessions, SeqCst);
        eventually("others take the free slots", || {
            (self.tally.refills.load(SeqCst) > refills).then_some(())
        });
        Duration::from_micros(self.tally.refill_us.load(SeqCst))
    }

    pub fn until_serves(&self, sessions: usize) {
        eventually("it serves as many as it may", || {
            (self.tally.served.load(SeqCst) == sessions).then_some(())
        });
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.tally.stops.store(true, SeqCst);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !thread::panicking()
        {
            panic!("the upstream panicked");
        }
    }
}

struct Server {
    poll: Poll,
    events: Events,
    listener: TcpListener,
    may_accept: bool,
    sessions: Slab<TcpStream>,
    /// When sessions end: by time, then by key and number, as a key may have another session by then.
    ends: BinaryHeap<Reverse<(Instant, usize, u64)>>,
    numbers: Vec<u64>,
    next_number: u64,
    /// Since when it has been fewer than it may have, because it has ended some itself.
    short_since: Option<Instant>,
    rng: Rng,
    tally: Arc<Tally>,
    limit: usize,
}

impl Server {
    fn new(mut listener: TcpListener, tally: Arc<Tally>, limit: usize) -> Self {
        let poll = Poll::new().expect("a descriptor is free");
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE).expect("it is a socket");
        Self {
            poll,
            events: Events::with_capacity(1 << 14),
            listener,
            may_accept: false,
            sessions: Slab::new(),
            ends: BinaryHeap::new(),
            numbers: Vec::new(),
            next_number: 0,
            short_since: None,
            rng: Rng::with_seed(3),
            tally,
            limit,
        }
    }

    fn run(mut self) {
        while !self.tally.stops.load(SeqCst) {
            self.see_to_events(Duration::from_millis(1));
            self.end_what_is_due();
            self.end_what_is_asked_for();
            if self.accept() {
                self.settle();
            }
            let served = self.sessions.len();
            self.tally.served.store(served, SeqCst);
            self.tally.most.fetch_max(served, SeqCst);
            if let Some(since) = self.short_since.filter(|_| served >= self.limit) {
                self.short_since = None;
                self.tally.refill_us.store(since.elapsed().as_micros() as u64, SeqCst);
                self.tally.refills.fetch_add(1, SeqCst);
            }
        }
    }

    /// Sessions that have ended are taken out; that somebody wants to be accepted is only noted.
    fn see_to_events(&mut self, timeout: Duration) {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => panic!("{error}"),
            _ => {}
        }
        let tokens: Vec<_> = self.events.iter().map(|event| event.token()).collect();
        for token in tokens {
            if token == LISTENER {
                self.may_accept = true;
            } else if self.sessions.get_mut(token.0).is_some_and(has_ended) {
                self.sessions.remove(token.0);
            }
        }
    }

    fn accept(&mut self) -> bool {
        let before = self.sessions.len();
        while self.may_accept {
            match self.listener.accept() {
                Ok((stream, _)) => self.open(stream),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.may_accept = false,
                // It was gone before it was accepted.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => panic!("{error}"),
            }
        }
        self.sessions.len() > before
    }

    fn open(&mut self, mut stream: TcpStream) {
        self.tally.accepted.fetch_add(1, SeqCst);
        // Whoever is gone already is found out at once.
        let _ = stream.write(b"!");
        let entry = self.sessions.vacant_entry();
        let key = entry.key();
        self.poll.registry().register(&mut stream, Token(key), Interest::READABLE).expect("it is a socket");
        entry.insert(stream);
        self.numbers.resize(self.numbers.len().max(key + 1), 0);
        self.next_number += 1;
        self.numbers[key] = self.next_number;
        let life = Duration::from_millis(self.rng.u64(LIFE_MS));
        self.ends.push(Reverse((Instant::now() + life, key, self.next_number)));
    }

    /// Those whom it has just accepted have taken the place of others: these are seen to end before any is counted.
    fn settle(&mut self) {
        self.see_to_events(Duration::ZERO);
        let until = Instant::now() + SETTLE;
        while self.sessions.len() > self.limit && Instant::now() < until {
            self.see_to_events(Duration::from_millis(1));
        }
    }

    fn end_what_is_due(&mut self) {
        if self.tally.holds.load(SeqCst) {
            return;
        }
        let now = Instant::now();
        while let Some(Reverse((at, key, number))) = self.ends.peek().copied()
            && at <= now
        {
            self.ends.pop();
            if self.numbers[key] == number && self.sessions.contains(key) {
                self.sessions.remove(key);
            }
        }
    }

    fn end_what_is_asked_for(&mut self) {
        let asked = self.tally.to_end.swap(0, SeqCst);
        let keys: Vec<_> = self.sessions.iter().map(|(key, _)| key).take(asked).collect();
        for key in keys {
            self.sessions.remove(key);
        }
        if asked > 0 {
            self.short_since = Some(Instant::now());
        }
    }
}

/// Whether a session's other end has ended it. It says nothing.
fn has_ended(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 16]) {
        Ok(0) => true,
        Ok(_) => panic!("it was told something"),
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}
