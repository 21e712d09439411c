//! Connections per worker, a panel a mode: bars beside the band in which chance would keep them.

use super::{
    Panel,
    frame::{Frame, PANEL},
    svg::Scale,
};
use crate::{
    results::{Results, Trial},
    statistics::chance_band,
    summary::Summary,
    table,
};

/// The panel of one mode. All panels of a run have one scale, so that they can be compared by eye.
pub fn panel(results: &Results, scenario: &str, mode: &str) -> Option<Panel> {
    let summary = Summary::of(results, scenario, |name| name == mode);
    let balance = summary.balance()?;
    let total = summary.trials.iter().map(|trial| total(trial)).max()?;
    let workers = balance.per_worker.len();
    let (low, high) = chance_band(total, workers);

    let label = format!("Connections per worker in {mode}: {:?} in all rounds", balance.per_worker);
    let mut frame = Frame::new(&label, PANEL);
    let y = Scale::linear((0.0, total.max(1) as f64), frame.y_range());
    let (left, right) = frame.x_range();
    let band = (y.at(high as f64 + 0.5), y.at((low as f64 - 0.5).max(0.0)));
    let tip = format!("by chance, a worker gets {low} to {high} (95 %)");
    frame.svg.rect("band", (left, band.0), (right - left, band.1 - band.0), &tip);
    let even = total as f64 / workers as f64;
    for (value, class) in [(0.0, "axis"), (even, "even"), (total as f64, "grid")] {
        frame.y_tick(y.at(value), &format!("{value:.0}"), class);
    }

    let x = Scale::linear((0.0, workers as f64), (left, right));
    let class = format!("bar {}", accept(mode));
    for worker in 0..workers {
        let slot = (x.at(worker as f64 + 0.12), x.at(worker as f64 + 0.88));
        let width = (slot.1 - slot.0) / summary.trials.len() as f64;
        for (round, trial) in summary.trials.iter().enumerate() {
            let count = trial.per_worker.get(worker).copied().unwrap_or(0);
            let top = y.at(count as f64);
            let tip = format!("worker {worker}, round {}: {count} of {}", trial.round + 1, total_text(trial));
            let x = slot.0 + round as f64 * width;
            frame.svg.rect(&class, (x, top), ((width - 1.0).max(1.0), frame.bottom() - top), &tip);
        }
        frame.x_tick(x.at(worker as f64 + 0.5), &worker.to_string());
    }
    frame.titles("worker", "connections");
    let verdict = balance.verdict.map(|verdict| verdict.name()).unwrap_or_default();
    let note = format!("dispersion {}, {verdict}", table::dispersion(balance.dispersion));
    Some(Panel { name: mode.to_owned(), note, svg: frame.svg.finish() })
}

/// The class of an accept mode's colour.
pub fn accept(mode: &str) -> &str {
    mode.split('/').next().unwrap_or(mode)
}

fn total(trial: &Trial) -> u64 {
    trial.per_worker.iter().sum()
}

fn total_text(trial: &Trial) -> String {
    format!("{} connections", total(trial))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn each_round_has_a_bar_for_each_worker() {
        let Panel { note, svg, .. } = panel(&fixture::results(), "trickle", "exclusive/level").unwrap();
        assert_eq!(svg.matches("class=\"bar exclusive\"").count(), 2 * 4);
        assert!(svg.contains("worker 0, round 2: 400 of 400 connections"));
        assert!(svg.contains("by chance, a worker gets 83 to 117 (95 %)"));
        assert_eq!(note, "dispersion 800, worse than chance");
    }

    #[test]
    fn a_mode_without_trials_has_no_panel() {
        assert!(panel(&fixture::results(), "trickle", "local/level").is_none());
    }
}
