//! What a thread saw, and the sum over all threads.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::{exchange::Message, places::Place, plan::Plan, slices::Slices, timeline::Timeline};

/// The largest duration told apart, in nanoseconds; longer ones are recorded as this.
pub const MAX_NS: u64 = 60_000_000_000;

/// What was counted and recorded. Messages count by their due time: those of the warm-up are left out.
/// Connections and errors count from the first connection on.
pub struct Tally {
    /// Messages issued in the measured window. `sent = answered + unanswered + lost`, when all is over.
    pub sent: u64,
    /// Of these, how many went down with their connection.
    pub lost: u64,
    /// Answers that came within the measured window, whenever their messages were sent: the throughput.
    pub answered_in_window: u64,
    /// Connections that were established.
    pub opened: u64,
    /// What went wrong, by kind.
    pub errors: Errors,
    /// Messages by the worker that answered them; the first group is for connections that told none.
    pub groups: Vec<Group>,
    /// From the actual sending to the answer. `None` in closed loop, where that is the latency itself.
    pub service: Option<Histogram<u64>>,
    /// From `connect` to the moment when the connection was known to be there.
    pub connect: Histogram<u64>,
    /// How late the generator turned to a message.
    pub lag: Histogram<u64>,
    /// What the kernel's stamps tell, where they were asked for.
    pub stamps: Option<Stamps>,
    /// The run over time, where it was asked for.
    pub slices: Option<Slices>,
    /// The connections one by one, by their slot; empty where they weren't asked for.
    pub places: Vec<Place>,
    /// CPU time within the measured window, user and system.
    pub cpu_ns: u64,
    /// The first and the last moment of the measured window.
    pub window_ns: Option<(u64, u64)>,
    /// When all was over.
    pub end_ns: u64,
    /// Whether the run was cut short.
    pub interrupted: bool,
    /// The first failure of any kind, for people.
    pub first_failure: Option<String>,
}

/// What went wrong, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Errors {
    /// Attempts to connect that failed.
    pub connect: u64,
    /// Connections that broke.
    pub reset: u64,
    /// Messages without an answer when the run was over.
    pub timeout: u64,
    /// Connections on which a wrong byte came back, or more than was sent.
    pub mismatch: u64,
    /// Connections that the server ended while it owed bytes.
    pub short: u64,
}

/// What one worker of the server did, as seen from here.
pub struct Group {
    /// Its number; `None` for connections that weren't greeted.
    pub worker: Option<u64>,
    /// Connections that it greeted.
    pub connections: u64,
    /// Messages that it answered.
    pub messages: u64,
    /// From due (closed loop: from sent) to answered.
    pub latency: Histogram<u64>,
}

/// What the kernel's receive stamps tell of the reads in the measured window.
pub struct Stamps {
    /// From the stamp to the read.
    pub delay: Histogram<u64>,
    /// Reads whose bytes had none.
    pub unstamped: u64,
}

/// The group of connections that told no worker.
pub const UNGREETED: usize = 0;

/// An empty histogram with the bounds and the precision that all have here.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MAX_NS, 3).expect("constant bounds that hdrhistogram accepts")
}

impl Tally {
    /// An empty one, of a thread with this many places for connections. The run's first moment is `origin_ns`.
    pub fn new(plan: &Plan, origin_ns: u64, places: usize) -> Self {
        Self {
            service: plan.is_open_loop().then(histogram),
            stamps: plan.timestamps.then(Stamps::new),
            slices: plan.slice_ns.map(|slice_ns| Slices::new(slice_ns, origin_ns)),
            places: vec![Place::default(); if plan.per_connection { places } else { 0 }],
            ..Self::empty()
        }
    }

    /// An empty one that keeps nothing that has to be asked for.
    pub fn empty() -> Self {
        Self {
            sent: 0,
            lost: 0,
            answered_in_window: 0,
            opened: 0,
            errors: Errors::default(),
            groups: vec![Group::new(None)],
            service: None,
            connect: histogram(),
            lag: histogram(),
            stamps: None,
            slices: None,
            places: Vec::new(),
            cpu_ns: 0,
            window_ns: None,
            end_ns: 0,
            interrupted: false,
            first_failure: None,
        }
    }

    /// Hands out what was counted and recorded so far, and goes on from nothing. What is told of the run as a whole
    /// stays: the run over time, the connections one by one, how it ended.
    pub fn take(&mut self) -> Self {
        let next = Self {
            groups: self.groups.iter().map(|group| Group::new(group.worker)).collect(),
            service: self.service.is_some().then(histogram),
            stamps: self.stamps.is_some().then(Stamps::new),
            slices: self.slices.take(),
            places: std::mem::take(&mut self.places),
            window_ns: self.window_ns.take(),
            interrupted: self.interrupted,
            first_failure: self.first_failure.take(),
            ..Self::empty()
        };
        std::mem::replace(self, next)
    }

    /// Each histogram by the tag that it has in an interval log.
    pub fn for_each_histogram(&self, mut see: impl FnMut(&str, &Histogram<u64>)) {
        let latency = self.latency();
        see("resp", &latency);
        for group in &self.groups {
            if let Some(worker) = group.worker {
                see(&format!("resp.w{worker}"), &group.latency);
            }
        }
        see("svc", self.service.as_ref().unwrap_or(&latency));
        see("lag", &self.lag);
        see("connect", &self.connect);
        if let Some(stamps) = &self.stamps {
            see("receive", &stamps.delay);
        }
    }

    /// The latency of all messages.
    pub fn latency(&self) -> Histogram<u64> {
        let mut latency = histogram();
        self.groups.iter().for_each(|group| latency += &group.latency);
        latency
    }

    /// Bytes were read at `now_ns` that the kernel had stamped so long before, or not at all.
    pub fn receive(&mut self, timeline: &Timeline, now_ns: u64, delay_ns: Option<u64>) {
        let Some(stamps) = self.stamps.as_mut().filter(|_| timeline.measures(now_ns)) else { return };
        match delay_ns {
            Some(delay_ns) => stamps.delay.saturating_record(delay_ns),
            None => stamps.unstamped += 1,
        }
    }

    /// A message went to its connection, which was free to take it at `now_ns`.
    pub fn issue(&mut self, timeline: &Timeline, due_ns: u64, lag_ns: u64) {
        if timeline.counts(due_ns) {
            self.sent += 1;
            self.lag.saturating_record(lag_ns);
        }
        if let Some(slices) = &mut self.slices {
            slices.due(due_ns);
        }
    }

    /// A message was answered, on a connection of this slot and group.
    pub fn answer(&mut self, timeline: &Timeline, slot: usize, group: usize, message: Message, now_ns: u64) {
        self.answered_in_window += u64::from(timeline.measures(now_ns));
        let service_ns = now_ns - message.sent_ns;
        let latency_ns = if self.service.is_some() { now_ns - message.due_ns } else { service_ns };
        let group = &mut self.groups[group];
        if timeline.counts(message.due_ns) {
            group.messages += 1;
            group.latency.saturating_record(latency_ns);
            if let Some(service) = &mut self.service {
                service.saturating_record(service_ns);
            }
            if let Some(place) = self.places.get_mut(slot) {
                place.answered(latency_ns);
            }
        }
        if let Some(slices) = &mut self.slices {
            slices.answered(now_ns, group.worker);
            slices.took(message.due_ns, latency_ns);
        }
    }

    /// A message has no answer, and the run is over: its latency is at least what it waited so far. Left
    /// out, the worst latencies would be those that nobody sees.
    pub fn give_up(&mut self, timeline: &Timeline, slot: usize, group: usize, message: Message, now_ns: u64) {
        let waited_ns = now_ns - message.due_ns;
        if timeline.counts(message.due_ns) {
            self.errors.timeout += 1;
            self.groups[group].latency.saturating_record(waited_ns);
            if let Some(place) = self.places.get_mut(slot) {
                place.gave_up(waited_ns);
            }
        }
        if let Some(slices) = &mut self.slices {
            slices.took(message.due_ns, waited_ns);
        }
    }

    /// A connection of this slot was greeted by `worker`. The group in which its messages count.
    pub fn greet(&mut self, slot: usize, worker: u64, now_ns: u64) -> usize {
        let group = self.group_of(worker);
        self.groups[group].connections += 1;
        if let Some(place) = self.places.get_mut(slot) {
            place.greeted(worker);
        }
        if let Some(slices) = &mut self.slices {
            slices.grew(now_ns, worker, 1);
        }
        group
    }

    /// A connection of this group is over.
    pub fn part(&mut self, group: usize, now_ns: u64) {
        if let (Some(slices), Some(worker)) = (&mut self.slices, self.groups[group].worker) {
            slices.grew(now_ns, worker, -1);
        }
    }

    /// A message went down with its connection.
    pub fn lose(&mut self, timeline: &Timeline, message: Message) {
        self.lost += u64::from(timeline.counts(message.due_ns));
    }

    /// Keeps the first failure.
    pub fn note(&mut self, failure: impl FnOnce() -> String) {
        self.first_failure.get_or_insert_with(failure);
    }

    /// The group of `worker`.
    fn group_of(&mut self, worker: u64) -> usize {
        let known = self.groups.iter().position(|group| group.worker == Some(worker));
        known.unwrap_or_else(|| {
            self.groups.push(Group::new(Some(worker)));
            self.groups.len() - 1
        })
    }

    /// Adds another thread's.
    pub fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.lost += other.lost;
        self.answered_in_window += other.answered_in_window;
        self.opened += other.opened;
        self.errors.add(other.errors);
        for group in other.groups {
            let own = group.worker.map_or(UNGREETED, |worker| self.group_of(worker));
            self.groups[own].add(&group);
        }
        if let (Some(service), Some(other)) = (&mut self.service, other.service) {
            *service += other;
        }
        if let (Some(stamps), Some(other)) = (&mut self.stamps, other.stamps) {
            stamps.delay += other.delay;
            stamps.unstamped += other.unstamped;
        }
        self.connect += other.connect;
        self.lag += other.lag;
        match (&mut self.slices, other.slices) {
            (Some(slices), Some(other)) => slices.add(&other),
            (own, other) => *own = own.take().or(other),
        }
        self.places.extend(other.places);
        self.cpu_ns += other.cpu_ns;
        self.window_ns = match (self.window_ns, other.window_ns) {
            (Some(one), Some(two)) => Some((one.0.min(two.0), one.1.max(two.1))),
            (one, two) => one.or(two),
        };
        self.end_ns = self.end_ns.max(other.end_ns);
        self.interrupted |= other.interrupted;
        self.first_failure = self.first_failure.take().or(other.first_failure);
    }
}

impl Stamps {
    fn new() -> Self {
        Self { delay: histogram(), unstamped: 0 }
    }
}

impl Errors {
    /// Adds others.
    pub fn add(&mut self, other: Self) {
        self.connect += other.connect;
        self.reset += other.reset;
        self.timeout += other.timeout;
        self.mismatch += other.mismatch;
        self.short += other.short;
    }
}

impl Group {
    fn new(worker: Option<u64>) -> Self {
        Self { worker, connections: 0, messages: 0, latency: histogram() }
    }

    fn add(&mut self, other: &Self) {
        self.connections += other.connections;
        self.messages += other.messages;
        self.latency += &other.latency;
    }
}
