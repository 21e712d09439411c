//! What else happens while a trial runs: whatever a reader needs before he believes its figures.

use std::{
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use evenkeel::measure::histograms::histogram;
use hdrhistogram::Histogram;
use rustix::thread::set_current_timer_slack;

use super::{machine::Counters, results::Conditions};

/// How long the hiccup meter sleeps at a time: often enough to meet a stall, seldom enough to cause none.
const NAP: Duration = Duration::from_millis(2);

/// Watches the machine from its making to its end.
#[derive(Debug)]
pub struct Watch {
    before: Counters,
    ended: Arc<AtomicBool>,
    meter: Option<JoinHandle<Histogram<u64>>>,
}

impl Watch {
    /// Starts watching.
    pub fn start() -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let until = ended.clone();
        // Without the thread there is no figure for hiccups, and the trial is as good as ever.
        let meter = thread::Builder::new().name("hiccups".into()).spawn(move || measure(&until)).ok();
        Self { before: Counters::read(), ended, meter }
    }

    /// What happened since. The trial's processes have ended: only then is their CPU time known to be theirs.
    pub fn finish(mut self) -> Conditions {
        let hiccups = self.end_meter();
        let since = Counters::read().since(&self.before);
        Conditions {
            hiccup_p99_ns: hiccups.as_ref().map_or(0, |late| late.value_at_quantile(0.99)),
            hiccup_max_ns: hiccups.as_ref().map_or(0, Histogram::max),
            steal_percent: since.steal_percent,
            others_percent: since.others_percent,
            listen_overflows: since.listen_overflows,
            listen_drops: since.listen_drops,
            time_wait: super::machine::time_wait(),
            ..Conditions::default()
        }
    }

    fn end_meter(&mut self) -> Option<Histogram<u64>> {
        self.ended.store(true, Ordering::Relaxed);
        self.meter.take()?.join().ok()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end_meter();
    }
}

/// How late an idle thread wakes up, which is how late any thread on this machine may be for no reason of its own.
fn measure(ended: &AtomicBool) -> Histogram<u64> {
    // The default slack of 50 µs is not the machine's fault.
    let _ = set_current_timer_slack(NonZero::new(1));
    let mut late = histogram();
    while !ended.load(Ordering::Relaxed) {
        let before = Instant::now();
        thread::sleep(NAP);
        let late_ns = before.elapsed().saturating_sub(NAP).as_nanos();
        late.saturating_record(u64::try_from(late_ns).unwrap_or(u64::MAX));
    }
    late
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_thread_is_a_little_late() {
        let watch = Watch::start();
        thread::sleep(Duration::from_millis(50));
        let conditions = watch.finish();
        assert!(conditions.hiccup_max_ns > 0 && conditions.hiccup_max_ns >= conditions.hiccup_p99_ns);
    }
}
