//! What the proxy remembers of a session, beside its sockets: how far it is, what has passed, how it ended.
//!
//! An ordinary session has nothing but this. What only some have, because they began with a PROXY header or were
//! routed or had to wait, is its [`Extra`], and costs the others eight bytes.

use super::{admission::Permits, forward::Lane, preread::Preread};
use crate::{
    Arrival, Io, Side,
    measure::ledger::{Cause, Code, Phase},
    sys::{Errno, socket::Peer},
    upstream::tried::Tried,
};

/// No upstream is chosen.
const NOBODY: u16 = u16::MAX;

/// One session. 4 million of them cost less than 1 GB with what the runtime keeps.
pub struct Session {
    /// How far it is.
    pub(super) stage: Stage,
    /// Whether it knows that the worker has been told to stop.
    pub(super) is_draining: bool,
    /// How often all upstreams were tried in vain.
    pub(super) pauses: u8,
    lanes: [Lane; 2],
    pub(super) listener: u16,
    upstream: u16,
    /// Whom it may go to: the group of its route.
    pub(super) group: u16,
    /// What it holds of limited things.
    pub(super) permits: Permits,
    /// Where the upstream was tried, by the number of the address among those of its name.
    pub(super) place: u16,
    /// At how many of its addresses it was tried since the last pause.
    pub(super) places: u16,
    /// Whether it is the one that finds out whether its upstream is well again.
    pub(super) is_probe: bool,
    /// Whether an upstream had taken it, and reset it unused.
    pub(super) was_reset: bool,
    /// Upstreams that were tried since the last pause.
    pub(super) tried: Tried,
    pub(super) attempts: u32,
    /// Why the last attempt failed.
    pub(super) error: Option<Errno>,
    /// How it ends, once that is known.
    code: Option<Code>,
    /// What it is that ends it at `until_ns`.
    pub(super) until: Cause,
    /// When it is over, whatever happens.
    pub(super) until_ns: u64,
    /// While connecting: when the attempt began. Then: how long it took.
    pub(super) connect_ns: u64,
    /// Accept to the upstream's first byte; 0 until it came.
    pub(super) first_byte_ns: u64,
    /// Bytes read, by side.
    pub(super) read: [u64; 2],
    /// What the peers had not acknowledged when it was last quiet for too long.
    pub(super) unacknowledged: u64,
    /// Who the client is: of one that came through another proxy, what that proxy says.
    pub(super) client: Peer,
    pub(super) extra: Option<Box<Extra>>,
}

/// What only some sessions have.
#[derive(Default)]
pub(super) struct Extra {
    /// Who sent the PROXY header.
    pub(super) via: Option<Peer>,
    /// The TLVs of that header, to be passed on.
    pub(super) tlvs: Vec<u8>,
    /// The name that the ClientHello asks for.
    pub(super) sni: Option<Box<str>>,
    /// While what the client begins with is being read.
    pub(super) preread: Option<Preread>,
    /// Bytes that were read from the client and are not its own words: the PROXY header.
    pub(super) consumed: u64,
    /// Bytes that are put before its words: our own header.
    pub(super) added: u64,
    /// When it began to wait for a slot, while it does.
    pub(super) queued_since_ns: Option<u64>,
    /// How long it has waited.
    pub(super) queued_ns: u64,
    /// Whether that is a slot of an upstream; else it is one of the service.
    pub(super) awaits_upstream: bool,
    /// How much of its life was no attempt to connect, nor a pause between two: that time isn't up for it.
    pub(super) held_ns: u64,
}

/// How far a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It has passed no limit yet.
    Admitting,
    /// It waits for a slot: of the service, or of an upstream.
    Queued,
    /// What it begins with is being read.
    Preread,
    /// An upstream was asked and has not answered.
    Connecting,
    /// All upstreams have failed; they are asked again soon.
    Pausing,
    /// Bytes cross.
    Forwarding,
}

impl Session {
    pub(super) fn new(arrival: &Arrival, until_ns: u64) -> Self {
        Self {
            stage: Stage::Admitting,
            is_draining: false,
            pauses: 0,
            lanes: [Lane::default(); 2],
            // Nobody listens on 65,536 addresses.
            listener: arrival.listener as u16,
            upstream: NOBODY,
            group: 0,
            permits: Permits::default(),
            place: 0,
            places: 0,
            is_probe: false,
            was_reset: false,
            tried: Tried::default(),
            attempts: 0,
            error: None,
            code: None,
            until: Cause::SessionTimeout,
            until_ns,
            connect_ns: 0,
            first_byte_ns: 0,
            read: [0; 2],
            unacknowledged: u64::MAX,
            client: arrival.peer,
            extra: None,
        }
    }

    /// What only some sessions have: from now on this one has it too.
    pub(super) fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    /// It begins to wait for a slot of an upstream, or of the service.
    pub(super) fn begin_to_wait(&mut self, for_upstream: bool, now_ns: u64) {
        self.stage = Stage::Queued;
        let extra = self.extra();
        extra.awaits_upstream = for_upstream;
        extra.queued_since_ns.get_or_insert(now_ns);
    }

    /// How much of its life until now was none of the time that it has for connecting.
    pub(super) fn held_ns(&self, now_ns: u64) -> u64 {
        let Some(extra) = &self.extra else { return 0 };
        let since_ns = extra.queued_since_ns.filter(|_| extra.awaits_upstream);
        extra.held_ns + since_ns.map_or(0, |since_ns| now_ns.saturating_sub(since_ns))
    }

    /// It waits no more.
    pub(super) fn end_wait(&mut self, now_ns: u64) {
        if let Some(extra) = &mut self.extra
            && let Some(since_ns) = extra.queued_since_ns.take()
        {
            let waited_ns = now_ns.saturating_sub(since_ns).max(1);
            extra.queued_ns += waited_ns;
            extra.held_ns += if extra.awaits_upstream { waited_ns } else { 0 };
        }
    }

    /// Whether what it waits for is room at an upstream.
    pub(super) fn awaits_upstream(&self) -> bool {
        self.extra.as_ref().is_some_and(|extra| extra.awaits_upstream)
    }

    /// Whether what it begins with is still being read, or was never understood: nothing of it was meant for an
    /// upstream.
    pub(super) fn is_unread(&self) -> bool {
        self.extra.as_ref().is_some_and(|extra| extra.preread.is_some())
    }

    /// What the client has said so far, in bytes: a PROXY header before it is another's word.
    pub(super) fn said(&self) -> u64 {
        let read = self.read[Side::Client as usize];
        self.extra.as_ref().map_or(read, |extra| read.saturating_sub(extra.consumed))
    }

    /// Bytes of the PROXY header that the upstream gets.
    pub(super) fn added(&self) -> u64 {
        self.extra.as_ref().map_or(0, |extra| extra.added)
    }

    #[inline]
    pub(super) fn lane(&mut self, side: Side) -> &mut Lane {
        &mut self.lanes[side as usize]
    }

    /// Bytes that were spliced.
    pub(super) fn spliced(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.spliced).sum()
    }

    /// The upstream that it goes to, or the last that was tried, by its number within the service.
    pub(super) fn upstream(&self) -> Option<usize> {
        (self.upstream != NOBODY).then_some(usize::from(self.upstream))
    }

    pub(super) fn set_upstream(&mut self, upstream: Option<usize>) {
        self.upstream = upstream.map_or(NOBODY, |upstream| upstream as u16);
    }

    /// Bytes from a side have been taken across. Whether they are the upstream's first.
    #[inline]
    pub(super) fn crossed(&mut self, side: Side, len: usize, io: &mut Io<'_>) -> bool {
        self.read[side as usize] += len as u64;
        let is_first = side == Side::Upstream && self.first_byte_ns == 0;
        if is_first {
            self.first_byte_ns = io.now_ns().saturating_sub(io.opened_ns()).max(1);
            let first_byte_ns = self.first_byte_ns;
            io.recorder().record(|histograms| &mut histograms.first_byte, first_byte_ns);
        }
        is_first
    }

    /// Something ends the session, or one direction of it. What came first counts, but for a bad end after a good
    /// one.
    #[inline]
    pub(super) fn end(&mut self, cause: Cause) {
        match self.code {
            None => self.code = Some(Code { cause, phase: self.phase() }),
            Some(code) if is_fin(code.cause) && !is_fin(cause) => {
                self.code = Some(Code { cause, phase: Phase::HalfClosed });
            }
            Some(_) => {}
        }
    }

    /// How it ended.
    pub(super) fn code(&self) -> Option<Code> {
        self.code
    }

    /// Whether something other than the end of a stream ends it.
    pub(super) fn is_over(&self) -> bool {
        self.code.is_some_and(|code| !is_fin(code.cause))
    }

    /// Whether one side has ended its stream.
    #[inline]
    pub(super) fn is_half_closed(&self) -> bool {
        self.code.is_some()
    }

    fn phase(&self) -> Phase {
        match (self.stage, self.first_byte_ns) {
            (Stage::Admitting | Stage::Connecting | Stage::Pausing, _) => Phase::Connecting,
            (Stage::Queued, _) => Phase::Queued,
            (Stage::Preread, _) => Phase::Header,
            (Stage::Forwarding, 0) => Phase::Waiting,
            (Stage::Forwarding, _) => Phase::Data,
        }
    }
}

/// Whether a stream's proper end is meant.
pub(super) const fn is_fin(cause: Cause) -> bool {
    matches!(cause, Cause::ClientFin | Cause::UpstreamFin)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        Session::new(&Arrival { listener: 0, peer: Peer::Unix }, u64::MAX)
    }

    /// With what the runtime keeps, a session has to stay under 400 bytes (`an_idle_session_costs_little`).
    #[test]
    fn what_only_some_have_costs_the_others_little() {
        assert!(size_of::<Session>() <= 168, "{} bytes", size_of::<Session>());
    }

    #[test]
    fn headers_are_no_words_of_the_clients() {
        let mut session = session();
        session.read = [100, 7];
        assert_eq!((session.said(), session.added()), (100, 0));
        session.extra().consumed = 30;
        session.extra().added = 50;
        assert_eq!((session.said(), session.added()), (70, 50));
    }

    #[test]
    fn waiting_for_an_upstream_is_no_connecting() {
        let mut session = session();
        session.begin_to_wait(false, 1_000);
        assert_eq!(session.held_ns(1_500), 0, "that comes before the time for connecting begins");
        session.end_wait(1_600);
        session.begin_to_wait(true, 2_000);
        session.begin_to_wait(true, 2_100);
        assert_eq!(session.held_ns(2_300), 300);
        session.end_wait(2_400);
        session.end_wait(2_500);
        assert_eq!(session.held_ns(3_000), 400);
        assert_eq!(session.extra().queued_ns, 600 + 400);
    }

    #[test]
    fn each_stage_has_its_phase() {
        let phases = [Stage::Admitting, Stage::Queued, Stage::Preread, Stage::Pausing, Stage::Forwarding]
            .map(|stage| {
                let mut session = session();
                session.stage = stage;
                session.end(Cause::Timeout);
                session.code().map(|code| code.to_string())
            });
        assert_eq!(phases.each_ref().map(Option::as_deref), ["TC", "TQ", "TR", "TC", "TW"].map(Some));
    }
}
