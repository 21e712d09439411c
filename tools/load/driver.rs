//! One thread of the generator: opens its connections, loads them, waits for the last answers.
//!
//! ```text
//! open_all ─▶ gate (all threads) ─▶ drive: warm-up, measured window ─▶ drain ─▶ tally
//!     drive = loop { issue what is due · reopen what is due · wait for events · a turn for each }
//! ```
//!
//! Connections are edge-triggered, and the thread shares nothing but a counter that it writes once a batch.
//! What happens on one connection is in `traffic`.

use std::{cmp::Reverse, collections::BinaryHeap, num::NonZeroU64, sync::atomic::Ordering::Relaxed};

use evenkeel::runtime::topology;
use rustix::io;

use super::{
    Live,
    clock::{self, SECOND_NS},
    connection::{Alarm, Connection, Token},
    gate::Gate,
    interrupt::Interrupt,
    intervals::Parts,
    pattern::Pattern,
    plan::{End, Load, Plan},
    schedule::Schedule,
    shape::Turns,
    tally::Tally,
    timeline::Timeline,
    waiter::{Precision, Waiter},
};

/// The most events of one epoll_wait.
const EVENTS_MAX: usize = 512;

/// The most connections of a thread on their way at once, so that opening thousands doesn't overflow the
/// server's accept queue before it had a chance to run.
const CONNECTING_MAX: usize = 64;

/// How long a connection may take to be established (or, with `--connect-only --greet`, to be greeted).
pub const CONNECT_TIMEOUT_NS: u64 = 10 * SECOND_NS;

/// How long the last answers are waited for, beside a tenth of the measured time.
const DRAIN_NS: u64 = 5 * SECOND_NS;

/// How long they are waited for after an interruption: a server that is well has answered by then, and whoever
/// interrupts one that isn't has waited already.
const DRAIN_INTERRUPTED_NS: u64 = SECOND_NS;

/// With `--messages` a run ends when nothing was answered for this long.
const SILENCE_MAX_NS: u64 = 30 * SECOND_NS;

/// The most messages that are issued before answers are looked at again.
const ISSUE_BUDGET: usize = 64;

/// A thread's read buffer.
const SCRATCH_LEN: usize = 256 << 10;

/// One thread and all that it owns.
pub struct Driver<'a> {
    pub(super) plan: &'a Plan,
    pub(super) pattern: &'a Pattern,
    gate: &'a Gate,
    interrupt: &'a Interrupt,
    live: &'a Live,
    pub(super) thread: usize,
    pub(super) waiter: Waiter,
    pub(super) scratch: Vec<u8>,
    pub(super) connections: Vec<Connection>,
    /// Connections opened so far, failed ones included: each has a stream of its own.
    pub(super) serial: u64,
    /// When to wake which connection, and for what.
    pub(super) alarms: BinaryHeap<Reverse<(u64, Token, Alarm)>>,
    /// How long users think.
    pub(super) random: fastrand::Rng,
    pub(super) timeline: Timeline,
    /// Open loop: what is due.
    schedule: Option<Schedule>,
    /// Open loop: whose turn it is to carry a message.
    turns: Turns,
    /// The connections before this slot carry more than the others.
    pub(super) elephants: usize,
    /// Measured messages that may yet be issued.
    pub(super) left: u64,
    /// Messages issued that have no answer.
    pub(super) pending: u64,
    /// Connections that haven't been settled: neither there nor failed, in the opening phase.
    pub(super) unsettled: usize,
    /// Connections on their way.
    pub(super) connecting: usize,
    /// When to look again for connections that take too long.
    expiry_ns: u64,
    pub(super) tally: Tally,
    parts: Parts,
    /// Connections that were established.
    pub(super) opened: u64,
    /// Messages answered, those of the warm-up included.
    pub(super) answered: u64,
    /// When the last of them was.
    pub(super) answered_last_ns: u64,
    /// When the last wait for events was over.
    pub(super) woke_ns: u64,
}

impl<'a> Driver<'a> {
    /// A thread with nothing open yet.
    ///
    /// # Errors
    /// The kernel's, where it gives no epoll instance; the other threads are let go then.
    pub fn new(
        plan: &'a Plan,
        pattern: &'a Pattern,
        gate: &'a Gate,
        interrupt: &'a Interrupt,
        live: &'a Live,
        thread: usize,
        parts: Parts,
    ) -> io::Result<Self> {
        let waiter = Waiter::new(EVENTS_MAX).inspect_err(|_| {
            gate.pass(0);
        })?;
        let connections = plan.share(plan.connections as u64, thread) as usize;
        let elephants = plan.share(plan.shape.elephants() as u64, thread) as usize;
        Ok(Self {
            plan,
            pattern,
            gate,
            interrupt,
            live,
            thread,
            waiter,
            scratch: vec![0; SCRATCH_LEN],
            connections: std::iter::repeat_with(Connection::default).take(connections).collect(),
            serial: 0,
            alarms: BinaryHeap::new(),
            random: fastrand::Rng::with_seed(plan.seed ^ (thread as u64 + 1) << 40),
            timeline: Timeline::NOT_STARTED,
            schedule: None,
            turns: Turns::new(connections, elephants, plan.shape.factor()),
            elephants,
            left: match plan.end {
                End::AfterMessages(messages) => plan.share(messages, thread),
                End::AfterNs(_) => u64::MAX,
            },
            pending: 0,
            unsettled: connections,
            connecting: 0,
            expiry_ns: 0,
            tally: Tally::new(plan, gate.made_ns(), connections),
            parts,
            opened: 0,
            answered: 0,
            answered_last_ns: 0,
            woke_ns: clock::now_ns(),
        })
    }

    /// Does everything, and hands out what was seen.
    pub fn run(mut self) {
        if let Some(core) = self.plan.core(self.thread) {
            // `limits` has checked that the core may be used; unpinned, the run is still right.
            topology::pin(core);
        }
        // The default slack lets each timed sleep overshoot by 50 µs more. Kernels that refuse keep it.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        let opening_ns = clock::now_ns();
        self.open_all(opening_ns);
        let start_ns = self.gate.pass(self.opened);
        match (self.plan.load, start_ns) {
            (Load::ConnectOnly, _) | (_, None) => {
                self.tally.window_ns = Some((opening_ns, start_ns.unwrap_or(self.woke_ns)));
                if self.plan.hold && start_ns.is_some() {
                    self.hold();
                }
                self.tally.cpu_ns = clock::thread_cpu_ns();
            }
            (_, Some(start_ns)) => {
                self.drive(start_ns);
                self.drain();
            }
        }
        self.tally.end_ns = clock::now_ns();
        self.parts.end(self.tally);
    }

    /// Opens each connection once, and waits until it's there or has failed.
    fn open_all(&mut self, opening_ns: u64) {
        let (thread, threads, spacing_ns) =
            (self.thread as u64, self.plan.threads as u64, self.plan.spacing_ns);
        let due_ns = |slot: usize| {
            opening_ns.saturating_add((slot as u64 * threads + thread).saturating_mul(spacing_ns))
        };
        let mut next = 0;
        while self.unsettled > 0 && !self.tally.interrupted {
            while next < self.connections.len()
                && self.connecting < CONNECTING_MAX
                && due_ns(next) <= self.woke_ns
            {
                self.open(next);
                next += 1;
            }
            self.wake_due();
            let is_next_waiting = next < self.connections.len() && self.connecting < CONNECTING_MAX;
            let next_ns = if is_next_waiting { due_ns(next) } else { u64::MAX };
            self.step(next_ns.min(self.next_deadline_ns()));
        }
    }

    /// Keeps the connections open until a signal; that is how such a run is meant to end.
    fn hold(&mut self) {
        if !self.tally.interrupted {
            while self.interrupt.at_ns().is_none() {
                self.step(u64::MAX);
            }
            self.tally.interrupted = false;
        }
    }

    /// The load: the warm-up, then the measured window.
    fn drive(&mut self, start_ns: u64) {
        let start_ns = self.await_start(start_ns);
        self.timeline = Timeline::new(self.plan, start_ns);
        self.answered_last_ns = start_ns;
        if let Load::Open { rate_per_s, arrivals, .. } = self.plan.load {
            let (share, span_ns) = ((self.thread, self.plan.threads), (start_ns, self.timeline.end_ns));
            self.schedule = Some(Schedule::new(arrivals, rate_per_s, share, self.plan.seed, span_ns));
        }
        self.heed_interrupt();
        (0..self.connections.len()).for_each(|slot| self.resume(slot));
        let mut cpu_from_ns = None;
        while !self.is_over() {
            if cpu_from_ns.is_none() && self.timeline.counts(self.woke_ns) {
                cpu_from_ns = Some(clock::thread_cpu_ns());
            }
            self.issue_due();
            self.wake_due();
            self.step(self.next_deadline_ns());
        }
        let cpu_ns = clock::thread_cpu_ns();
        self.tally.cpu_ns = cpu_ns - cpu_from_ns.unwrap_or(cpu_ns);
    }

    /// When the load starts: where slices are told, so that the measured window begins with one of them.
    fn await_start(&mut self, gate_ns: u64) -> u64 {
        let Some(slices) = &self.tally.slices else { return gate_ns };
        let start_ns = slices.boundary_from(gate_ns + self.plan.warmup_ns) - self.plan.warmup_ns;
        while self.woke_ns < start_ns && self.interrupt.at_ns().is_none() {
            self.step(start_ns);
        }
        start_ns
    }

    /// Waits for the answers that are missing; what has none by then is given up. A greeting may take as long as being
    /// established does: where the server's accept queue was full, its side of the handshake is completed only when it
    /// has sent its SYN-ACK again, 1, 3 or 7 s later, and until then the client alone thinks that they are connected.
    fn drain(&mut self) {
        let end_ns = match self.plan.end {
            End::AfterNs(_) => self.timeline.end_ns,
            End::AfterMessages(_) => self.woke_ns,
        };
        let answers_ns = self.woke_ns + DRAIN_NS + (end_ns - self.timeline.counted_from_ns.min(end_ns)) / 10;
        let greetings_ns = self.woke_ns + CONNECT_TIMEOUT_NS;
        while let Some(until_ns) = self.owed_until_ns(answers_ns, greetings_ns) {
            // Messages that were due before the end go out, however late.
            self.issue_due();
            self.wake_due();
            self.step(self.next_deadline_ns().min(until_ns));
        }
        let now_ns = clock::now_ns();
        for (slot, connection) in self.connections.iter_mut().enumerate() {
            connection.exchange.begin_all();
            for message in connection.exchange.lose_begun() {
                self.tally.give_up(&self.timeline, slot, connection.group, message, now_ns);
            }
        }
        let Timeline { counted_from_ns, end_ns } = self.timeline;
        let until_ns = match self.plan.end {
            End::AfterNs(_) => end_ns,
            End::AfterMessages(_) => self.answered_last_ns.max(counted_from_ns).min(end_ns),
        };
        // Interrupted in the warm-up, the window is empty.
        self.tally.window_ns = Some((counted_from_ns.min(until_ns), until_ns));
    }

    /// Until when what is owed is waited for; `None` where nothing is, or no longer.
    fn owed_until_ns(&self, answers_ns: u64, greetings_ns: u64) -> Option<u64> {
        let answers = (self.pending > 0 || self.next_due_ns().is_some()).then_some(answers_ns);
        let until_ns = answers.max(self.awaits_greeting().then_some(greetings_ns))?;
        let interrupted_ns = self.interrupt.at_ns().map(|at_ns| at_ns + DRAIN_INTERRUPTED_NS);
        Some(until_ns.min(interrupted_ns.unwrap_or(u64::MAX))).filter(|&until_ns| self.woke_ns < until_ns)
    }

    /// Whether a connection is open that no worker has greeted yet: one has counted it, or is about to.
    fn awaits_greeting(&self) -> bool {
        self.plan.greet && self.connections.iter().any(Connection::awaits_greeting)
    }

    /// Whether the measured window is over.
    fn is_over(&self) -> bool {
        self.woke_ns >= self.timeline.end_ns
            || match self.plan.end {
                End::AfterNs(_) => false,
                End::AfterMessages(_) => {
                    self.left == 0 || self.woke_ns >= self.answered_last_ns + SILENCE_MAX_NS
                }
            }
    }

    /// Whether a message may be issued at `now_ns`, by the end that was asked for.
    pub(super) fn may_issue(&self, now_ns: u64) -> bool {
        now_ns < self.timeline.end_ns && self.left > 0
    }

    /// When the next message of the schedule is due, if one is to come.
    pub(super) fn next_due_ns(&self) -> Option<u64> {
        self.schedule.as_ref().filter(|_| self.left > 0).and_then(Schedule::next_ns)
    }

    /// Open loop: gives each message that is due to a connection, in turn. A message goes out by a `send` of
    /// its own even where several are due, as it would if the generator were never late.
    fn issue_due(&mut self) {
        for _ in 0..ISSUE_BUDGET {
            let now_ns = clock::now_ns();
            if self.next_due_ns().is_none() {
                return;
            }
            let Some(due_ns) = self.schedule.as_mut().and_then(|schedule| schedule.take_due(now_ns)) else {
                return;
            };
            let slot = self.turns.take();
            self.issue(slot, due_ns, now_ns - due_ns);
            self.flush(slot, now_ns);
        }
    }

    /// Wakes the connections that asked for it.
    fn wake_due(&mut self) {
        while let Some(&Reverse((at_ns, token, alarm))) = self.alarms.peek()
            && at_ns <= self.woke_ns
        {
            self.alarms.pop();
            if self.connections[token.slot as usize].generation == token.generation {
                self.wake(token.slot as usize, alarm, at_ns);
            }
        }
    }

    /// When there is something to do, even if nothing happens.
    fn next_deadline_ns(&self) -> u64 {
        let alarm_ns = self.alarms.peek().map_or(u64::MAX, |Reverse((at_ns, ..))| *at_ns);
        let window_ns = if self.timeline.counts(self.woke_ns) {
            self.timeline.end_ns
        } else {
            self.timeline.counted_from_ns
        };
        let window_ns = if window_ns <= self.woke_ns { u64::MAX } else { window_ns };
        self.next_due_ns().unwrap_or(u64::MAX).min(alarm_ns).min(window_ns)
    }

    /// Waits for events until `deadline_ns` at most, and gives each connection that has one its turn.
    fn step(&mut self, deadline_ns: u64) {
        self.waiter.wait(deadline_ns, self.precision());
        self.woke_ns = clock::now_ns();
        if self.woke_ns >= self.parts.due_ns {
            self.parts.hand_out(&mut self.tally, self.woke_ns);
        }
        for index in 0..self.waiter.events_len() {
            if let Some((data, flags)) = self.waiter.event(index) {
                self.turn(Token::from_u64(data), flags);
            }
        }
        if (self.connecting > 0 || self.unsettled > 0) && self.woke_ns >= self.expiry_ns {
            self.expiry_ns = self.woke_ns + SECOND_NS;
            self.expire_opening();
        }
        self.live.answered.store(self.answered, Relaxed);
        self.heed_interrupt();
    }

    /// An interrupted run ends at the moment of the signal, whenever a thread gets to know of it, so that all
    /// have measured the same window. What was due by then is still sent and answered.
    fn heed_interrupt(&mut self) {
        let Some(at_ns) = self.interrupt.at_ns() else { return };
        self.tally.interrupted = true;
        self.timeline.end_ns = self.timeline.end_ns.min(at_ns);
        if let Some(schedule) = &mut self.schedule {
            schedule.end_by(at_ns);
        }
    }

    /// How well what is waited for has to be kept.
    fn precision(&self) -> Precision {
        match self.plan.load {
            Load::Open { spin: true, .. } => Precision::Spin,
            Load::Open { .. } => Precision::Timer,
            _ if self.plan.has_pauses() => Precision::Timer,
            _ => Precision::Coarse,
        }
    }
}
