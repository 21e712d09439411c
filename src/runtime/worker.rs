//! The loop of one core.
//!
//! ```text
//! wait for events             (block, spin, or spin and then block)
//! note them                   mail · listeners · sessions to the ready list
//! read the mail
//! run each ready session      once, up to its budget; what still has work goes to the tail
//! see to deadlines
//! accept                      last, so that a busy worker takes less by itself
//! free what has ended, publish on the board
//! ```
//! Events are collected before anything runs, so no turn sees half a batch. Everything here is the worker's
//! own: it shares its line on the board, its mailbox, and nothing else. It blocks in epoll_wait alone.

mod accepting;
mod mail;
mod stopping;

use std::sync::Arc;

use crate::{
    config::{Options, PollMode},
    limit::Slots,
    measure::{WorkerSnapshot, counts::Errors, recorder::Recorder},
    sys::{
        Errno, clock,
        epoll::{Epoll, Events, Readiness},
        socket::Socket,
        usage,
    },
};

use super::{
    backlog::{PipePool, Pool},
    board::Board,
    first_read::FirstRead,
    intake::Intake,
    io::{Context, Io, Next},
    link::{Link, NEVER_NS, Phase, Reset},
    mailbox::{Mailbox, Sender},
    message::Message,
    ready::ReadyList,
    service::{End, Service, Turn},
    table::Table,
    timer::Wheel,
    token::{Side, Target, Token},
    trigger,
};

/// Events that one epoll_wait returns at most.
const BATCH_MAX: usize = 512;
/// How long a pass over the ready list goes on before mail, deadlines and listeners are looked at, in
/// nanoseconds. Only a turn that takes longer than this makes it longer.
const PASS_MAX_NS: u64 = 10_000_000;
/// The worker's read buffer, in bytes.
const SCRATCH_LEN: usize = 64 << 10;

/// A worker: its loop and everything that it owns.
pub struct Worker<S: Service> {
    service: S,
    table: Table<Session<S::Session>>,
    intakes: Vec<Intake>,
    accept_budget: Option<usize>,
    /// Turns to run before it takes another connection from a shared listener: of the sessions that were ready
    /// when it last did. A pass that is cut short runs a part of them.
    turns_owed: usize,
    backlog: usize,
    first_read: FirstRead,
    mailbox: Mailbox<Message>,
    has_mail: bool,
    board: Board,
    slots: Option<Arc<Slots>>,
    core: Option<usize>,
    cx: Context,
    events: Events,
    scratch: Box<[u8]>,
    due: Vec<(Token, u64)>,
    poll: PollMode,
    /// The end of the last iteration that did something.
    idle_since_ns: u64,
    busy_ns: u64,
    accept_queue_max: u64,
    /// Set by a stop: when what is left is cut off.
    drain_until_ns: Option<u64>,
}

struct Session<T> {
    link: Link,
    state: T,
}

/// What a worker is made of, beside its service.
pub struct Parts {
    /// Its number, from 0.
    pub worker: usize,
    /// The core it will be pinned to.
    pub core: Option<usize>,
    /// Its epoll, in which its intakes and its mailbox are registered.
    pub epoll: Epoll,
    /// Its listeners.
    pub intakes: Vec<Intake>,
    /// How many addresses are listened on, by itself or by an acceptor.
    pub listeners: usize,
    /// Its mailbox.
    pub mailbox: Mailbox<Message>,
    /// Where to send to each worker, itself included.
    pub mailboxes: Arc<[Sender<Message>]>,
    /// Everyone's board.
    pub board: Board,
    /// How many sessions all workers may have, where that is limited.
    pub slots: Option<Arc<Slots>>,
}

impl<S: Service> Worker<S> {
    /// A worker that has not begun.
    pub fn new(parts: Parts, service: S, options: &Options) -> Self {
        let now_ns = clock::now_ns();
        let mut recorder = Recorder::new(options.measure, now_ns);
        recorder.serve(parts.listeners, service.upstreams());
        let cx = Context {
            epoll: parts.epoll,
            trigger: options.trigger,
            budget: options.budget,
            worker: parts.worker,
            now_ns,
            stamps: options.stamps(),
            is_draining: false,
            recorder,
            pool: Pool::default(),
            pipes: PipePool::default(),
            ready: ReadyList::default(),
            woken: Vec::new(),
            mailboxes: parts.mailboxes,
            wheel: Wheel::new(now_ns),
            work: 0,
        };
        Self {
            service,
            table: Table::default(),
            intakes: parts.intakes,
            accept_budget: options.accept_budget,
            turns_owed: 0,
            backlog: usize::try_from(options.backlog).unwrap_or(0),
            first_read: FirstRead::default(),
            mailbox: parts.mailbox,
            has_mail: false,
            board: parts.board,
            slots: parts.slots,
            core: parts.core,
            cx,
            events: Events::with_capacity(BATCH_MAX),
            scratch: vec![0; SCRATCH_LEN].into_boxed_slice(),
            due: Vec::new(),
            poll: options.poll,
            idle_since_ns: now_ns,
            busy_ns: 0,
            accept_queue_max: 0,
            drain_until_ns: None,
        }
    }

    /// Runs until a stop was asked for and every session has ended.
    pub fn run(mut self) -> WorkerSnapshot {
        while self.drain_until_ns.is_none() || !self.table.is_empty() || !self.mailbox.is_empty() {
            self.iterate();
        }
        self.snapshot()
    }

    fn iterate(&mut self) {
        if !self.wait() {
            return;
        }
        let work_before = self.cx.work;
        self.collect();
        self.read_mail();
        if !self.cx.ready.is_empty() && self.turns_owed == 0 {
            self.accept_before_turns();
        }
        self.run_ready();
        self.see_to_deadlines();
        self.accept();
        self.wake();
        self.table.free_unlinked();
        if self.table.is_empty() {
            self.cx.pipes.close();
        }
        self.end_iteration(work_before);
    }

    /// Waits for events. `false`: there was nothing, and there is nothing to do.
    fn wait(&mut self) -> bool {
        let timeout_ns = self.timeout_ns();
        let sleeps = timeout_ns != Some(0);
        if sleeps {
            self.board.line(self.cx.worker).waiting();
        }
        self.has_mail = false;
        if let Err(error) = self.cx.epoll.wait(&mut self.events, timeout_ns) {
            // EBADF, EFAULT, EINVAL: none can come of an epoll that lives.
            unreachable!("epoll_wait on a live epoll: {error}");
        }
        self.mailbox.awake();
        self.cx.now_ns = clock::now_ns();
        let has_work = !self.events.is_empty()
            || !self.cx.ready.is_empty()
            || !self.mailbox.is_empty()
            || self.is_told_to_stop()
            || self.intakes.iter().any(|intake| intake.noted);
        let woke = !self.events.is_empty() || sleeps;
        let is_due = self.cx.wheel.next_ns().is_some_and(|next| next <= self.cx.now_ns);
        if !woke && !has_work && !is_due {
            // A look in passing, by a worker that spins: it is idle, whatever its core may say.
            self.board.line(self.cx.worker).waiting();
            return false;
        }
        self.board.line(self.cx.worker).running(self.cx.now_ns);
        self.cx.recorder.record(|histograms| &mut histograms.wait, self.cx.now_ns - self.idle_since_ns);
        self.cx.recorder.record(|histograms| &mut histograms.batch, self.events.len() as u64);
        self.cx.recorder.count(|counts| {
            counts.wakeups += u64::from(woke);
            counts.events += self.events.len() as u64;
        });
        true
    }

    /// How long to wait: not at all where there is work, nor while spinning; else until the next deadline.
    fn timeout_ns(&self) -> Option<u64> {
        if !self.cx.ready.is_empty() || self.intakes.iter().any(|intake| intake.noted) {
            return Some(0);
        }
        let spin_ns = self.poll.spin_ns();
        if spin_ns > 0 && self.cx.now_ns.saturating_sub(self.idle_since_ns) < spin_ns {
            return Some(0);
        }
        if !self.mailbox.may_sleep(self.drain_until_ns) {
            return Some(0);
        }
        let now_ns = self.idle_since_ns.max(self.cx.now_ns);
        self.cx.wheel.next_ns().map(|next| next.saturating_sub(now_ns))
    }

    fn collect(&mut self) {
        for index in 0..self.events.len() {
            let (bits, readiness) = self.events.get(index);
            let token = Token::from_u64(bits);
            match token.target() {
                Target::Mailbox => self.has_mail = true,
                // An index beyond is of a listener that a stop has closed within this batch.
                Target::Listener(listener) => {
                    if let Some(intake) = self.intakes.get_mut(listener) {
                        intake.noted = true;
                    }
                }
                Target::Session(side) => self.note(token, side, readiness),
            }
        }
    }

    #[inline]
    fn note(&mut self, token: Token, side: Side, readiness: Readiness) {
        let Some(Session { link, .. }) = self.table.get_mut(token) else {
            self.cx.recorder.counts.stale_events += 1;
            return;
        };
        let half = link.half(side);
        half.note(readiness);
        if trigger::reported(self.cx.trigger, half, readiness)
            && let Some(socket) = &half.socket
        {
            // Can't fail: epoll has just reported it.
            let _ = self.cx.epoll.remove(socket);
        }
        if link.event_ns == 0 {
            link.event_ns = self.cx.now_ns;
        }
        if !std::mem::replace(&mut link.queued, true) {
            self.cx.ready.push(link.token);
        }
    }

    /// Each session that is ready now, once. One that comes to the tail meanwhile waits for the next pass. So do
    /// those at the head, in their order, where the pass has taken so long that others must be heard.
    fn run_ready(&mut self) {
        let ready = self.cx.ready.len();
        if ready == 0 {
            return;
        }
        let mut start_ns = self.clock_ns();
        for turn in 1..=ready {
            let Some(token) = self.cx.ready.pop() else { break };
            self.turns_owed = self.turns_owed.saturating_sub(1);
            let readable_ns = self.run_turn(token, start_ns);
            // Where no durations are recorded, a look now and then is enough.
            let end_ns = if turn % 8 == 0 { clock::now_ns() } else { self.clock_ns() };
            self.cx.recorder.record(|histograms| &mut histograms.turn, end_ns.saturating_sub(start_ns));
            if let Some(readable_ns) = readable_ns {
                let transit_ns = end_ns.saturating_sub(readable_ns);
                self.cx.recorder.record(|histograms| &mut histograms.transit, transit_ns);
            }
            start_ns = end_ns;
            if end_ns.saturating_sub(self.cx.now_ns) > PASS_MAX_NS || self.is_told_to_stop() {
                break;
            }
        }
    }

    /// Whether a stop, or a sooner one, was asked for since the last look.
    #[inline]
    fn is_told_to_stop(&self) -> bool {
        self.mailbox.stop_by_ns() != self.drain_until_ns
    }

    /// One turn of a session. Where it read from a session with two sides: since when there was something to read.
    fn run_turn(&mut self, token: Token, start_ns: u64) -> Option<u64> {
        // None: it ended after it was put in the list.
        let Session { link, state } = self.table.get_mut(token)?;
        link.queued = false;
        let event_ns = std::mem::take(&mut link.event_ns);
        if event_ns != 0 {
            let delay_ns = start_ns.saturating_sub(event_ns);
            self.cx.recorder.record(|histograms| &mut histograms.event_delay, delay_ns);
        }
        let phase = link.phase;
        let was_first_read = std::mem::take(&mut link.first_read);
        let was_overdue = std::mem::take(&mut link.is_overdue);
        let work_before = self.cx.work;
        let mut io = Io::new(link, &mut self.cx);
        io.flush();
        let turn = match phase {
            Phase::Open => {
                let turn = self.service.turn(state, &mut io, &mut self.scratch);
                let is_done = turn == Turn::Keep && io.is_draining() && io.is_quiet();
                if is_done { self.service.drain(state, &mut io) } else { turn }
            }
            Phase::Flushing => Turn::Close,
            Phase::Lingering => {
                io.discard(&mut self.scratch);
                Turn::Close
            }
            Phase::Resetting => Turn::Reset,
        };
        let has_crossed = phase == Phase::Open && io.has_read() && io.has_two();
        let next = io.conclude(turn);
        if was_first_read {
            let hit = io.has_read();
            self.first_read.tried(hit);
        }
        self.go_on(token, next);
        if was_overdue && turn == Turn::Keep && self.cx.work == work_before {
            self.expire(token);
        }
        has_crossed.then_some(if event_ns == 0 { start_ns } else { event_ns })
    }

    #[inline]
    fn go_on(&mut self, token: Token, next: Next) {
        match next {
            Next::Wait => {}
            Next::Again => self.run_again(token),
            Next::End => self.end(token, End::Decided, false),
            Next::Reset(end) => self.end(token, end, true),
        }
    }

    fn run_again(&mut self, token: Token) {
        let Some(Session { link, .. }) = self.table.get_mut(token) else { return };
        if !std::mem::replace(&mut link.queued, true) {
            self.cx.ready.push(token);
        }
    }

    /// Ends a session: its sockets are closed, its token finds nobody from now on.
    fn end(&mut self, token: Token, end: End, by_reset: bool) {
        let Some(Session { link, state }) = self.table.get_mut(token) else { return };
        self.service.closed(state, &mut Io::new(link, &mut self.cx), end);
        self.cx.work += 1;
        // A FIN would hide that backlog bytes are missing.
        let by_reset = by_reset || link.ends_by_reset || link.has_backlog();
        let opened_ns = link.opened_ns;
        count_break(link, &mut self.cx.recorder.counts.errors);
        if let Some((_, filed)) = link.filed.take() {
            self.cx.wheel.take_back(filed);
        }
        for half in link.halves() {
            if let Some(backlog) = half.backlog.take() {
                self.cx.recorder.counts.bytes_undelivered += backlog.len() as u64;
                backlog.discard(&mut self.cx.pool);
            }
            match half.socket.take() {
                Some(socket) if by_reset => socket.reset(),
                socket => drop(socket),
            }
        }
        self.service.freed(state, &mut Io::new(link, &mut self.cx));
        if let Some(slots) = &self.slots {
            slots.give_back();
        }
        self.table.unlink(token);
        let now_ns = if self.cx.recorder.is_timing() { clock::now_ns() } else { self.cx.now_ns };
        self.cx.recorder.closed(opened_ns, now_ns);
    }

    fn see_to_deadlines(&mut self) {
        self.cx.wheel.expire(self.cx.now_ns, &mut self.due);
        while let Some((token, filed_ns)) = self.due.pop() {
            match token.target() {
                Target::Session(_) => self.see_to_deadline(token),
                // The wheel is early with what is far off.
                _ if filed_ns > self.cx.now_ns => self.tell_at(filed_ns, token),
                Target::Listener(index) => self.accept_after_pause(index),
                Target::Mailbox => self.cut_off_at(filed_ns),
            }
        }
    }

    fn see_to_deadline(&mut self, token: Token) {
        let Some(Session { link, .. }) = self.table.get_mut(token) else { return };
        link.filed = None;
        let deadline_ns = link.deadline_ns;
        if deadline_ns > self.cx.now_ns {
            // It was moved, or the wheel was early.
            return Io::new(link, &mut self.cx).set_deadline_ns(deadline_ns);
        }
        link.deadline_ns = NEVER_NS;
        if link.phase == Phase::Resetting {
            return self.run_again(token);
        }
        if link.phase != Phase::Open {
            // It had its time to end in good order.
            self.cx.recorder.counts.errors.timeout += u64::from(link.phase == Phase::Flushing);
            return self.end(token, End::Overdue, false);
        }
        // What its peer has sent may lie in the socket, or its event in a later batch: one look before the end.
        link.is_overdue = true;
        Io::new(link, &mut self.cx).look_again();
        self.run_again(token);
    }

    /// The deadline of a session is over, and a last look has brought nothing.
    fn expire(&mut self, token: Token) {
        let Some(Session { link, state }) = self.table.get_mut(token) else { return };
        let mut io = Io::new(link, &mut self.cx);
        let turn = self.service.expire(state, &mut io);
        let next = match turn {
            // It gets a turn, in which it asks for what it waits for.
            Turn::Keep => Next::Again,
            // Its peer has had the time to take its backlog bytes, and a FIN would hide that some are missing.
            Turn::Close if io.has_backlog() => Next::Reset(End::Decided),
            _ => io.conclude(turn),
        };
        // One that has decided more than to close knows what it was.
        self.cx.recorder.counts.errors.timeout += u64::from(turn == Turn::Close);
        self.go_on(token, next);
    }

    /// Has [`Self::see_to_deadlines`] come to this token at this time.
    fn tell_at(&mut self, at_ns: u64, token: Token) {
        self.cx.wheel.file(at_ns, (token, at_ns));
    }

    fn end_iteration(&mut self, work_before: u64) {
        self.cx.recorder.count(|counts| {
            let worked = self.cx.work != work_before;
            counts.spurious_wakeups += u64::from(!worked && !self.events.is_empty());
        });
        let end_ns = self.clock_ns();
        let iteration_ns = end_ns.saturating_sub(self.cx.now_ns);
        self.busy_ns += iteration_ns;
        self.cx.recorder.record(|histograms| &mut histograms.iteration, iteration_ns);
        self.idle_since_ns = end_ns;
        let counts = &self.cx.recorder.counts;
        let runnable = self.cx.ready.len() as u64;
        self.board.line(self.cx.worker).publish(counts.active, counts.closed, runnable, self.busy_ns);
    }

    /// The time, where durations are recorded; else the iteration's.
    #[inline]
    fn clock_ns(&self) -> u64 {
        if self.cx.recorder.is_timing() { clock::now_ns() } else { self.cx.now_ns }
    }

    fn snapshot(&self) -> WorkerSnapshot {
        let recorder = &self.cx.recorder;
        let usage = usage::thread();
        let mut counts = recorder.counts.clone();
        let calls = self.cx.epoll.calls();
        (counts.epoll_waits, counts.epoll_ctls) = (calls.waits, calls.ctls);
        counts.busy_ns = self.busy_ns;
        counts.context_switches_voluntary = usage.switches_voluntary;
        counts.context_switches_involuntary = usage.switches_involuntary;
        counts.context_switches = usage.switches_voluntary + usage.switches_involuntary;
        counts.cpu_ns = usage.cpu_ns;
        let (active_avg, active_max) = recorder.active(self.cx.now_ns);
        WorkerSnapshot {
            worker: self.cx.worker,
            core: self.core,
            counts,
            active_avg,
            active_max,
            accept_queue_max: self.accept_queue_max,
            accepted_by: recorder.accepted_by.clone(),
            ends: recorder.ends.clone(),
            upstreams: recorder.upstreams.clone(),
            histograms: recorder.histograms(),
        }
    }
}

impl<S: Service> Drop for Worker<S> {
    /// A service that panics is a defect, and takes its worker's sessions with it: by RST, since none of them is whole.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for token in self.table.tokens() {
            if let Some(Session { link, .. }) = self.table.get_mut(token) {
                link.halves().iter_mut().filter_map(|half| half.socket.take()).for_each(Socket::reset);
            }
        }
    }
}

/// How a peer has broken a session off, if one has.
fn count_break(link: &mut Link, errors: &mut Errors) {
    let resets = link.halves().each_ref().map(|half| half.reset);
    match resets.into_iter().find(|reset| *reset != Reset::No) {
        None | Some(Reset::No) => {}
        Some(Reset::AfterFin | Reset::Outright) => errors.reset += 1,
        Some(Reset::Fault(error)) if Errno::from_raw_os_error(i32::from(error)) == Errno::TIMEDOUT => {
            errors.timeout += 1;
        }
        Some(Reset::Fault(_)) => errors.other += 1,
    }
}
