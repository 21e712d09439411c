//! What else happened: whatever a reader needs before he believes a figure.
//!
//! Disturbances are drawn trial by trial in the order in which they ran, so that one sees whether a bad figure
//! has an innocent cause; then the settings of the run.

use evenkeel::measure::page::{
    frame::{Frame, PANEL},
    scale::{Scale, tick_text, ticks_between, ticks_from_zero},
};

use super::{
    figures::three_digits,
    head::CONDITIONS,
    html::{figure, row},
    view::doubts,
};
use crate::results::{Conditions, Results, Trial};
use evenkeel::measure::page::escape;

const HEIGHT: f64 = 130.0;
const STROKES_MAX: usize = 140;

/// A disturbance: its name, its unit, how much of it a trial had.
type Disturbance = (&'static str, &'static str, fn(&Trial, &Conditions) -> f64);

const DISTURBANCES: [Disturbance; 9] = [
    ("The client's lag, p99", "ms", |trial, _| {
        trial.load.as_ref().map_or(0.0, |load| load.send_lag_p99_ns as f64 / 1e6)
    }),
    ("Hiccups of an idle thread, p99", "ms", |_, it| it.hiccup_p99_ns as f64 / 1e6),
    ("The longest hiccup", "ms", |_, it| it.hiccup_max_ns as f64 / 1e6),
    ("Stolen by the hypervisor", "% of CPU", |_, it| it.steal_percent),
    ("Used by other processes", "% of CPU", |_, it| it.others_percent),
    ("Involuntary context switches", "switches", |_, it| it.involuntary_switches as f64),
    ("Full accept queues and dropped SYNs", "drops", |_, it| (it.listen_overflows + it.listen_drops) as f64),
    ("Sockets in TIME_WAIT", "sockets", |_, it| it.time_wait as f64),
    ("CPU of the client", "cores", |_, it| it.client_cpu_share),
];

/// The panel of a run.
pub fn section(results: &Results, agreement: &str) -> String {
    let panels = DISTURBANCES.iter().filter_map(|disturbance| panel(results, disturbance));
    let note = "A stroke is one trial, in the order in which they ran. What never happened isn't drawn.";
    let charts = row("Disturbances", note, panels).unwrap_or_default();
    let said = results.verdicts.iter().filter(|verdict| verdict.about == CONDITIONS);
    let said: String = said.map(|verdict| format!("<p>{}</p>\n", escape(&verdict.text))).collect();
    let rows: String = settings(results, agreement)
        .iter()
        .map(|(name, value)| format!("<dt>{}</dt><dd>{}</dd>\n", escape(name), escape(value)))
        .collect();
    format!(
        "<section id=\"circumstances\">\n<h2>Circumstances</h2>\n{said}{charts}\
         <h3>Settings</h3>\n<dl>\n{rows}</dl>\n</section>\n"
    )
}

fn panel(results: &Results, (name, unit, of): &Disturbance) -> Option<String> {
    let values: Vec<f64> = results.trials.iter().map(|trial| of(trial, &trial.conditions)).collect();
    // Where strokes would be thinner than a hair, one stands for the worst of its neighbours.
    let per_stroke = values.len().div_ceil(STROKES_MAX).max(1);
    let worst = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    let worst: Vec<f64> = values.chunks(per_stroke).map(worst).collect();
    let most = values.iter().copied().fold(0.0, f64::max);
    if most <= 0.0 {
        return None;
    }
    let mut frame = Frame::new((PANEL.0, HEIGHT), &format!("{name} in each trial, {unit}"), "");
    let ticks = ticks_from_zero(most, 3);
    let y = Scale::linear((0.0, ticks[ticks.len() - 1]), frame.y_range());
    frame.y_ticks(&ticks, |value| y.at(value));
    let (left, right) = frame.x_range();
    let x = Scale::linear((0.0, values.len() as f64), (left, right));
    let bottom = frame.bottom();
    let place =
        |(at, &value): (usize, &f64)| (x.at((at as f64 + 0.5) * per_stroke as f64), y.at(value) - bottom);
    let strokes: Vec<_> = worst.iter().enumerate().filter(|(_, value)| **value > 0.0).map(place).collect();
    frame.svg.strokes(
        "stroke c6",
        bottom,
        &strokes,
        ((right - left) / worst.len() as f64 * 0.7).clamp(0.4, 8.0),
    );
    for tick in ticks_between((0.0, values.len() as f64), 4) {
        frame.x_tick(x.at(tick), &tick_text(tick));
    }
    frame.titles("trials, in run order", unit);
    Some(figure(name, "", &format!("at most {} {unit}", three_digits(most)), &frame.svg.finish()))
}

fn settings<'a>(results: &'a Results, agreement: &str) -> Vec<(&'a str, String)> {
    let machine = &results.machine;
    let doubtful = results.trials.iter().filter(|trial| !doubts(trial).is_empty()).count();
    let count = |doubt: &str| results.trials.iter().filter(|trial| doubts(trial).contains(&doubt)).count();
    let (overloaded, late) = (count("overloaded"), count("the client itself was late"));
    let mut rows = vec![
        ("command", results.command.clone()),
        ("started", results.started.clone()),
        ("version", results.version.to_string()),
        ("seed", results.seed.to_string()),
        (
            "trials",
            format!("{} of {}, shuffled within each round", results.trials.len(), results.trials_planned),
        ),
        (
            "doubtful trials",
            format!(
                "{doubtful}: {overloaded} overloaded, {late} with a late client, \
         {} not stationary; they count all the same",
                count("not stationary")
            ),
        ),
        ("clients and server", agreement.to_owned()),
        ("machine", format!("{} cores, {}", machine.cpus, machine.cpu_model)),
        ("kernel", machine.kernel.clone()),
        ("clocksource, governor", format!("{}, {}", machine.clocksource, machine.governor)),
        ("net.core.somaxconn", machine.somaxconn.clone()),
        ("stolen by the hypervisor", format!("{} % of the CPU time", machine.steal_percent)),
        ("used by other processes", format!("{} % of the CPU time", machine.others_percent)),
        ("accept queue overflows", machine.listen_overflows.to_string()),
    ];
    rows.extend(results.scenarios.iter().map(|scenario| (&*scenario.name, scenario.parameters.clone())));
    rows
}
