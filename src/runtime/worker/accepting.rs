//! How a worker takes connections in, and when it stops taking them.

use super::{Session, Worker};
use crate::{
    config::Options,
    runtime::{
        intake::{Accepted, Arrival, PAUSE_NS},
        io::{Io, Next},
        link::Link,
        service::Service,
        token::{Side, Token},
    },
    sys::{clock, socket::Socket},
};

impl<S: Service> Worker<S> {
    pub(super) fn open(&mut self, socket: Socket, arrival: Arrival) {
        let now_ns = if self.cx.recorder.is_timing() { clock::now_ns() } else { self.cx.now_ns };
        self.cx.recorder.opened(now_ns);
        self.cx.recorder.accepted_from(arrival.listener);
        self.cx.work += 1;
        let Some(token) = self.table.next_token() else {
            // Four million sessions in one worker: refused, and counted.
            self.cx.recorder.counts.errors.other += 1;
            return self.refuse(socket, now_ns);
        };
        if self.slots.as_ref().is_some_and(|slots| !slots.take()) {
            self.cx.recorder.counts.refused_limit += 1;
            return self.refuse(socket, now_ns);
        }
        let mut link = Link::new(token, socket, now_ns);
        let tries = self.first_read.should_try() || self.cx.is_draining;
        if tries {
            link.half(Side::Client).readable = true;
            link.first_read = true;
            link.queued = true;
            self.cx.ready.push(token);
        }
        let mut io = Io::new(&mut link, &mut self.cx);
        let state = self.service.open(&arrival, &mut io);
        io.expect_client();
        let next = if tries { Next::Wait } else { io.settle() };
        self.table.insert(Session { link, state });
        self.go_on(token, next);
    }

    /// Resets a connection that no session is opened for.
    fn refuse(&mut self, socket: Socket, now_ns: u64) {
        socket.reset();
        self.cx.recorder.closed(now_ns, now_ns);
    }

    /// In the sharing modes a wakeup is spent on one worker, and nobody else is told. If it has turns to run
    /// first, the connection would wait behind them beside idle neighbours; so it takes one before.
    pub(super) fn accept_before_turns(&mut self) {
        for index in 0..self.intakes.len() {
            if self.intakes[index].noted && self.intakes[index].share().is_shared() {
                self.accept_from(index, 1);
            }
        }
    }

    pub(super) fn accept(&mut self) {
        self.turns_owed = self.turns_owed.min(self.cx.ready.len());
        for index in 0..self.intakes.len() {
            let is_shared = self.intakes[index].share().is_shared();
            if self.intakes[index].noted && !(is_shared && self.turns_owed > 0) {
                let default = if is_shared { 1 } else { Options::ACCEPT_BUDGET };
                self.accept_from(index, self.accept_budget.unwrap_or(default));
            }
        }
        if self.turns_owed == 0 {
            self.turns_owed = self.cx.ready.len();
        }
    }

    fn accept_from(&mut self, index: usize, budget: usize) {
        self.look_at_queue(index);
        for _ in 0..budget {
            match self.intakes[index].accept(&self.cx.epoll) {
                Accepted::Session(socket, arrival) => self.open(socket, arrival),
                Accepted::Shed => self.cx.recorder.counts.shed += 1,
                Accepted::Gone => self.cx.recorder.count(|counts| counts.accept_aborted += 1),
                Accepted::Empty => {
                    self.cx.recorder.count(|counts| counts.accept_eagain += 1);
                    break;
                }
                Accepted::Exhausted => {
                    self.cx.recorder.counts.errors.fd_limit += 1;
                    self.intakes[index].leave(&self.cx.epoll);
                    self.tell_at(self.cx.now_ns + PAUSE_NS, Token::listener(index));
                    return;
                }
            }
        }
        if !self.intakes[index].settle(&self.cx.epoll) {
            self.tell_at(self.cx.now_ns + PAUSE_NS, Token::listener(index));
        }
    }

    fn look_at_queue(&mut self, index: usize) {
        if self.cx.recorder.is_timing() {
            let queued = self.intakes[index].listener().queue_len().unwrap_or(0);
            self.accept_queue_max = self.accept_queue_max.max(u64::from(queued));
        }
    }

    /// The pause of a listener is over. The timer itself accepts: an edge-triggered listener gets no event
    /// when descriptors come free again.
    pub(super) fn accept_after_pause(&mut self, index: usize) {
        let Some(intake) = self.intakes.get_mut(index) else { return };
        if intake.enter(&self.cx.epoll).is_ok() {
            intake.noted = true;
        } else {
            self.tell_at(self.cx.now_ns + PAUSE_NS, Token::listener(index));
        }
    }
}
