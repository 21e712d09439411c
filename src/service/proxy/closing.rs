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
        let is_cut =
            matches!(code.cause, Cause::Timeout | Cause::SessionTimeout | Cause::Drain | Cause::Error);
        // Where a session is cut, what the kernel still held for a peer is lost too.
        let left = Side::ALL.map(|side| {
            let sent = if is_cut { io.unacknowledged(side) } else { 0 };
            (io.backlog_len(side) + sent) as u64
        });
        let errors = &mut io.recorder().counts.errors;
        errors.timeout += u64::from(matches!(code.cause, Cause::Timeout | Cause::SessionTimeout));
        let is_drained = code.cause == Cause::Drain && end != End::Cut;
        io.recorder().counts.drain_cut += u64::from(is_drained);
        // One that has failed has been told that the session is not with it.
        if let Some(flat) = flat.filter(|_| session.stage != Stage::Pausing) {
            self.loads.remove(io.worker(), flat);
            if session.stage == Stage::Forwarding {
                io.recorder().disconnected(flat);
                io.recorder().undelivered(flat, left[Side::Upstream as usize]);
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
            session: io.number(),
            client: session.client,
            listener: session.listener,
            upstream: flat.map(|flat| flat as u32),
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
