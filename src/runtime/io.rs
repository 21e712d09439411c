//! What a service can do with its session during a turn.
//!
//! A read is a syscall only where something may be there, a write only where there may be room: readiness
//! is remembered, so a message costs one read and one write. What a peer doesn't take is kept, and while it
//! is kept the bytes that would follow it aren't read. What a service asks to read in a turn is what it
//! will be told of; a service that doesn't ask is left alone.
//!
//! Here are reading, writing and deadlines; `opening` has the second side, `splicing` the way of bytes that
//! never enter this process, `ending` what a turn's decision does to the sockets.

mod ending;
mod opening;
mod splicing;

use std::{sync::Arc, time::Duration};

pub use opening::Connection;

use super::{
    backlog::{Backlog, Chunks, PipePool, Pool},
    desk::Desk,
    link::{Inflow, Link, NEVER_NS, Registration, Reset},
    mailbox::Sender,
    message::Message,
    ready::ReadyList,
    service::{End, Read, sink},
    timer::Wheel,
    token::{Side, Token},
};
use crate::{
    config::Trigger,
    measure::recorder::Recorder,
    sys::{Errno, epoll::Epoll, timestamp},
};

/// The most reads of a turn from one side, unless its budget is unlimited. Bytes alone don't bound a turn: where
/// short reads prove nothing (urgent data, passed descriptors) a peer could have it read them one by one.
const READS_MAX: u32 = 16;

/// What is a worker's, and every one of its turns works with.
pub(super) struct Context {
    pub epoll: Epoll,
    pub trigger: Trigger,
    /// The most bytes that a turn reads from one side.
    pub budget: usize,
    pub worker: usize,
    /// The time of the running iteration.
    pub now_ns: u64,
    /// Whether the kernel is asked when it received what clients send.
    pub stamps: bool,
    /// Whether the worker has been told to stop.
    pub is_draining: bool,
    pub recorder: Recorder,
    pub pool: Pool,
    pub pipes: PipePool,
    pub ready: ReadyList,
    /// Sessions that others have asked to be given a turn.
    pub woken: Vec<Token>,
    /// Those of all workers, its own too.
    pub mailboxes: Arc<[Sender<Message>]>,
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
    Reset(End),
}

/// One session, during one of its turns.
pub struct Io<'a> {
    link: &'a mut Link,
    cx: &'a mut Context,
    budget: [usize; 2],
    reads_left: [u32; 2],
    asked: [bool; 2],
    work_before: u64,
}

impl<'a> Io<'a> {
    pub(super) fn new(link: &'a mut Link, cx: &'a mut Context) -> Self {
        let budget = cx.budget;
        let reads = if budget == usize::MAX { u32::MAX } else { READS_MAX };
        let work_before = cx.work;
        Self { link, cx, budget: [budget; 2], reads_left: [reads; 2], asked: [false; 2], work_before }
    }

    /// Reads what has come in on a side, up to the turn's budget.
    #[inline]
    pub fn read(&mut self, side: Side, buffer: &mut [u8]) -> Read {
        let wanted = match self.may_read(side, buffer.len()) {
            Ok(wanted) => wanted,
            Err(read) => return read,
        };
        if self.cx.stamps && side == Side::Client {
            return self.read_stamped(side, &mut buffer[..wanted]);
        }
        let socket = self.link.half(side).socket.as_ref();
        let result = socket.map_or(Err(Errno::AGAIN), |socket| socket.read(&mut buffer[..wanted]));
        self.after_read(side, wanted, result)
    }

    /// Asks to read a side, and says whether that may bring anything now.
    #[inline]
    pub fn may_bring(&mut self, side: Side) -> bool {
        self.asked[side as usize] = true;
        let half = self.link.half(side);
        half.readable && half.inflow == Inflow::Open
    }

    /// Writes bytes to a side: what its socket takes goes out now, the rest is kept and goes out in order as
    /// soon as there is room. Bytes for a dead side are dropped, and counted.
    #[inline]
    pub fn write(&mut self, side: Side, bytes: &[u8]) {
        let half = self.link.half(side);
        if half.socket.is_none() || half.reset != Reset::No {
            self.cx.recorder.counts.bytes_undelivered += bytes.len() as u64;
            return;
        }
        let sent = if half.backlog.is_none() && half.writable { self.send(side, bytes) } else { 0 };
        if sent < bytes.len() {
            self.keep(side, &bytes[sent..]);
        }
    }

    /// Keeps bytes for a side that is yet to be connected: they go out before anything else once it is.
    pub fn hold(&mut self, side: Side, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.keep(side, bytes);
        }
    }

    /// Ends the stream to a side: FIN goes out behind what was written. Reading goes on.
    pub fn finish(&mut self, side: Side) {
        self.link.half(side).fin_wanted = true;
        self.send_fin(side);
    }

    /// Whether bytes for this side wait until its peer takes more.
    pub fn is_backlogged(&self, side: Side) -> bool {
        self.link.is_backlogged(side)
    }

    /// How many bytes were written to a side and have not gone out.
    pub fn backlog_len(&mut self, side: Side) -> usize {
        self.link.half(side).backlog.as_ref().map_or(0, |backlog| backlog.len())
    }

    /// Whether a side is dead: reset, or given up by the kernel. What it had sent before may still have to be read.
    #[inline]
    pub fn is_dead(&mut self, side: Side) -> bool {
        self.link.half(side).reset != Reset::No
    }

    /// What ended a dead side, where it was no reset by its peer.
    pub fn fault(&mut self, side: Side) -> Option<Errno> {
        let Reset::Fault(number) = self.link.half(side).reset else { return None };
        Some(Errno::from_raw_os_error(i32::from(number)))
    }

    /// Whether nothing more can be read from a side.
    #[inline]
    pub fn is_read_out(&mut self, side: Side) -> bool {
        self.link.half(side).inflow != Inflow::Open
    }

    /// Whether this turn has moved any byte, or learned of an end.
    #[inline]
    pub fn has_moved(&self) -> bool {
        self.cx.work != self.work_before
    }

    /// Asks for [`super::service::Service::expire`] after this time, in place of what was asked before.
    /// Coarse: up to two milliseconds late. Moving a deadline is one store.
    #[inline]
    pub fn set_deadline(&mut self, after: Duration) {
        let after_ns = u64::try_from(after.as_nanos()).unwrap_or(NEVER_NS);
        self.set_deadline_ns(self.cx.now_ns.saturating_add(after_ns));
    }

    /// The same, for a moment of the monotonic clock in nanoseconds.
    #[inline]
    pub fn set_deadline_ns(&mut self, deadline_ns: u64) {
        self.link.deadline_ns = deadline_ns;
        match self.link.filed {
            Some((filed_ns, _)) if filed_ns <= deadline_ns => return,
            Some((_, later)) => self.cx.wheel.take_back(later),
            None if deadline_ns == NEVER_NS => return,
            None => {}
        }
        let filed = self.cx.wheel.file(deadline_ns, (self.link.token, deadline_ns));
        self.link.filed = Some((deadline_ns, filed));
    }

    /// The same, unless there will be an earlier one.
    pub fn set_deadline_no_later(&mut self, deadline_ns: u64) {
        if deadline_ns < self.link.deadline_ns {
            self.set_deadline_ns(deadline_ns);
        }
    }

    /// Has the session closed by RST, however it ends.
    pub fn end_by_reset(&mut self) {
        self.link.ends_by_reset = true;
    }

    /// The worker's number, from 0.
    pub fn worker(&self) -> usize {
        self.cx.worker
    }

    /// The session's number: no other of this worker has it.
    pub fn number(&self) -> u64 {
        self.link.token.serial().to_u64()
    }

    /// Says that the session has come on in this turn, though it has moved no byte: the deadline that may have led to
    /// the turn has been seen to.
    pub(crate) fn come_on(&mut self) {
        self.cx.work += 1;
    }

    /// What another session may wake this one by.
    pub fn token(&self) -> Token {
        self.link.token
    }

    /// Has a session of this worker get a turn soon, if it is still there.
    pub fn wake(&mut self, token: Token) {
        self.desk().wake(token);
    }

    /// What can be done beside this session.
    pub fn desk(&mut self) -> Desk<'_> {
        Desk::new(self.cx)
    }

    /// Bytes that a side's peer has not acknowledged, as far as it is known that they may yet arrive; of a unix
    /// socket 0, as what it has taken can be read after its end too.
    pub fn unacknowledged(&mut self, side: Side) -> usize {
        let in_flight = self.in_flight(side);
        in_flight - usize::from(self.link.half(side).fin_sent && in_flight > 0)
    }

    /// The same, with a FIN counted as one.
    fn in_flight(&mut self, side: Side) -> usize {
        let half = self.link.half(side);
        let is_alive = half.is_alive() && !half.failed;
        let tcp = half.socket.as_ref().filter(|socket| is_alive && !socket.is_unix());
        tcp.map_or(0, |socket| socket.unacknowledged())
    }

    /// When the session was opened, in nanoseconds of the monotonic clock.
    pub fn opened_ns(&self) -> u64 {
        self.link.opened_ns
    }

    /// The time of the running iteration, in nanoseconds of the monotonic clock.
    pub fn now_ns(&self) -> u64 {
        self.cx.now_ns
    }

    /// Whether the worker has been told to stop.
    pub fn is_draining(&self) -> bool {
        self.cx.is_draining
    }

    pub(crate) fn recorder(&mut self) -> &mut Recorder {
        &mut self.cx.recorder
    }

    /// Makes a side look whether something is there, whatever epoll said.
    pub(super) fn look_again(&mut self) {
        for half in self.link.halves() {
            // A side without a connection has nothing to read, and would be looked at again and again.
            match &half.socket {
                Some(socket) if half.connecting => half.writable |= socket.is_connected(),
                socket => half.readable |= socket.is_some(),
            }
        }
    }

    /// Whether this turn has read any byte.
    pub(super) fn has_read(&self) -> bool {
        self.budget != [self.cx.budget; 2]
    }

    /// Whether the session has two sides.
    pub(super) fn has_two(&self) -> bool {
        self.link.has_two()
    }

    /// Whether the session has nothing to read and nothing to write.
    pub(super) fn is_quiet(&mut self) -> bool {
        !self.has_unread() && !self.link.has_backlog()
    }

    /// Whether bytes for any side wait until its peer takes more.
    pub(super) fn has_backlog(&self) -> bool {
        self.link.has_backlog()
    }

    /// Whether a side that the turn has asked to read may still have something: the budget ran out, or the
    /// service stopped before it was told that nothing is left.
    #[inline]
    fn has_unread(&mut self) -> bool {
        Side::ALL.into_iter().any(|side| {
            let half = self.link.half(side);
            let may_read = half.readable && half.inflow == Inflow::Open;
            may_read && self.asked[side as usize] && !self.is_held_off(side)
        })
    }

    /// A session that nobody has had a turn with yet waits to be read, unless it waits for its second side.
    pub(super) fn expect_client(&mut self) {
        self.asked[Side::Client as usize] = !self.link.has_two();
    }

    /// Back pressure: while the place where a side's bytes go has backlog bytes, the side isn't read.
    #[inline]
    fn is_held_off(&self, side: Side) -> bool {
        self.link.is_backlogged(sink(side, self.link.has_two()))
    }

    /// How much of what was asked for may be read now; or what there is to say in place of reading.
    #[inline]
    fn may_read(&mut self, side: Side, len: usize) -> Result<usize, Read> {
        self.asked[side as usize] = true;
        let held_off = self.is_held_off(side);
        let half = self.link.half(side);
        match half.inflow {
            Inflow::Open => {}
            Inflow::Ended => return Err(Read::Eof),
            Inflow::Lost => return Err(Read::Broken),
        }
        let wanted = len.min(self.budget[side as usize]);
        let has_turn = wanted > 0 && self.reads_left[side as usize] > 0;
        if !half.readable || half.connecting || half.socket.is_none() || held_off || !has_turn {
            return Err(Read::Pending);
        }
        self.reads_left[side as usize] -= 1;
        Ok(wanted)
    }

    /// The same as the rest of [`Self::read`], and records how long ago the kernel received the last of it. Apart from
    /// that, so that who doesn't ask for it pays for one comparison.
    #[cold]
    fn read_stamped(&mut self, side: Side, buffer: &mut [u8]) -> Read {
        let socket = self.link.half(side).socket.as_ref();
        let result = socket.map_or(Err(Errno::AGAIN), |socket| socket.read_stamped(buffer));
        if let Ok((1.., stamp_ns)) = result {
            let delay_ns = stamp_ns.map(|stamp_ns| timestamp::realtime_ns().saturating_sub(stamp_ns));
            self.cx.recorder.arrived(delay_ns);
        }
        self.after_read(side, buffer.len(), result.map(|(len, _)| len))
    }

    /// What a read of so many bytes has brought. (Not inlined it would cost each message 20 instructions more.)
    #[inline(always)]
    fn after_read(&mut self, side: Side, wanted: usize, result: Result<usize, Errno>) -> Read {
        self.cx.recorder.counts.reads += 1;
        match result {
            Ok(0) => self.read_end(side),
            Ok(len) => {
                let half = self.link.half(side);
                if len < wanted && half.short_read_drains(self.cx.trigger) {
                    half.readable = false;
                }
                self.read_data(side, len)
            }
            Err(Errno::AGAIN) => self.read_nothing(side),
            Err(error) => self.read_error(side, error),
        }
    }

    #[inline]
    fn read_data(&mut self, side: Side, len: usize) -> Read {
        self.budget[side as usize] -= len;
        self.cx.work += 1;
        self.cx.recorder.count(|counts| {
            counts.messages += 1;
            match side {
                Side::Client => counts.bytes_in += len as u64,
                Side::Upstream => counts.bytes_from_upstream += len as u64,
            }
        });
        Read::Data(len)
    }

    fn read_end(&mut self, side: Side) -> Read {
        self.cx.work += 1;
        let half = self.link.half(side);
        half.readable = false;
        if matches!(half.reset, Reset::Outright | Reset::Fault(_)) {
            // The error was told by a write; what the kernel says after that is no FIN.
            half.inflow = Inflow::Lost;
            return Read::Broken;
        }
        half.inflow = Inflow::Ended;
        self.heed_failure(side);
        Read::Eof
    }

    fn read_nothing(&mut self, side: Side) -> Read {
        self.cx.recorder.counts.read_eagain += 1;
        let half = self.link.half(side);
        half.readable = false;
        half.hides_more = false;
        if half.registration == Registration::Left {
            // The error that epoll reported was not the socket's end: ask epoll again.
            half.registration = Registration::Out;
        }
        Read::Pending
    }

    fn read_error(&mut self, side: Side, error: Errno) -> Read {
        self.break_side(side, error);
        let half = self.link.half(side);
        half.readable = false;
        half.inflow = Inflow::Lost;
        Read::Broken
    }

    /// Writes out backlog bytes where there is room for them, and FIN behind them.
    #[inline]
    pub(super) fn flush(&mut self) {
        for side in Side::ALL {
            if self.link.half(side).is_owed() {
                self.flush_side(side);
            }
        }
    }

    /// Writes what waits for a side, and a FIN behind it. Before each turn that is done anyway; a service has to ask
    /// for it where a new upstream is to have what another didn't take.
    pub fn flush_side(&mut self, side: Side) {
        self.heed_failure(side);
        while self.link.is_backlogged(side) && self.link.half(side).takes_bytes() {
            // Taken out for the call, as sending needs the rest of the session.
            let Some(mut backlog) = self.link.half(side).backlog.take() else { break };
            let is_left = match &mut *backlog {
                Backlog::Bytes(chunks) => {
                    let sent = self.send(side, chunks.front());
                    chunks.consume(sent, &mut self.cx.pool);
                    !chunks.is_empty()
                }
                Backlog::Pipe(pipe) => {
                    self.send_pipe(side, pipe);
                    !pipe.is_empty()
                }
            };
            match *backlog {
                _ if is_left => self.link.half(side).backlog = Some(backlog),
                Backlog::Pipe(pipe) => self.cx.pipes.give(pipe),
                Backlog::Bytes(_) => {}
            }
        }
        self.send_fin(side);
    }

    #[inline]
    fn send(&mut self, side: Side, bytes: &[u8]) -> usize {
        let half = self.link.half(side);
        let result = half.socket.as_ref().map_or(Err(Errno::PIPE), |socket| socket.write(bytes));
        self.cx.recorder.counts.writes += 1;
        let sent = match result {
            Ok(sent) => sent,
            Err(Errno::AGAIN) => 0,
            Err(error) => {
                self.write_error(side, error);
                return 0;
            }
        };
        if sent < bytes.len() {
            half.writable = false;
        }
        self.sent(side, sent, sent < bytes.len());
        sent
    }

    #[inline]
    fn sent(&mut self, side: Side, sent: usize, is_partial: bool) {
        self.cx.work += u64::from(sent > 0);
        self.cx.recorder.count(|counts| {
            counts.partial_writes += u64::from(is_partial);
            match side {
                Side::Client => counts.bytes_out += sent as u64,
                Side::Upstream => counts.bytes_to_upstream += sent as u64,
            }
        });
    }

    fn send_fin(&mut self, side: Side) {
        let half = self.link.half(side);
        let may = half.fin_wanted && !half.fin_sent && half.backlog.is_none() && half.is_alive();
        if may && let Some(socket) = &half.socket {
            socket.shut_down_writing();
            half.fin_sent = true;
        }
    }

    fn keep(&mut self, side: Side, bytes: &[u8]) {
        let empty = || Box::new(Backlog::Bytes(Chunks::default()));
        match &mut **self.link.half(side).backlog.get_or_insert_with(empty) {
            Backlog::Bytes(chunks) => chunks.push(bytes, &mut self.cx.pool),
            waiting @ Backlog::Pipe(_) => {
                waiting.take_out_of_pipe(&mut self.cx.pool);
                self.keep(side, bytes);
            }
        }
    }

    /// A write has failed. What the peer had sent before is read all the same.
    fn write_error(&mut self, side: Side, error: Errno) {
        self.break_side(side, error);
        let half = self.link.half(side);
        half.readable = true;
        half.hides_more = true;
    }

    /// Epoll has reported an error on a side that was read to its end: no call will tell of it.
    fn heed_failure(&mut self, side: Side) {
        let half = self.link.half(side);
        if half.failed && half.inflow == Inflow::Ended && half.reset == Reset::No {
            self.break_side(side, Errno::PIPE);
        }
    }

    /// Remembers an error: the kernel tells it once, and what follows would look like a clean end. EPIPE is what
    /// it tells where FIN had come before the reset (`tcp_reset` in net/ipv4/tcp_input.c).
    pub(super) fn break_side(&mut self, side: Side, error: Errno) {
        self.cx.work += 1;
        let half = self.link.half(side);
        if half.reset == Reset::No {
            half.reset = match error {
                Errno::PIPE => Reset::AfterFin,
                Errno::CONNRESET => Reset::Outright,
                _ => Reset::Fault(error.raw_os_error() as u8),
            };
        }
    }
}
