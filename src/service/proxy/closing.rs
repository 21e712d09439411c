//! The end of a session: what was counted, and its line in the ledger.

use super::{
    Proxy, Session,
    session::{Stage, is_fin},
};
use crate::{
    End, Io, Side,
    measure::ledger::{Cause, Code, Entry, Phase},
};

impl Proxy {
    /// A session is over, for whatever reason.
    pub(super) fn account(&mut self, session: &mut Session, io: &mut Io<'_>, end: End) {
        match end {
            End::Decided => {}
            End::Overdue => session.end(Cause::Timeout),
            End::Cut => session.end(Cause::Drain),
            End::Unwatched => session.end(Cause::Error),
        }
        let code = session.code().unwrap_or(Code { cause: Cause::Error, phase: Phase::Connecting });
        if !is_fin(code.cause) {
            io.end_by_reset();
        }
        let flat = session.upstream().map(|upstream| self.route.first_upstream + upstream);
        let left = Side::ALL.map(|side| io.backlog_len(side) as u64);
        // One that has failed has been told that the session is not with it.
        if let Some(flat) = flat.filter(|_| session.stage != Stage::Pausing) {
            self.loads.remove(io.worker(), flat);
            if session.stage == Stage::Forwarding {
                io.recorder().disconnected(flat);
            }
        }
        io.recorder().ended(code, flat);
        self.tell(session, io, code, flat, left);
    }

    fn tell(&self, session: &Session, io: &mut Io<'_>, code: Code, flat: Option<usize>, left: [u64; 2]) {
        let Some(ledger) = &self.ledger else { return };
        let is_connected = session.stage == Stage::Forwarding;
        let entry = Entry {
            service: self.route.service as u16,
            worker: io.worker() as u16,
            session: session.number,
            client: session.client,
            listener: session.listener,
            upstream: flat.map(|flat| flat as u16),
            local: io.upstream().and_then(|socket| socket.local()),
            attempts: session.attempts,
            opened_ns: io.opened_ns(),
            ended_ns: io.now_ns().max(io.opened_ns()),
            connect_ns: is_connected.then_some(session.connect_ns),
            first_byte_ns: (session.first_byte_ns > 0).then_some(session.first_byte_ns),
            bytes_in: session.read[Side::Client as usize],
            bytes_out: delivered(session, &left, Side::Upstream),
            bytes_to_upstream: delivered(session, &left, Side::Client),
            bytes_from_upstream: session.read[Side::Upstream as usize],
            bytes_undelivered: left.iter().sum(),
            bytes_spliced: session.spliced(),
            code,
            error: session.error,
        };
        if ledger.send(entry).is_err() {
            io.recorder().counts.ledger_dropped += 1;
        }
    }
}

/// What was read from a side, less what the far side has not taken.
fn delivered(session: &Session, left: &[u64; 2], from: Side) -> u64 {
    session.read[from as usize].saturating_sub(left[from.other() as usize])
}
