//! One limit at one worker: who passes, who waits for it in which order, and by what the worker speaks to others
//! about it.

use std::{any::Any, sync::Arc, time::Duration};

use super::{Admission, Permits};
use crate::{
    Io,
    limit::{Limits, Line, Place, Quota, Share, quota::Bells},
    measure::ledger::Cause,
    runtime::{desk::Desk, token::Token},
    service::proxy::{Session, nanos},
};

/// How long the first of a line leaves it at being called, and how long a session without a place in the queue waits
/// for what others may lend.
const LOOK: Duration = Duration::from_millis(20);

/// One limit of many sessions, and who waits for it here.
pub(super) struct Barrier {
    pub(super) door: Door,
    pub(super) line: Line<Token>,
}

/// Who waits here for some member of a group, whichever comes first.
#[derive(Default)]
pub(super) struct Waiting {
    pub(super) line: Line<Token>,
    /// The members whose doors wait.
    pub(super) members: Vec<usize>,
}

/// A worker's share of a limit, and by what it calls others about it.
pub(super) struct Door {
    pub(super) share: Share,
    call: Arc<Call>,
}

/// A call to another worker: look at your share of this limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    /// Tells services apart: the number of its first listener.
    pub(super) service: usize,
    pub(super) of: Of,
}

/// What is limited.
#[derive(Clone, Copy, Debug)]
pub(super) enum Of {
    Service,
    Listener(usize),
    Member(usize),
}

impl Barrier {
    pub(super) fn new(door: Door) -> Self {
        Self { door, line: Line::default() }
    }

    /// One more, if there is room and nobody stands before it.
    pub(super) fn pass(&mut self, limits: &Limits, session: &mut Session, io: &mut Io<'_>) -> Admission {
        let Self { door, line } = self;
        if !session.permits.has(Permits::IN_LINE) {
            if line.is_empty() && door.share.take() {
                return Admission::Go;
            }
            if !enter_queue(limits, session, io) && door.share.is_used_up() {
                return Admission::Refuse(Cause::Limit);
            }
            session.permits.stand(line.push(io.token()));
        }
        let place = session.permits.place;
        while line.is_first(place) {
            if door.share.take_in_turn() {
                session.permits.remove(Permits::IN_LINE);
                self.leave(place, io);
                return Admission::Go;
            }
            if door.wait(&mut io.desk()) {
                door.ask(&mut io.desk());
                break;
            }
        }
        stay(limits, line.is_first(place), || door.share.is_used_up(), session, io)
    }

    pub(super) fn leave(&mut self, place: Place, io: &mut Io<'_>) {
        let was_first = self.line.is_first(place);
        self.line.leave(place);
        match self.line.first() {
            None => self.door.stop_waiting(&mut io.desk()),
            Some(next) if was_first => io.wake(*next),
            Some(_) => {}
        }
    }

    pub(super) fn give_back(&mut self, io: &mut Io<'_>) {
        self.door.give_back(&mut io.desk());
        rouse(&self.line, self.door.share.at_hand(), &mut io.desk());
    }

    /// The first one gets a turn even if nothing has come: that nothing is to be hoped for is news as well.
    pub(super) fn look(&mut self, desk: &mut Desk<'_>) {
        self.door.look(desk);
        rouse(&self.line, self.door.share.at_hand().max(1), desk);
    }
}

impl Waiting {
    pub(super) fn leave(&mut self, place: Place, doors: &mut [Door], io: &mut Io<'_>) {
        let was_first = self.line.is_first(place);
        self.line.leave(place);
        match self.line.first() {
            None => self.members.drain(..).for_each(|member| doors[member].stop_waiting(&mut io.desk())),
            Some(next) if was_first => io.wake(*next),
            Some(_) => {}
        }
    }

    /// Something may have come that this session has no use for, because it has tried that member, or the member
    /// isn't well: then it is for the next in line; and where there is no next one, for others.
    pub(super) fn pass_on(
        &mut self,
        usable: &[usize],
        doors: &mut [Door],
        session: &Session,
        io: &mut Io<'_>,
    ) {
        let Self { line, members } = self;
        let is_useless =
            |member: &usize, doors: &[Door]| doors[*member].share.has_room(true) && !usable.contains(member);
        if !members.iter().any(|member| is_useless(member, doors)) {
            return;
        }
        if let Some(next) = line.after(session.permits.place) {
            return io.wake(*next);
        }
        members.retain(|member| {
            let is_useless = is_useless(member, doors);
            if is_useless {
                doors[*member].stop_waiting(&mut io.desk());
            }
            !is_useless
        });
    }
}

impl Door {
    /// The share of a worker in what is limited `of` a service, which is called by the number of its first listener.
    pub(super) fn new(quota: &Quota, worker: usize, service: usize, of: Of) -> Self {
        Self { share: quota.share(worker), call: Arc::new(Call { service, of }) }
    }

    pub(super) fn give_back(&mut self, desk: &mut Desk<'_>) {
        let Self { share, call } = self;
        share.give_back(&mut Ring { call, desk });
    }

    pub(super) fn wait(&mut self, desk: &mut Desk<'_>) -> bool {
        let Self { share, call } = self;
        share.wait(&mut Ring { call, desk })
    }

    pub(super) fn ask(&self, desk: &mut Desk<'_>) {
        self.share.ask(&mut Ring { call: &self.call, desk });
    }

    pub(super) fn stop_waiting(&mut self, desk: &mut Desk<'_>) {
        let Self { share, call } = self;
        share.stop_waiting(&mut Ring { call, desk });
    }

    pub(super) fn look(&mut self, desk: &mut Desk<'_>) {
        let Self { share, call } = self;
        share.look(&mut Ring { call, desk });
    }
}

/// Calls by message.
struct Ring<'a, 'd> {
    call: &'a Arc<Call>,
    desk: &'a mut Desk<'d>,
}

impl Bells for Ring<'_, '_> {
    fn call(&mut self, worker: usize) -> bool {
        let news: Arc<dyn Any + Send + Sync> = self.call.clone();
        self.desk.tell(worker, news)
    }
}

/// Whether a session that stands in a line goes on to stand there, and until when before it looks again.
pub(super) fn stay(
    limits: &Limits,
    is_first: bool,
    is_used_up: impl FnOnce() -> bool,
    session: &Session,
    io: &mut Io<'_>,
) -> Admission {
    let now_ns = io.now_ns();
    let since_ns = session.extra.as_ref().and_then(|extra| extra.queued_since_ns).unwrap_or(now_ns);
    let is_queued = session.permits.has(Permits::QUEUED);
    let patience = if is_queued { limits.queue_timeout } else { LOOK };
    let until_ns = since_ns.saturating_add(nanos(patience));
    if is_queued && now_ns >= until_ns {
        return Admission::Refuse(Cause::Timeout);
    }
    if !is_queued && (now_ns >= until_ns || is_used_up()) {
        return Admission::Refuse(Cause::Limit);
    }
    let look_ns = if is_first { now_ns + nanos(LOOK) } else { u64::MAX };
    io.set_deadline_ns(until_ns.min(look_ns).min(session.until_ns));
    Admission::Wait
}

/// Takes a place in the queue of the service, if there is one.
pub(super) fn enter_queue(limits: &Limits, session: &mut Session, io: &mut Io<'_>) -> bool {
    if !session.permits.has(Permits::QUEUED) && limits.queue.take() {
        session.permits.add(Permits::QUEUED);
        let counts = &mut io.recorder().counts;
        counts.queued += 1;
        counts.queued_max = counts.queued_max.max(counts.queued);
    }
    session.permits.has(Permits::QUEUED)
}

pub(super) fn leave_queue(limits: &Limits, session: &mut Session, io: &mut Io<'_>) {
    if session.permits.remove(Permits::QUEUED) {
        limits.queue.give_back();
        io.recorder().counts.queued -= 1;
    }
}

/// Wakes the first so many.
pub(super) fn rouse(line: &Line<Token>, count: u64, desk: &mut Desk<'_>) {
    line.iter().take(usize::try_from(count).unwrap_or(usize::MAX)).for_each(|token| desk.wake(*token));
}
