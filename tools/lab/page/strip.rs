//! Every trial as a dot: p99 of each run of each mode, so that one sees whether runs of one mode lie closer
//! to each other than to those of another. A run that was overloaded, or whose client was late itself, is
//! hollow: it is shown, never dropped.

use super::{
    bars::accept,
    frame::Frame,
    svg::{Anchor, Scale, decade_ticks, decades},
};
use crate::{
    results::{LoadFigures, Results},
    summary::Summary,
};

const WIDTH: f64 = 400.0;
const ROW: f64 = 19.0;
const LEFT: f64 = 104.0;
/// Frame margins above and below the rows.
const MARGINS: f64 = 58.0;

/// The strip of one scenario. `None` where no run had a p99.
pub fn chart(results: &Results, scenario: &str, heading: &str) -> Option<String> {
    let rows: Vec<(&String, Summary)> = results
        .modes
        .iter()
        .map(|mode| (mode, Summary::of(results, scenario, |name| name == mode)))
        .collect();
    let p99s = || rows.iter().flat_map(|(_, summary)| summary.loads()).filter_map(p99_ms);
    let (low, high) = p99s().fold((f64::INFINITY, 0.0f64), |(low, high), ms| (low.min(ms), high.max(ms)));
    if high <= 0.0 {
        return None;
    }
    let domain = decades((low, high));
    let size = (WIDTH, rows.len() as f64 * ROW + MARGINS);
    let mut frame = Frame::with_left(&format!("p99 of every trial at {heading}"), size, LEFT);
    let x = Scale::logarithmic(domain, frame.x_range());
    for ms in decade_ticks(domain) {
        frame.x_grid(x.at(ms), &format!("{ms}"));
    }
    for (row, (mode, summary)) in rows.iter().enumerate() {
        let y = frame.top() + (row as f64 + 0.5) * ROW;
        frame.svg.line("row", (LEFT, y), (frame.x_range().1, y));
        frame.svg.text("tick", (LEFT - 6.0, y + 3.5), Anchor::End, mode);
        for trial in &summary.trials {
            let Some((load, ms)) = trial.load.as_ref().and_then(|load| Some((load, p99_ms(load)?))) else {
                continue;
            };
            let hollow = if load.overloaded || late(load) { " hollow" } else { "" };
            let tip = format!("{mode}, round {}: p99 {ms:.2} ms{}", trial.round + 1, remark(load));
            frame.svg.circle(&format!("dot {}{hollow}", accept(mode)), (x.at(ms), y), 4.5, &tip);
        }
    }
    frame.titles("p99 of the response time, ms", "");
    Some(frame.svg.finish())
}

fn p99_ms(load: &LoadFigures) -> Option<f64> {
    load.p99_ns.map(|p99_ns| p99_ns as f64 / 1e6)
}

/// The client's own lateness makes up a tenth of the p99 or more.
fn late(load: &LoadFigures) -> bool {
    load.p99_ns.is_some_and(|p99_ns| load.send_lag_p99_ns * 10 > p99_ns)
}

fn remark(load: &LoadFigures) -> &'static str {
    match (load.overloaded, late(load)) {
        (true, _) => ", overloaded",
        (false, true) => ", the client itself was late",
        (false, false) => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn every_trial_is_a_dot_and_the_doubtful_are_hollow() {
        let svg = chart(&fixture::results(), "busy", "busy").unwrap();
        assert_eq!(svg.matches("<circle").count(), 20);
        assert_eq!(svg.matches("dot exclusive hollow").count(), 4);
        assert!(svg.contains("overloaded"));
        assert!(chart(&fixture::results(), "trickle", "").is_none());
    }
}
