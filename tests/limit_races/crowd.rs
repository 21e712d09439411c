//! Clients who come, are served or refused, and come again at once.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    io::{ErrorKind, Read},
    net::{Shutdown, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use fastrand::Rng;
use mio::{Events, Interest, Poll, Token, net::TcpStream};
use rustix::net::sockopt;

use crate::support::PATIENCE;

/// How long somebody who was refused stays away, in milliseconds.
const SULK_MS: std::ops::Range<u64> = 50..150;

/// So many clients, on a thread of their own.
pub struct Crowd {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Fates>,
}

/// What became of them, all visits together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fates {
    /// Greeted by the upstream.
    pub served: u64,
    /// Reset, and never greeted.
    pub refused: u64,
    /// Ended in good order, and never greeted.
    pub dismissed: u64,
}

impl Crowd {
    pub fn start(address: SocketAddr, clients: usize) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let thread = {
            let is_over = Arc::clone(&is_over);
            thread::spawn(move || Clients::new(address, clients, is_over).run())
        };
        Self { is_over, thread }
    }

    /// Nobody comes again; waits until everybody has had their visit.
    pub fn end(self) -> Fates {
        self.is_over.store(true, SeqCst);
        self.thread.join().expect("the crowd does not panic")
    }
}

struct Clients {
    address: SocketAddr,
    poll: Poll,
    seats: Vec<Option<Visit>>,
    later: BinaryHeap<Reverse<(Instant, usize)>>,
    rng: Rng,
    fates: Fates,
    is_over: Arc<AtomicBool>,
}

struct Visit {
    stream: TcpStream,
    is_greeted: bool,
}

/// How far a visit is.
enum Progress {
    Goes,
    Served,
    Refused,
}

impl Clients {
    fn new(address: SocketAddr, clients: usize, is_over: Arc<AtomicBool>) -> Self {
        let now = Instant::now();
        Self {
            address,
            poll: Poll::new().expect("a descriptor is free"),
            seats: (0..clients).map(|_| None).collect(),
            later: (0..clients).map(|seat| Reverse((now, seat))).collect(),
            rng: Rng::with_seed(5),
            fates: Fates::default(),
            is_over,
        }
    }

    fn run(mut self) -> Fates {
        let mut events = Events::with_capacity(1 << 12);
        let mut patience = None;
        loop {
            let is_over = self.is_over.load(SeqCst);
            if is_over && self.seats.iter().all(Option::is_none) {
                return self.fates;
            }
            if is_over {
                let until = *patience.get_or_insert_with(|| Instant::now() + PATIENCE);
                let left = self.seats.iter().flatten().count();
                assert!(Instant::now() < until, "{left} clients wait in vain: {:?}", self.fates);
            }
            match self.poll.poll(&mut events, Some(Duration::from_millis(1))) {
                Err(error) if error.kind() != ErrorKind::Interrupted => panic!("{error}"),
                _ => {}
            }
            events.iter().for_each(|event| self.look_at(event.token().0));
            self.come(is_over);
        }
    }

    fn come(&mut self, is_over: bool) {
        let now = Instant::now();
        while let Some(Reverse((at, seat))) = self.later.peek().copied()
            && at <= now
        {
            self.later.pop();
            if !is_over {
                let mut stream = TcpStream::connect(self.address).expect("a port and a descriptor are free");
                let registry = self.poll.registry();
                registry.register(&mut stream, Token(seat), Interest::READABLE).expect("it is a socket");
                self.seats[seat] = Some(Visit { stream, is_greeted: false });
            }
        }
    }

    fn look_at(&mut self, seat: usize) {
        let Some(visit) = &mut self.seats[seat] else { return };
        let was_greeted = visit.is_greeted;
        let progress = visit.go_on(&mut self.rng);
        self.fates.served += u64::from(visit.is_greeted && !was_greeted);
        let away = match progress {
            Progress::Goes => return,
            Progress::Refused => {
                self.fates.refused += 1;
                Duration::from_millis(self.rng.u64(SULK_MS))
            }
            Progress::Served => {
                self.fates.dismissed += u64::from(!visit.is_greeted);
                Duration::ZERO
            }
        };
        self.seats[seat] = None;
        self.later.push(Reverse((Instant::now() + away, seat)));
    }
}

impl Visit {
    /// Most stay until they are told to go. Some leave as soon as they are greeted, in good order or not.
    fn go_on(&mut self, rng: &mut Rng) -> Progress {
        let mut buffer = [0; 16];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Progress::Served,
                Ok(_) => {
                    self.is_greeted = true;
                    match rng.u8(..20) {
                        0 => {
                            let at_once = Some(Duration::ZERO);
                            sockopt::set_socket_linger(&self.stream, at_once).expect("a stream socket");
                            return Progress::Served;
                        }
                        1 => drop(self.stream.shutdown(Shutdown::Write)),
                        _ => {}
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Progress::Goes,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) if self.is_greeted => return Progress::Served,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Progress::Refused,
                // It is still connecting.
                Err(error) if error.kind() == ErrorKind::NotConnected => return Progress::Goes,
                Err(error) => panic!("{error}"),
            }
        }
    }
}
