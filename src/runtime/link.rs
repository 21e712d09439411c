//! What the runtime keeps of a session: its sockets, their remembered readiness, its deadline.
//!
//! No I/O happens here; `io` does that. Everything in here is what would travel with a session that moves.

use super::{
    backlog::Backlog,
    timer::Filed,
    token::{Side, Token},
};
use crate::{
    config::Trigger,
    sys::{
        epoll::{Interest, Readiness},
        socket::Socket,
    },
};

/// A deadline that never comes.
pub const NEVER_NS: u64 = u64::MAX;

/// The runtime's part of a session.
pub struct Link {
    /// Its name, for the client side.
    pub token: Token,
    /// When it was accepted.
    pub opened_ns: u64,
    /// When its service wants to be told, or [`NEVER_NS`].
    pub deadline_ns: u64,
    /// The deadline under which the wheel has it, and its entry there.
    pub filed: Option<(u64, Filed)>,
    /// When epoll_wait returned with its oldest event that had no turn yet; 0 for none.
    pub event_ns: u64,
    /// How far it is.
    pub phase: Phase,
    /// Whether it is in the ready list.
    pub queued: bool,
    /// Whether its deadline is over: it gets one more turn, in case its peer has spoken in time.
    pub is_overdue: bool,
    /// Whether its first turn tries to read before epoll was asked.
    pub first_read: bool,
    /// Whether its sockets are closed by RST, however it ends.
    pub ends_by_reset: bool,
    /// In phase `Resetting`.
    pub parting: Option<Box<Parting>>,
    halves: [Half; 2],
}

/// How far a session is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its service has turns.
    Open,
    /// Its service is done; backlog bytes still have to go out.
    Flushing,
    /// FIN is sent; what the peer still sends is read and dropped until its FIN comes.
    Lingering,
    /// A reset waits until what was written before it has arrived.
    Resetting,
}

/// How a reset that waits comes on.
pub struct Parting {
    /// Bytes that had not arrived at the last look.
    pub left: usize,
    /// When they last became fewer.
    pub moved_ns: u64,
    /// How long until the next look: no event tells of acknowledgements.
    pub pause_ns: u64,
}

/// Where a socket stands with epoll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// Epoll doesn't know it.
    Out,
    /// Epoll watches it for what `armed` says.
    Armed,
    /// Epoll knows it, and says nothing until it is re-armed (oneshot).
    Disarmed,
    /// It had an error or a hang-up, which can't be masked: it is driven by the ready list alone.
    Left,
}

/// How far the bytes that come in on a socket are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inflow {
    /// More may come.
    Open,
    /// The peer's FIN was read.
    Ended,
    /// It broke off: no FIN came before the error.
    Lost,
}

/// Whether a connection is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// It isn't, as far as is known.
    No,
    /// It is, and the peer's FIN had come before.
    AfterFin,
    /// It is, and no FIN had come: a read of 0 from now on is no end of the stream.
    Outright,
    /// It is, by no reset of its peer's: that is silent, or can't be reached any more. The error's number, which is
    /// below 256 on Linux.
    Fault(u8),
}

/// One socket of a session.
pub struct Half {
    /// The socket, while it is open.
    pub socket: Option<Socket>,
    /// Where it stands with epoll.
    pub registration: Registration,
    /// What epoll was last asked for.
    pub armed: Interest,
    /// It has begun to connect, and is neither connected nor refused.
    pub connecting: bool,
    /// A read may bring something.
    pub readable: bool,
    /// A write may take something.
    pub writable: bool,
    /// Something is behind the data (an end, an error, an urgent mark), so a short read proves nothing.
    pub hides_more: bool,
    /// Epoll has reported an error.
    pub failed: bool,
    /// How far reading is.
    pub inflow: Inflow,
    /// Whether a call told of an error, or epoll of one after the end. It is told once, so it is kept here.
    pub reset: Reset,
    /// Our FIN goes out behind the backlog bytes.
    pub fin_wanted: bool,
    /// Our FIN was sent.
    pub fin_sent: bool,
    /// Edge: a write was short once, so epoll is asked for room to write from then on.
    pub was_blocked: bool,
    /// What the peer would not take.
    pub backlog: Option<Box<Backlog>>,
}

impl Link {
    /// A session with one socket, which nobody has asked epoll about.
    pub fn new(token: Token, client: Socket, now_ns: u64) -> Self {
        Self {
            token,
            opened_ns: now_ns,
            deadline_ns: NEVER_NS,
            filed: None,
            event_ns: 0,
            phase: Phase::Open,
            queued: false,
            is_overdue: false,
            first_read: false,
            ends_by_reset: false,
            parting: None,
            halves: [Half::new(client), Half::absent()],
        }
    }

    /// One side.
    #[inline]
    pub fn half(&mut self, side: Side) -> &mut Half {
        &mut self.halves[side as usize]
    }

    /// Whether it has a socket on either side.
    #[inline]
    pub fn has_two(&self) -> bool {
        self.halves[Side::Upstream as usize].socket.is_some()
    }

    /// Whether a side has backlog bytes that may still go out.
    #[inline]
    pub fn is_backlogged(&self, side: Side) -> bool {
        let half = &self.halves[side as usize];
        half.backlog.is_some() && half.reset == Reset::No
    }

    /// Whether any side has backlog bytes.
    pub fn has_backlog(&self) -> bool {
        Side::ALL.into_iter().any(|side| self.is_backlogged(side))
    }

    /// Whether nothing more can be read from any side.
    pub fn is_over(&self) -> bool {
        let is_over =
            |half: &Half| half.socket.is_none() || half.inflow != Inflow::Open || half.reset != Reset::No;
        self.halves.iter().all(is_over)
    }

    /// Whether a side is driven by the ready list alone.
    pub fn has_left_epoll(&self) -> bool {
        self.halves.iter().any(|half| half.registration == Registration::Left)
    }

    /// Its sides.
    pub fn halves(&mut self) -> &mut [Half; 2] {
        &mut self.halves
    }
}

impl Half {
    /// No socket yet.
    pub fn absent() -> Self {
        Self {
            socket: None,
            registration: Registration::Out,
            armed: Interest::NONE,
            connecting: false,
            readable: false,
            writable: true,
            hides_more: false,
            failed: false,
            inflow: Inflow::Open,
            reset: Reset::No,
            fin_wanted: false,
            fin_sent: false,
            was_blocked: false,
            backlog: None,
        }
    }

    /// A socket that is connected.
    pub fn new(socket: Socket) -> Self {
        Self { socket: Some(socket), ..Self::absent() }
    }

    /// A socket that has begun to connect: there is room to write once it is connected, or refused.
    pub fn connecting(socket: Socket) -> Self {
        Self { connecting: true, writable: false, ..Self::new(socket) }
    }

    /// Remembers what epoll reported.
    #[inline]
    pub fn note(&mut self, readiness: Readiness) {
        self.readable |= readiness.readable();
        self.writable |= readiness.writable();
        self.hides_more |= readiness.hides_more();
        self.failed |= readiness.failed();
    }

    /// Whether it may have to be written to, or told of an end, before anything is read.
    #[inline]
    pub fn is_owed(&self) -> bool {
        self.backlog.is_some() | self.failed | (self.fin_wanted & !self.fin_sent)
    }

    /// Whether bytes may be sent right now.
    #[inline]
    pub fn takes_bytes(&self) -> bool {
        self.writable && self.is_alive()
    }

    /// Whether bytes can still be sent to the peer.
    #[inline]
    pub fn is_alive(&self) -> bool {
        self.socket.is_some() && !self.connecting && self.reset == Reset::No
    }

    /// Whether epoll's silence from now on would tell of everything that comes: a read that filled its buffer
    /// only in part has emptied the socket, and whatever comes later is an edge. Not so behind a mark that
    /// splits reads, and not on unix streams, which split at passed descriptors. Level and oneshot report
    /// again what is left, so there it is enough that the socket is still with epoll.
    #[inline]
    pub fn short_read_drains(&self, trigger: Trigger) -> bool {
        let splits = self.socket.as_ref().is_none_or(Socket::splits_reads);
        !self.hides_more && (trigger != Trigger::Edge || !splits)
    }
}
