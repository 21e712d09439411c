//! In which order the trials run: rounds one after the other, everything shuffled within a round.
//!
//! A machine drifts: it warms up, a neighbour wakes. Interleaved in random order, that hits all modes alike
//! and shows as spread between rounds instead of as a difference between modes.

use super::{
    mode::Mode,
    scenario::{self, Scenario},
    trial::Plan,
};

/// Every trial of a run, in order.
pub fn plan(modes: &[Mode], rounds: usize, seed: u64) -> Vec<Plan> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut plans = Vec::new();
    for round in 0..rounds {
        let load_seed = random.u64(1..1 << 32);
        let trial = |mode: Mode, scenario: &'static Scenario| Plan { scenario, mode, round, seed: load_seed };
        let mut fresh: Vec<Plan> =
            modes.iter().flat_map(|&mode| scenario::ALL.map(|scenario| trial(mode, scenario))).collect();
        random.shuffle(&mut fresh);
        plans.extend(fresh);
    }
    plans
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(plans: &[Plan]) -> Vec<String> {
        plans.iter().map(|plan| format!("{} {}", plan.scenario.name, plan.mode)).collect()
    }

    #[test]
    fn each_round_has_each_trial_once_in_an_order_of_its_own() {
        let plans = plan(&Mode::quick(), 2, 7);
        let (first, second) = plans.split_at(plans.len() / 2);
        assert!(first.iter().all(|plan| plan.round == 0) && second.iter().all(|plan| plan.round == 1));
        let (mut first, mut second) = (names(first), names(second));
        assert_ne!(first, second);
        first.sort();
        second.sort();
        assert_eq!(first, second);
        first.dedup();
        assert_eq!(first.len(), 10 * scenario::ALL.len());
    }

    #[test]
    fn a_seed_decides_order_and_load_and_modes_of_a_round_share_theirs() {
        let seeds = |plans: &[Plan]| plans.iter().map(|plan| plan.seed).collect::<Vec<_>>();
        let (one, again, other) =
            (plan(&Mode::quick(), 2, 7), plan(&Mode::quick(), 2, 7), plan(&Mode::quick(), 2, 8));
        assert_eq!((names(&one), seeds(&one)), (names(&again), seeds(&again)));
        assert_ne!(names(&one), names(&other));
        assert!(one.iter().all(|plan| plan.seed == seeds(&one)[30 * plan.round]));
        assert_ne!(seeds(&one)[0], seeds(&one)[30]);
    }
}
