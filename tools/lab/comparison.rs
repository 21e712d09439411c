//! One mode against another, figure by figure: by how much they differ, and whether that may be said.
//!
//! Pairs are rounds: in a round every mode meets the same load (one seed), within a minute. Where a scenario's modes
//! are a full grid of accept modes and triggers, the one is compared over all values of the other, so that a pair
//! is a round with a trigger, or a round with an accept mode. A difference is only called one if
//!
//! - its p-value, adjusted by Holm for all comparisons of that figure in that scenario, is at most 0.05,
//! - its interval excludes 1, and
//! - its estimate lies outside what the baseline showed against itself (A/A) in the same rounds.
//!
//! Overloaded trials count: their latencies are worse, not unknown. So do trials with a tardy client or a disturbed
//! machine: a mode that burns the CPU does that to its own client.

use std::collections::BTreeMap;

use super::{
    results::{Call, Comparison, Results, ScenarioNote, Trial},
    statistics::{Paired, Ratio, Unpaired, holm},
    tail,
};

/// Of intervals.
const CONFIDENCE: f64 = 0.95;

/// What a p-value may be at most, adjusted, for a difference to be called one.
const LEVEL: f64 = 0.05;

/// Every comparison that the scenarios ask for: by scenario, figure, step and mode.
pub fn all(results: &Results) -> Vec<Comparison> {
    among(results, |_| true)
}

/// The same from some of the trials alone.
pub fn among(results: &Results, is_in: impl Fn(&Trial) -> bool) -> Vec<Comparison> {
    let of_scenario = |note: &ScenarioNote| {
        let trials = results.trials.iter().filter(|trial| trial.scenario == note.name && is_in(trial));
        let runs = Runs::new(trials, results.seed);
        note.figures.iter().flat_map(|figure| family(note, figure, &runs)).collect::<Vec<_>>()
    };
    results.scenarios.iter().flat_map(of_scenario).collect()
}

/// How many rounds it takes at least to call a difference, where so many comparisons are made of a figure and each
/// round gives so many pairs.
pub fn rounds_needed(comparisons: usize, pairs_a_round: usize) -> usize {
    let settles = |rounds: usize| can_settle(Paired::p_value_min(rounds * pairs_a_round.max(1)), comparisons);
    (1..=1_000).find(|&rounds| settles(rounds)).unwrap_or(1_000)
}

/// The modes that `old` and `new` have in common, the second run against the first. These runs have no pairs, and no
/// A/A between them: what changed on the machine meanwhile is in the difference.
pub fn between(old: &Results, new: &Results) -> Vec<Comparison> {
    let shared = |note: &&ScenarioNote| old.scenarios.iter().any(|other| other.name == note.name);
    let families = new.scenarios.iter().filter(shared).flat_map(|note| {
        note.figures.iter().map(|figure| {
            let subjects =
                note.steps().into_iter().flat_map(|step| note.modes.iter().map(move |mode| (step, mode)));
            let found = subjects.filter_map(|(step, mode)| {
                let values = |results: &Results| values(results, note, step, mode, figure);
                let found = Unpaired::of(&values(old), &values(new), CONFIDENCE)?;
                let p_value_min = Unpaired::p_value_min(values(old).len(), values(new).len());
                let found =
                    Found { pairs: found.runs, ratio: found.ratio, p_value: found.p_value, p_value_min };
                // Without an A/A row nothing is beyond noise but what is beyond no difference.
                Some((comparison(note, step, figure, mode, "the first run"), Some(found), Some(Ratio::NONE)))
            });
            found.collect()
        })
    });
    families.flat_map(concluded).map(|comparison| Comparison { noise: None, ..comparison }).collect()
}

fn values(results: &Results, note: &ScenarioNote, step: Option<f64>, mode: &str, figure: &str) -> Vec<f64> {
    let is_asked_for = |trial: &&Trial| {
        trial.scenario == note.name && trial.mode == mode && !trial.twin && trial.step == step
    };
    results
        .trials
        .iter()
        .filter(is_asked_for)
        .filter_map(|trial| trial.figures.get(figure).copied())
        .collect()
}

impl ScenarioNote {
    /// The values that were swept, or one step without any.
    pub fn steps(&self) -> Vec<Option<f64>> {
        self.sweep.as_ref().map_or_else(|| vec![None], |values| values.iter().copied().map(Some).collect())
    }

    /// The accept modes and the triggers, where the modes are every combination of both; the first of each is what the
    /// others are compared with.
    pub fn grid(&self) -> Option<(Vec<&str>, Vec<&str>)> {
        let (mut accepts, mut triggers) = (Vec::new(), Vec::new());
        for mode in &self.modes {
            let (accept, trigger) = mode.split_once('/')?;
            if trigger.contains(['/', '+']) {
                return None;
            }
            if !accepts.contains(&accept) {
                accepts.push(accept);
            }
            if !triggers.contains(&trigger) {
                triggers.push(trigger);
            }
        }
        let is_full = accepts.len() * triggers.len() == self.modes.len();
        (is_full && accepts.len() > 1 && triggers.len() > 1).then_some((accepts, triggers))
    }
}

impl Ratio {
    /// No difference, known exactly.
    const NONE: Self = Self { estimate: 1.0, low: 1.0, high: 1.0, confidence: 1.0 };
}

/// What is compared with what, and by which pairs.
struct Contrast {
    mode: String,
    against: String,
    pairs: Vec<(Side, Side)>,
}

/// The trials of one mode; those of its A/A twin are another side.
#[derive(Clone)]
struct Side {
    mode: String,
    is_twin: bool,
}

impl Side {
    fn of(mode: impl Into<String>) -> Self {
        Self { mode: mode.into(), is_twin: false }
    }
}

fn contrasts(note: &ScenarioNote) -> Vec<Contrast> {
    if let Some((accepts, triggers)) = note.grid() {
        let side = |accept: &str, trigger: &str| Side::of(format!("{accept}/{trigger}"));
        let by_accept = accepts[1..].iter().map(|accept| Contrast {
            mode: (*accept).to_owned(),
            against: accepts[0].to_owned(),
            pairs: triggers.iter().map(|it| (side(accepts[0], it), side(accept, it))).collect(),
        });
        let by_trigger = triggers[1..].iter().map(|trigger| Contrast {
            mode: (*trigger).to_owned(),
            against: triggers[0].to_owned(),
            pairs: accepts.iter().map(|it| (side(it, triggers[0]), side(it, trigger))).collect(),
        });
        return by_accept.chain(by_trigger).collect();
    }
    let Some((baseline, others)) = note.modes.split_first() else { return Vec::new() };
    let contrast = |mode: &String| Contrast {
        mode: mode.clone(),
        against: baseline.clone(),
        pairs: vec![(Side::of(baseline), Side::of(mode))],
    };
    others.iter().map(contrast).collect()
}

/// The baseline against itself.
fn a_against_a(note: &ScenarioNote) -> Contrast {
    let baselines: Vec<&String> = match note.grid() {
        Some((accepts, _)) => {
            let is_first =
                |mode: &&String| mode.split_once('/').is_some_and(|(accept, _)| accept == accepts[0]);
            note.modes.iter().filter(is_first).collect()
        }
        None => note.modes.iter().take(1).collect(),
    };
    let pair = |mode: &&String| (Side::of(*mode), Side { mode: (*mode).clone(), is_twin: true });
    Contrast { mode: String::new(), against: String::new(), pairs: baselines.iter().map(pair).collect() }
}

/// The trials of one scenario, by what they are of.
struct Runs<'a> {
    /// By mode, twin, round, and the bits of the step.
    trials: BTreeMap<(&'a str, bool, usize, Option<u64>), &'a Trial>,
    rounds: usize,
    seed: u64,
}

impl<'a> Runs<'a> {
    fn new(trials: impl Iterator<Item = &'a Trial>, seed: u64) -> Self {
        let key =
            |trial: &'a Trial| (trial.mode.as_str(), trial.twin, trial.round, trial.step.map(f64::to_bits));
        let trials: BTreeMap<_, _> = trials.map(|trial| (key(trial), trial)).collect();
        let rounds = trials.keys().map(|key| key.2 + 1).max().unwrap_or(0);
        Self { trials, rounds, seed }
    }

    fn trial(&self, side: &Side, round: usize, step: Option<f64>) -> Option<&'a Trial> {
        self.trials.get(&(side.mode.as_str(), side.is_twin, round, step.map(f64::to_bits))).copied()
    }

    /// The pairs of trials of each round that has any.
    fn pairs(&self, contrast: &Contrast, step: Option<f64>) -> Vec<Vec<(&'a Trial, &'a Trial)>> {
        let of_round = |round| {
            let both =
                |(a, b): &(Side, Side)| Some((self.trial(a, round, step)?, self.trial(b, round, step)?));
            contrast.pairs.iter().filter_map(both).collect::<Vec<_>>()
        };
        (0..self.rounds).map(of_round).filter(|pairs| !pairs.is_empty()).collect()
    }

    /// By ranks, where the trials have the figure; for a quantile that only all rounds together have, by bootstrap.
    fn find(&self, contrast: &Contrast, figure: &str, step: Option<f64>) -> Option<Found> {
        let rounds = self.pairs(contrast, step);
        let figures = |(a, b): &(&Trial, &Trial)| Some((*a.figures.get(figure)?, *b.figures.get(figure)?));
        let pairs: Vec<(f64, f64)> = rounds.iter().flatten().filter_map(figures).collect();
        match Paired::of(&pairs, CONFIDENCE) {
            Some(found) => Some(Found {
                pairs: found.pairs,
                ratio: found.ratio,
                p_value: found.p_value,
                p_value_min: Paired::p_value_min(found.pairs),
            }),
            None => tail::ratio(figure, &rounds, self.seed).map(|found| Found {
                pairs: rounds.iter().map(Vec::len).sum(),
                ratio: found.ratio,
                p_value: found.p_value,
                p_value_min: 0.0,
            }),
        }
    }
}

struct Found {
    pairs: usize,
    ratio: Ratio,
    p_value: f64,
    /// The smallest that so many pairs could have.
    p_value_min: f64,
}

/// All comparisons of a figure in a scenario.
fn family(note: &ScenarioNote, figure: &str, runs: &Runs<'_>) -> Vec<Comparison> {
    let (contrasts, twin) = (contrasts(note), a_against_a(note));
    let of_step = |step: Option<f64>| {
        let noise = runs.find(&twin, figure, step).map(|found| found.ratio);
        let of_contrast = |contrast: &Contrast| {
            let comparison = comparison(note, step, figure, &contrast.mode, &contrast.against);
            (comparison, runs.find(contrast, figure, step), noise)
        };
        contrasts.iter().map(of_contrast).collect::<Vec<_>>()
    };
    concluded(note.steps().into_iter().flat_map(of_step).collect())
}

/// A comparison of which nothing is known yet.
fn comparison(note: &ScenarioNote, step: Option<f64>, figure: &str, mode: &str, against: &str) -> Comparison {
    Comparison {
        scenario: note.name.clone(),
        step,
        figure: figure.to_owned(),
        mode: mode.to_owned(),
        against: against.to_owned(),
        pairs: 0,
        ratio: None,
        p_value: None,
        p_holm: None,
        noise: None,
        call: Call::TooFewRounds,
    }
}

/// One family: what was found, what the baseline showed against itself, and what may be said.
fn concluded(family: Vec<(Comparison, Option<Found>, Option<Ratio>)>) -> Vec<Comparison> {
    let p_values: Vec<f64> =
        family.iter().filter_map(|(_, found, _)| Some(found.as_ref()?.p_value)).collect();
    let mut adjusted = holm::adjusted(&p_values).into_iter();
    let conclude = |(comparison, found, noise): (Comparison, Option<Found>, Option<Ratio>)| {
        let Some(found) = found else { return Comparison { noise, ..comparison } };
        let p_holm = adjusted.next().unwrap_or(1.0);
        let call = match noise {
            Some(noise) if can_settle(found.p_value_min, p_values.len()) => {
                call(&found.ratio, p_holm, &noise)
            }
            _ => Call::TooFewRounds,
        };
        Comparison {
            pairs: found.pairs,
            ratio: Some(found.ratio),
            p_value: Some(found.p_value),
            p_holm: Some(p_holm),
            noise,
            call,
            ..comparison
        }
    };
    family.into_iter().map(conclude).collect()
}

/// Whether even the clearest difference could pass.
fn can_settle(p_value_min: f64, comparisons: usize) -> bool {
    p_value_min * comparisons as f64 <= LEVEL
}

fn call(ratio: &Ratio, p_holm: f64, noise: &Ratio) -> Call {
    if p_holm > LEVEL || ratio.covers(1.0) || noise.covers(ratio.estimate) {
        Call::NoDifferenceSeen
    } else if ratio.estimate < 1.0 {
        Call::Lower
    } else {
        Call::Higher
    }
}

#[cfg(test)]
mod tests;
