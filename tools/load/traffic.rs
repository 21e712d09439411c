//! One connection: opened, greeted, loaded, ended, opened again.
//!
//! A turn reads what is there, checks it, issues what that makes room for (closed loop), and writes what the
//! socket takes. Reading stops at a short read where that proves the socket empty, so that a message costs
//! one `recv`, one `send`, one look at the clock, and a share of one `epoll_wait`.

use std::{cmp::Reverse, time::Duration};

use rustix::{
    event::epoll::{self, EventData, EventFlags},
    fd::OwnedFd,
    io::Errno,
    net::{RecvFlags, SendFlags, recv, send, sockopt},
};

use evenkeel::{config::Options, sys::timestamp};

use super::{
    clock,
    connection::{Alarm, Failure, Greeting, Socket, Token},
    driver::{CONNECT_TIMEOUT_NS, Driver},
    exchange::Excess,
    pattern,
    plan::{Close, Load},
    reading::{MayRead, Reading},
    schedule::exponential,
    socket::Connect,
    tally::UNGREETED,
};

/// The first pause before a failed connection is opened again; it doubles with each failure in a row.
const BACKOFF_NS: u64 = 10_000_000;

/// How often it doubles: up to 640 ms.
const BACKOFF_DOUBLINGS: u32 = 6;

/// How soon a full accept queue of a unix socket is tried again.
const QUEUE_FULL_NS: u64 = 1_000_000;

/// What every socket is watched for. PRI makes an event with urgent data tell that it is one.
const INTEREST: EventFlags =
    EventFlags::IN.union(EventFlags::RDHUP).union(EventFlags::PRI).union(EventFlags::ET);

/// What ends a read for sure: after one of these a short read doesn't mean that the socket is empty.
const ENDINGS: EventFlags =
    EventFlags::RDHUP.union(EventFlags::HUP).union(EventFlags::ERR).union(EventFlags::PRI);

impl Driver<'_> {
    /// Opens the connection of a place.
    pub(super) fn open(&mut self, slot: usize) {
        let connection = &mut self.connections[slot];
        // An attempt that waits for room in the accept queue is the same attempt.
        if !matches!(connection.socket, Socket::Queueing) {
            connection.connect_ns = clock::now_ns();
        }
        connection.key = pattern::key(self.plan.seed, self.thread, self.serial);
        let source = self.plan.source.map(|all| {
            // No two threads draw the same, as long as there are enough.
            all.nth(self.serial * self.plan.threads as u64 + self.thread as u64)
        });
        self.serial += 1;
        connection.greeting = Greeting::default();
        connection.group = UNGREETED;
        connection.is_blocked = false;
        match self.plan.target.connect(source) {
            Ok(Connect::Established(socket)) => self.registered(slot, socket, |driver, socket| {
                driver.established(slot, socket);
                let now_ns = clock::now_ns();
                driver.push(slot, now_ns, now_ns);
            }),
            Ok(Connect::InProgress(socket)) => self.registered(slot, socket, |driver, socket| {
                driver.put(slot, Socket::Connecting(socket));
            }),
            Ok(Connect::QueueFull) => {
                self.put(slot, Socket::Queueing);
                self.wake_after(slot, QUEUE_FULL_NS, Alarm::Open);
            }
            Err(error) => self.fail(slot, Failure::Connect(error)),
        }
    }

    /// Lets a place do what it has to: open if it's closed and has something to carry, else send.
    pub(super) fn resume(&mut self, slot: usize) {
        let now_ns = clock::now_ns();
        match self.connections[slot].socket {
            Socket::Queueing => self.open(slot),
            Socket::Closed if self.has_use_for(slot, now_ns) => self.open(slot),
            Socket::Open(_) => self.push(slot, now_ns, now_ns),
            Socket::Closed | Socket::Connecting(_) => {}
        }
    }

    /// A connection is woken as it asked to be.
    pub(super) fn wake(&mut self, slot: usize, alarm: Alarm, at_ns: u64) {
        match alarm {
            Alarm::Open => self.resume(slot),
            Alarm::Read => {
                self.connections[slot].reading.resume();
                // What ended the connection meanwhile has been told once: only reading on finds it.
                self.read_and_push(slot, true, at_ns);
            }
            Alarm::Think => {
                self.connections[slot].thinking -= 1;
                self.push(slot, at_ns, clock::now_ns());
            }
        }
    }

    /// A message for this connection; it is `lag_ns` late, and that is our doing.
    pub(super) fn issue(&mut self, slot: usize, due_ns: u64, lag_ns: u64) {
        self.connections[slot].exchange.issue(due_ns);
        self.tally.issue(&self.timeline, due_ns, lag_ns);
        self.pending += 1;
        self.left -= u64::from(self.timeline.counts(due_ns));
    }

    /// Writes what may go out, as far as the socket takes it.
    pub(super) fn flush(&mut self, slot: usize, now_ns: u64) {
        let connection = &mut self.connections[slot];
        let Socket::Open(socket) = &connection.socket else { return };
        while !connection.is_blocked {
            // What is in flight has no answer yet.
            let in_flight_until = connection.exchange.answered().saturating_add(self.plan.in_flight_max);
            let messages_max = self.plan.churn.unwrap_or(u64::MAX).min(in_flight_until);
            let (offset, len) = connection.exchange.to_send(self.plan.size, messages_max);
            if len == 0 {
                return;
            }
            let bytes = self.pattern.slice(connection.key, offset, len.min(self.plan.write_chunk));
            match send(socket, bytes, SendFlags::NOSIGNAL) {
                Ok(taken) => connection.exchange.took(taken as u64, self.plan.size, now_ns),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    connection.is_blocked = true;
                    self.ask_for_room(slot);
                    return;
                }
                Err(error) => return self.fail(slot, Failure::Reset(error)),
            }
        }
    }

    /// An event: reads, issues, writes.
    pub(super) fn turn(&mut self, token: Token, flags: EventFlags) {
        let slot = token.slot as usize;
        if self.connections[slot].generation != token.generation {
            return;
        }
        if matches!(self.connections[slot].socket, Socket::Connecting(_))
            && !self.finish_connecting(slot, flags)
        {
            return;
        }
        if flags.contains(EventFlags::OUT) {
            self.connections[slot].is_blocked = false;
        }
        if flags.intersects(EventFlags::IN.union(ENDINGS)) {
            self.read_and_push(slot, flags.intersects(ENDINGS), self.woke_ns);
        } else {
            self.push(slot, self.woke_ns, clock::now_ns());
        }
    }

    /// Reads, and sends what that makes room for, which was there at `ready_ns`.
    fn read_and_push(&mut self, slot: usize, is_ending: bool, ready_ns: u64) {
        match self.read(slot, is_ending) {
            Ok(now_ns) => self.push(slot, ready_ns, now_ns),
            Err(failure) => self.fail(slot, failure),
        }
    }

    /// Fails the connections that take too long to be there.
    pub(super) fn expire_opening(&mut self) {
        let Some(limit_ns) = self.woke_ns.checked_sub(CONNECT_TIMEOUT_NS) else { return };
        for slot in 0..self.connections.len() {
            let connection = &self.connections[slot];
            let is_opening = match connection.socket {
                Socket::Queueing | Socket::Connecting(_) => true,
                // Only --connect-only waits for the greeting.
                Socket::Open(_) => !connection.is_settled,
                Socket::Closed => false,
            };
            if is_opening && connection.connect_ns <= limit_ns {
                self.fail(slot, Failure::Connect(Errno::TIMEDOUT));
            }
        }
    }

    /// Issues what a closed loop has room for, and writes. `ready_ns` is when the room was there.
    fn push(&mut self, slot: usize, ready_ns: u64, now_ns: u64) {
        let exchange = &self.connections[slot].exchange;
        let churn = self.plan.churn.unwrap_or(u64::MAX);
        if exchange.answered() >= churn {
            return self.replace(slot, now_ns);
        }
        if let Load::Closed { pipeline } = self.plan.load {
            let of_churn = churn - exchange.answered() - exchange.pending() as u64;
            let factor = if slot < self.elephants { self.plan.shape.factor() } else { 1 };
            let busy = exchange.pending() + self.connections[slot].thinking;
            for _ in 0..of_churn.min((pipeline * factor).saturating_sub(busy) as u64) {
                if !self.may_issue(now_ns) {
                    break;
                }
                self.issue(slot, now_ns, now_ns - ready_ns);
            }
        }
        self.flush(slot, now_ns);
    }

    /// Closes a connection that has carried its share, and opens the next one if it would be used.
    /// Closing first leaves the TIME_WAIT on our side, where it doesn't burden the server.
    fn replace(&mut self, slot: usize, now_ns: u64) {
        if let (Close::Rst, Socket::Open(socket)) = (self.plan.close, &self.connections[slot].socket) {
            // Cannot fail on a stream socket; if it did, the close would be an orderly one.
            let _ = sockopt::set_socket_linger(socket, Some(Duration::ZERO));
        }
        self.close(slot);
        if self.has_use_for(slot, now_ns) {
            self.open(slot);
        }
    }

    /// Whether a place would have something to carry.
    fn has_use_for(&self, slot: usize, now_ns: u64) -> bool {
        match self.plan.load {
            Load::Closed { .. } => self.may_issue(now_ns),
            Load::Open { .. } => {
                self.next_due_ns().is_some() || self.connections[slot].exchange.pending() > 0
            }
            Load::ConnectOnly => false,
        }
    }

    /// Adds a socket to epoll, and goes on with it. Not before `connect` was called: an idle socket would
    /// be reported as hung up.
    fn registered(&mut self, slot: usize, socket: OwnedFd, then: impl FnOnce(&mut Self, OwnedFd)) {
        let token = Token { slot: slot as u32, generation: self.connections[slot].generation };
        if self.plan.timestamps {
            // Cannot fail on a socket; if it did, what it brings would be counted as unstamped.
            let _ = timestamp::enable(&socket);
        }
        // A TCP socket reports room only after it had none. A unix socket reports it after each read of the
        // peer, a wakeup a message for nothing, so it's asked only where it is needed.
        let out = if self.plan.target.is_unix() { EventFlags::empty() } else { EventFlags::OUT };
        match epoll::add(
            self.waiter.epoll(),
            &socket,
            EventData::new_u64(token.to_u64()),
            INTEREST.union(out),
        ) {
            Ok(()) => then(self, socket),
            Err(error) => self.fail(slot, Failure::Connect(error)),
        }
    }

    /// Asks for an event when a unix socket has room; changing the interest polls afresh, so that none is missed.
    fn ask_for_room(&mut self, slot: usize) {
        let connection = &self.connections[slot];
        if let (true, Socket::Open(socket)) = (self.plan.target.is_unix(), &connection.socket) {
            let token = Token { slot: slot as u32, generation: connection.generation };
            let data = EventData::new_u64(token.to_u64());
            if let Err(error) =
                epoll::modify(self.waiter.epoll(), socket, data, INTEREST.union(EventFlags::OUT))
            {
                self.fail(slot, Failure::Reset(error));
            }
        }
    }

    /// An event for a connection on its way. Whether it's there now.
    fn finish_connecting(&mut self, slot: usize, flags: EventFlags) -> bool {
        let Socket::Connecting(socket) = &self.connections[slot].socket else { return false };
        if flags.intersects(EventFlags::ERR.union(EventFlags::HUP)) {
            match sockopt::socket_error(socket).and_then(|error| error) {
                // Established, and reset since.
                Err(error @ Errno::CONNRESET) => {
                    self.take_established(slot);
                    self.fail(slot, Failure::Reset(error));
                    return false;
                }
                Err(error) => {
                    self.fail(slot, Failure::Connect(error));
                    return false;
                }
                Ok(()) => {}
            }
        }
        flags.contains(EventFlags::OUT) && self.take_established(slot)
    }

    fn take_established(&mut self, slot: usize) -> bool {
        match std::mem::take(&mut self.connections[slot].socket) {
            Socket::Connecting(socket) => {
                self.connecting -= 1;
                self.established(slot, socket);
                true
            }
            other => {
                self.connections[slot].socket = other;
                false
            }
        }
    }

    fn established(&mut self, slot: usize, socket: OwnedFd) {
        self.opened += 1;
        self.tally.opened += 1;
        self.tally.connect.saturating_record(clock::now_ns() - self.connections[slot].connect_ns);
        self.put(slot, Socket::Open(socket));
        if !(self.plan.greet && self.plan.load == Load::ConnectOnly) {
            self.settle(slot);
        }
    }

    /// Reads until the socket is empty. When it was done, or why it's over.
    fn read(&mut self, slot: usize, is_ending: bool) -> Result<u64, Failure> {
        loop {
            let len_max = self.may_read(slot);
            let Socket::Open(socket) = &self.connections[slot].socket else { return Ok(clock::now_ns()) };
            if len_max == 0 {
                return Ok(clock::now_ns());
            }
            let buffer = &mut self.scratch[..len_max];
            let received = match self.plan.timestamps {
                false => recv(socket, buffer, RecvFlags::empty()).map(|(_, len)| (len, None)),
                true => timestamp::receive(socket, buffer),
            };
            match received {
                Ok((0, _)) => return Err(Failure::Eof),
                Ok((len, stamp_ns)) => {
                    let now_ns = clock::now_ns();
                    if self.plan.timestamps {
                        let delay_ns =
                            stamp_ns.map(|stamp_ns| timestamp::realtime_ns().saturating_sub(stamp_ns));
                        self.tally.receive(&self.timeline, now_ns, delay_ns);
                    }
                    self.absorb(slot, len, now_ns)?;
                    self.account(slot, now_ns);
                    if let Some(rate_per_s) = self.plan.read_rate {
                        self.connections[slot].reading.took(len, rate_per_s, now_ns);
                    }
                    if len < len_max && !is_ending && self.is_drained(slot) {
                        return Ok(now_ns);
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(clock::now_ns()),
                Err(error) => return Err(Failure::Reset(error)),
            }
        }
    }

    /// How many bytes may be read now; a slow reader comes back by itself when it may read on.
    fn may_read(&mut self, slot: usize) -> usize {
        let Some(rate_per_s) = self.plan.read_rate else { return self.scratch.len() };
        match self.connections[slot].reading.ask(rate_per_s, clock::now_ns()) {
            MayRead::Bytes(len) => len.min(self.scratch.len()),
            MayRead::At(at_ns) => {
                self.wake_at(slot, at_ns, Alarm::Read);
                0
            }
            MayRead::Paused => 0,
        }
    }

    /// Whether a short read proves that nothing is left. On TCP it does; a unix socket also splits reads
    /// where descriptors were passed, but it can't hold anything when nothing is owed.
    fn is_drained(&self, slot: usize) -> bool {
        !self.plan.target.is_unix() || self.connections[slot].exchange.pending() == 0
    }

    /// Takes the greeting out of what was read, and compares the rest with what was sent.
    fn absorb(&mut self, slot: usize, len: usize, now_ns: u64) -> Result<(), Failure> {
        let connection = &mut self.connections[slot];
        let mut bytes = &self.scratch[..len];
        if self.plan.greet && !connection.greeting.is_whole() {
            bytes = connection.greeting.take(bytes);
            if connection.greeting.is_whole() {
                let worker = connection.greeting.worker();
                // A histogram a worker: made-up numbers must not fill the memory.
                if worker >= Options::WORKERS_MAX as u64 {
                    return Err(Failure::NoGreeting(worker));
                }
                connection.group = self.tally.greet(slot, worker, now_ns);
            }
        }
        let connection = &mut self.connections[slot];
        let offset = connection.exchange.received_bytes();
        connection.exchange.received(bytes.len() as u64).map_err(|Excess| Failure::Mismatch(None))?;
        let difference = match self.plan.verify {
            true => self.pattern.first_difference(connection.key, offset, bytes),
            false => None,
        };
        if difference.is_some() {
            return Err(Failure::Mismatch(difference));
        }
        if connection.greeting.is_whole() && !connection.is_settled {
            self.settle(slot);
        }
        Ok(())
    }

    /// Records the messages that are complete by now.
    fn account(&mut self, slot: usize, now_ns: u64) {
        let group = self.connections[slot].group;
        while let Some(message) = self.connections[slot].exchange.take_answered(self.plan.size) {
            self.tally.answer(&self.timeline, slot, group, message, now_ns);
            self.pending -= 1;
            self.answered += 1;
            self.answered_last_ns = now_ns;
            if let Some(think_ns) = self.plan.think_ns {
                let thought_ns = exponential(&mut self.random, think_ns as f64) as u64;
                self.connections[slot].thinking += 1;
                self.wake_at(slot, now_ns + thought_ns, Alarm::Think);
            }
        }
    }

    /// A connection is over, for this reason.
    fn fail(&mut self, slot: usize, failure: Failure) {
        let connection = &mut self.connections[slot];
        let is_owed = connection.exchange.has_begun() || self.plan.greet && !connection.greeting.is_whole();
        match failure {
            Failure::Connect(_) => self.tally.errors.connect += 1,
            Failure::Reset(_) => self.tally.errors.reset += 1,
            Failure::Mismatch(_) | Failure::NoGreeting(_) => self.tally.errors.mismatch += 1,
            Failure::Eof => self.tally.errors.short += u64::from(is_owed),
        }
        if is_owed || !matches!(failure, Failure::Eof) {
            self.tally.note(|| failure.describe());
        }
        if connection.exchange.answered() > 0 {
            connection.failures = 0;
        }
        let backoff_ns = BACKOFF_NS << connection.failures.min(BACKOFF_DOUBLINGS);
        connection.failures += 1;
        self.close(slot);
        self.settle(slot);
        self.wake_after(slot, backoff_ns, Alarm::Open);
    }

    /// Closes a socket; messages that it had begun to carry are lost. In open loop the others wait for the
    /// next one; in closed loop they go as well, since nothing was due.
    fn close(&mut self, slot: usize) {
        self.put(slot, Socket::Closed);
        let connection = &mut self.connections[slot];
        if connection.group != UNGREETED {
            self.tally.part(std::mem::replace(&mut connection.group, UNGREETED), clock::now_ns());
        }
        connection.generation = connection.generation.wrapping_add(1);
        connection.thinking = 0;
        connection.reading = Reading::default();
        if !self.plan.is_open_loop() {
            connection.exchange.begin_all();
        }
        for message in connection.exchange.lose_begun() {
            self.tally.lose(&self.timeline, message);
            self.pending -= 1;
        }
    }

    fn put(&mut self, slot: usize, socket: Socket) {
        let place = &mut self.connections[slot].socket;
        self.connecting -= usize::from(place.is_connecting());
        self.connecting += usize::from(socket.is_connecting());
        *place = socket;
    }

    fn settle(&mut self, slot: usize) {
        let connection = &mut self.connections[slot];
        self.unsettled -= usize::from(!connection.is_settled);
        connection.is_settled = true;
    }

    fn wake_after(&mut self, slot: usize, pause_ns: u64, alarm: Alarm) {
        self.wake_at(slot, clock::now_ns().saturating_add(pause_ns), alarm);
    }

    fn wake_at(&mut self, slot: usize, at_ns: u64, alarm: Alarm) {
        let token = Token { slot: slot as u32, generation: self.connections[slot].generation };
        self.alarms.push(Reverse((at_ns, token, alarm)));
    }
}
