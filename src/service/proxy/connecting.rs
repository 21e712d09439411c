//! From accept to an established upstream: choose, try, try another, pause, try again.
//!
//! The client isn't read meanwhile, so what it sends waits in the kernel and nothing is lost by a retry; its FIN
//! waits there too, and stops nothing. Only a client that has reset the connection and left nothing to deliver does.

use std::time::Duration;

use super::{Proxy, Session, nanos, reset_by, session::Stage};
use crate::{
    Io, Side, Turn,
    measure::ledger::Cause,
    runtime::io::Connection,
    sys::{Errno, socket::Remote},
    upstream::{Target, self_connect},
};

/// The pause after all upstreams have failed: it doubles up to the longest, less up to half of it by chance, so that
/// sessions which failed together don't come back together.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long a worker leaves an upstream alone that has failed a connect, while there are others.
const REST: Duration = Duration::from_secs(1);

impl Proxy {
    /// The first attempt. Where it fails for good at once, the session's first turn says so.
    pub(super) fn begin(&mut self, session: &mut Session, io: &mut Io<'_>) {
        if self.attempt(session, io) != Turn::Keep {
            io.set_deadline(Duration::ZERO);
        }
    }

    /// A turn of a session without an upstream.
    pub(super) fn go_on_connecting(&mut self, session: &mut Session, io: &mut Io<'_>) -> Turn {
        // What it had sent before its reset is delivered all the same.
        if io.is_gone(Side::Client) {
            session.end(reset_by(Side::Client));
            return Turn::Abort;
        }
        if session.code().is_some() {
            return Turn::Abort;
        }
        match io.connection() {
            Connection::Pending => Turn::Keep,
            Connection::Established => self.established(session, io),
            Connection::Failed(error) => self.failed(session, io, error),
        }
    }

    /// The time for an attempt, or for a pause, is over.
    pub(super) fn connect_overdue(&mut self, session: &mut Session, io: &mut Io<'_>) -> Turn {
        if io.now_ns() >= session.until_ns {
            session.end(session.until);
        }
        match session.stage {
            _ if session.code().is_some() => Turn::Abort,
            Stage::Connecting => self.failed(session, io, Errno::TIMEDOUT),
            Stage::Pausing | Stage::Forwarding => self.attempt(session, io),
        }
    }

    /// Whether another upstream may have a session whose upstream has reset it before anything has passed: it was
    /// killed while the session lay in its accept queue. Where there is no other, the client gets the reset.
    pub(super) fn may_go_elsewhere(&self, session: &Session, io: &mut Io<'_>) -> bool {
        let options = &self.route.options;
        let has_others = self.route.pool.upstreams.len() > 1 && session.attempts <= options.retries;
        let is_young = io.now_ns() < io.opened_ns().saturating_add(nanos(options.timeouts.connect_total));
        // Nothing has come from it, and nothing of what was read for it has gone out.
        let [from_client, from_upstream] = session.read;
        let is_unused = from_upstream == 0 && from_client == io.backlog_len(Side::Upstream) as u64;
        let is_unused = is_unused && session.code().is_none_or(|code| code.cause == Cause::ClientFin);
        has_others && is_young && is_unused && io.fault(Side::Upstream).is_none() && !io.is_dead(Side::Client)
    }

    /// Gives such a session to another upstream.
    pub(super) fn go_elsewhere(&mut self, session: &mut Session, io: &mut Io<'_>) -> Turn {
        let kept = io.backlog_len(Side::Upstream) as u64;
        if let Some(upstream) = session.upstream() {
            io.recorder().disconnected(self.route.first_upstream + upstream);
            io.recorder().undelivered(self.route.first_upstream + upstream, kept);
        }
        session.was_reset = true;
        self.failed(session, io, Errno::CONNRESET)
    }

    fn attempt(&mut self, session: &mut Session, io: &mut Io<'_>) -> Turn {
        let options = &self.route.options;
        let places = self.route.pool.upstreams.iter().map(|upstream| upstream.targets.len()).sum::<usize>();
        let attempts_max = options.retries.saturating_add(1).max(u32::try_from(places).unwrap_or(u32::MAX));
        let total_ns = io.opened_ns().saturating_add(nanos(options.timeouts.connect_total));
        let each_ns = nanos(options.timeouts.connect);
        loop {
            if session.attempts >= attempts_max || io.now_ns() >= total_ns {
                return give_up(session);
            }
            let chosen = self.choose(session, io.now_ns());
            let Some(upstream) = chosen.or_else(|| self.with_other_address(session)) else {
                return self.pause(session, io, total_ns);
            };
            self.take(upstream, session);
            match self.connect(session.place, upstream, io) {
                Ok(()) => {
                    session.attempts += 1;
                    self.loads.add(io.worker(), self.route.first_upstream + upstream);
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
                    return self.pause(session, io, total_ns);
                }
                Err(error) => {
                    session.attempts += 1;
                    self.count_failure(upstream, session, io, error);
                }
            }
        }
    }

    /// Somebody who was not tried, and has not just failed another session. Who fails has no sessions, and would
    /// look like the best choice to each newcomer.
    fn choose(&mut self, session: &Session, now_ns: u64) -> Option<usize> {
        self.resting.retain(|(_, until_ns)| *until_ns > now_ns);
        let mut avoided = session.tried;
        self.resting.iter().for_each(|(upstream, _)| avoided.insert(*upstream));
        let rested = self.balancer.choose(&self.loads, &avoided);
        rested.or_else(|| self.balancer.choose(&self.loads, &session.tried))
    }

    /// The upstream that was tried last, where its name has an address that this session has not tried.
    fn with_other_address(&self, session: &Session) -> Option<usize> {
        let upstream = session.upstream()?;
        (usize::from(session.places) < self.route.pool.upstreams[upstream].targets.len()).then_some(upstream)
    }

    /// Notes whom a session tries, and at which address: the next one, if it has just tried another of the same name,
    /// else the one that this worker knows to be good.
    fn take(&self, upstream: usize, session: &mut Session) {
        let addresses = self.route.pool.upstreams[upstream].targets.len();
        let is_again = session.places > 0 && session.upstream() == Some(upstream);
        session.place = if is_again { next_of(session.place, addresses) } else { self.places[upstream] };
        session.places = if is_again { session.places.saturating_add(1) } else { 1 };
        session.tried.insert(upstream);
        session.set_upstream(Some(upstream));
    }

    fn connect(&self, place: u16, upstream: usize, io: &mut Io<'_>) -> Result<(), Errno> {
        let remote = match &self.route.pool.upstreams[upstream].targets[usize::from(place)] {
            Target::Tcp(address) => Remote::Tcp(*address),
            Target::Unix(path) => Remote::Unix(path),
        };
        io.connect(remote, &self.route.connect)
    }

    fn established(&mut self, session: &mut Session, io: &mut Io<'_>) -> Turn {
        let is_self = io.upstream().is_some_and(|socket| {
            let peer = socket.peer();
            socket.local().zip(peer).is_some_and(|(local, peer)| self_connect::is_self(&local, &peer))
        });
        if is_self {
            // Nobody listens there: the socket has met itself (simultaneous open, RFC 9293, 3.5).
            return self.failed(session, io, Errno::CONNREFUSED);
        }
        session.stage = Stage::Forwarding;
        let kept = session.read[Side::Client as usize];
        session.connect_ns = io.now_ns().saturating_sub(session.connect_ns).max(1);
        if let Some(upstream) = session.upstream() {
            io.recorder().connected(self.route.first_upstream + upstream, session.connect_ns);
            // What another, that reset the session unused, didn't take.
            io.recorder().passed(self.route.first_upstream + upstream, kept, 0);
        }
        io.flush_side(Side::Upstream);
        self.touch(session, io);
        Turn::Keep
    }

    fn failed(&mut self, session: &mut Session, io: &mut Io<'_>, error: Errno) -> Turn {
        io.disconnect();
        if let Some(upstream) = session.upstream() {
            self.loads.remove(io.worker(), self.route.first_upstream + upstream);
            self.count_failure(upstream, session, io, error);
        }
        self.attempt(session, io)
    }

    fn count_failure(&mut self, upstream: usize, session: &mut Session, io: &mut Io<'_>, error: Errno) {
        session.error = Some(error);
        if self.resting.iter().all(|(resting, _)| *resting != upstream) {
            self.resting.push((upstream, io.now_ns().saturating_add(nanos(REST))));
        }
        // A name may have several addresses. The first of those who fail at one moves on, for all.
        if self.places[upstream] == session.place {
            let addresses = self.route.pool.upstreams[upstream].targets.len();
            self.places[upstream] = next_of(session.place, addresses);
        }
        io.recorder().connect_failed(self.route.first_upstream + upstream);
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
fn next_of(place: u16, places: usize) -> u16 {
    ((usize::from(place) + 1) % places.max(1)) as u16
}

/// Whether it was for want of descriptors or memory that a connect failed, and not for the upstream.
fn is_ours(error: Errno) -> bool {
    matches!(error, Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
}
