//! Whom a session goes to: the members of its group, as one worker knows them.
//!
//! Here come together what is known of members: their standing (the roster, which news replaces), what this worker's
//! own sessions have met there (ejections), how many sessions each has (loads), whether one more is within its limit
//! (the gate), and whom the session has tried already. The balancer of its group chooses among those that remain.

use std::sync::Arc;

use fastrand::Rng;

use super::{Route, Session, admission::Gate, connecting::next_of};
use crate::{
    runtime::io::Io,
    upstream::{
        Member, Roster, Standing, Target, balance::Balancer, ejection::Ejections, loads::Loads, tried::Tried,
    },
};

/// The members of a service, and how this worker chooses among them.
pub(super) struct Members {
    roster: Arc<Roster>,
    groups: Box<[Group]>,
    ejections: Ejections,
    loads: Loads,
    /// The number of the first of them, among those of all services.
    first: usize,
    /// At which of its addresses each is tried.
    places: Box<[u16]>,
}

/// What is chosen from for one route.
struct Group {
    balancer: Balancer,
    /// How many of its members are up.
    usable: usize,
    /// How many addresses these have.
    places: usize,
}

/// What came of a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// This one.
    Member(usize),
    /// All that might be tried have as many sessions as they may have.
    Full,
    /// There is somebody, but the session has tried everyone.
    Exhausted,
    /// There is nobody: all are down, or none was found.
    Nobody,
}

impl Members {
    pub(super) fn new(route: &Route, worker: usize, loads: Loads, random: &mut Rng) -> Self {
        let (options, roster, first) = (&route.options, &route.roster, route.first_upstream);
        let group = |range: &std::ops::Range<usize>| Group {
            // Workers must not choose in step, or they all herd to the same upstream.
            balancer: Balancer::new(options.balance, roster, range.clone(), first, worker, random.u64(..))
                .with_slow_start(options.health.slow_start),
            usable: 0,
            places: 0,
        };
        let (after, rest) = (options.health.eject_after, options.health.eject_for);
        let mut members = Self {
            groups: roster.groups.iter().map(group).collect(),
            ejections: Ejections::new(after, rest, options.timeouts.connect, roster),
            roster: Arc::clone(roster),
            loads,
            first,
            places: vec![0; roster.members.len()].into(),
        };
        members.count();
        members
    }

    /// Another roster takes the place of the last. Whether somebody has gone down by it.
    pub(super) fn renew(&mut self, roster: &Arc<Roster>) -> bool {
        let before = std::mem::replace(&mut self.roster, Arc::clone(roster));
        for group in &mut self.groups {
            group.balancer.renew(roster);
        }
        self.ejections.renew(roster);
        for ((now, before), place) in roster.members.iter().zip(&before.members).zip(&mut self.places) {
            if now.targets != before.targets {
                *place = 0;
            }
        }
        self.count();
        roster.has_fallen(&before)
    }

    fn count(&mut self) {
        for (number, group) in self.groups.iter_mut().enumerate() {
            group.usable = self.roster.usable(number).count();
            group.places = self.roster.usable(number).map(|(_, member)| member.targets.len()).sum();
        }
    }

    /// Somebody of its group who was not tried. Those at their limit are passed over; a backup is none for want of
    /// room.
    pub(super) fn choose(
        &mut self,
        session: &Session,
        gate: Option<&Gate>,
        full: &Tried,
        now_ns: u64,
    ) -> Choice {
        let Self { groups, ejections, loads, .. } = self;
        let group = &mut groups[usize::from(session.group)];
        let has_room =
            |member| !full.contains(member) && gate.is_none_or(|gate| gate.is_open(member, session));
        let is_new = |member| !session.tried.contains(member) && ejections.is_open(member, now_ns);
        let open = |member| is_new(member) && has_room(member);
        let usable = group.usable;
        let chosen = group.balancer.choose(loads, open, session.client.ip(), now_ns);
        let Some(member) = chosen else {
            return match usable {
                0 => Choice::Nobody,
                _ if gate.is_none() || self.candidates(session, now_ns).is_empty() => Choice::Exhausted,
                _ => Choice::Full,
            };
        };
        // A backup is for when others are down, not for when they are full.
        let is_backup = |member: usize| self.roster.members[member].backup;
        let is_overflow = gate.is_some()
            && is_backup(member)
            && self.candidates(session, now_ns).first().is_some_and(|first| !is_backup(*first));
        if is_overflow { Choice::Full } else { Choice::Member(member) }
    }

    /// Those of its group that the session might go to, if they have room: backups only where there are no others.
    pub(super) fn candidates(&self, session: &Session, now_ns: u64) -> Vec<usize> {
        let is_new = |(member, _): &(usize, &Member)| {
            !session.tried.contains(*member) && self.ejections.is_open(*member, now_ns)
        };
        let new = || self.roster.usable(usize::from(session.group)).filter(is_new);
        let has_first = new().any(|(_, it)| !it.backup);
        new().filter(|(_, it)| it.backup != has_first).map(|(member, _)| member).collect()
    }

    /// The member that was tried last, where its name has an address that this session has not tried.
    pub(super) fn with_other_address(&self, session: &Session) -> Option<usize> {
        let member = session.upstream()?;
        let is_up = self.roster.members[member].standing == Standing::Up;
        (is_up && usize::from(session.places) < self.roster.members[member].targets.len()).then_some(member)
    }

    /// Notes whom a session tries, and at which address: the next one, if it has just tried another of the same name,
    /// else the one that this worker knows to be good.
    pub(super) fn take(&mut self, member: usize, session: &mut Session, now_ns: u64) {
        let addresses = self.roster.members[member].targets.len();
        let is_again = session.places > 0 && session.upstream() == Some(member);
        session.place = if is_again { next_of(session.place, addresses) } else { self.places[member] };
        session.places = if is_again { session.places.saturating_add(1) } else { 1 };
        session.tried.insert(member);
        session.set_upstream(Some(member));
        session.is_probe = self.ejections.began_probe(member, now_ns);
    }

    /// Where that is.
    pub(super) fn target(&self, session: &Session) -> Option<&Target> {
        self.roster.members[session.upstream()?].targets.get(usize::from(session.place))
    }

    /// The number of a member among those of all services.
    #[inline]
    pub(super) const fn flat(&self, member: usize) -> usize {
        self.first + member
    }

    /// A session goes there, or tries to.
    pub(super) fn add(&self, member: usize, worker: usize) {
        self.loads.add(worker, self.flat(member));
    }

    /// It doesn't any more.
    pub(super) fn remove(&self, member: usize, worker: usize) {
        self.loads.remove(worker, self.flat(member));
    }

    /// A session has connected.
    pub(super) fn connected(&mut self, member: usize) {
        self.ejections.connected(member);
    }

    /// It has had a byte from there, or has ended well without.
    #[inline]
    pub(super) fn succeeded(&mut self, member: usize) {
        self.ejections.succeeded(member);
    }

    /// It failed to connect, or was reset before the first byte.
    pub(super) fn failed(&mut self, member: usize, session: &mut Session, io: &mut Io<'_>) {
        let is_probe = std::mem::take(&mut session.is_probe);
        if self.ejections.failed(member, is_probe, io.now_ns()) {
            io.recorder().ejected(self.flat(member));
        }
        // A name may have several addresses. The first of those who fail at one moves on, for all.
        if self.places[member] == session.place {
            self.places[member] = next_of(session.place, self.roster.members[member].targets.len());
        }
    }

    /// Whether the session might have gone to somebody else.
    pub(super) fn has_others(&self, session: &Session) -> bool {
        self.groups[usize::from(session.group)].usable > 1
    }

    /// How many addresses there are to be tried for a session of this group.
    pub(super) fn places(&self, group: u16) -> usize {
        self.groups[usize::from(group)].places
    }

    /// Whether its checks fail.
    pub(super) fn is_down(&self, member: usize) -> bool {
        self.roster.members[member].standing == Standing::Down
    }
}
