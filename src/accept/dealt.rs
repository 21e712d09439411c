//! `dealt`: an acceptor thread with an epoll of its own hands sockets to the workers' mailboxes.
//!
//! It can be exact, because it counts what it has dealt: a worker's load is what it was given less what it
//! has closed (from the board), so a connection that still lies in a mailbox counts. It costs a hop and a
//! wakeup for each connection, and the acceptor is one core's work.
//!
//! When a mailbox is full, the next worker's is tried; when all are, the acceptor holds the connection and
//! stops accepting: the accept queue fills, and the clients feel it. Nothing that was accepted is lost.

use std::{io, sync::mpsc};

use super::Target;
use crate::{
    config::{Deal, Options},
    measure::AcceptorSnapshot,
    runtime::{
        board::Board,
        intake::{Accepted, Arrival, Intake, PAUSE_NS, Share},
        mailbox::{Mailbox, Sender},
        message::Message,
        token::{Target as TokenTarget, Token},
    },
    sys::{
        clock,
        epoll::{Epoll, Events},
        listen::ListenAddress,
        socket::Socket,
        usage,
    },
};

/// Events of one wait: a listener each.
const BATCH_MAX: usize = 64;
/// How soon full mailboxes are tried again, in nanoseconds.
const FULL_RETRY_NS: u64 = 1_000_000;

/// Binds one listener for the acceptor.
pub(super) fn bind(
    target: &Target,
    options: &Options,
    intakes: &mut Vec<Intake>,
) -> io::Result<ListenAddress> {
    let listener = target.listen(options)?;
    let address = listener.address().clone();
    intakes.push(Intake::new(listener, intakes.len(), options.listen_trigger, Share::Own));
    Ok(address)
}

/// What the acceptor can be told, beside to stop.
pub enum Order {
    /// Send a copy of your counts.
    Snapshot(mpsc::Sender<AcceptorSnapshot>),
}

/// The acceptor: its loop and what it owns.
pub struct Acceptor {
    epoll: Epoll,
    intakes: Vec<Intake>,
    orders: Mailbox<Order>,
    dealer: Dealer,
    accept_budget: usize,
    backlog: usize,
    counts: AcceptorSnapshot,
    /// While it accepts nothing, for want of descriptors or of room in a mailbox: when to try again. Its
    /// listeners are out of epoll meanwhile, which would report them for ever.
    resume_ns: Option<u64>,
    /// Accepted, and every mailbox was full.
    held: Option<(Socket, Arrival)>,
    /// By when it has to have stopped, once that was said.
    stop_by_ns: Option<u64>,
}

impl Acceptor {
    /// An acceptor that has not begun; its intakes and its mailbox are registered in `epoll`.
    pub fn new(
        epoll: Epoll,
        intakes: Vec<Intake>,
        orders: Mailbox<Order>,
        workers: Vec<Sender<Message>>,
        board: Board,
        options: &Options,
    ) -> Self {
        let dealt = vec![0; workers.len()];
        Self {
            epoll,
            intakes,
            orders,
            dealer: Dealer { workers, board, dealt, next: 0, deal: options.deal },
            accept_budget: options.accept_budget.unwrap_or(Options::ACCEPT_BUDGET),
            backlog: usize::try_from(options.backlog).unwrap_or(0),
            counts: AcceptorSnapshot::default(),
            resume_ns: None,
            held: None,
            stop_by_ns: None,
        }
    }

    /// Runs until it is told to stop and has dealt what was queued, or has no more time for that.
    pub fn run(mut self) -> AcceptorSnapshot {
        let mut events = Events::with_capacity(BATCH_MAX);
        while !self.is_over() {
            self.wait(&mut events);
            self.read_orders();
            self.resume();
            self.accept();
        }
        // Nobody had room for it in time: it is closed, and counted.
        self.counts.cut += u64::from(self.held.take().is_some());
        self.snapshot()
    }

    fn is_over(&self) -> bool {
        let is_done = self.resume_ns.is_none() && !self.has_noted();
        self.stop_by_ns.is_some_and(|by| is_done || clock::now_ns() >= by)
    }

    fn has_noted(&self) -> bool {
        self.intakes.iter().any(|intake| intake.noted)
    }

    fn wait(&mut self, events: &mut Events) {
        let timeout_ns = self.timeout_ns();
        if self.epoll.wait(events, timeout_ns).is_err() {
            unreachable!("epoll_wait on a live epoll fails only for bad arguments");
        }
        self.orders.awake();
        self.counts.wakeups += u64::from(timeout_ns != Some(0) || !events.is_empty());
        for index in 0..events.len() {
            match Token::from_u64(events.get(index).0).target() {
                TokenTarget::Listener(listener) => self.intakes[listener].noted = true,
                _ => self.orders.bell().silence(),
            }
        }
    }

    fn timeout_ns(&self) -> Option<u64> {
        if self.has_noted() || !self.orders.may_sleep(self.stop_by_ns) {
            return Some(0);
        }
        self.resume_ns.map(|resume| resume.saturating_sub(clock::now_ns()))
    }

    fn read_orders(&mut self) {
        while let Some(Order::Snapshot(reply)) = self.orders.receive() {
            // Whoever asked may have gone; then nobody misses the answer.
            drop(reply.send(self.snapshot()));
        }
        let is_first = self.stop_by_ns.is_none();
        self.stop_by_ns = self.orders.stop_by_ns();
        if is_first && self.stop_by_ns.is_some() {
            // As many as may have been queued; those that go on coming would keep it from stopping.
            self.accept_budget = self.backlog.saturating_add(1);
            self.intakes.iter_mut().for_each(|intake| intake.noted = true);
        }
    }

    /// Accepts nothing for a while.
    fn pause(&mut self, pause_ns: u64) {
        self.intakes.iter_mut().for_each(|intake| intake.leave(&self.epoll));
        self.resume_ns = Some(clock::now_ns() + pause_ns);
    }

    /// The pause is over: the timer itself accepts, as no edge will tell of what has been waiting.
    fn resume(&mut self) {
        if self.resume_ns.is_none_or(|resume| clock::now_ns() < resume) {
            return;
        }
        self.resume_ns = None;
        if let Some(Err(back)) = self.held.take().map(|held| self.dealer.deal(held)) {
            self.held = Some(back);
            return self.pause(FULL_RETRY_NS);
        }
        for intake in &mut self.intakes {
            if intake.enter(&self.epoll).is_err() {
                return self.pause(PAUSE_NS);
            }
            intake.noted = true;
        }
    }

    fn accept(&mut self) {
        for index in 0..self.intakes.len() {
            if self.intakes[index].noted && self.resume_ns.is_none() {
                self.accept_from(index);
            }
        }
    }

    fn accept_from(&mut self, index: usize) {
        for _ in 0..self.accept_budget {
            match self.intakes[index].accept(&self.epoll) {
                Accepted::Session(socket, arrival) => {
                    self.counts.accepted += 1;
                    if let Err(back) = self.dealer.deal((socket, arrival)) {
                        self.counts.mailbox_full += 1;
                        self.held = Some(back);
                        return self.pause(FULL_RETRY_NS);
                    }
                }
                Accepted::Shed => self.counts.shed += 1,
                Accepted::Gone => self.counts.accept_aborted += 1,
                Accepted::Empty => {
                    self.counts.accept_eagain += 1;
                    break;
                }
                Accepted::Exhausted => {
                    self.counts.fd_limit += 1;
                    return self.pause(PAUSE_NS);
                }
            }
        }
        self.intakes[index].settle(&self.epoll);
        if self.stop_by_ns.is_some() {
            // It has been emptied, or would never be.
            self.intakes[index].noted = false;
        }
    }

    fn snapshot(&self) -> AcceptorSnapshot {
        let usage = usage::thread();
        AcceptorSnapshot {
            context_switches: usage.switches_voluntary + usage.switches_involuntary,
            ..self.counts.clone()
        }
    }
}

/// Who gets the next connection.
struct Dealer {
    workers: Vec<Sender<Message>>,
    board: Board,
    dealt: Vec<u64>,
    next: usize,
    deal: Deal,
}

impl Dealer {
    /// Gives a connection to a worker, or back, where every mailbox is full.
    fn deal(&mut self, (mut socket, arrival): (Socket, Arrival)) -> Result<(), (Socket, Arrival)> {
        let first = self.choose();
        for turn in 0..self.workers.len() {
            let worker = (first + turn) % self.workers.len();
            match self.workers[worker].send(Message::Adopt(socket, arrival)) {
                Ok(()) => {
                    self.dealt[worker] += 1;
                    self.next = (worker + 1) % self.workers.len();
                    return Ok(());
                }
                Err(Message::Adopt(back, _)) => socket = back,
                Err(_) => unreachable!("a full mailbox gives back what it was given"),
            }
        }
        Err((socket, arrival))
    }

    /// Ties go to the worker after the last one, never to the first of all.
    fn choose(&self) -> usize {
        let turn = (0..self.workers.len()).map(|turn| (self.next + turn) % self.workers.len());
        match self.deal {
            Deal::RoundRobin => self.next,
            Deal::LeastLoaded => turn.min_by_key(|worker| self.load(*worker)).unwrap_or(0),
        }
    }

    fn load(&self, worker: usize) -> u64 {
        self.dealt[worker].saturating_sub(self.board.line(worker).closed())
    }
}
