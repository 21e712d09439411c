//! The phases of a run on the clock: warm-up, the measured window, the end.

use super::plan::{End, Plan};

/// When things happen; all in nanoseconds of the clock.
#[derive(Clone, Copy, Debug)]
pub struct Timeline {
    /// The warm-up is over: messages due from now on count.
    pub counted_from_ns: u64,
    /// No message is due from now on. With `--messages` that isn't a matter of time.
    pub end_ns: u64,
}

impl Timeline {
    /// Before the load starts: nothing is due, nothing counts.
    pub const NOT_STARTED: Self = Self { counted_from_ns: u64::MAX, end_ns: 0 };

    /// The run of `plan`, started at `start_ns`.
    pub fn new(plan: &Plan, start_ns: u64) -> Self {
        let counted_from_ns = start_ns + plan.warmup_ns;
        let end_ns = match plan.end {
            End::AfterNs(duration_ns) => counted_from_ns + duration_ns,
            End::AfterMessages(_) => u64::MAX,
        };
        Self { counted_from_ns, end_ns }
    }

    /// Whether a message due then is part of the measurement.
    pub fn counts(&self, due_ns: u64) -> bool {
        due_ns >= self.counted_from_ns
    }

    /// Whether an answer that came then came during the measurement.
    pub fn measures(&self, now_ns: u64) -> bool {
        (self.counted_from_ns..self.end_ns).contains(&now_ns)
    }
}
