//! `compare DIR DIR`: two runs side by side, the second against the first.
//!
//! Curves come from merged histograms, intervals from trials: those of two runs have no partners, so ranks of
//! all are compared (Mann–Whitney). What changed on the machine between the runs is in the difference, and
//! there is no A/A row that would show it: the text says so.

use std::path::PathBuf;

use evenkeel::config::units::show_nanos;

use super::{
    comparison,
    figures::median,
    results::{Call, Comparison, Results, ScenarioNote},
    store::Store,
    summary::Summary,
    table::{self, NOTHING},
};

/// Quantiles of the merged histograms that are shown side by side.
const QUANTILES: [(f64, &str); 4] = [(0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9")];

/// What the runs in two folders have in common.
///
/// # Errors
/// A sentence, where a folder can't be read or they have nothing in common.
pub fn compare(old: PathBuf, new: PathBuf) -> Result<String, String> {
    let ((old_store, old), (new_store, new)) = (Store::open(old)?, Store::open(new)?);
    let shared: Vec<_> = new.scenarios.iter().filter(|note| common(&old, note).next().is_some()).collect();
    if shared.is_empty() {
        return Err(format!(
            "{} and {} have no scenario with a mode in common",
            old_store.dir().display(),
            new_store.dir().display()
        ));
    }
    let mut text = heading(&old, &new);
    let comparisons = comparison::between(&old, &new);
    for note in shared {
        text += &scenario(&old, &new, note, &comparisons);
    }
    Ok(text)
}

/// The modes of a scenario that the older run has too.
fn common<'a>(old: &'a Results, note: &'a ScenarioNote) -> impl Iterator<Item = &'a String> {
    let others = old.scenarios.iter().filter(|other| other.name == note.name);
    let others: Vec<&String> = others.flat_map(|other| &other.modes).collect();
    note.modes.iter().filter(move |mode| others.contains(mode))
}

fn heading(old: &Results, new: &Results) -> String {
    let line = |which: &str, results: &Results| {
        let version = &results.version;
        format!("{which} {} · {} · version {version}\n", results.started, results.headline())
    };
    let mut text = line("first  ", old) + &line("second ", new);
    if old.machine.cpu_model != new.machine.cpu_model || old.machine.kernel != new.machine.kernel {
        text += "OTHER MACHINE: the runs are from different machines or kernels\n";
    }
    text + "\n"
}

fn scenario(old: &Results, new: &Results, note: &ScenarioNote, comparisons: &[Comparison]) -> String {
    let mut text = format!("{}: {}\n", note.name, note.heading);
    let before = old.scenarios.iter().find(|other| other.name == note.name);
    if before.is_some_and(|before| before.parameters != note.parameters) {
        text += "  OTHER PARAMETERS: the runs asked different questions\n";
    }
    for figure in &note.figures {
        let of_figure = |one: &&Comparison| one.scenario == note.name && &one.figure == figure;
        let lines: Vec<_> = comparisons.iter().filter(of_figure).map(|one| line(old, new, one)).collect();
        text += &format!("  {figure}\n{}", lines.concat());
    }
    if note.has_load && note.sweep.is_none() {
        text += "  response time, ms, all rounds merged: first → second\n";
        text += &common(old, note).map(|mode| curve(old, new, &note.name, mode)).collect::<String>();
    }
    text + "\n"
}

/// `    exclusive/edge     1.2e7 → 1.1e7   ×0.92 [0.81, 1.05]  no difference seen`.
fn line(old: &Results, new: &Results, one: &Comparison) -> String {
    let middle = |results: &Results| {
        let is_one = |trial: &&super::results::Trial| {
            trial.scenario == one.scenario && trial.mode == one.mode && !trial.twin && trial.step == one.step
        };
        let values = results.trials.iter().filter(is_one).filter_map(|trial| trial.figures.get(&one.figure));
        median(&values.copied().collect::<Vec<_>>())
            .map_or_else(|| NOTHING.to_owned(), |value| shown(&one.figure, value))
    };
    let step = one.step.map(|step| format!(" at {step}")).unwrap_or_default();
    let ratio = match one.ratio {
        // Of too few rounds there is no interval.
        Some(ratio) if one.call == Call::TooFewRounds => format!("×{:.2}", ratio.estimate),
        Some(ratio) => format!("×{:.2} [{:.2}, {:.2}]", ratio.estimate, ratio.low, ratio.high),
        None => NOTHING.to_owned(),
    };
    let call = match one.call {
        Call::Lower => "lower",
        Call::Higher => "higher",
        Call::NoDifferenceSeen => "no difference seen",
        Call::TooFewRounds => "too few rounds to tell",
    };
    let mode = format!("{}{step}", one.mode);
    format!("    {mode:<24} {:>10} → {:<10} {ratio:<22} {call}\n", middle(old), middle(new))
}

fn curve(old: &Results, new: &Results, scenario: &str, mode: &str) -> String {
    let of = |results| Summary::of(results, scenario, |name| name == mode);
    let (old, new) = (of(old), of(new));
    if old.overload().is_some() || new.overload().is_some() {
        let word = |summary: &Summary| if summary.overload().is_some() { "OVERLOADED" } else { "kept up" };
        return format!("    {mode:<24} {} → {}\n", word(&old), word(&new));
    }
    let cells = QUANTILES.map(|(q, name)| {
        let shown = |summary: &Summary| table::millis(summary.quantile_ns(q));
        format!("{name} {} → {}", shown(&old), shown(&new))
    });
    format!("    {mode:<24} {}\n", cells.join("   "))
}

/// A figure in a unit that people read.
fn shown(figure: &str, value: f64) -> String {
    if figure.ends_with("_ns") { show_nanos(value) } else { short(value) }
}

/// A number with four significant digits.
fn short(value: f64) -> String {
    match value.abs() {
        v if v == 0.0 || (1e-3..1e6).contains(&v) => {
            let digits = (3.0 - v.max(1.0).log10().floor()).max(0.0) as usize;
            format!("{value:.digits$}")
        }
        _ => format!("{value:.3e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn a_run_is_no_different_from_itself() {
        let results = fixture::results_of(8);
        let text =
            scenario(&results, &results, &results.scenarios[1], &comparison::between(&results, &results));
        assert!(text.contains("×1.00 [") && text.contains("no difference seen"), "{text}");
        assert!(!text.contains("lower") && !text.contains("higher"), "{text}");
        assert!(text.contains("OVERLOADED → OVERLOADED") && text.contains("2.98 ms → 2.98 ms"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    }

    #[test]
    fn other_parameters_are_told() {
        let (old, mut new) = (fixture::results(), fixture::results());
        new.scenarios[0].parameters.push('!');
        new.machine.kernel = "7.0".into();
        assert!(scenario(&old, &new, &new.scenarios[0], &[]).contains("OTHER PARAMETERS"));
        assert!(heading(&old, &new).contains("OTHER MACHINE"));
    }

    #[test]
    fn figures_are_short() {
        let shown = [0.0, 0.25, 1.5, 12_345.678, 1.5e7, 0.000_12].map(short);
        assert_eq!(shown, ["0.000", "0.250", "1.500", "12346", "1.500e7", "1.200e-4"]);
    }
}
