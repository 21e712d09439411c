//! What a person sees while trials run: a bar with the time left on a terminal, nothing otherwise.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::trial::Plan;

/// The bar, on stderr.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// A bar for so many trials.
    pub fn new(trials: usize) -> Self {
        let target = if io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(trials as u64), target);
        // The template is a constant; indicatif's own bar is good enough if it ever refuses it.
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} trials · {eta} left · {msg}")
        {
            bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏ "));
        }
        Self(bar)
    }

    /// This trial begins. Drawn now and never by a timer: nothing of the lab runs while it measures.
    pub fn begin(&self, plan: &Plan) {
        self.0.set_message(format!("{} {} round {}", plan.scenario.name, plan.mode, plan.round + 1));
    }

    /// A trial is over.
    pub fn done(&self) {
        self.0.inc(1);
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        self.0.finish_and_clear();
    }
}
