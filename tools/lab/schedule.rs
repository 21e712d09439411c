//! In which order the trials run: rounds one after the other, everything shuffled within a round.
//!
//! A machine drifts: it warms up, a neighbour wakes. Interleaved in random order, that hits all modes alike
//! and shows as spread between rounds instead of as a difference between modes. Everything is drawn from the
//! seed, so that a run which was interrupted can go on where it was.

use std::sync::Arc;

use super::{
    mode::Mode,
    scenario::{Part, Scenario},
    trial::Plan,
};

/// Every trial of a run, in order.
pub fn plan(parts: &[Part], cpus: usize, seed: u64) -> Vec<Plan> {
    let mut random = fastrand::Rng::with_seed(seed);
    let shared: Vec<Arc<Scenario>> = parts.iter().map(|part| Arc::new(part.scenario.clone())).collect();
    let rounds = parts.iter().map(|part| part.rounds).max().unwrap_or(0);
    let mut plans = Vec::new();
    for round in 0..rounds {
        let load_seed = random.u64(1..1 << 32);
        let in_round = parts.iter().zip(&shared).filter(|(part, _)| round < part.rounds);
        let mut fresh: Vec<Plan> =
            in_round.flat_map(|(_, scenario)| trials(scenario, round, load_seed, cpus)).collect();
        random.shuffle(&mut fresh);
        plans.extend(fresh);
    }
    plans.iter_mut().enumerate().for_each(|(order, plan)| plan.order = order);
    plans
}

/// The trials of a scenario in one round: each mode and the A/A twins, at each step.
fn trials(scenario: &Arc<Scenario>, round: usize, seed: u64, cpus: usize) -> Vec<Plan> {
    let modes = scenario.modes.iter().map(|mode| (mode, false));
    let modes = modes.chain(twins(&scenario.modes).into_iter().map(|mode| (mode, true)));
    let cores =
        if scenario.server.pin { rotated(cpus.min(scenario.server.workers), round) } else { Vec::new() };
    let plan = |mode: &Mode, twin: bool, step: Option<f64>| Plan {
        scenario: scenario.clone(),
        mode: mode.clone(),
        twin,
        step,
        round,
        order: 0,
        seed,
        cores: cores.clone(),
    };
    let steps = scenario.steps();
    modes
        .flat_map(|(mode, twin)| steps.iter().map(move |&step| (mode, twin, step)))
        .map(|(m, t, s)| plan(m, t, s))
        .collect()
}

/// What is run twice in each round: the baseline; in a full grid, the baseline's accept mode in each trigger.
fn twins(modes: &[Mode]) -> Vec<&Mode> {
    let Some(baseline) = modes.first() else { return Vec::new() };
    if is_grid(modes) {
        modes.iter().filter(|mode| mode.accept == baseline.accept).collect()
    } else {
        vec![baseline]
    }
}

/// Whether several accept modes are each there in the same several triggers, and in nothing else.
pub fn is_grid(modes: &[Mode]) -> bool {
    let distinct = |part: &dyn Fn(&Mode) -> String| {
        let mut parts: Vec<_> = modes.iter().map(part).collect();
        parts.sort_unstable();
        parts.dedup();
        parts.len()
    };
    let accepts = distinct(&|mode| mode.accept.to_string());
    let triggers = distinct(&|mode| mode.trigger.to_string());
    let rest = distinct(&|mode| format!("{} {:?}", mode.listen_trigger, mode.variant));
    rest == 1 && accepts > 1 && triggers > 1 && distinct(&Mode::to_string) == accepts * triggers
}

/// The first `count` cores, beginning with another one in each round.
fn rotated(count: usize, round: usize) -> Vec<usize> {
    (0..count).map(|core| (core + round) % count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{self, Suite};

    fn quick(seed: u64) -> Vec<Plan> {
        plan(&Suite::QUICK.parts(scenario::all(), Some(2)), 2, seed)
    }

    fn names(plans: &[Plan]) -> Vec<String> {
        plans.iter().map(|plan| format!("{} {} {}", plan.scenario.name, plan.mode, plan.twin)).collect()
    }

    #[test]
    fn each_round_has_each_trial_once_in_an_order_of_its_own() {
        let plans = quick(7);
        let (first, second) = plans.split_at(plans.len() / 2);
        assert!(first.iter().all(|plan| plan.round == 0) && second.iter().all(|plan| plan.round == 1));
        let (mut first, mut second) = (names(first), names(second));
        assert_ne!(first, second);
        first.sort();
        second.sort();
        assert_eq!(first, second);
        first.dedup();
        assert_eq!(first.len(), 2 * (10 + 2), "ten modes, and the baseline's twins in two triggers");
        assert!(plans.iter().enumerate().all(|(order, plan)| plan.order == order));
    }

    #[test]
    fn a_seed_decides_order_and_load_and_modes_of_a_round_share_theirs() {
        let (one, again, other) = (quick(7), quick(7), quick(8));
        assert_eq!(one, again);
        assert_ne!(names(&one), names(&other));
        assert!(one.iter().all(|plan| plan.seed == one[plan.round * one.len() / 2].seed));
        assert_ne!(one[0].seed, one[one.len() - 1].seed);
    }

    #[test]
    fn a_scenario_ends_with_its_rounds() {
        let mut parts = Suite::QUICK.parts(scenario::all(), Some(3));
        parts[0].rounds = 1;
        let plans = plan(&parts, 2, 7);
        let of_first = plans.iter().filter(|plan| plan.scenario.name == parts[0].scenario.name);
        assert!(of_first.clone().count() == 12 && of_first.clone().all(|plan| plan.round == 0));
        assert_eq!(plans.len(), 12 + 36);
    }

    #[test]
    fn who_registers_first_changes_from_round_to_round() {
        assert_eq!([rotated(3, 0), rotated(3, 1), rotated(3, 2)], [[0, 1, 2], [1, 2, 0], [2, 0, 1]]);
    }

    #[test]
    fn a_grid_is_full_or_none() {
        let modes = |text: &str| text.split(' ').map(|mode| mode.parse().unwrap()).collect::<Vec<Mode>>();
        assert!(is_grid(&modes("private/edge private/level rotate/level rotate/edge")));
        assert!(!is_grid(&modes("private/edge private/level rotate/level")));
        assert!(!is_grid(&modes("private/edge rotate/edge")));
        assert!(!is_grid(&modes("private/edge private/level private/edge+x private/level+x")));
        assert_eq!(twins(&modes("private/edge rotate/edge")).len(), 1);
    }
}
