//! From accept to an established upstream: choose, try, try another, pause, try again.
//!
//! The client isn't read meanwhile, so what it sends waits in the kernel and nothing is lost by a retry; its FIN
//! waits there too, and stops nothing. Only a client that has reset the connection and left nothing to deliver does.

use std::time::Duration;

use super::{
    Proxy, Session, admission::Admission, arriving::refuse, choosing::Choice, nanos, reset_by, session::Stage,
};
use crate::{
    Io, Side, Turn,
    measure::ledger::Cause,
    runtime::io::Connection,
    sys::{Errno, socket::Remote},
    upstream::{Target, self_connect, tried::Tried},
};

/// The pause after all upstreams have failed: it doubles up to the longest, less up to half of it by chance, so that
/// sessions which failed together don't come back together.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(1);

impl Proxy {
    /// A turn of a session that has been sent to an upstream, or pauses.
    pub(super) fn go_on_connecting(&mut self, session: &mut Session, io: &mut Io<'_>) -> Turn {
        match io.connection() {
            Connection::Pending => Turn::Keep,
            Connection::Established => self.established(session, io),
            Connection::Failed(error) => self.failed(session, io, error),
        }
    }

    /// The time for an attempt, or for a pause, is over.
    pub(super) fn connect_overdue(&mut self, session: &mut Session, io: &mut Io<'_>) -> Turn {
        match session.stage {
            Stage::Connecting => self.failed(session, io, Errno::TIMEDOUT),
            _ => self.attempt(session, io),
        }
    }

    /// Whether another upstream may have a session whose upstream has reset it before anything has passed: it was
    /// killed while the session lay in its accept queue. Where there is no other, the client gets the reset.
    pub(super) fn may_go_elsewhere(&self, session: &Session, io: &mut Io<'_>) -> bool {
        let has_others = self.members.has_others(session) && session.attempts <= self.route.options.retries;
        let is_young = io.now_ns() < self.connect_until_ns(session, io);
        // Nothing has come from it, and nothing of what was read for it has gone out.
        let for_upstream = session.said() + session.added();
        let from_upstream = session.read[Side::Upstream as usize];
        let is_unused = from_upstream == 0 && for_upstream == io.backlog_len(Side::Upstream) as u64;
        let is_unused = is_unused && session.code().is_none_or(|code| code.cause == Cause::ClientFin);
        has_others && is_young && is_unused && io.fault(Side::Upstream).is_none() && !io.is_dead(Side::Client)
    }

    /// Gives such a session to another upstream.
    pub(super) fn go_elsewhere(&mut self, session: &mut Session, io: &mut Io<'_>) -> Turn {
        let kept = io.backlog_len(Side::Upstream) as u64;
        if let Some(upstream) = session.upstream() {
            io.recorder().disconnected(self.members.flat(upstream));
            io.recorder().undelivered(self.members.flat(upstream), kept);
        }
        session.was_reset = true;
        self.failed(session, io, Errno::CONNRESET)
    }

    /// An upstream that has reset the session without a word is not well, though it took the connection.
    pub(super) fn count_early_reset(&mut self, session: &mut Session, io: &mut Io<'_>) {
        let is_early = session.read[Side::Upstream as usize] == 0;
        if let Some(upstream) = session.upstream().filter(|_| is_early) {
            self.members.failed(upstream, session, io);
        }
    }

    /// Tries upstreams until one has been asked, or there is a reason to wait, or to give up.
    pub(super) fn attempt(&mut self, session: &mut Session, io: &mut Io<'_>) -> Turn {
        let options = &self.route.options;
        let places = u32::try_from(self.members.places(session.group)).unwrap_or(u32::MAX);
        let attempts_max = options.retries.saturating_add(1).max(places);
        let each_ns = nanos(options.timeouts.connect);
        let total_ns = self.connect_until_ns(session, io);
        // Those that had no room after all.
        let mut full = Tried::default();
        loop {
            if session.attempts >= attempts_max || io.now_ns() >= total_ns {
                return give_up(session);
            }
            let choice = self.members.choose(session, self.gate.as_ref(), &full, io.now_ns());
            let elsewhere =
                self.members.with_other_address(session).filter(|upstream| !full.contains(*upstream));
            let upstream = match (choice, elsewhere) {
                (Choice::Member(upstream), _) | (Choice::Exhausted, Some(upstream)) => upstream,
                (Choice::Exhausted, None) => return self.pause(session, io, total_ns),
                (Choice::Full, _) => match self.wait_for_room(session, io) {
                    Some(turn) => return turn,
                    None => {
                        full.clear();
                        continue;
                    }
                },
                (Choice::Nobody, _) => return nobody(session),
            };
            if !self.gate.as_mut().is_none_or(|gate| gate.take(upstream, session, io)) {
                full.insert(upstream);
                continue;
            }
            self.members.take(upstream, session, io.now_ns());
            match self.connect(session, io) {
                Ok(()) => {
                    session.attempts += 1;
                    self.members.add(upstream, io.worker());
                    session.stage = Stage::Connecting;
                    session.connect_ns = io.now_ns().max(io.opened_ns());
                    io.set_deadline_ns(
                        io.now_ns().saturating_add(each_ns).min(total_ns).min(session.until_ns),
                    );
                    return Turn::Keep;
                }
                // Another upstream would fail in the same way; nobody was asked, so this was no attempt.
                Err(error) if is_ours(error) => {
                    session.error = Some(error);
                    io.recorder().counts.errors.other += 1;
                    self.leave(upstream, session, io);
                    return self.pause(session, io, total_ns);
                }
                Err(error) => {
                    session.attempts += 1;
                    self.leave(upstream, session, io);
                    self.count_failure(upstream, session, io, error);
                }
            }
        }
    }

    /// Until when it may go on connecting: what it had to wait for before isn't counted.
    fn connect_until_ns(&self, session: &Session, io: &Io<'_>) -> u64 {
        let since_ns = io.opened_ns().saturating_add(session.held_ns(io.now_ns()));
        since_ns.saturating_add(nanos(self.route.options.timeouts.connect_total))
    }

    fn connect(&self, session: &Session, io: &mut Io<'_>) -> Result<(), Errno> {
        let remote = match self.members.target(session) {
            Some(Target::Tcp(address)) => Remote::Tcp(*address),
            Some(Target::Unix(path)) => Remote::Unix(path),
            // One that is up has a target.
            None => return Err(Errno::ADDRNOTAVAIL),
        };
        io.connect(remote, &self.route.connect)
    }

    fn established(&mut self, session: &mut Session, io: &mut Io<'_>) -> Turn {
        let is_self = io.socket(Side::Upstream).is_some_and(|socket| {
            let peer = socket.peer();
            socket.local().zip(peer).is_some_and(|(local, peer)| self_connect::is_self(&local, &peer))
        });
        if is_self {
            // Nobody listens there: the socket has met itself (simultaneous open, RFC 9293, 3.5).
            return self.failed(session, io, Errno::CONNREFUSED);
        }
        if session.upstream().is_some_and(|upstream| self.closes_on(upstream)) {
            // It went down while this was under way.
            session.end(Cause::UpstreamDown);
            return Turn::Abort;
        }
        session.stage = Stage::Forwarding;
        session.is_probe = false;
        session.connect_ns = io.now_ns().saturating_sub(session.connect_ns).max(1);
        if let Some(upstream) = session.upstream() {
            self.members.connected(upstream);
            io.recorder().connected(self.members.flat(upstream), session.connect_ns);
            // What was read before there was an upstream, or what another, that reset the session unused, didn't take.
            io.recorder().passed(self.members.flat(upstream), session.said(), 0);
        }
        io.flush_side(Side::Upstream);
        // Our own header is no word of the client's.
        let sent = (session.said() + session.added()).saturating_sub(io.backlog_len(Side::Upstream) as u64);
        let header = session.added().min(sent);
        io.recorder()
            .count(|counts| counts.bytes_to_upstream = counts.bytes_to_upstream.saturating_sub(header));
        self.touch(session, io);
        Turn::Keep
    }

    fn failed(&mut self, session: &mut Session, io: &mut Io<'_>, error: Errno) -> Turn {
        io.disconnect();
        if let Some(upstream) = session.upstream() {
            self.members.remove(upstream, io.worker());
            self.leave(upstream, session, io);
            self.count_failure(upstream, session, io, error);
        }
        self.attempt(session, io)
    }

    /// The session is not with this upstream any more.
    fn leave(&mut self, upstream: usize, session: &mut Session, io: &mut Io<'_>) {
        if let Some(gate) = &mut self.gate {
            gate.give_back(upstream, session, io);
        }
    }

    fn count_failure(&mut self, upstream: usize, session: &mut Session, io: &mut Io<'_>, error: Errno) {
        session.error = Some(error);
        self.members.failed(upstream, session, io);
        io.recorder().connect_failed(self.members.flat(upstream));
    }

    /// All whom it might go to have as many sessions as they may have. `None`: somebody has room by now.
    fn wait_for_room(&mut self, session: &mut Session, io: &mut Io<'_>) -> Option<Turn> {
        let full = self.members.candidates(session, io.now_ns());
        match self.gate.as_mut()?.wait(full.into_iter(), session, io) {
            Admission::Wait => {
                session.begin_to_wait(true, io.now_ns());
                Some(Turn::Keep)
            }
            Admission::Refuse(cause) => Some(refuse(session, cause)),
            Admission::Go => None,
        }
    }

    fn pause(&mut self, session: &mut Session, io: &mut Io<'_>, total_ns: u64) -> Turn {
        let doubled = PAUSE_MIN.saturating_mul(1 << session.pauses.min(10)).min(PAUSE_MAX);
        let pause = doubled.mul_f64(0.5 + 0.5 * self.random.f64());
        let at_ns = io.now_ns().saturating_add(nanos(pause));
        if at_ns >= total_ns {
            return give_up(session);
        }
        session.stage = Stage::Pausing;
        session.pauses = session.pauses.saturating_add(1);
        session.tried.clear();
        session.places = 0;
        io.set_deadline_ns(at_ns.min(session.until_ns));
        Turn::Keep
    }
}

/// There is nobody to be tried, and waiting for somebody is the client's affair.
fn nobody(session: &mut Session) -> Turn {
    session.stage = Stage::Pausing;
    session.end(Cause::NoUpstream);
    Turn::Abort
}

/// No upstream will be tried any more. The client gets RST: a FIN would look like an empty answer.
fn give_up(session: &mut Session) -> Turn {
    session.stage = Stage::Pausing;
    session.end(match session.error {
        _ if session.was_reset => reset_by(Side::Upstream),
        Some(Errno::ADDRNOTAVAIL) => Cause::NoPort,
        Some(Errno::TIMEDOUT) | None => Cause::Timeout,
        Some(error) if is_ours(error) => Cause::Error,
        Some(_) => Cause::NoUpstream,
    });
    Turn::Abort
}

/// The place after this one, of so many.
pub(super) fn next_of(place: u16, places: usize) -> u16 {
    ((usize::from(place) + 1) % places.max(1)) as u16
}

/// Whether it was for want of descriptors or memory that a connect failed, and not for the upstream.
fn is_ours(error: Errno) -> bool {
    matches!(error, Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
}
