//! What is drawn, in figures: for screen readers, for copying, for those who doubt a drawing.

use super::{
    figures::{Figure, three_digits},
    html::table,
    view::{Series, View, median},
};
use crate::{
    results::{Trial, quantile},
    table::NOTHING,
};

/// Figures of the response time that are taken from all rounds' messages together, not from the trials.
const MERGED: [(&str, f64); 4] = [("p50_ns", 0.5), ("p90_ns", 0.9), ("p99_ns", 0.99), ("p999_ns", 0.999)];

/// All figures of a scenario, a row a mode, and a mode at each step of a sweep.
pub fn figures(view: &View) -> Option<String> {
    let mut names: Vec<&str> = Vec::new();
    for name in view.trials().flat_map(|trial| trial.figures.keys()) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names.sort_by_key(|name| Figure::order(name));
    let counts = view.note.sweep.is_none() && view.series().any(|series| series.balance().is_some());
    let mut headings = vec!["mode".to_owned(), "trials".to_owned()];
    headings.extend(counts.then(|| "connections per worker".to_owned()));
    headings.extend(names.iter().map(|name| Figure::named(name).title(name)));
    let rows: Vec<_> = view.series().flat_map(|series| rows(view, series, counts, &names)).collect();
    (!rows.is_empty()).then(|| table(&headings, &rows))
}

fn rows(view: &View, series: &Series, counts: bool, names: &[&str]) -> Vec<Vec<String>> {
    let steps: Vec<Option<f64>> = view
        .note
        .sweep
        .as_ref()
        .map_or_else(|| vec![None], |steps| steps.iter().copied().map(Some).collect());
    let row = |step: Option<f64>| {
        let trials = series.trials.iter().copied().filter(|trial| step.is_none() || trial.step == step);
        let part = Series { trials: trials.collect(), ..*series };
        let name = step.map_or_else(|| series.mode.to_owned(), |step| format!("{} @ {step}", series.mode));
        let mut cells = vec![name, part.trials.len().to_string()];
        cells.extend(counts.then(|| per_worker(&part)));
        cells.extend(names.iter().map(|name| cell(&part, name)));
        (!part.trials.is_empty()).then_some(cells)
    };
    steps.into_iter().filter_map(row).collect()
}

fn per_worker(series: &Series) -> String {
    let counts = series.balance().map(|balance| balance.per_worker).unwrap_or_default();
    counts.iter().map(u64::to_string).collect::<Vec<_>>().join(" · ")
}

/// The median of the trials; of response times, the quantile of all rounds together.
fn cell(series: &Series, name: &str) -> String {
    let of = Figure::named(name);
    let is_latency = MERGED.iter().find(|(merged, _)| *merged == name);
    if let (Some((_, q)), Some(merged)) = (is_latency, series.merged(|raw| &raw.latency)) {
        if series.overload().is_some() {
            return "OVERLOADED".to_owned();
        }
        let nanos = quantile(&merged, *q);
        return nanos.map_or_else(|| NOTHING.to_owned(), |nanos| three_digits(of.value(nanos as f64)));
    }
    let values = series.trials.iter().filter_map(|trial: &&Trial| trial.figures.get(name).copied()).collect();
    median(values).map_or_else(|| NOTHING.to_owned(), |value| three_digits(of.value(value)))
}
