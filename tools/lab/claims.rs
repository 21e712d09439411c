//! What a scenario claims about its modes, put to the test by each run of it.
//!
//! A claim about one mode is judged by the median over rounds; one about a mode beside another by the ratio, round by
//! round, as Hodges and Lehmann estimate it. The bounds in the scenario's file are wide enough that noise doesn't
//! decide, so that a claim that fails is news.

use super::{
    results::{ClaimResult, Results, ScenarioNote, Trial},
    scenario::Claim,
    statistics::{Paired, order},
};

/// Every claim of the scenarios that were run, in their order.
pub fn all(results: &Results) -> Vec<ClaimResult> {
    let of_scenario = |note: &ScenarioNote| {
        let trials: Vec<&Trial> =
            results.trials.iter().filter(|trial| trial.scenario == note.name && !trial.twin).collect();
        note.claims.iter().map(|claim| judged(claim, &note.name, &trials)).collect::<Vec<_>>()
    };
    results.scenarios.iter().flat_map(of_scenario).collect()
}

fn judged(claim: &Claim, scenario: &str, trials: &[&Trial]) -> ClaimResult {
    let value = match &claim.over {
        None => order::median_with_interval(&values(claim, trials)).map(|(median, ..)| median),
        Some(over) => Paired::of(&pairs(claim, over, trials), 0.95).map(|found| found.ratio.estimate),
    };
    // Half the rounding of a figure, so that 'at least 1' holds for three times a third.
    let slack = |bound: f64| bound.abs() * 1e-9;
    let is_within = |value: f64| {
        claim.at_least.is_none_or(|least| value >= least - slack(least))
            && claim.at_most.is_none_or(|most| value <= most + slack(most))
    };
    ClaimResult {
        scenario: scenario.to_owned(),
        says: claim.says.clone(),
        figure: claim.figure.clone(),
        of: claim.of.clone(),
        over: claim.over.clone(),
        value,
        at_least: claim.at_least,
        at_most: claim.at_most,
        holds: value.map(is_within),
    }
}

fn values(claim: &Claim, trials: &[&Trial]) -> Vec<f64> {
    let of = trials.iter().filter(|trial| trial.mode == claim.of);
    of.filter_map(|trial| trial.figures.get(&claim.figure).copied()).collect()
}

/// Of each round and step that has both modes.
fn pairs(claim: &Claim, over: &str, trials: &[&Trial]) -> Vec<(f64, f64)> {
    let figure = |trial: &Trial| trial.figures.get(&claim.figure).copied();
    let partner = |of: &&&Trial| {
        let is_partner =
            |other: &&&Trial| other.mode == over && other.round == of.round && other.step == of.step;
        trials.iter().find(is_partner).and_then(|other| Some((figure(other)?, figure(of)?)))
    };
    trials.iter().filter(|trial| trial.mode == claim.of).filter_map(|of| partner(&of)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{note, run, trial};

    fn claim(over: Option<&str>, at_least: Option<f64>, at_most: Option<f64>) -> Claim {
        Claim {
            says: "It packs.".into(),
            figure: "max_over_mean".into(),
            of: "exclusive/edge".into(),
            over: over.map(str::to_owned),
            at_least,
            at_most,
        }
    }

    /// Max/mean of `exclusive/edge` is 3.0, 3.2, 3.4, that of `private/edge` 1.0, 1.6, 0.85.
    fn results(claims: Vec<Claim>) -> Results {
        let mut results = run();
        let mut note = note("trickle", &["private/edge", "exclusive/edge"], &[]);
        note.claims = claims;
        results.scenarios = vec![note];
        for (round, (base, packed)) in [(1.0, 3.0), (1.6, 3.2), (0.85, 3.4)].into_iter().enumerate() {
            let trial = |mode: &str, value| trial("trickle", mode, round).with("max_over_mean", value);
            // Twins come first here: who takes any trial of the mode takes these.
            results.trials.extend(["private/edge", "exclusive/edge"].map(|mode| trial(mode, 99.0).twin()));
            results.trials.push(trial("private/edge", base));
            results.trials.push(trial("exclusive/edge", packed));
        }
        results
    }

    #[test]
    fn a_value_is_judged_by_its_median() {
        let bounds = [(Some(3.2), None), (Some(3.3), None), (None, Some(3.1)), (Some(3.0), Some(3.4))];
        let found = all(&results(bounds.map(|(least, most)| claim(None, least, most)).to_vec()));
        assert_eq!(found.iter().map(|it| it.holds).collect::<Vec<_>>(), [true, false, false, true].map(Some));
        assert_eq!(found[0].value, Some(3.2));
    }

    #[test]
    fn a_ratio_is_judged_round_by_round() {
        // Ratios 3, 2, 4: the median of their Walsh averages is √(3·3) = 3, or between √8 and √12.
        let found = all(&results(vec![claim(Some("private/edge"), Some(2.9), Some(3.1))]));
        assert_eq!(found[0].holds, Some(true), "{found:?}");
    }

    #[test]
    fn what_was_not_run_is_not_judged() {
        let mut results =
            results(vec![claim(None, Some(1.0), None), claim(Some("private/edge"), Some(1.0), None)]);
        results.trials.retain(|trial| trial.mode == "private/edge");
        let found = all(&results);
        assert!(found.iter().all(|it| it.holds.is_none() && it.value.is_none()) && found.len() == 2);
    }

    #[test]
    fn a_bound_that_is_met_exactly_is_met() {
        let mut results = results(vec![claim(None, Some(1.0), None)]);
        for trial in &mut results.trials {
            trial.figures.insert("max_over_mean".into(), (0.1 + 0.2) / 0.3 - 1e-15);
        }
        assert_eq!(all(&results)[0].holds, Some(true));
    }
}
