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

/// One socket of a session.
pub struct Half {
    /// The socket, while it is open.
    pub socket: Option<Socket>,
    /// Where it stands with epoll.
    pub registration: Registration,
    /// What epoll was last asked for.
    pub armed: Interest,
    /// A read may bring something.
    pub readable: bool,
    /// A write may take something.
    pub writable: bool,
    /// Something is behind the data (an end, an error, an urgent mark), so a short read proves nothing.
    pub hides_more: bool,
    /// The peer's FIN was read.
    pub eof: bool,
    /// A call told of an error; it is told once, so it is kept here.
    pub broken: bool,
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
            halves: [Half::new(Some(client)), Half::new(None)],
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

    /// Whether a side has backlog bytes.
    #[inline]
    pub fn is_backlogged(&self, side: Side) -> bool {
        self.halves[side as usize].backlog.is_some()
    }

    /// Whether any side has backlog bytes.
    pub fn has_backlog(&self) -> bool {
        Side::ALL.into_iter().any(|side| self.is_backlogged(side))
    }

    /// Whether nothing more can be read from any side.
    pub fn is_over(&self) -> bool {
        self.halves.iter().all(|half| half.socket.is_none() || half.eof || half.broken)
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
    fn new(socket: Option<Socket>) -> Self {
        Self {
            socket,
            registration: Registration::Out,
            armed: Interest::NONE,
            readable: false,
            writable: true,
            hides_more: false,
            eof: false,
            broken: false,
            fin_sent: false,
            was_blocked: false,
            backlog: None,
        }
    }

    /// Remembers what epoll reported.
    #[inline]
    pub fn note(&mut self, readiness: Readiness) {
        self.readable |= readiness.readable();
        self.writable |= readiness.writable();
        self.hides_more |= readiness.hides_more();
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
