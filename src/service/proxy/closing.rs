//! The end of a session: what was counted, and its line in the ledger.

use super::{
    Proxy, Session,
    session::{Stage, is_fin},
};
use crate::{
    End, Io, Side,
    measure::ledger::{Cause, Code, Entry, Phase},
    upstream::Target,
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
        // Where a session is cut, what the kernel still held for a peer is lost too.
        let left = Side::ALL.map(|side| {
            let sent = if is_cut(code.cause) { io.unacknowledged(side) } else { 0 };
            (io.backlog_len(side) + sent) as u64
        });
        count(code, end, io);
        if session.is_unread() {
            io.recorder().counts.bytes_undelivered += session.said();
        }
        session.end_wait(io.now_ns());
        if let Some(upstream) = session.upstream() {
            self.part(upstream, session, io, code, left[Side::Upstream as usize]);
        }
        let flat = session.upstream().map(|upstream| self.members.flat(upstream));
        io.recorder().ended(code, flat);
        self.tell(session, io, code, flat, left);
    }

    /// What the session had to do with its upstream is over.
    fn part(&mut self, upstream: usize, session: &Session, io: &mut Io<'_>, code: Code, left: u64) {
        // One that has failed has been told that the session is not with it.
        if matches!(session.stage, Stage::Connecting | Stage::Forwarding) {
            self.members.remove(upstream, io.worker());
        }
        if session.stage == Stage::Forwarding {
            io.recorder().disconnected(self.members.flat(upstream));
            io.recorder().undelivered(self.members.flat(upstream), left);
            if is_fin(code.cause) && session.first_byte_ns == 0 {
                self.members.succeeded(upstream);
            }
        }
    }

    fn tell(&self, session: &mut Session, io: &mut Io<'_>, code: Code, flat: Option<usize>, left: [u64; 2]) {
        let Some(ledger) = &self.ledger else { return };
        let is_connected = session.stage == Stage::Forwarding;
        let said = session.said();
        let [left_client, left_upstream] = left;
        // Of what is left for it, our own header is no word of the client's.
        let left_upstream = if session.is_unread() { said } else { left_upstream.min(said) };
        let place = match self.members.target(session) {
            Some(Target::Tcp(address)) => Some(*address),
            Some(Target::Unix(_)) | None => None,
        };
        let from_upstream = session.read[Side::Upstream as usize];
        let entry = Entry {
            service: self.route.service as u16,
            worker: io.worker() as u16,
            session: io.number(),
            client: session.client,
            listener: session.listener,
            upstream: flat.map(|flat| flat as u32),
            place,
            local: io.socket(Side::Upstream).and_then(|socket| socket.local()),
            attempts: session.attempts,
            opened_ns: io.opened_ns(),
            ended_ns: io.now_ns().max(io.opened_ns()),
            connect_ns: is_connected.then_some(session.connect_ns),
            first_byte_ns: (session.first_byte_ns > 0).then_some(session.first_byte_ns),
            bytes_in: said,
            bytes_out: from_upstream.saturating_sub(left_client),
            bytes_to_upstream: said - left_upstream,
            bytes_from_upstream: from_upstream,
            bytes_undelivered: left_client + left_upstream,
            bytes_spliced: session.spliced(),
            via: session.extra.as_ref().and_then(|extra| extra.via),
            sni: session.extra.as_mut().and_then(|extra| extra.sni.take()),
            queued_ns: session.extra.as_ref().map(|extra| extra.queued_ns).filter(|ns| *ns > 0),
            code,
            error: session.error,
        };
        if ledger.send(entry).is_err() {
            io.recorder().counts.ledger_dropped += 1;
        }
    }
}

/// Counts how a session has ended, apart from its code.
fn count(code: Code, end: End, io: &mut Io<'_>) {
    let is_refused_in_queue = code.cause == Cause::Timeout && code.phase == Phase::Queued;
    let counts = &mut io.recorder().counts;
    counts.errors.timeout += u64::from(matches!(code.cause, Cause::Timeout | Cause::SessionTimeout));
    counts.drain_cut += u64::from(code.cause == Cause::Drain && end != End::Cut);
    counts.refused_limit += u64::from(code.cause == Cause::Limit || is_refused_in_queue);
    counts.refused_access += u64::from(code.cause == Cause::Access);
    counts.refused_header += u64::from(code.cause == Cause::BadHeader);
}

/// Whether a session that ends for this is cut off, whatever is on its way.
const fn is_cut(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::Timeout | Cause::SessionTimeout | Cause::Drain | Cause::Error | Cause::UpstreamDown
    )
}
