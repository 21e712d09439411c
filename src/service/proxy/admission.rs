//! Who is let in and who waits: the limits of a service, as one worker keeps them.
//!
//! ```text
//! rate of the listener → limit of the listener → limit of the service … → limit of the source … → limit of an upstream
//!      until its time       a line                  a line                   no                      a line a group
//! ```
//! What a session has got of these is in its [`Permits`] until its sockets are closed: another worker may connect at
//! the moment at which something is free, and no upstream is to see one too many. Who has to wait stands in a line of
//! this worker's and counts in the queue of the service; who comes anew doesn't overtake those in line. What it got
//! before it keeps: who waits for the service is a session of its listener, who waits for an upstream one of the
//! service.
//!
//! The first of a line is woken as soon as something is granted to this worker, and wakes the next when it leaves. It
//! also looks by itself from time to time, in case a call was lost in a full mailbox: so nobody waits beside a free
//! slot for longer than that. Where there is no place in the queue, a session waits as long as that at most, and only
//! while other workers cache what it might have.

mod door;

use std::{any::Any, sync::Arc};

use super::{Session, nanos};
use crate::{
    Io,
    limit::{Limits, Line, Place},
    measure::ledger::Cause,
    runtime::desk::Desk,
};
use door::{Barrier, Call, Door, Of, Waiting, enter_queue, leave_queue, rouse, stay};

/// Whether a session may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It may.
    Go,
    /// It has to wait: it will get a turn, and shall ask again in each.
    Wait,
    /// It may not, for this.
    Refuse(Cause),
}

/// What a session has got of what is limited, and where it stands in a line.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Permits {
    held: u8,
    place: Place,
}

/// A worker's part of the limits of a service.
pub(super) struct Gate {
    limits: Arc<Limits>,
    /// Those whom a rate has given a time, which is kept here.
    paced: Line<u64>,
    listeners: Box<[Barrier]>,
    service: Option<Barrier>,
    members: Box<[Door]>,
    /// Who waits for a member, by group; as many as have been asked for.
    groups: Vec<Waiting>,
}

impl Permits {
    /// It has its time from the rate.
    const PACED: u8 = 1;
    const LISTENER: u8 = 1 << 1;
    const SERVICE: u8 = 1 << 2;
    const SOURCE: u8 = 1 << 3;
    const MEMBER: u8 = 1 << 4;
    /// It has a place in the queue.
    const QUEUED: u8 = 1 << 5;
    /// It stands in a line.
    const IN_LINE: u8 = 1 << 6;
    /// It is a session of the service.
    const ADMITTED: u8 = 1 << 7;

    const fn has(self, bit: u8) -> bool {
        self.held & bit != 0
    }

    const fn add(&mut self, bit: u8) {
        self.held |= bit;
    }

    /// Whether it had it.
    const fn remove(&mut self, bit: u8) -> bool {
        let had = self.has(bit);
        self.held &= !bit;
        had
    }

    fn stand(&mut self, place: Place) {
        self.place = place;
        self.add(Self::IN_LINE);
    }
}

impl Gate {
    pub(super) fn new(limits: Arc<Limits>, worker: usize) -> Self {
        let service = limits.first_listener;
        let door = |quota, of| Door::new(quota, worker, service, of);
        let listeners = limits.listeners.iter().enumerate();
        let members = limits.members.iter().enumerate();
        let listener = |(number, quota)| Barrier::new(door(quota, Of::Listener(number)));
        Self {
            paced: Line::default(),
            listeners: listeners.map(listener).collect(),
            service: limits.service.as_ref().map(|quota| Barrier::new(door(quota, Of::Service))),
            members: members.map(|(number, quota)| door(quota, Of::Member(number))).collect(),
            groups: Vec::new(),
            limits,
        }
    }

    /// Whether a connection becomes a session of the service. Asked at accept, and in each turn until it may go on.
    pub(super) fn admit(&mut self, session: &mut Session, io: &mut Io<'_>) -> Admission {
        let listener = usize::from(session.listener) - self.limits.first_listener;
        let Self { limits, paced, listeners, service, .. } = self;
        if !session.permits.has(Permits::PACED) {
            match pace(limits, paced, listener, session, io) {
                Admission::Go => session.permits.add(Permits::PACED),
                other => return other,
            }
        }
        let barriers =
            [(listeners.get_mut(listener), Permits::LISTENER), (service.as_mut(), Permits::SERVICE)];
        for (barrier, permit) in barriers {
            if let Some(barrier) = barrier.filter(|_| !session.permits.has(permit)) {
                match barrier.pass(limits, session, io) {
                    Admission::Go => session.permits.add(permit),
                    other => return other,
                }
            }
        }
        session.permits.add(Permits::ADMITTED);
        leave_queue(limits, session, io);
        Admission::Go
    }

    /// Whether its source may have one more session. Asked once it is known who the client is.
    pub(super) fn admit_source(&mut self, session: &mut Session, _: &mut Io<'_>) -> Admission {
        let Some((sources, address)) = self.limits.sources.as_ref().zip(session.client.ip()) else {
            return Admission::Go;
        };
        if !session.permits.has(Permits::SOURCE) {
            if !sources.take(address) {
                return Admission::Refuse(Cause::Limit);
            }
            session.permits.add(Permits::SOURCE);
        }
        Admission::Go
    }

    /// Whether this session might go to that member, as far as its limit is concerned.
    #[inline]
    pub(super) fn is_open(&self, member: usize, session: &Session) -> bool {
        let Some(door) = self.members.get(member) else { return true };
        let is_in_line = session.permits.has(Permits::IN_LINE);
        // What others here wait for is theirs.
        (is_in_line || !door.share.waits()) && door.share.has_room(is_in_line)
    }

    /// Takes one of a member's slots for a session. `false`: there is none after all.
    pub(super) fn take(&mut self, member: usize, session: &mut Session, io: &mut Io<'_>) -> bool {
        if let Some(door) = self.members.get_mut(member) {
            let is_in_line = session.permits.has(Permits::IN_LINE);
            if !(if is_in_line { door.share.take_in_turn() } else { door.share.take() }) {
                return false;
            }
            session.permits.add(Permits::MEMBER);
        }
        self.withdraw(session, io);
        true
    }

    /// Gives back the slot of a member that a session isn't connected to any more.
    pub(super) fn give_back(&mut self, member: usize, session: &mut Session, io: &mut Io<'_>) {
        if session.permits.remove(Permits::MEMBER)
            && let Some(door) = self.members.get_mut(member)
        {
            door.give_back(&mut io.desk());
            self.rouse_for(member, 0, &mut io.desk());
        }
    }

    /// A session that might go to any of these but for their limits has to wait. `Go`: one of them has room again.
    pub(super) fn wait(
        &mut self,
        full: impl Iterator<Item = usize>,
        session: &mut Session,
        io: &mut Io<'_>,
    ) -> Admission {
        let full: Vec<usize> = full.filter(|member| *member < self.members.len()).collect();
        let group = usize::from(session.group);
        if self.groups.len() <= group {
            self.groups.resize_with(group + 1, Waiting::default);
        }
        let Self { limits, members, groups, .. } = self;
        let waiting = &mut groups[group];
        let is_used_up = || full.iter().all(|member| members[*member].share.is_used_up());
        if !session.permits.has(Permits::IN_LINE) {
            if !enter_queue(limits, session, io) && is_used_up() {
                return Admission::Refuse(Cause::Limit);
            }
            session.permits.stand(waiting.line.push(io.token()));
        }
        let stay = stay(limits, waiting.line.is_first(session.permits.place), is_used_up, session, io);
        if stay != Admission::Wait {
            return stay;
        }
        for &member in &full {
            if !members[member].share.waits() {
                if !members[member].wait(&mut io.desk()) {
                    return Admission::Go;
                }
                waiting.members.push(member);
            }
            members[member].ask(&mut io.desk());
        }
        waiting.pass_on(&full, members, session, io);
        Admission::Wait
    }

    /// A session doesn't wait any more: it has what it waited for, or does something else.
    pub(super) fn withdraw(&mut self, session: &mut Session, io: &mut Io<'_>) {
        let Permits { place, .. } = session.permits;
        if session.permits.remove(Permits::IN_LINE) {
            let listener = usize::from(session.listener) - self.limits.first_listener;
            match self.line_of(session) {
                Standing::Paced => drop(self.paced.leave(place)),
                Standing::Listener => self.listeners[listener].leave(place, io),
                Standing::Service => self.service.iter_mut().for_each(|barrier| barrier.leave(place, io)),
                Standing::Group => {
                    self.groups[usize::from(session.group)].leave(place, &mut self.members, io);
                }
            }
        }
        leave_queue(&self.limits, session, io);
    }

    /// The session is over and its sockets are closed: everything that it holds is there for others.
    pub(super) fn release(&mut self, session: &mut Session, io: &mut Io<'_>) {
        self.withdraw(session, io);
        if let Some(member) = session.upstream() {
            self.give_back(member, session, io);
        }
        if session.permits.remove(Permits::SERVICE) {
            self.service.iter_mut().for_each(|barrier| barrier.give_back(io));
        }
        if session.permits.remove(Permits::LISTENER) {
            let listener = usize::from(session.listener) - self.limits.first_listener;
            self.listeners[listener].give_back(io);
        }
        if session.permits.remove(Permits::SOURCE)
            && let Some((sources, address)) = self.limits.sources.as_ref().zip(session.client.ip())
        {
            sources.give_back(address);
        }
    }

    /// Another worker may have called.
    pub(super) fn heed(&mut self, news: &(dyn Any + Send + Sync), desk: &mut Desk<'_>) {
        let Some(call) = news.downcast_ref::<Call>() else { return };
        if call.service != self.limits.first_listener {
            return;
        }
        match call.of {
            Of::Service => self.service.iter_mut().for_each(|barrier| barrier.look(desk)),
            Of::Listener(listener) => self.listeners[listener].look(desk),
            Of::Member(member) => {
                self.members[member].look(desk);
                self.rouse_for(member, 1, desk);
            }
        }
    }

    /// Wakes those who wait for a member: as many as it has slots for them, and so many at least.
    fn rouse_for(&self, member: usize, least: u64, desk: &mut Desk<'_>) {
        let share = &self.members[member].share;
        if share.waits()
            && let Some(waiting) = self.groups.iter().find(|waiting| waiting.members.contains(&member))
        {
            rouse(&waiting.line, share.at_hand().max(least), desk);
        }
    }

    /// In which line a session stands, if it does.
    fn line_of(&self, session: &Session) -> Standing {
        let has = |bit| session.permits.has(bit);
        match () {
            () if !has(Permits::PACED) => Standing::Paced,
            () if has(Permits::ADMITTED) => Standing::Group,
            () if !self.listeners.is_empty() && !has(Permits::LISTENER) => Standing::Listener,
            () => Standing::Service,
        }
    }
}

/// The lines there are.
enum Standing {
    Paced,
    Listener,
    Service,
    Group,
}

/// The listener's rate: at once, at a time that is the session's own from then on, or not at all.
fn pace(
    limits: &Limits,
    paced: &mut Line<u64>,
    listener: usize,
    session: &mut Session,
    io: &mut Io<'_>,
) -> Admission {
    let Some(pace) = limits.paces.get(listener) else { return Admission::Go };
    let now_ns = io.now_ns();
    if session.permits.has(Permits::IN_LINE) {
        let at_ns = paced.get(session.permits.place).copied().unwrap_or(0);
        if at_ns > now_ns {
            io.set_deadline_ns(at_ns.min(session.until_ns));
            return Admission::Wait;
        }
        session.permits.remove(Permits::IN_LINE);
        paced.leave(session.permits.place);
        return Admission::Go;
    }
    if pace.claim(now_ns, now_ns).is_some() {
        return Admission::Go;
    }
    // A place in the queue first: without one a later time is of no use.
    if !enter_queue(limits, session, io) {
        return Admission::Refuse(Cause::Limit);
    }
    let until_ns = now_ns.saturating_add(nanos(limits.queue_timeout));
    match pace.claim(now_ns, until_ns) {
        None => Admission::Refuse(Cause::Limit),
        Some(at_ns) if at_ns <= now_ns => Admission::Go,
        Some(at_ns) => {
            session.permits.stand(paced.push(at_ns));
            io.set_deadline_ns(at_ns.min(session.until_ns));
            Admission::Wait
        }
    }
}
