//! From accept to the first attempt to connect, where more is asked of a client than to come.
//!
//! ```text
//! access list → limits of the service, its listeners, their rate ⇄ queue → PROXY header → access list, limit of the
//!     source → ClientHello → group → attempt (connecting.rs) ⇄ queue for an upstream
//! ```
//! The access list looks at the real client. Of a peer that has to send a PROXY header that isn't known before the
//! header is there; who has to send one is trusted to come. Whatever is asked of a client and not configured is
//! passed over.

use super::{
    Proxy, Session,
    admission::Admission,
    nanos,
    preread::{self, Ahead, Preread},
    session::Stage,
};
use crate::{Io, Turn, measure::ledger::Cause};

impl Proxy {
    /// A connection has come in.
    pub(super) fn arrive(&mut self, session: &mut Session, io: &mut Io<'_>) -> Turn {
        let owes_header = preread::wants_header(&self.route.options.proxy_protocol, session.client);
        if !owes_header && !self.admits(session) {
            return refuse(session, Cause::Access);
        }
        self.admit(session, io)
    }

    /// A turn, or the end of a pause, of a session that has not been sent to an upstream yet, or waits for one that
    /// has room.
    pub(super) fn go_on_arriving(
        &mut self,
        session: &mut Session,
        io: &mut Io<'_>,
        scratch: &mut [u8],
    ) -> Turn {
        if session.stage == Stage::Queued {
            let turn = self.go_on_waiting(session, io);
            if turn != Turn::Keep {
                return turn;
            }
        }
        if session.stage == Stage::Preread { self.read_on(session, io, scratch) } else { Turn::Keep }
    }

    /// What it waited for has not come in time. One in a queue looks again now and then; the gate knows when that has
    /// lasted long enough.
    pub(super) fn arriving_overdue(&mut self, session: &mut Session, io: &mut Io<'_>) -> Turn {
        if session.stage == Stage::Queued {
            return self.go_on_waiting(session, io);
        }
        session.end(Cause::Timeout);
        Turn::Abort
    }

    fn admit(&mut self, session: &mut Session, io: &mut Io<'_>) -> Turn {
        let admission = self.gate.as_mut().map_or(Admission::Go, |gate| gate.admit(session, io));
        match admission {
            Admission::Wait => {
                session.begin_to_wait(false, io.now_ns());
                Turn::Keep
            }
            Admission::Refuse(cause) => refuse(session, cause),
            Admission::Go => {
                session.end_wait(io.now_ns());
                io.come_on();
                self.hear(session, io)
            }
        }
    }

    /// It is in. What it begins with tells who it is and where it goes, or that is known already.
    fn hear(&mut self, session: &mut Session, io: &mut Io<'_>) -> Turn {
        let owes_header = preread::wants_header(&self.route.options.proxy_protocol, session.client);
        if owes_header || self.route.routes.is_some() {
            session.stage = Stage::Preread;
            session.extra().preread = Some(Preread::new(owes_header, self.route.routes.is_some()));
            let until_ns = io.now_ns().saturating_add(nanos(self.route.options.timeouts.header));
            io.set_deadline_ns(until_ns.min(session.until_ns));
            // Whose source is known is counted before it has to say anything.
            return if owes_header { Turn::Keep } else { self.admit_source(session, io) };
        }
        match self.admit_source(session, io) {
            Turn::Keep => {
                if self.route.options.proxy_protocol.send.is_some() {
                    self.introduce(session, io);
                }
                self.set_out(session, io)
            }
            turn => turn,
        }
    }

    fn read_on(&mut self, session: &mut Session, io: &mut Io<'_>, scratch: &mut [u8]) -> Turn {
        loop {
            match self.read_ahead(session, io, scratch) {
                Ahead::Wait => return Turn::Keep,
                Ahead::Ended(turn) => return turn,
                Ahead::Routed => return self.set_out(session, io),
                Ahead::Identified => match self.identified(session, io) {
                    Turn::Keep => {}
                    turn => return turn,
                },
            }
        }
    }

    /// Its header is there: from now on it is who that says.
    fn identified(&mut self, session: &mut Session, io: &mut Io<'_>) -> Turn {
        // The header is no word of the client's.
        let consumed = session.extra().consumed;
        io.recorder().count(|counts| counts.bytes_in = counts.bytes_in.saturating_sub(consumed));
        if self.admits(session) { self.admit_source(session, io) } else { refuse(session, Cause::Access) }
    }

    /// The first attempt to connect. The time that this may take begins now.
    fn set_out(&mut self, session: &mut Session, io: &mut Io<'_>) -> Turn {
        session.stage = Stage::Connecting;
        if let Some(extra) = &mut session.extra {
            extra.held_ns = io.now_ns().saturating_sub(io.opened_ns());
        }
        self.attempt(session, io)
    }

    /// There may be room by now.
    fn go_on_waiting(&mut self, session: &mut Session, io: &mut Io<'_>) -> Turn {
        if !session.awaits_upstream() {
            return self.admit(session, io);
        }
        let turn = self.attempt(session, io);
        if session.stage != Stage::Queued {
            session.end_wait(io.now_ns());
            io.come_on();
            if let Some(gate) = &mut self.gate {
                gate.withdraw(session, io);
            }
        }
        turn
    }

    fn admits(&self, session: &Session) -> bool {
        session.client.ip().is_none_or(|ip| self.route.options.access.admits(ip))
    }

    fn admit_source(&mut self, session: &mut Session, io: &mut Io<'_>) -> Turn {
        match self.gate.as_mut().map_or(Admission::Go, |gate| gate.admit_source(session, io)) {
            Admission::Refuse(cause) => refuse(session, cause),
            Admission::Go | Admission::Wait => Turn::Keep,
        }
    }
}

/// However far it had come, it was never let in; unless it is the queue's timeout, which tells where it was.
pub(super) fn refuse(session: &mut Session, cause: Cause) -> Turn {
    if cause != Cause::Timeout {
        session.stage = Stage::Admitting;
    }
    session.end(cause);
    Turn::Abort
}
