//! What a person sees while trials run: a bar with the time left on a terminal, nothing otherwise.

use std::{
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::trial::Plan;

/// The bar, on stderr. Its length is time, as trials differ in theirs.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    trials: usize,
    started: Instant,
    /// What the trials that are over were thought to take.
    done: Duration,
    all: Duration,
}

impl Progress {
    /// A bar for these trials.
    pub fn new(plans: &[Plan]) -> Self {
        let target = if io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let all = estimate(plans);
        let bar = ProgressBar::with_draw_target(Some(millis(all)), target);
        // The template is a constant; indicatif's own bar is good enough if it ever refuses it.
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {msg}") {
            bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏ "));
        }
        Self { bar, trials: plans.len(), started: Instant::now(), done: Duration::ZERO, all }
    }

    /// The trial at this place begins. Drawn now and never by a timer: nothing of the lab runs while it measures.
    pub fn begin(&self, index: usize, plan: &Plan) {
        let left = show(self.left());
        self.bar.set_message(format!("{}/{} · {left} left · {}", index + 1, self.trials, plan.title()));
    }

    /// A trial is over.
    pub fn done(&mut self, plan: &Plan) {
        self.done += plan.scenario.estimate();
        self.bar.set_position(millis(self.done));
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// The rest will be as much slower than estimated as what is done was.
    fn left(&self) -> Duration {
        let slowness = match self.done.as_secs_f64() {
            0.0 => 1.0,
            done_s => self.started.elapsed().as_secs_f64() / done_s,
        };
        self.all.saturating_sub(self.done).mul_f64(slowness)
    }
}

/// How long so many trials take, roughly.
pub fn estimate(plans: &[Plan]) -> Duration {
    plans.iter().map(|plan| plan.scenario.estimate()).sum()
}

/// `45 s`, `12 min`, `1 h 5 min`.
pub fn show(time: Duration) -> String {
    match time.as_secs() + 1 {
        seconds @ ..100 => format!("{seconds} s"),
        seconds @ ..5_970 => format!("{} min", (seconds + 30) / 60),
        seconds => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short_to_read() {
        let shown = [8, 100, 2_700, 7_500].map(|seconds| show(Duration::from_secs(seconds)));
        assert_eq!(shown, ["9 s", "2 min", "45 min", "2 h 5 min"]);
    }
}
