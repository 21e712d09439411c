//! What a service can do with its session during a turn.
//!
//! A read is a syscall only where something may be there, a write only where there may be room: readiness
//! is remembered, so a message costs one read and one write. What a peer doesn't take is kept, and while it
//! is kept the bytes that would follow it aren't read. What a service asks to read in a turn is what it
//! will be told of; a service that doesn't ask is left alone.

use std::time::Duration;

use super::{
    backlog::{Backlog, Pool},
    link::{Half, Link, NEVER_NS, Phase, Registration},
    ready::ReadyList,
    service::{Read, Turn, sink},
    timer::Wheel,
    token::{Side, Token},
    trigger,
};
use crate::{
    config::Trigger,
    measure::recorder::Recorder,
    sys::{Errno, epoll::Epoll},
};

/// The most reads of a turn, unless its budget is unlimited. Bytes alone don't bound a turn: where short reads
/// prove nothing (urgent data, passed descriptors) a peer could have it read them one by one.
const READS_MAX: u32 = 16;

/// How long a closed session's peer may take nothing of its backlog bytes before it is cut off, in nanoseconds.
const FLUSH_NS: u64 = 10_000_000_000;

/// How long a closed session's peer may go on sending before it is cut off, in nanoseconds.
const LINGER_NS: u64 = 1_000_000_000;

/// What is a worker's, and every one of its turns works with.
pub(super) struct Context {
    pub epoll: Epoll,
    pub trigger: Trigger,
    /// The most bytes that a turn reads.
    pub budget: usize,
    pub worker: usize,
    /// The time of the running iteration.
    pub now_ns: u64,
    /// Whether the worker has been told to stop.
    pub is_draining: bool,
    pub recorder: Recorder,
    pub pool: Pool,
    pub ready: ReadyList,
    /// Deadlines: a token, and the deadline under which it was filed.
    pub wheel: Wheel<(Token, u64)>,
    /// Grows with everything that counts as work; a wakeup that leaves it as it was, was spurious.
    pub work: u64,
}

/// How the loop goes on with a session after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Epoll will tell.
    Wait,
    /// It has work left of which epoll will not tell again.
    Again,
    /// It is over: its sockets are closed.
    End,
    /// It is over: its sockets are reset.
    Reset,
}

/// One session, during one of its turns.
pub struct Io<'a> {
    link: &'a mut Link,
    cx: &'a mut Context,
    budget: usize,
    reads_left: u32,
    asked: [bool; 2],
}

impl<'a> Io<'a> {
    pub(super) fn new(link: &'a mut Link, cx: &'a mut Context) -> Self {
        let budget = cx.budget;
        let reads_left = if budget == usize::MAX { u32::MAX } else { READS_MAX };
        Self { link, cx, budget, reads_left, asked: [false; 2] }
    }

    /// Reads what has come in on a side, up to the turn's budget.
    #[inline]
    pub fn read(&mut self, side: Side, buffer: &mut [u8]) -> Read {
        self.asked[side as usize] = true;
        let held_off = self.is_held_off(side);
        let half = self.link.half(side);
        match half {
            Half { broken: true, .. } => return Read::Broken,
            Half { eof: true, .. } => return Read::Eof,
            Half { readable: false, .. } | Half { socket: None, .. } => return Read::Pending,
            _ if held_off => return Read::Pending,
            _ => {}
        }
        let wanted = buffer.len().min(self.budget);
        if wanted == 0 || self.reads_left == 0 {
            return Read::Pending;
        }
        self.reads_left -= 1;
        let result =
            half.socket.as_ref().map_or(Err(Errno::AGAIN), |socket| socket.read(&mut buffer[..wanted]));
        match result {
            Ok(0) => self.read_eof(side),
            Ok(len) => {
                if len < wanted && half.short_read_drains(self.cx.trigger) {
                    half.readable = false;
                }
                self.read_data(side, len)
            }
            Err(Errno::AGAIN) => self.read_nothing(side),
            Err(error) => {
                self.break_side(side, error);
                Read::Broken
            }
        }
    }

    /// Writes bytes to a side: what its socket takes goes out now, the rest is kept and goes out in order as
    /// soon as there is room. Bytes for a broken side are dropped, and counted.
    #[inline]
    pub fn write(&mut self, side: Side, bytes: &[u8]) {
        let sent = match self.link.half(side) {
            Half { broken: true, .. } | Half { socket: None, .. } => {
                self.cx.recorder.counts.bytes_undelivered += bytes.len() as u64;
                return;
            }
            Half { backlog: None, writable: true, .. } => self.send(side, bytes),
            _ => 0,
        };
        if sent < bytes.len() {
            self.keep(side, &bytes[sent..]);
        }
    }

    /// Whether bytes for this side wait until its peer takes more.
    pub fn is_backlogged(&self, side: Side) -> bool {
        self.link.is_backlogged(side)
    }

    /// Asks for [`super::service::Service::expire`] after this time, in place of what was asked before.
    /// Coarse: up to two milliseconds late. Moving a deadline is one store.
    #[inline]
    pub fn set_deadline(&mut self, after: Duration) {
        let after_ns = u64::try_from(after.as_nanos()).unwrap_or(NEVER_NS);
        self.set_deadline_ns(self.cx.now_ns.saturating_add(after_ns));
    }

    /// The worker's number, from 0.
    pub fn worker(&self) -> usize {
        self.cx.worker
    }

    /// The time of the running iteration, in nanoseconds of the monotonic clock.
    pub fn now_ns(&self) -> u64 {
        self.cx.now_ns
    }

    /// Whether the worker has been told to stop.
    pub fn is_draining(&self) -> bool {
        self.cx.is_draining
    }

    pub(super) fn set_deadline_ns(&mut self, deadline_ns: u64) {
        self.link.deadline_ns = deadline_ns;
        match self.link.filed {
            Some((filed_ns, _)) if filed_ns <= deadline_ns => return,
            Some((_, later)) => self.cx.wheel.take_back(later),
            None => {}
        }
        let filed = self.cx.wheel.file(deadline_ns, (self.link.token, deadline_ns));
        self.link.filed = Some((deadline_ns, filed));
    }

    /// Writes out backlog bytes where there is room for them.
    pub(super) fn flush(&mut self) {
        for side in Side::ALL {
            while self.link.is_backlogged(side) && self.link.half(side).writable {
                // Taken out for the call, as sending needs the rest of the session.
                let Some(mut backlog) = self.link.half(side).backlog.take() else { break };
                let sent = self.send(side, backlog.front());
                backlog.consume(sent, &mut self.cx.pool);
                if self.link.half(side).broken {
                    self.cx.recorder.counts.bytes_undelivered += backlog.len() as u64;
                    backlog.clear(&mut self.cx.pool);
                } else if !backlog.is_empty() {
                    self.link.half(side).backlog = Some(backlog);
                }
            }
        }
    }

    /// Reads what still comes, and drops it.
    pub(super) fn discard(&mut self, scratch: &mut [u8]) {
        for side in Side::ALL {
            while let Read::Data(len) = self.read(side, scratch) {
                self.cx.recorder.counts.bytes_undelivered += len as u64;
            }
        }
    }

    /// Makes a side look whether something is there, whatever epoll said.
    pub(super) fn look_again(&mut self) {
        // A side without a socket has nothing to read, and would be looked at again and again.
        self.link.halves().iter_mut().for_each(|half| half.readable = half.socket.is_some());
    }

    /// Whether bytes for any side wait until its peer takes more.
    pub(super) fn has_backlog(&self) -> bool {
        self.link.has_backlog()
    }

    /// Whether this turn has read any byte.
    pub(super) fn has_read(&self) -> bool {
        self.budget < self.cx.budget
    }

    /// Whether the session has nothing to read and nothing to write.
    pub(super) fn is_quiet(&mut self) -> bool {
        !self.has_unread() && !self.link.has_backlog()
    }

    /// Does what a turn has decided, as far as it concerns the sockets.
    #[inline]
    pub(super) fn conclude(&mut self, turn: Turn) -> Next {
        match turn {
            Turn::Keep => self.settle(),
            Turn::Close => self.wind_down(),
            Turn::Abort => Next::Reset,
        }
    }

    /// Asks epoll for what this turn has shown to be of interest.
    pub(super) fn settle(&mut self) -> Next {
        for side in Side::ALL {
            if self.settle_side(side).is_err() {
                // Out of memory or of watches: a session that epoll doesn't know would sleep for ever.
                self.cx.recorder.counts.errors.other += 1;
                return Next::Reset;
            }
        }
        let is_silent = self.cx.trigger == Trigger::Edge || self.link.has_left_epoll();
        if is_silent && self.has_unread() { Next::Again } else { Next::Wait }
    }

    /// Whether a side that the turn has asked to read may still have something: the budget ran out, or the
    /// service stopped before it was told that nothing is left.
    #[inline]
    fn has_unread(&mut self) -> bool {
        Side::ALL.into_iter().any(|side| {
            let (asked, held_off) = (self.asked[side as usize], self.is_held_off(side));
            let half = self.link.half(side);
            asked && half.readable && !half.eof && !half.broken && !held_off
        })
    }

    /// A session that nobody has had a turn with yet waits to be read.
    pub(super) fn expect_client(&mut self) {
        self.asked[Side::Client as usize] = true;
    }

    /// Backlog bytes first, then FIN, then what the peer still sends until its own FIN. Where that has come
    /// already the close itself sends ours.
    fn wind_down(&mut self) -> Next {
        if self.link.has_backlog() {
            self.link.phase = Phase::Flushing;
            // Moved by each turn: a peer that takes its time gets it, one that takes nothing does not.
            self.set_deadline_ns(self.cx.now_ns + FLUSH_NS);
            return self.settle();
        }
        if self.link.is_over() {
            return Next::End;
        }
        if self.link.phase != Phase::Lingering {
            self.link.phase = Phase::Lingering;
            self.finish_writing();
            self.set_deadline_ns(self.cx.now_ns + LINGER_NS);
        }
        self.asked = [true; 2];
        self.settle()
    }

    /// Sends FIN on every side that has not had one.
    fn finish_writing(&mut self) {
        for half in self.link.halves() {
            if let (false, Some(socket)) = (half.fin_sent || half.broken, &half.socket) {
                socket.shut_down_writing();
                half.fin_sent = true;
            }
        }
    }

    fn settle_side(&mut self, side: Side) -> Result<(), Errno> {
        let reads = self.asked[side as usize] && !self.is_held_off(side);
        let token = self.link.token.on(side).to_u64();
        let half = self.link.half(side);
        let Some(socket) = &half.socket else { return Ok(()) };
        let writes = half.backlog.is_some();
        half.was_blocked |= writes;
        let wanted = trigger::interest(self.cx.trigger, half, reads && !half.eof && !half.broken, writes);
        match half.registration {
            Registration::Left => return Ok(()),
            Registration::Out => self.cx.epoll.add(socket, token, wanted)?,
            Registration::Armed if half.armed == wanted => return Ok(()),
            Registration::Armed | Registration::Disarmed => self.cx.epoll.modify(socket, token, wanted)?,
        }
        half.armed = wanted;
        half.registration = Registration::Armed;
        Ok(())
    }

    /// Back pressure: while the place where a side's bytes go has backlog bytes, the side isn't read.
    #[inline]
    fn is_held_off(&self, side: Side) -> bool {
        self.link.is_backlogged(sink(side, self.link.has_two()))
    }

    #[inline]
    fn read_data(&mut self, side: Side, len: usize) -> Read {
        self.budget -= len;
        self.cx.work += 1;
        self.cx.recorder.count(|counts| {
            counts.messages += 1;
            counts.bytes_in += if side == Side::Client { len as u64 } else { 0 };
        });
        Read::Data(len)
    }

    fn read_eof(&mut self, side: Side) -> Read {
        self.cx.work += 1;
        let half = self.link.half(side);
        half.eof = true;
        half.readable = false;
        Read::Eof
    }

    fn read_nothing(&mut self, side: Side) -> Read {
        let half = self.link.half(side);
        half.readable = false;
        half.hides_more = false;
        if half.registration == Registration::Left {
            // The error that epoll reported was not the socket's end: ask epoll again.
            half.registration = Registration::Out;
        }
        Read::Pending
    }

    #[inline]
    fn send(&mut self, side: Side, bytes: &[u8]) -> usize {
        let half = self.link.half(side);
        let result = half.socket.as_ref().map_or(Err(Errno::PIPE), |socket| socket.write(bytes));
        let sent = match result {
            Ok(sent) => sent,
            Err(Errno::AGAIN) => 0,
            Err(error) => {
                self.break_side(side, error);
                return 0;
            }
        };
        if sent < bytes.len() {
            half.writable = false;
        }
        self.cx.work += u64::from(sent > 0);
        self.cx.recorder.count(|counts| {
            counts.partial_writes += u64::from(sent < bytes.len());
            counts.bytes_out += if side == Side::Client { sent as u64 } else { 0 };
        });
        sent
    }

    fn keep(&mut self, side: Side, bytes: &[u8]) {
        let half = self.link.half(side);
        if half.broken {
            self.cx.recorder.counts.bytes_undelivered += bytes.len() as u64;
            return;
        }
        half.backlog.get_or_insert_with(Box::<Backlog>::default).push(bytes, &mut self.cx.pool);
    }

    /// Remembers an error: the kernel tells it once, and what follows would look like a clean end.
    fn break_side(&mut self, side: Side, error: Errno) {
        self.cx.work += 1;
        let half = self.link.half(side);
        half.broken = true;
        half.readable = false;
        let errors = &mut self.cx.recorder.counts.errors;
        match error {
            Errno::CONNRESET | Errno::PIPE => errors.reset += 1,
            Errno::TIMEDOUT => errors.timeout += 1,
            _ => errors.other += 1,
        }
    }
}
