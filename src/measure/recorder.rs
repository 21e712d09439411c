//! A worker's own records: plain fields of plain structs, written by one thread.

use hdrhistogram::Histogram;

use super::{counts::Counts, histograms::Histograms};
use crate::config::Measure;

/// What one worker records while it runs.
pub struct Recorder {
    /// Counters that are kept whatever the level: what opened and closed, and what went wrong.
    pub counts: Counts,
    histograms: Box<Histograms>,
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
            histograms: Box::default(),
            counting: measure != Measure::Off,
            timing: measure == Measure::Full,
            active: Gauge { since_ns: now_ns, started_ns: now_ns, ..Gauge::default() },
        }
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
    pub fn record(&mut self, which: impl FnOnce(&mut Histograms) -> &mut Histogram<u64>, value: u64) {
        if self.timing {
            which(&mut self.histograms).saturating_record(value);
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

    /// The histograms so far.
    pub fn histograms(&self) -> &Histograms {
        &self.histograms
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
    fn off_keeps_what_opens_and_closes() {
        let mut recorder = Recorder::new(Measure::Off, 0);
        recorder.opened(1);
        recorder.closed(1, 2);
        recorder.count(|counts| counts.messages += 1);
        assert_eq!((recorder.counts.accepted, recorder.counts.closed, recorder.counts.messages), (1, 1, 0));
        assert_eq!(recorder.histograms().session_life.len(), 0);
    }
}
