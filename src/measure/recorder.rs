//! A worker's own records: plain fields of plain structs, written by one thread.

use super::{
    counts::{Counts, UpstreamCounts},
    histograms::{Histograms, Tallies},
    ledger::{Code, Ends},
    tally::Tally,
};
use crate::config::Measure;

/// What one worker records while it runs.
pub struct Recorder {
    /// Counters that are kept whatever the level: what opened and closed, what went wrong, and system calls.
    pub counts: Counts,
    /// Connections accepted, by the index of the listener.
    pub accepted_by: Vec<u64>,
    /// How sessions ended.
    pub ends: Ends,
    /// What there was to do with each upstream.
    pub upstreams: Vec<UpstreamCounts>,
    tallies: Tallies,
    counting: bool,
    timing: bool,
    active: Gauge,
}

/// A number of open sessions over time.
#[derive(Default)]
struct Gauge {
    max: u64,
    /// Sessions × nanoseconds so far.
    area: u128,
    since_ns: u64,
    started_ns: u64,
}

impl Recorder {
    /// Empty records of a worker that starts at `now_ns`.
    pub fn new(measure: Measure, now_ns: u64) -> Self {
        Self {
            counts: Counts::default(),
            accepted_by: Vec::new(),
            ends: Ends::default(),
            upstreams: Vec::new(),
            tallies: Tallies::default(),
            counting: measure != Measure::Off,
            timing: measure == Measure::Full,
            active: Gauge { since_ns: now_ns, started_ns: now_ns, ..Gauge::default() },
        }
    }

    /// Makes room for as many listeners and upstreams as there are in all services; what is told of others is
    /// not kept by listener or upstream.
    pub fn serve(&mut self, listeners: usize, upstreams: usize) {
        self.accepted_by.resize(listeners, 0);
        self.upstreams.resize_with(upstreams, UpstreamCounts::default);
    }

    /// Whether counters beyond what opens and closes are kept.
    #[inline]
    pub fn is_counting(&self) -> bool {
        self.counting
    }

    /// Whether durations are recorded.
    #[inline]
    pub fn is_timing(&self) -> bool {
        self.timing
    }

    /// Changes counters, unless `--measure off`.
    #[inline]
    pub fn count(&mut self, change: impl FnOnce(&mut Counts)) {
        if self.counting {
            change(&mut self.counts);
        }
    }

    /// Records a value, with `--measure full`.
    #[inline]
    pub fn record(&mut self, which: impl FnOnce(&mut Tallies) -> &mut Tally, value: u64) {
        if self.timing {
            which(&mut self.tallies).record(value);
        }
    }

    /// A client's message was read, so long after the kernel had received it; `None` where the kernel didn't say.
    pub fn arrived(&mut self, delay_ns: Option<u64>) {
        match delay_ns {
            Some(delay_ns) => self.record(|histograms| &mut histograms.arrival_delay, delay_ns),
            None => self.counts.unstamped += 1,
        }
    }

    /// A session was opened.
    pub fn opened(&mut self, now_ns: u64) {
        self.pass(now_ns);
        self.counts.accepted += 1;
        self.counts.active += 1;
        self.active.max = self.active.max.max(self.counts.active);
    }

    /// A session that was opened at `opened_ns` ended.
    pub fn closed(&mut self, opened_ns: u64, now_ns: u64) {
        self.pass(now_ns);
        self.counts.closed += 1;
        self.counts.active -= 1;
        self.record(|histograms| &mut histograms.session_life, now_ns.saturating_sub(opened_ns));
    }

    /// A connection was accepted from this listener. (That a session was opened is told by [`Self::opened`].)
    pub fn accepted_from(&mut self, listener: usize) {
        if let Some(accepted) = self.accepted_by.get_mut(listener) {
            *accepted += 1;
        }
    }

    /// A connection to this upstream was established, so long after it was begun.
    pub fn connected(&mut self, upstream: usize, connect_ns: u64) {
        self.counts.connects += 1;
        self.upstream(upstream, |counts| {
            counts.connected += 1;
            counts.active += 1;
        });
        self.record(|histograms| &mut histograms.connect, connect_ns);
    }

    /// An attempt to connect to this upstream failed.
    pub fn connect_failed(&mut self, upstream: usize) {
        self.counts.connects_failed += 1;
        self.counts.errors.connect += 1;
        self.upstream(upstream, |counts| counts.failed += 1);
    }

    /// A worker leaves this upstream alone for a while.
    pub fn ejected(&mut self, upstream: usize) {
        self.upstream(upstream, |counts| counts.ejections += 1);
    }

    /// A connection to this upstream, once established, was closed.
    pub fn disconnected(&mut self, upstream: usize) {
        self.upstream(upstream, |counts| counts.active -= 1);
    }

    /// Bytes have passed between the worker and this upstream. (Those of all upstreams are counted where they are
    /// read and written.)
    #[inline]
    pub fn passed(&mut self, upstream: usize, to: u64, from: u64) {
        if self.counting {
            self.upstream(upstream, |counts| {
                counts.bytes_to += to;
                counts.bytes_from += from;
            });
        }
    }

    /// Bytes that had passed to this upstream, as it seemed, have not arrived.
    pub fn undelivered(&mut self, upstream: usize, bytes: u64) {
        if self.counting {
            self.upstream(upstream, |counts| counts.bytes_to = counts.bytes_to.saturating_sub(bytes));
        }
    }

    /// A session ended so; the upstream is the one that it had, or tried last.
    pub fn ended(&mut self, code: Code, upstream: Option<usize>) {
        self.ends.add(code);
        if let Some(upstream) = upstream {
            self.upstream(upstream, |counts| counts.ends.add(code));
        }
    }

    #[inline]
    fn upstream(&mut self, upstream: usize, change: impl FnOnce(&mut UpstreamCounts)) {
        if let Some(counts) = self.upstreams.get_mut(upstream) {
            change(counts);
        }
    }

    /// The histograms so far.
    pub fn histograms(&self) -> Histograms {
        self.tallies.histograms()
    }

    /// Open sessions: their mean over time up to `now_ns`, and their maximum.
    pub fn active(&self, now_ns: u64) -> (f64, u64) {
        let rest = u128::from(self.counts.active) * u128::from(now_ns.saturating_sub(self.active.since_ns));
        let life_ns = now_ns.saturating_sub(self.active.started_ns).max(1);
        ((self.active.area + rest) as f64 / life_ns as f64, self.active.max)
    }

    fn pass(&mut self, now_ns: u64) {
        let passed_ns = now_ns.saturating_sub(self.active.since_ns);
        self.active.area += u128::from(self.counts.active) * u128::from(passed_ns);
        self.active.since_ns = now_ns;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::ledger::{Cause, Phase};

    #[test]
    fn active_sessions_are_averaged_over_time() {
        let mut recorder = Recorder::new(Measure::Full, 1_000);
        recorder.opened(1_100);
        recorder.opened(1_200);
        recorder.closed(1_100, 1_300);
        assert_eq!(recorder.active(1_500), ((100.0 + 2.0 * 100.0 + 200.0) / 500.0, 2));
        assert_eq!(recorder.counts.active, 1);
        assert_eq!(recorder.histograms().session_life.len(), 1);
    }

    #[test]
    fn upstreams_and_listeners_are_counted_apart_and_together() {
        let mut recorder = Recorder::new(Measure::Full, 0);
        recorder.serve(2, 2);
        let code = Code { cause: Cause::UpstreamFin, phase: Phase::Data };
        recorder.accepted_from(1);
        recorder.connect_failed(0);
        recorder.connected(1, 700);
        recorder.passed(1, 10, 0);
        recorder.passed(1, 0, 20);
        recorder.disconnected(1);
        recorder.ended(code, Some(1));
        recorder.ended(code, None);
        assert_eq!(recorder.accepted_by, [0, 1]);
        let counts = &recorder.counts;
        assert_eq!((counts.connects, counts.connects_failed, counts.errors.connect), (1, 1, 1));
        assert_eq!((recorder.ends.of(code), recorder.upstreams[1].ends.of(code)), (2, 1));
        let failed = UpstreamCounts { failed: 1, ..UpstreamCounts::default() };
        assert_eq!(recorder.upstreams[0], failed);
        let UpstreamCounts { active, connected, bytes_to, bytes_from, .. } = recorder.upstreams[1];
        assert_eq!((active, connected, bytes_to, bytes_from), (0, 1, 10, 20));
        assert_eq!(recorder.histograms().connect.len(), 1);
    }

    #[test]
    fn an_upstream_that_nobody_announced_harms_nothing() {
        let mut recorder = Recorder::new(Measure::Full, 0);
        recorder.accepted_from(7);
        recorder.connected(7, 1);
        recorder.disconnected(7);
        assert_eq!(recorder.counts.connects, 1);
    }

    #[test]
    fn off_keeps_what_opens_and_closes() {
        let mut recorder = Recorder::new(Measure::Off, 0);
        recorder.opened(1);
        recorder.closed(1, 2);
        recorder.count(|counts| counts.messages += 1);
        assert_eq!((recorder.counts.accepted, recorder.counts.closed, recorder.counts.messages), (1, 1, 0));
        assert_eq!(recorder.histograms().session_life.len(), 0);
    }
}
