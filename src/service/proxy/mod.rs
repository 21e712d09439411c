//! Forwards: each connection to an upstream of its own, and back, so exactly that neither end can tell.
//!
//! ```text
//! accept → [arriving] → attempt ⇄ pause → established → forward … → both streams ended, or one end reset → ledger
//!          (arriving.rs)  (connecting.rs, choosing.rs)    (forward/)   (closing.rs)
//! ```
//! A session has its two sides on one worker, and nothing on its way is shared with another. Bytes cross in the turn
//! in which they are read; what the far side doesn't take is its backlog, and while there is one the near side isn't
//! read. FIN passes on behind the bytes before it, each direction for itself; RST passes on as RST, once what
//! came before it has been delivered. A session that ends in any other way than by both streams' ends is reset,
//! because a FIN would make what was cut off look whole.
//!
//! Where more is asked of a client than to come (access lists, limits, PROXY headers, routes) that is done before the
//! first attempt; a service that asks for none of it pays one branch a session for that.

mod admission;
mod arriving;
mod choosing;
mod closing;
mod connecting;
mod forward;
pub mod preread;
mod session;

use std::{any::Any, sync::Arc};

use fastrand::Rng;

use crate::{
    Arrival, Desk, End, Io, Read, Service, Side, Turn,
    config::{OnDown, ProxyOptions},
    limit::Limits,
    measure::ledger::{Cause, Entry},
    runtime::mailbox::Sender,
    sys::socket::ConnectOptions,
    upstream::{News, Roster, loads::Loads},
};
use admission::Gate;
use choosing::Members;
use forward::Forwarder;
use preread::Routes;
pub use session::Session;
use session::Stage;

/// What all workers' proxies of one service have in common.
pub struct Route {
    /// The service's number.
    pub service: usize,
    /// Whom it may choose from at the start.
    pub roster: Arc<Roster>,
    /// The number of the first of their slots, among those of all services.
    pub first_upstream: usize,
    /// How many there are in all services.
    pub upstreams: usize,
    /// What was asked for.
    pub options: ProxyOptions,
    /// How upstreams are connected.
    pub connect: ConnectOptions,
    /// Which group serves whom, where there are routes.
    pub routes: Option<Routes>,
    /// What all workers together may take on, where that is limited.
    pub limits: Option<Arc<Limits>>,
}

/// The proxy of one worker, for one service.
pub struct Proxy {
    route: Arc<Route>,
    forwarder: Forwarder,
    members: Members,
    /// This worker's part of what is limited, where something is.
    gate: Option<Gate>,
    /// Whether a session may go to an upstream at once, with nothing before it.
    is_plain: bool,
    random: Rng,
    ledger: Option<Sender<Entry>>,
}

impl Proxy {
    /// The proxy of a worker. `loads` is what the workers know of each other; to `ledger` it tells each end.
    pub fn new(route: Arc<Route>, worker: usize, loads: Loads, ledger: Option<Sender<Entry>>) -> Self {
        let mut random = Rng::new();
        let ProxyOptions { access, proxy_protocol, .. } = &route.options;
        let speaks_first =
            proxy_protocol.accepts() || proxy_protocol.send.is_some() || route.routes.is_some();
        Self {
            forwarder: Forwarder::new(route.options.forward),
            members: Members::new(&route, worker, loads, &mut random),
            gate: route.limits.as_ref().map(|limits| Gate::new(Arc::clone(limits), worker)),
            is_plain: access.is_open() && route.limits.is_none() && !speaks_first,
            random,
            ledger,
            route,
        }
    }

    /// Moves what has come in on both sides across, and passes ends on.
    #[inline]
    fn forward(&mut self, session: &mut Session, io: &mut Io<'_>, scratch: &mut [u8]) -> Turn {
        for side in Side::ALL {
            // What nobody will get needs no reading.
            if !io.is_dead(side.other()) {
                self.forward_from(side, session, io, scratch);
            }
        }
        for side in Side::ALL {
            // What a dead side had sent before goes out first, if there is anybody to get it; back pressure may
            // hold it up.
            if io.is_dead(side) && (io.is_read_out(side) || io.is_dead(side.other())) {
                return self.broken_off(side, session, io);
            }
        }
        let is_through = |side| io_is_through(io, side);
        if Side::ALL.into_iter().all(is_through) { Turn::Close } else { Turn::Keep }
    }

    /// A side is dead, and all that it had sent before has gone out.
    #[cold]
    fn broken_off(&mut self, side: Side, session: &mut Session, io: &mut Io<'_>) -> Turn {
        if side == Side::Upstream {
            if self.may_go_elsewhere(session, io) {
                return self.go_elsewhere(session, io);
            }
            self.count_early_reset(session, io);
        }
        session.end(reset_by(side));
        session.error = io.fault(side).or(session.error);
        io.end_by_reset();
        Turn::Reset
    }

    #[inline]
    fn forward_from(&mut self, side: Side, session: &mut Session, io: &mut Io<'_>, scratch: &mut [u8]) {
        while io.may_bring(side) {
            match self.forwarder.pass(session.lane(side), io, side, scratch) {
                Read::Data(len) => {
                    if session.crossed(side, len, io) {
                        self.answered(session);
                    }
                    self.count(side, len, session, io);
                    if io.is_dead(side.other()) {
                        return;
                    }
                }
                Read::Pending => return,
                Read::Eof => {
                    session.end(fin_of(side));
                    return io.finish(side.other());
                }
                Read::Broken => return,
            }
        }
    }

    /// Counts by upstream. What is never delivered to one is taken back in the end.
    #[inline]
    fn count(&self, side: Side, len: usize, session: &Session, io: &mut Io<'_>) {
        let Some(upstream) = session.upstream() else { return };
        let (to, from) = match side {
            Side::Client => (len as u64, 0),
            Side::Upstream => (0, len as u64),
        };
        io.recorder().passed(self.members.flat(upstream), to, from);
    }

    /// The upstream has sent its first byte.
    #[cold]
    fn answered(&mut self, session: &Session) {
        if let Some(upstream) = session.upstream() {
            self.members.succeeded(upstream);
        }
    }

    /// The deadline of a session that forwards: no byte for too long, or its own time is over.
    #[inline]
    fn touch(&self, session: &Session, io: &mut Io<'_>) {
        let timeouts = &self.route.options.timeouts;
        let quiet = if session.is_half_closed() { timeouts.half_closed } else { timeouts.idle };
        let quiet_ns = quiet.map_or(u64::MAX, |quiet| io.now_ns().saturating_add(nanos(quiet)));
        io.set_deadline_ns(quiet_ns.min(session.until_ns));
    }

    /// Whether no session may be with this member, because it is down.
    fn closes_on(&self, upstream: usize) -> bool {
        self.route.options.health.on_down == OnDown::Close && self.members.is_down(upstream)
    }

    /// Since the worker was told to stop: a session has the drain time left.
    fn drain_from_now(&self, session: &mut Session, io: &mut Io<'_>) {
        let until_ns = io.now_ns().saturating_add(nanos(self.route.options.timeouts.drain));
        session.is_draining = true;
        if until_ns < session.until_ns {
            session.until_ns = until_ns;
            session.until = Cause::Drain;
        }
        match session.stage {
            Stage::Forwarding => self.touch(session, io),
            _ => io.set_deadline_no_later(session.until_ns),
        }
    }
}

impl Proxy {
    /// A turn of a session without an upstream.
    #[inline(never)]
    fn go_on(&mut self, session: &mut Session, io: &mut Io<'_>, scratch: &mut [u8]) -> Turn {
        // What it had sent before its reset is delivered all the same, once there is somebody to deliver it to.
        if io.is_gone(Side::Client) {
            session.end(reset_by(Side::Client));
            return Turn::Abort;
        }
        if session.is_over() {
            return Turn::Abort;
        }
        match session.stage {
            Stage::Admitting | Stage::Queued | Stage::Preread => self.go_on_arriving(session, io, scratch),
            Stage::Connecting | Stage::Pausing | Stage::Forwarding => self.go_on_connecting(session, io),
        }
    }

    /// The time that a session without an upstream had for something is over.
    fn overdue(&mut self, session: &mut Session, io: &mut Io<'_>) -> Turn {
        if io.now_ns() >= session.until_ns {
            session.end(session.until);
        }
        match session.stage {
            _ if session.is_over() => Turn::Abort,
            Stage::Admitting | Stage::Queued | Stage::Preread => self.arriving_overdue(session, io),
            Stage::Connecting | Stage::Pausing | Stage::Forwarding => self.connect_overdue(session, io),
        }
    }
}

impl Service for Proxy {
    type Session = Session;

    fn upstreams(&self) -> usize {
        self.route.upstreams
    }

    fn open(&mut self, arrival: &Arrival, io: &mut Io<'_>) -> Session {
        let timeouts = &self.route.options.timeouts;
        let until_ns = timeouts.session.map_or(u64::MAX, |life| io.now_ns().saturating_add(nanos(life)));
        let mut session = Session::new(arrival, until_ns);
        let turn = if self.is_plain { self.attempt(&mut session, io) } else { self.arrive(&mut session, io) };
        if turn != Turn::Keep {
            // It is over already: its first turn ends it.
            io.wake(io.token());
        }
        session
    }

    #[inline]
    fn turn(&mut self, session: &mut Session, io: &mut Io<'_>, scratch: &mut [u8]) -> Turn {
        if io.is_draining() && !session.is_draining {
            self.drain_from_now(session, io);
        }
        if io.now_ns() >= session.until_ns {
            session.end(session.until);
            return Turn::Abort;
        }
        if session.stage != Stage::Forwarding {
            let turn = self.go_on(session, io, scratch);
            if turn != Turn::Keep || session.stage != Stage::Forwarding {
                return turn;
            }
        }
        let turn = self.forward(session, io, scratch);
        // Where it went elsewhere, it has a deadline of another kind.
        if io.has_moved() && session.stage == Stage::Forwarding {
            session.unacknowledged = u64::MAX;
            self.touch(session, io);
        }
        turn
    }

    fn expire(&mut self, session: &mut Session, io: &mut Io<'_>) -> Turn {
        if session.stage != Stage::Forwarding {
            return self.overdue(session, io);
        }
        // No byte has come or gone here, but a slow reader may still be taking those that the kernel holds for it.
        let unacknowledged = Side::ALL.into_iter().map(|side| io.unacknowledged(side) as u64).sum();
        if unacknowledged > 0 && unacknowledged < session.unacknowledged {
            session.unacknowledged = unacknowledged;
            self.touch(session, io);
            return Turn::Keep;
        }
        session.end(Cause::Timeout);
        Turn::Abort
    }

    fn drain(&mut self, _: &mut Session, _: &mut Io<'_>) -> Turn {
        // It goes on until its ends end it, or the drain time is over.
        Turn::Keep
    }

    fn closed(&mut self, session: &mut Session, io: &mut Io<'_>, end: End) {
        self.account(session, io, end);
    }

    fn freed(&mut self, session: &mut Session, io: &mut Io<'_>) {
        if let Some(gate) = &mut self.gate {
            gate.release(session, io);
        }
    }

    fn heed(&mut self, news: &(dyn Any + Send + Sync), desk: &mut Desk<'_>) -> bool {
        let own = news.downcast_ref::<News>().filter(|news| news.service == self.route.service);
        let has_fallen = own.is_some_and(|news| self.members.renew(&news.roster));
        if let Some(gate) = &mut self.gate {
            gate.heed(news, desk);
        }
        has_fallen && self.route.options.health.on_down == OnDown::Close
    }

    /// Members have gone down: sessions that are with one of them are over. One that still connects will see for
    /// itself.
    fn reconsider(&mut self, session: &mut Session, _: &mut Io<'_>) -> Turn {
        let is_with = |upstream| session.stage == Stage::Forwarding && self.closes_on(upstream);
        if !session.upstream().is_some_and(is_with) {
            return Turn::Keep;
        }
        session.end(Cause::UpstreamDown);
        Turn::Abort
    }
}

/// Whether a side's stream has ended, and its FIN has passed on behind the last byte.
fn io_is_through(io: &mut Io<'_>, side: Side) -> bool {
    io.is_read_out(side) && !io.is_backlogged(side.other())
}

const fn fin_of(side: Side) -> Cause {
    match side {
        Side::Client => Cause::ClientFin,
        Side::Upstream => Cause::UpstreamFin,
    }
}

const fn reset_by(side: Side) -> Cause {
    match side {
        Side::Client => Cause::ClientReset,
        Side::Upstream => Cause::UpstreamReset,
    }
}

fn nanos(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
