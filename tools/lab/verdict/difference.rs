//! Which figures differ from the baseline's, by how much, and in which no difference was seen.

use super::{
    super::{
        raw,
        results::{Call, Comparison, Results, ScenarioNote, quantile},
        statistics::{Ratio, order},
    },
    is_of, subjects, trials,
    words::{self, bounds, join, percent, times},
};

/// Why a difference isn't settled.
const TOO_FEW: &str = " (too few rounds)";

/// A scenario's comparisons with its baseline, figure by figure; what is said of triggers is said for all scenarios at
/// once, and what of balance in sentences of its own.
pub fn sentence(results: &Results, note: &ScenarioNote) -> Option<String> {
    let is_told_elsewhere = |figure: &str| note.group == "accept" && words::is_balance(figure);
    let told = note.figures.iter().filter(|figure| !is_told_elsewhere(figure));
    let mut clauses: Vec<String> = told.filter_map(|figure| clause(results, note, figure)).collect();
    if let Some(overloads) = overloads(results, note) {
        clauses.insert(clauses.len().min(1), overloads);
    }
    // Said once, it holds for all that follows.
    for clause in clauses.iter_mut().filter(|clause| clause.contains(TOO_FEW)).skip(1) {
        *clause = clause.replace(TOO_FEW, "");
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
        let names: Vec<_> = said.alike.iter().map(|part| part.name.clone()).collect();
        format!("no difference seen in {}, {}", join(&names), within(all.iter().filter_map(|it| it.ratio)))
    } else {
        said.clauses(&[]).join("; ")
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
    let said = Said::of(&all, &|comparison| comparison.mode.clone(), &|comparison| {
        words::is_latency(figure) && is_overloaded(results, note, comparison)
    });
    if said.is_all_alike() {
        let all = all.iter().filter_map(|comparison| comparison.ratio);
        return Some(format!("no difference seen in {name}, {}", within(all)));
    }
    let clauses = said.clauses(note.sweep.as_deref().unwrap_or_default());
    (!clauses.is_empty()).then(|| format!("{name} is {}", clauses.join(", ")))
}

/// Comparisons by what they come to.
#[derive(Default)]
struct Said {
    higher: Vec<Part>,
    lower: Vec<Part>,
    alike: Vec<Part>,
    unsettled: Vec<Part>,
    /// Overloaded, and nothing to be said but that.
    void: usize,
}

/// What comes out one way in one mode: in a sweep, at these of its steps.
struct Part {
    name: String,
    steps: Vec<f64>,
    ratios: Vec<Ratio>,
    /// Ratios of what was overloaded measure the length of the run, and aren't shown.
    is_void: bool,
}

impl Said {
    fn of(
        all: &[&Comparison],
        named: &dyn Fn(&Comparison) -> String,
        is_void: &dyn Fn(&Comparison) -> bool,
    ) -> Self {
        let mut said = Self::default();
        for comparison in all {
            let Some(ratio) = comparison.ratio else { continue };
            let (name, is_void) = (named(comparison), is_void(comparison));
            let parts = match (comparison.call, is_void) {
                (Call::Higher, _) => &mut said.higher,
                (Call::Lower, _) => &mut said.lower,
                (Call::NoDifferenceSeen, false) => &mut said.alike,
                (Call::TooFewRounds, false) => &mut said.unsettled,
                (_, true) => {
                    said.void += 1;
                    continue;
                }
            };
            let known = parts.iter().position(|part| part.name == name && part.is_void == is_void);
            let at = known.unwrap_or_else(|| {
                parts.push(Part { name, steps: Vec::new(), ratios: Vec::new(), is_void });
                parts.len() - 1
            });
            parts[at].steps.extend(comparison.step);
            parts[at].ratios.push(ratio);
        }
        said
    }

    fn is_all_alike(&self) -> bool {
        let others = self.higher.len() + self.lower.len() + self.unsettled.len() + self.void;
        others == 0 && !self.alike.is_empty()
    }

    /// `all` are the steps of a sweep.
    fn clauses(&self, all: &[f64]) -> Vec<String> {
        let clause = |word: &str, parts: &[Part], factors: fn(&[Ratio]) -> String| {
            let each = parts.iter().map(|part| part.text(all, factors)).collect::<Vec<_>>();
            (!each.is_empty()).then(|| format!("{word} {}", join(&each)))
        };
        [
            clause("higher in", &self.higher, estimates),
            clause("lower in", &self.lower, estimates),
            clause("no difference seen for", &self.alike, |ratios| match ratios {
                [_] => estimates(ratios),
                several => format!(" ({})", within(several.iter().copied())),
            }),
            self.undecided(all),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Without intervals, those that are alike can be told at once.
    fn undecided(&self, all: &[f64]) -> Option<String> {
        let mut groups: Vec<(String, Vec<String>)> = Vec::new();
        for part in &self.unsettled {
            let factors = format!("{} {}", steps(&part.steps, all), span(&part.ratios));
            match groups.iter_mut().find(|(known, _)| *known == factors) {
                Some((_, names)) => names.push(part.name.clone()),
                None => groups.push((factors, vec![part.name.clone()])),
            }
        }
        let told = |(factors, names): &(String, Vec<String>)| {
            let each = if names.len() > 1 { " each" } else { "" };
            format!("{}{factors}{each}", join(names))
        };
        let told: Vec<String> = groups.iter().map(told).collect();
        (!told.is_empty()).then(|| format!("not settled{TOO_FEW}: {}", join(&told)))
    }
}

impl Part {
    fn text(&self, all: &[f64], factors: fn(&[Ratio]) -> String) -> String {
        let factors = if self.is_void { " (OVERLOADED)".to_owned() } else { factors(&self.ratios) };
        format!("{}{}{factors}", self.name, steps(&self.steps, all))
    }
}

/// ` at every step`, ` from 2000 on`, ` up to 800`, ` at 400 and 2000`.
fn steps(these: &[f64], all: &[f64]) -> String {
    match these {
        [] => String::new(),
        _ if these == all && all.len() > 1 => " at every step".to_owned(),
        [first, _, ..] if all.ends_with(these) => format!(" from {first} on"),
        [_, .., last] if all.starts_with(these) => format!(" up to {last}"),
        _ => format!(" at {}", join(&these.iter().map(f64::to_string).collect::<Vec<_>>())),
    }
}

/// ` (×0.50 [0.41, 0.62])` of one, ` (×0.50 to ×0.71)` of several.
fn estimates(ratios: &[Ratio]) -> String {
    match ratios {
        [ratio] => format!(" ({} {})", times(ratio.estimate), bounds(ratio.low, ratio.high)),
        several => format!(" ({})", span(several)),
    }
}

/// From the lowest estimate to the highest.
fn span(ratios: &[Ratio]) -> String {
    let estimates = || ratios.iter().map(|ratio| ratio.estimate);
    let (low, high) = (estimates().fold(f64::INFINITY, f64::min), estimates().fold(0.0, f64::max));
    let (low, high) = (times(low), times(high));
    if low == high { low } else { format!("{low} to {high}") }
}

/// Between which factors all of these differences may still lie.
fn within(ratios: impl Iterator<Item = Ratio>) -> String {
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
    let merged = |q| quantile(&raw::merged(own(), |raw| &raw.latency)?, q);
    if let Some(merged) = q.and_then(merged) {
        return Some(words::value(figure, merged as f64));
    }
    let values: Vec<f64> = own().filter_map(|trial| trial.figures.get(figure).copied()).collect();
    let (median, ..) = order::median_with_interval(&values)?;
    Some(words::value(figure, median))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_told_in_few_words() {
        let all = [400.0, 1200.0, 2000.0, 2600.0];
        let told = |these: &[f64]| steps(these, &all);
        assert_eq!(told(&all), " at every step");
        assert_eq!([told(&all[1..]), told(&all[..3])], [" from 1200 on", " up to 2000"]);
        assert_eq!([told(&all[3..]), told(&all[..1])], [" at 2600", " at 400"]);
        assert_eq!([told(&[400.0, 2000.0]), told(&[])], [" at 400 and 2000", ""]);
    }
}
