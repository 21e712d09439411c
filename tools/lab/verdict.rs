//! What a run shows, in plain sentences made from its figures.
//!
//! Rules: a spread is called better or worse than chance by the dispersion test over all rounds. A latency
//! is called lower or higher than the baseline's only if every run of the one lies beyond every run of the
//! other, and so clean a split would be rare by luck (`statistics::order`); all else is 'no difference
//! seen'. A run that was overloaded counts in that: its p99 would only have grown with a longer run. Nothing
//! is claimed that the trials don't hold.

use evenkeel::{
    config::{AcceptMode, Trigger},
    measure::balance::{Balance, Verdict as Balanced},
};

use super::{
    mode::Mode,
    results::{LoadFigures, Results, Verdict},
    scenario::{self, Scenario},
    statistics::{Paired, Ratio, Unpaired, extremes},
    summary::Summary,
};

/// Of the interval between triggers. Two figures are compared in every run, and there is no twin of the
/// baseline yet that would show the noise: at 95 % each tenth run would see a difference that isn't there.
const TRIGGER_CONFIDENCE: f64 = 0.99;

/// All sentences about a run; none about what it did not do.
pub fn all(results: &Results) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let mut say = |about, text: Option<String>| verdicts.extend(text.map(|text| Verdict { about, text }));
    let spreads = spreads(results);
    say("packed", packed(&spreads));
    say("even", even(&spreads));
    say("chance", chance(&spreads));
    say("herd", herd(results));
    for scenario in scenario::ALL.iter().filter(|scenario| scenario.has_load()) {
        say(scenario.name, tail(results, scenario));
    }
    say("triggers", triggers(results));
    verdicts
}

/// One line on whether the figures can be trusted at all: clients and server count the same.
pub fn agreement(results: &Results) -> Result<String, String> {
    let wrong: Vec<_> = results.trials.iter().filter(|trial| !trial.counts_agree).collect();
    let Some(first) = wrong.first() else {
        return Ok(format!(
            "Clients (--greet) and server reports agree on every worker's connections in all {} trials.",
            results.trials.len()
        ));
    };
    Err(format!(
        "WARNING: clients and server DISAGREE in {} of {} trials; do not trust these figures. First: {} {} round {}: \
         clients saw {:?}, the server reports {:?}.",
        wrong.len(),
        results.trials.len(),
        first.scenario,
        first.mode,
        first.round,
        first.per_worker,
        first.per_worker_reported
    ))
}

/// How a mode, or both triggers of an accept mode where they come out alike, spread spaced connections.
struct Spread {
    name: String,
    balance: Balance,
    verdict: Balanced,
}

fn spreads(results: &Results) -> Vec<Spread> {
    let of = |name: String, belongs: &dyn Fn(&str) -> bool| {
        let balance = Summary::of(results, scenario::ALL[0].name, belongs).balance()?;
        let verdict = balance.verdict?;
        Some(Spread { name, balance, verdict })
    };
    let mut spreads = Vec::new();
    for accept in accepts(results) {
        let twins: Vec<_> = names(results, accept)
            .into_iter()
            .filter_map(|name| of(name.clone(), &|mode: &str| mode == name))
            .collect();
        if twins.windows(2).all(|pair| pair[0].verdict == pair[1].verdict) {
            spreads.extend(of(accept.name().to_owned(), &|mode: &str| is_of(mode, accept)));
        } else {
            spreads.extend(twins);
        }
    }
    spreads
}

fn packed(spreads: &[Spread]) -> Option<String> {
    let each = listed(spreads, Balanced::WorseThanChance, |spread| {
        let share = spread.balance.max_over_mean / spread.balance.per_worker.len() as f64;
        format!("{} ({} to one worker)", spread.name, percent(share))
    })?;
    let workers = spreads.first()?.balance.per_worker.len();
    Some(format!("Packed, worse than chance: {each}; even would be {}.", percent(1.0 / workers as f64)))
}

fn even(spreads: &[Spread]) -> Option<String> {
    let each = listed(spreads, Balanced::BetterThanChance, |spread| {
        format!(
            "{} (the fullest worker had {} above its share)",
            spread.name,
            percent(spread.balance.max_over_mean - 1.0)
        )
    })?;
    Some(format!("Even, better than chance: {each}."))
}

fn chance(spreads: &[Spread]) -> Option<String> {
    let each = listed(spreads, Balanced::ByChance, |spread| {
        let over = percent(spread.balance.max_over_mean - 1.0);
        format!(
            "{} (dispersion {:.2}, fullest worker {over} above its share)",
            spread.name, spread.balance.dispersion
        )
    })?;
    Some(format!("As chance gives, where dispersion is 1 on average: {each}."))
}

fn listed(spreads: &[Spread], verdict: Balanced, one: impl Fn(&Spread) -> String) -> Option<String> {
    let each: Vec<_> = spreads.iter().filter(|spread| spread.verdict == verdict).map(one).collect();
    (!each.is_empty()).then(|| join(&each))
}

/// Where several workers wake for one connection, their context switches tell.
fn herd(results: &Results) -> Option<String> {
    let cost = |accept| {
        Summary::of(results, scenario::ALL[0].name, |mode| is_of(mode, accept)).switches_per_accept()
    };
    let costs: Vec<(AcceptMode, f64)> =
        accepts(results).into_iter().filter_map(|accept| Some((accept, cost(accept)?))).collect();
    let (lowest, most) =
        (costs.iter().min_by(|a, b| a.1.total_cmp(&b.1))?, costs.iter().max_by(|a, b| a.1.total_cmp(&b.1))?);
    // Below this, it's the acceptor's hand-over or the noise of the start, not a herd.
    if most.1 < 1.25 * lowest.1 {
        return None;
    }
    let each: Vec<_> = costs.iter().map(|(accept, cost)| format!("{accept} {cost:.1}")).collect();
    Some(format!("Context switches per accept: {}; {} costs most.", each.join(", "), most.0))
}

/// Who pays in the tail, against the baseline: the accept mode of the first mode listed.
fn tail(results: &Results, scenario: &Scenario) -> Option<String> {
    let (&base, others) = accepts(results).split_first().map(|(base, others)| (base, others.to_vec()))?;
    let runs = |accept| Summary::of(results, scenario.name, |mode| is_of(mode, accept));
    let base_p99s_ns = runs(base).p99s_ns();
    let (mut clauses, mut unsettled, mut overloaded) = (Vec::new(), Vec::new(), Vec::new());
    overloaded.extend(overload(base, &runs(base)));
    for accept in others {
        let p99s_ns = runs(accept).p99s_ns();
        let Some(range) = range_ms(&p99s_ns) else { continue };
        match order(&p99s_ns, &base_p99s_ns) {
            Order::Below => clauses.push(format!("{accept} is lower in every run ({range})")),
            Order::Above => clauses.push(format!("{accept} is higher in every run ({range})")),
            Order::Unsettled => unsettled.push(format!("{accept} ({range})")),
        }
        overloaded.extend(overload(accept, &runs(accept)));
    }
    if !unsettled.is_empty() {
        clauses.push(format!("no difference seen for {}", join(&unsettled)));
    }
    if !overloaded.is_empty() {
        clauses.push(format!("OVERLOADED: {}", join(&overloaded)));
    }
    let base_range = range_ms(&base_p99s_ns)?;
    let few = match Unpaired::p_value_min(base_p99s_ns.len(), base_p99s_ns.len()) {
        luck if luck > 0.05 => " (too few runs to settle anything)",
        _ => "",
    };
    (!clauses.is_empty()).then(|| {
        let heading = scenario.heading();
        format!("Tail at {heading}: p99, beside {base} with {base_range}{few}: {}.", clauses.join("; "))
    })
}

fn overload(accept: AcceptMode, summary: &Summary) -> Option<String> {
    let share = summary.overload()?;
    let (all, over) = (summary.loads().count(), summary.loads().filter(|load| load.overloaded).count());
    Some(format!("{accept} in {over} of {all} runs (at worst {} of the load was answered)", percent(share)))
}

/// Level against edge: each accept mode and round is a pair under the same load, so there is an interval.
fn triggers(results: &Results) -> Option<String> {
    let p99 = trigger_ratio(results, |load| load.p99_ns.map(|p99_ns| p99_ns as f64))?;
    let cost = trigger_ratio(results, |load| Some(load.cpu_ns_per_message).filter(|&cost| cost > 0.0))?;
    let differ = |ratio: &Ratio| ratio.low > 1.0 || ratio.high < 1.0;
    let verdict = match (differ(&p99), differ(&cost)) {
        (false, false) => "no difference seen",
        (true, false) => "p99 differs, CPU doesn't",
        (false, true) => "CPU differs, p99 doesn't",
        (true, true) => "both differ",
    };
    Some(format!(
        "Edge against level: p99 {}, CPU per message {} ({:.0} % intervals over paired runs that kept up): {verdict}.",
        interval(&p99),
        interval(&cost),
        p99.confidence.min(cost.confidence) * 100.0
    ))
}

fn trigger_ratio(results: &Results, figure: impl Fn(&LoadFigures) -> Option<f64>) -> Option<Ratio> {
    let kept_up = |load: &&LoadFigures| !load.overloaded;
    let mut pairs = Vec::new();
    for level in results.trials.iter().filter(|trial| trigger_of(&trial.mode) == Some(Trigger::Level)) {
        let twin = results.trials.iter().find(|edge| {
            edge.scenario == level.scenario
                && edge.round == level.round
                && trigger_of(&edge.mode) == Some(Trigger::Edge)
                && accept_of(&edge.mode) == accept_of(&level.mode)
        });
        let load_of = |load: Option<&LoadFigures>| load.filter(kept_up).and_then(&figure);
        let twin_load = twin.and_then(|twin| twin.load.as_ref());
        pairs.extend(load_of(level.load.as_ref()).zip(load_of(twin_load)));
    }
    Paired::of(&pairs, TRIGGER_CONFIDENCE)
        .map(|found| found.ratio)
        .filter(|ratio| ratio.confidence >= TRIGGER_CONFIDENCE)
}

fn interval(ratio: &Ratio) -> String {
    format!("×{:.2} [{:.2}, {:.2}]", ratio.estimate, ratio.low, ratio.high)
}

/// The accept modes of a run, in the order of its modes.
fn accepts(results: &Results) -> Vec<AcceptMode> {
    let mut accepts = Vec::new();
    for accept in results.modes.iter().filter_map(|mode| accept_of(mode)) {
        if !accepts.contains(&accept) {
            accepts.push(accept);
        }
    }
    accepts
}

fn names(results: &Results, accept: AcceptMode) -> Vec<String> {
    results.modes.iter().filter(|mode| is_of(mode, accept)).cloned().collect()
}

fn is_of(mode: &str, accept: AcceptMode) -> bool {
    accept_of(mode) == Some(accept)
}

fn accept_of(mode: &str) -> Option<AcceptMode> {
    mode.parse::<Mode>().ok().map(|mode| mode.accept)
}

fn trigger_of(mode: &str) -> Option<Trigger> {
    mode.parse::<Mode>().ok().map(|mode| mode.trigger)
}

/// How two modes' runs lie to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// Every run of the first lies below every run of the second, more surely than luck would have it.
    Below,
    /// The other way round.
    Above,
    /// They overlap, or there are too few of them.
    Unsettled,
}

/// Compares the runs of two modes: settled only if they don't overlap at all, and if so clean a split of
/// equal runs would come about at most once in twenty times (Mann–Whitney's extreme case; 4 against 4 runs:
/// once in 35).
fn order(a: &[f64], b: &[f64]) -> Order {
    if Unpaired::p_value_min(a.len(), b.len()) > 0.05 {
        return Order::Unsettled;
    }
    match (extremes(a), extremes(b)) {
        ((_, a_max), (b_min, _)) if a_max < b_min => Order::Below,
        ((a_min, _), (_, b_max)) if a_min > b_max => Order::Above,
        _ => Order::Unsettled,
    }
}

fn range_ms(values_ns: &[f64]) -> Option<String> {
    let (low, high) = extremes(values_ns);
    let ms = |nanos: f64| super::table::millis(Some(nanos as u64));
    (!values_ns.is_empty()).then(|| format!("{} to {} ms", ms(low), ms(high)))
}

/// A share as a person would say it: `100 %`, `37 %`, `0.4 %`.
fn percent(share: f64) -> String {
    match share * 100.0 {
        p if p < 0.05 => "0 %".into(),
        p if p < 9.95 => format!("{p:.1} %"),
        p => format!("{p:.0} %"),
    }
}

/// `a`, `a and b`, `a, b and c`.
fn join(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn text<'a>(verdicts: &'a [Verdict], about: &str) -> &'a str {
        verdicts.iter().find(|verdict| verdict.about == about).map_or("", |verdict| &verdict.text)
    }

    #[test]
    fn each_mode_is_called_what_its_counts_are() {
        let verdicts = all(&fixture::results());
        assert!(text(&verdicts, "packed").contains("exclusive (100 % to one worker)"));
        assert!(text(&verdicts, "even").contains("rotate (the fullest worker had 0 % above its share)"));
        assert!(text(&verdicts, "chance").contains("private (dispersion 0."));
        assert!(text(&verdicts, "herd").ends_with("shared costs most."));
    }

    #[test]
    fn a_clean_split_is_told_and_an_overlap_is_not() {
        let verdicts = all(&fixture::results());
        let light = text(&verdicts, "light");
        assert!(light.contains("exclusive is higher in every run"), "{light}");
        assert!(light.contains("no difference seen for shared") && light.contains("rotate"), "{light}");
        let busy = text(&verdicts, "busy");
        assert!(busy.contains("OVERLOADED: exclusive in 4 of 4 runs (at worst 38 % of"), "{busy}");
        assert!(
            text(&verdicts, "triggers").ends_with("no difference seen."),
            "{}",
            text(&verdicts, "triggers")
        );
    }

    #[test]
    fn one_round_settles_nothing() {
        let mut results = fixture::results();
        results.trials.retain(|trial| trial.round == 0);
        let verdicts = all(&results);
        let light = text(&verdicts, "light");
        assert!(light.contains("no difference seen for") && light.contains("too few runs"), "{light}");
        assert!(!light.contains("in every run"), "{light}");
    }

    #[test]
    fn a_run_that_did_nothing_says_nothing() {
        let mut results = fixture::results();
        results.trials.clear();
        assert_eq!(all(&results), []);
    }

    #[test]
    fn a_disagreement_is_loud() {
        let mut results = fixture::results();
        assert!(agreement(&results).is_ok());
        results.trials[3].counts_agree = false;
        let warning = agreement(&results).unwrap_err();
        assert!(warning.starts_with("WARNING") && warning.contains("DISAGREE in 1 of"), "{warning}");
    }

    #[test]
    fn lists_read_like_sentences() {
        let parts = ["a", "b", "c"].map(str::to_owned);
        assert_eq!([join(&parts[..1]), join(&parts[..2]), join(&parts)], ["a", "a and b", "a, b and c"]);
        assert_eq!([0.0, 0.004, 0.25, 1.0].map(percent), ["0 %", "0.4 %", "25 %", "100 %"]);
    }
}
