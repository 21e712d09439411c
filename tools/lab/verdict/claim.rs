//! Whether what the scenarios claim holds in this run.

use super::{
    super::results::{ClaimResult, Results, ScenarioNote},
    words::{self, count, join, times},
};

/// How many claims hold, and which don't; nothing where there is but one, which has its own sentence.
pub fn summary(results: &Results) -> Option<String> {
    let tested = results.claims.iter().filter(|claim| claim.holds.is_some()).count();
    if tested < 2 {
        return None;
    }
    let failed: Vec<_> = results.claims.iter().filter(|claim| claim.holds == Some(false)).collect();
    if failed.is_empty() {
        return Some(format!("Claims: all {tested} that the scenarios make hold."));
    }
    let mut names: Vec<String> = failed.iter().map(|claim| claim.scenario.clone()).collect();
    names.dedup();
    let which = join(&names);
    Some(format!("Claims: {} of {} DO NOT HOLD, in {which}.", failed.len(), count(tested, "claim")))
}

/// A sentence for each claim of a scenario that could be tested.
pub fn sentences(results: &Results, note: &ScenarioNote) -> Vec<String> {
    let own = results.claims.iter().filter(|claim| claim.scenario == note.name);
    own.filter_map(sentence).collect()
}

fn sentence(claim: &ClaimResult) -> Option<String> {
    let (holds, value) = (claim.holds?, claim.value?);
    let word = if holds { "Holds" } else { "DOES NOT HOLD" };
    let shown = |number: f64| match claim.over {
        Some(_) => times(number),
        None => words::value(&claim.figure, number),
    };
    let of = match &claim.over {
        Some(over) => format!("{} over {over}", claim.of),
        None => claim.of.clone(),
    };
    let bound = match (claim.at_least, claim.at_most) {
        (Some(least), Some(most)) => format!("{} to {}", shown(least), shown(most)),
        (Some(least), None) => format!("at least {}", shown(least)),
        (None, Some(most)) => format!("at most {}", shown(most)),
        (None, None) => "anything".to_owned(),
    };
    let says = claim.says.trim_end_matches('.');
    let figure = words::figure(&claim.figure);
    Some(format!("{word} ({}): {says} ({figure}, {of}: {}; claimed: {bound}).", claim.scenario, shown(value)))
}
