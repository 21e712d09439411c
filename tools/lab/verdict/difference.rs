//! Which figures differ from the baseline's, by how much, and in which no difference was seen.

use super::{
    super::results::{Call, Comparison, LoadFigures, Results, ScenarioNote, quantile},
    is_of, subjects, trials,
    words::{self, bounds, join, percent, times},
};

/// A scenario's comparisons with its baseline, figure by figure; what is said of triggers is said for all scenarios at
/// once, and what of balance in sentences of its own.
pub fn sentence(results: &Results, note: &ScenarioNote) -> Option<String> {
    let is_told_elsewhere = |figure: &str| note.group == "accept" && words::is_balance(figure);
    let told = note.figures.iter().filter(|figure| !is_told_elsewhere(figure));
    let mut clauses: Vec<String> = told.filter_map(|figure| clause(results, note, figure)).collect();
    if let Some(overloads) = overloads(results, note) {
        clauses.insert(clauses.len().min(1), overloads);
    }
    let is_tail = note.figures.iter().any(|figure| words::is_latency(figure));
    let about = if is_tail { format!("Tail, {}", note.heading) } else { note.heading.clone() };
    (!clauses.is_empty()).then(|| format!("{about}: {}.", clauses.join("; ")))
}

/// Level against edge and the like, over all accept modes and scenarios.
pub fn triggers(results: &Results) -> Option<String> {
    let is_of_trigger = |comparison: &&Comparison| {
        let note = results.scenarios.iter().find(|note| note.name == comparison.scenario);
        let grid = note.and_then(ScenarioNote::grid);
        grid.is_some_and(|(_, triggers)| triggers.contains(&comparison.mode.as_str()))
    };
    let all: Vec<_> =
        results.comparisons.iter().filter(is_of_trigger).filter(|it| it.ratio.is_some()).collect();
    let first = all.first()?;
    let named = |comparison: &Comparison| {
        let mode =
            if comparison.mode == first.mode { String::new() } else { format!("{}: ", comparison.mode) };
        format!("{mode}{} in {}", words::figure(&comparison.figure), comparison.scenario)
    };
    let (mode, against) = (&first.mode, &first.against);
    let said = Said::of(&all, &named, &|_| false);
    let said = if said.is_all_alike() {
        let names: Vec<_> = all.iter().map(|comparison| named(comparison)).collect();
        format!("no difference seen in {}, {}", join(&names), within(&all))
    } else {
        said.clauses().join("; ")
    };
    Some(format!("{}{} against {against}: {said}.", mode[..1].to_uppercase(), &mode[1..]))
}

/// What is said of a figure, beside the baseline's value.
fn clause(results: &Results, note: &ScenarioNote, figure: &str) -> Option<String> {
    let subjects = subjects(note);
    let is_here = |comparison: &&Comparison| {
        comparison.scenario == note.name && comparison.figure == figure && subjects.contains(&comparison.mode)
    };
    let all: Vec<_> = results.comparisons.iter().filter(is_here).filter(|it| it.ratio.is_some()).collect();
    let against = &all.first()?.against;
    let value = baseline(results, note, against, figure).map(|value| format!(" ({against} {value})"));
    let name = words::figure(figure) + &value.unwrap_or_default();
    let named = |comparison: &Comparison| {
        let at = comparison.step.map(|step| format!(" at {step}")).unwrap_or_default();
        format!("{}{at}", comparison.mode)
    };
    let said = Said::of(&all, &named, &|comparison| {
        words::is_latency(figure) && is_overloaded(results, note, comparison)
    });
    if said.is_all_alike() {
        return Some(format!("no difference seen in {name}, {}", within(&all)));
    }
    let clauses = said.clauses();
    (!clauses.is_empty()).then(|| format!("{name} is {}", clauses.join(", ")))
}

/// Comparisons by what they come to.
#[derive(Default)]
struct Said {
    higher: Vec<String>,
    lower: Vec<String>,
    alike: Vec<String>,
    unsettled: Vec<String>,
    /// Overloaded, and nothing to be said but that.
    void: usize,
}

impl Said {
    /// Ratios of what is void measure the length of the run, and aren't shown.
    fn of(
        all: &[&Comparison],
        named: &dyn Fn(&Comparison) -> String,
        is_void: &dyn Fn(&Comparison) -> bool,
    ) -> Self {
        let mut said = Self::default();
        for comparison in all {
            let Some(ratio) = comparison.ratio else { continue };
            let (name, estimate) = (named(comparison), times(ratio.estimate));
            let shown = format!("{name} ({estimate} {})", bounds(ratio.low, ratio.high));
            match (comparison.call, is_void(comparison)) {
                (Call::Higher, true) => said.higher.push(format!("{name} (OVERLOADED)")),
                (Call::Lower, true) => said.lower.push(format!("{name} (OVERLOADED)")),
                (_, true) => said.void += 1,
                (Call::Higher, false) => said.higher.push(shown),
                (Call::Lower, false) => said.lower.push(shown),
                (Call::NoDifferenceSeen, false) => said.alike.push(shown),
                (Call::TooFewRounds, false) => said.unsettled.push(format!("{name} {estimate}")),
            }
        }
        said
    }

    fn is_all_alike(&self) -> bool {
        let others = self.higher.len() + self.lower.len() + self.unsettled.len() + self.void;
        others == 0 && !self.alike.is_empty()
    }

    fn clauses(&self) -> Vec<String> {
        let parts = [
            ("higher in", &self.higher),
            ("lower in", &self.lower),
            ("no difference seen for", &self.alike),
            ("not settled (too few rounds):", &self.unsettled),
        ];
        let told = parts.into_iter().filter(|(_, each)| !each.is_empty());
        told.map(|(word, each)| format!("{word} {}", join(each))).collect()
    }
}

/// Between which factors all of these differences may still lie.
fn within(all: &[&Comparison]) -> String {
    let ratios = all.iter().filter_map(|comparison| comparison.ratio);
    let (low, high) = ratios
        .fold((f64::INFINITY, 0.0_f64), |(low, high), ratio| (low.min(ratio.low), high.max(ratio.high)));
    format!("all within {} to {}", times(low), times(high))
}

/// The baseline's figure: of a quantile that of all rounds merged, of others the median over rounds. None for a sweep,
/// where each step has its own, and OVERLOADED where the quantile would only measure the length of the run.
fn baseline(results: &Results, note: &ScenarioNote, subject: &str, figure: &str) -> Option<String> {
    if note.sweep.is_some() {
        return None;
    }
    let own = || trials(results, note).filter(|trial| is_of(trial, subject));
    if words::is_latency(figure) && own().filter_map(|trial| trial.load.as_ref()).any(|load| load.overloaded)
    {
        return Some("OVERLOADED".to_owned());
    }
    let q = match figure {
        "p50_ns" => Some(0.5),
        "p90_ns" => Some(0.9),
        "p99_ns" => Some(0.99),
        "p999_ns" => Some(0.999),
        _ => None,
    };
    let loads = own().filter_map(|trial| trial.load.as_ref());
    if let Some(merged) = q.and_then(|q| merged_quantile(loads, q)) {
        return Some(words::value(figure, merged as f64));
    }
    let values: Vec<f64> = own().filter_map(|trial| trial.figures.get(figure).copied()).collect();
    let (median, ..) = super::super::statistics::order::median_with_interval(&values)?;
    Some(words::value(figure, median))
}

fn merged_quantile<'a>(mut loads: impl Iterator<Item = &'a LoadFigures>, q: f64) -> Option<u64> {
    let mut merged = loads.next()?.latency.clone();
    // All have the same bounds, so that none can be refused; without one the quantile is that of the others.
    loads.for_each(|load| _ = merged.add(&load.latency));
    quantile(&merged, q)
}

/// Whether a comparison is one of a mode, or with a mode, that could not keep up.
fn is_overloaded(results: &Results, note: &ScenarioNote, comparison: &Comparison) -> bool {
    let is_in = |subject: &str| {
        let own =
            trials(results, note).filter(|trial| is_of(trial, subject) && trial.step == comparison.step);
        own.filter_map(|trial| trial.load.as_ref()).any(|load| load.overloaded)
    };
    is_in(&comparison.mode) || is_in(&comparison.against)
}

/// Which modes could not keep up.
fn overloads(results: &Results, note: &ScenarioNote) -> Option<String> {
    let of = |subject: &String| {
        let own = trials(results, note).filter(|trial| is_of(trial, subject));
        let own: Vec<_> = own.filter_map(|trial| Some((trial.step, trial.load.as_ref()?))).collect();
        let over: Vec<_> = own.iter().filter(|(_, load)| load.overloaded).collect();
        let worst =
            over.iter().map(|(_, load)| load.achieved_per_s / load.offered_per_s).min_by(f64::total_cmp)?;
        let from = over.iter().filter_map(|(step, _)| *step).min_by(f64::total_cmp);
        let from = from.map(|step| format!(" from {step} on")).unwrap_or_default();
        Some(format!(
            "{subject}{from} in {} of {} trials (at worst {} of the load was answered)",
            over.len(),
            own.len(),
            percent(worst)
        ))
    };
    let each: Vec<_> = subjects(note).iter().filter_map(of).collect();
    (!each.is_empty()).then(|| format!("OVERLOADED: {}", join(&each)))
}
