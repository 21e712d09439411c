//! What a service is: the one trait between the loop and what is done with the bytes.

use std::any::Any;

use super::{desk::Desk, intake::Arrival, io::Io, token::Side};

/// What one worker does with its connections. Each worker has a service of its own, so nothing in it needs
/// a lock; `docs/service.md` tells what it may rely on.
pub trait Service {
    /// What a session remembers between turns. An idle session costs its size and about 140 bytes more.
    type Session;

    /// How many upstreams the sessions of all services may go to, for counting by upstream.
    fn upstreams(&self) -> usize {
        0
    }

    /// A connection was accepted. What is written here goes out before anything is read.
    fn open(&mut self, arrival: &Arrival, io: &mut Io<'_>) -> Self::Session;

    /// One bounded piece of work: read what is there, write what is to be written, say how to go on.
    /// `scratch` is the worker's read buffer; nothing in it survives the turn.
    fn turn(&mut self, session: &mut Self::Session, io: &mut Io<'_>, scratch: &mut [u8]) -> Turn;

    /// The deadline that the session had set is over. By default the session is closed; it counts as timed out
    /// unless it is kept.
    fn expire(&mut self, session: &mut Self::Session, io: &mut Io<'_>) -> Turn {
        let _ = (session, io);
        Turn::Close
    }

    /// The session is over: its sockets will be closed when this returns, and nothing can be read or written any
    /// more. Called once for each session that was opened, however it ended.
    fn closed(&mut self, session: &mut Self::Session, io: &mut Io<'_>, end: End) {
        let _ = (session, io, end);
    }

    /// Its sockets are closed by now: what it held of something scarce may be given to others.
    fn freed(&mut self, session: &mut Self::Session, io: &mut Io<'_>) {
        let _ = (session, io);
    }

    /// The worker stops, and the session has neither bytes to read nor backlog bytes. By default it is closed.
    fn drain(&mut self, session: &mut Self::Session, io: &mut Io<'_>) -> Turn {
        let _ = (session, io);
        Turn::Close
    }

    /// News has come, between two turns: whatever those who made the service and those who send it have agreed on.
    /// `true`: each session shall be looked at, by [`Self::reconsider`].
    fn heed(&mut self, news: &(dyn Any + Send + Sync), desk: &mut Desk<'_>) -> bool {
        let _ = (news, desk);
        false
    }

    /// Whether a session may go on after the last news: anything but `Keep` ends it.
    fn reconsider(&mut self, session: &mut Self::Session, io: &mut Io<'_>) -> Turn {
        let _ = (session, io);
        Turn::Keep
    }
}

/// How a session goes on after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Turn {
    /// It waits for what it asked to read and for room for its backlog bytes.
    Keep,
    /// It ends in good order: backlog bytes go out, then FIN; what the peer still sends is read and dropped
    /// for a bounded time (closing at once would reset the connection and cost the peer what is in flight).
    Close,
    /// It ends by RST, but not before what was written has arrived: backlog bytes go out, then the peers'
    /// acknowledgements are waited for, for as long as they go on coming. Nothing is read meanwhile.
    Reset,
    /// It ends at once, by RST; backlog bytes are lost, and counted.
    Abort,
}

/// How a session ended, as the runtime saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As its service had decided.
    Decided,
    /// Its service had decided to end it in good order, but its peer took its last bytes too slowly.
    Overdue,
    /// The worker had to stop.
    Cut,
    /// Epoll would not take its socket, for want of memory or of watches.
    Unwatched,
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Read {
    /// So many bytes, at least one.
    Data(usize),
    /// Nothing for now: the socket is empty, the budget is used up, or back pressure holds reading off.
    /// There will be a turn when that changes.
    Pending,
    /// The peer has ended its stream; it may still be reading.
    Eof,
    /// The connection is broken: a reset, a timeout of the kernel's, an error.
    Broken,
}

/// Where the bytes that are read from `side` go: across, where the session has two sockets; else back.
pub(super) const fn sink(side: Side, has_two: bool) -> Side {
    if has_two { side.other() } else { side }
}
