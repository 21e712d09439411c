//! What a turn's decision does to the sockets: what epoll is asked for next, FIN, RST.

use super::{Io, Next};
use crate::{
    config::Trigger,
    runtime::{
        link::{Inflow, Parting, Phase, Registration, Reset},
        service::{End, Read, Turn},
        token::Side,
        trigger,
    },
    sys::{Errno, epoll::Interest},
};

/// How long a closed session's peer may take nothing of its backlog bytes before it is cut off, in nanoseconds.
const FLUSH_NS: u64 = 10_000_000_000;

/// How long a closed session's peer may go on sending before it is cut off, in nanoseconds.
const LINGER_NS: u64 = 1_000_000_000;

/// How soon, and how rarely at last, acknowledgements are looked for, in nanoseconds.
const PAUSE_MIN_NS: u64 = 1_000_000;
const PAUSE_MAX_NS: u64 = 64_000_000;

impl Io<'_> {
    /// Does what a turn has decided, as far as it concerns the sockets.
    #[inline]
    pub(in crate::runtime) fn conclude(&mut self, turn: Turn) -> Next {
        match turn {
            Turn::Keep => self.settle(),
            Turn::Close => self.wind_down(),
            Turn::Reset => self.reset_after_delivery(),
            Turn::Abort => Next::Reset(End::Decided),
        }
    }

    /// Asks epoll for what this turn has shown to be of interest.
    #[inline]
    pub(in crate::runtime) fn settle(&mut self) -> Next {
        for side in Side::ALL {
            if !self.is_settled(side) && self.settle_side(side).is_err() {
                // Out of memory or of watches: a session that epoll doesn't know would sleep for ever.
                self.cx.recorder.counts.errors.other += 1;
                return Next::Reset(End::Unwatched);
            }
        }
        let is_silent = self.cx.trigger == Trigger::Edge || self.link.has_left_epoll();
        if is_silent && self.has_unread() { Next::Again } else { Next::Wait }
    }

    /// Reads what still comes, and drops it.
    pub(in crate::runtime) fn discard(&mut self, scratch: &mut [u8]) {
        for side in Side::ALL {
            while let Read::Data(len) = self.read(side, scratch) {
                self.cx.recorder.counts.bytes_undelivered += len as u64;
            }
        }
    }

    /// The usual case, told soon: nothing waits to be written, and epoll has been asked for what is wanted.
    #[inline]
    fn is_settled(&mut self, side: Side) -> bool {
        let trigger = self.cx.trigger;
        let half = self.link.half(side);
        if half.registration != Registration::Armed || half.connecting || half.backlog.is_some() {
            return false;
        }
        match trigger {
            Trigger::Edge => true,
            Trigger::Level => {
                let is_asked_to_read = half.inflow == Inflow::Open && half.armed == Interest::READ;
                is_asked_to_read && self.asked[side as usize] && !self.is_held_off(side)
            }
            Trigger::Oneshot => false,
        }
    }

    fn settle_side(&mut self, side: Side) -> Result<(), Errno> {
        let reads = self.asked[side as usize] && !self.is_held_off(side);
        let token = self.link.token.on(side).to_u64();
        let half = self.link.half(side);
        let Some(socket) = &half.socket else { return Ok(()) };
        let writes = half.connecting || half.backlog.is_some() && half.reset == Reset::No;
        half.was_blocked |= writes;
        let wanted = trigger::interest(self.cx.trigger, half, reads && half.inflow == Inflow::Open, writes);
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

    /// Backlog bytes first, then FIN, then what the peer still sends until its own FIN. Where that has come
    /// already the close itself sends ours.
    fn wind_down(&mut self) -> Next {
        if self.link.has_backlog() {
            let is_new = self.link.phase != Phase::Flushing;
            self.link.phase = Phase::Flushing;
            // Moved while bytes go: a peer that takes its time gets it, one that takes nothing does not.
            if is_new || self.has_moved() {
                self.set_deadline_ns(self.cx.now_ns + FLUSH_NS);
            }
            return self.settle();
        }
        if self.link.is_over() {
            return Next::End;
        }
        if self.link.phase != Phase::Lingering {
            self.link.phase = Phase::Lingering;
            Side::ALL.into_iter().for_each(|side| self.finish(side));
            self.set_deadline_ns(self.cx.now_ns + LINGER_NS);
        }
        self.asked = [true; 2];
        self.settle()
    }

    /// A close by RST throws away what the peer has not been sent, and what has left but not arrived may be lost
    /// behind it. So the reset waits until all was acknowledged, for as long as that comes on.
    fn reset_after_delivery(&mut self) -> Next {
        let left: usize = Side::ALL.into_iter().map(|side| self.undelivered(side)).sum();
        if left == 0 {
            return Next::Reset(End::Decided);
        }
        self.link.phase = Phase::Resetting;
        let now_ns = self.cx.now_ns;
        let fresh = || Box::new(Parting { left: usize::MAX, moved_ns: now_ns, pause_ns: PAUSE_MIN_NS });
        let parting = self.link.parting.get_or_insert_with(fresh);
        if left < parting.left {
            (parting.left, parting.moved_ns) = (left, now_ns);
        }
        if now_ns - parting.moved_ns >= FLUSH_NS {
            return Next::Reset(End::Overdue);
        }
        let pause_ns = parting.pause_ns;
        parting.pause_ns = (2 * pause_ns).min(PAUSE_MAX_NS);
        self.set_deadline_ns(now_ns + pause_ns);
        self.settle()
    }

    /// Bytes, and a FIN, that a side's peer has not got yet, unless it will never get them.
    fn undelivered(&mut self, side: Side) -> usize {
        let in_flight = self.in_flight(side);
        let half = self.link.half(side);
        let is_alive = half.is_alive() && !half.failed;
        in_flight + half.backlog.as_ref().filter(|_| is_alive).map_or(0, |backlog| backlog.len())
    }
}
