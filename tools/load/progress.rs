//! The progress line: on a terminal, while the threads run. Anywhere else it would be noise in a log.

use std::{
    io::{self, IsTerminal},
    sync::atomic::Ordering::Relaxed,
    thread,
    time::Duration,
};

use evenkeel::config::units;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    Live,
    clock::{self, SECOND_NS},
    gate::Gate,
    plan::{End, Load, Plan},
};

/// From one drawing to the next.
const TICK: Duration = Duration::from_millis(200);

/// Shows how far the run is until `is_over`; returns at once where nobody would see it.
pub fn show_until(plan: &Plan, gate: &Gate, live: &[Live], mut is_over: impl FnMut() -> bool) {
    if !io::stderr().is_terminal() {
        return;
    }
    let bar = ProgressBar::with_draw_target(Some(1_000), ProgressDrawTarget::stderr());
    bar.set_style(
        ProgressStyle::with_template("{bar:24} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let mut before = 0;
    while !is_over() {
        let answered: u64 = live.iter().map(|live| live.answered.load(Relaxed)).sum();
        let per_s = (answered - before) as f64 / TICK.as_secs_f64();
        before = answered;
        let (permille, phase) = phase(plan, gate.started_ns(), clock::now_ns(), answered);
        bar.set_position(permille);
        bar.set_message(format!("{phase} · {} messages/s", units::show_count(per_s)));
        thread::sleep(TICK);
    }
    bar.finish_and_clear();
}

/// How far the run is, in thousandths and in words.
fn phase(plan: &Plan, start_ns: u64, now_ns: u64, answered: u64) -> (u64, String) {
    if start_ns > 0 && plan.hold {
        return (1_000, "holding the connections until Ctrl-C".to_owned());
    }
    if start_ns == 0 || plan.load == Load::ConnectOnly {
        return (0, "connecting".to_owned());
    }
    let running_ns = now_ns.saturating_sub(start_ns);
    if running_ns < plan.warmup_ns {
        return (0, "warming up".to_owned());
    }
    let measured_ns = running_ns - plan.warmup_ns;
    match plan.end {
        End::AfterNs(duration_ns) if measured_ns < duration_ns => (
            (u128::from(measured_ns) * 1_000 / u128::from(duration_ns)) as u64,
            format!("{} of {} s", measured_ns / SECOND_NS, duration_ns.div_ceil(SECOND_NS)),
        ),
        End::AfterNs(_) => (1_000, "waiting for the last answers".to_owned()),
        End::AfterMessages(messages) => (
            (u128::from(answered.min(messages)) * 1_000 / u128::from(messages)) as u64,
            format!("{} of {}", units::show_count(answered as f64), units::show_count(messages as f64)),
        ),
    }
}
