//! What each way to balance promises, held against models.

mod changes;
mod distance;

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::{
    config::UpstreamOptions,
    upstream::{roster::samples::of_weights, tried::Tried},
};

const UPPER: u32 = UpstreamOptions::WEIGHT_MAX;

/// Services of one to nine upstreams.
fn weights() -> impl Strategy<Value = Vec<u32>> {
    vec(1..=UPPER, 1..10)
}

/// Of one group of members, all of which are up.
fn balancer(balance: Balance, weights: &[u32], first: usize, worker: usize, seed: u64) -> Balancer {
    Balancer::new(balance, &of_weights(weights), 0..weights.len(), first, worker, seed)
}

impl Balancer {
    /// For a session from nowhere, at no time.
    fn pick(&mut self, loads: &Loads, open: impl Fn(usize) -> bool) -> Option<usize> {
        self.choose(loads, open, None, 0)
    }

    /// For a session that has tried nobody yet.
    fn first_pick(&mut self, loads: &Loads) -> usize {
        self.pick(loads, |_| true).expect("somebody is up")
    }
}

/// Sends sessions that never end through the balancer; how many each upstream has then.
fn pour(balancer: &mut Balancer, loads: &Loads, sessions: u64) -> Vec<u64> {
    let mut had = vec![0; balancer.group.len()];
    for _ in 0..sessions {
        let index = balancer.first_pick(loads);
        loads.add(0, balancer.first + index);
        had[index] += 1;
    }
    had
}

/// By how much the fullest is above its share.
fn excess(balance: Balance, seed: u64) -> f64 {
    const UPSTREAMS: usize = 20;
    const SESSIONS: u64 = 2_000;
    let mut balancer = balancer(balance, &[1; UPSTREAMS], 0, 0, seed);
    let had = pour(&mut balancer, &Loads::new(1, UPSTREAMS), SESSIONS);
    *had.iter().max().expect("twenty") as f64 - SESSIONS as f64 / UPSTREAMS as f64
}

proptest! {
    #[test]
    fn each_is_tried_once_and_then_there_is_none(
        balance in select(Balance::ALL), weights in vec(0..=UPPER, 0..65), seed: u64, worker in 0..9_usize,
    ) {
        let (loads, mut tried) = (Loads::new(1, weights.len()), Tried::default());
        let mut balancer = balancer(balance, &weights, 0, worker, seed);
        for _ in 0..weights.len() {
            let index = balancer.pick(&loads, |index| !tried.contains(index));
            let index = index.expect("one is left");
            prop_assert!(index < weights.len() && !tried.contains(index), "{index} again");
            tried.insert(index);
        }
        prop_assert_eq!(balancer.pick(&loads, |index| !tried.contains(index)), None);
    }

    /// More upstreams than can be told apart: still nobody is asked twice in a round, and each may be chosen.
    #[test]
    fn beyond_64_none_is_tried_twice_in_a_round(balance in select(Balance::ALL), seed: u64) {
        let (loads, mut tried) = (Loads::new(1, 100), Tried::default());
        let mut balancer = balancer(balance, &[1; 100], 0, 0, seed);
        let mut round = Vec::new();
        while let Some(index) = balancer.pick(&loads, |index| !tried.contains(index)) {
            prop_assert!(!round.contains(&index), "{index} again");
            round.push(index);
            tried.insert(index);
        }
        prop_assert_eq!(round.len(), 64);
    }

    #[test]
    fn round_robin_shares_are_exact_over_a_cycle(weights in weights(), worker in 0..9_usize) {
        let mut balancer = balancer(Balance::RoundRobin, &weights, 0, worker, 0);
        let cycle = weights.iter().map(|&weight| u64::from(weight)).sum();
        let had = pour(&mut balancer, &Loads::new(1, weights.len()), cycle);
        prop_assert_eq!(had, weights.into_iter().map(u64::from).collect::<Vec<_>>());
    }

    #[test]
    fn random_shares_are_as_the_weights_say(weights in weights(), seed: u64) {
        const PICKS: u64 = 5_000;
        let mut balancer = balancer(Balance::Random, &weights, 0, 0, seed);
        let had = pour(&mut balancer, &Loads::new(1, weights.len()), PICKS);
        let total = f64::from(weights.iter().sum::<u32>());
        for (&weight, &had) in weights.iter().zip(&had) {
            let share = f64::from(weight) / total;
            let deviation = (PICKS as f64 * share * (1.0 - share)).sqrt();
            // Beyond seven standard deviations and a few, chance doesn't go.
            prop_assert!((had as f64 - PICKS as f64 * share).abs() <= 7.0 * deviation + 4.0, "{weight}: {had}");
        }
    }

    #[test]
    fn p2c_shares_are_as_the_weights_say(weights in vec(1..=16_u32, 1..10), seed: u64) {
        const PICKS: u64 = 5_000;
        let mut balancer = balancer(Balance::P2c, &weights, 0, 0, seed);
        let had = pour(&mut balancer, &Loads::new(1, weights.len()), PICKS);
        let total = f64::from(weights.iter().sum::<u32>());
        for (&weight, &had) in weights.iter().zip(&had) {
            let share = PICKS as f64 * f64::from(weight) / total;
            prop_assert!((had as f64 - share).abs() <= 10.0 + 0.02 * share, "{weight}: {had} of {share}");
        }
    }

    /// Whatever the workers have, and whoever chooses: nobody open has less for its weight.
    #[test]
    fn least_connections_chooses_a_least_loaded(
        rows in vec(vec(0..6_u64, 9), 1..5), weights in weights(), tried_bits in vec(any::<bool>(), 9), seed: u64,
    ) {
        const FIRST: usize = 3;
        let loads = Loads::new(rows.len(), FIRST + 9);
        for (worker, row) in rows.iter().enumerate() {
            for (index, &sessions) in row.iter().enumerate() {
                (0..sessions).for_each(|_| loads.add(worker, FIRST + index));
            }
        }
        let mut tried = Tried::default();
        (0..weights.len()).filter(|&index| tried_bits[index]).for_each(|index| tried.insert(index));
        let open: Vec<_> = (0..weights.len()).filter(|&index| !tried.contains(index)).collect();

        let chosen = balancer(Balance::LeastConnections, &weights, FIRST, 0, seed)
            .pick(&loads, |index| !tried.contains(index));
        let with_one_more = |index: usize| rows.iter().map(|row| row[index]).sum::<u64>() + 1;
        prop_assert_eq!(chosen.is_some(), !open.is_empty());
        let Some(chosen) = chosen else { return Ok(()) };
        prop_assert!(open.contains(&chosen));
        for other in open {
            let (here, there) = (with_one_more(chosen), with_one_more(other));
            prop_assert!(here * u64::from(weights[other]) <= there * u64::from(weights[chosen]), "{other} has less");
        }
    }

    /// The balls-into-bins result: with two choices the fullest bin is a few above the mean, with one it is far above.
    #[test]
    fn two_choices_keep_the_fullest_close_to_the_mean(seed: u64) {
        let (p2c, random) = (excess(Balance::P2c, seed), excess(Balance::Random, seed));
        prop_assert!(p2c * 2.0 < random, "p2c {p2c} above the mean, random {random}");
    }

    #[test]
    fn p2c_never_takes_the_fullest_while_it_has_a_choice(weights in vec(1..=UPPER, 2..10), seed: u64) {
        let loads = Loads::new(2, weights.len());
        (0..1_000).for_each(|_| loads.add(1, 1));
        let mut balancer = balancer(Balance::P2c, &weights, 0, 0, seed);
        for _ in 0..50 {
            prop_assert_ne!(balancer.first_pick(&loads), 1);
        }
    }
}

/// Why p2c is the default: what is known of an upstream that has just come may be wrong, and all act upon it at once.
#[test]
fn an_idle_newcomer_gets_all_sessions_or_its_chance_in_two_draws() {
    const UPSTREAMS: usize = 10;
    const SESSIONS: usize = 10_000;
    let loads = Loads::new(1, UPSTREAMS);
    (1..UPSTREAMS).for_each(|upstream| loads.add(0, upstream));
    let newcomers = |balance| {
        let mut balancer = balancer(balance, &[1; UPSTREAMS], 0, 0, 1);
        (0..SESSIONS).filter(|_| balancer.first_pick(&loads) == 0).count()
    };
    assert_eq!(newcomers(Balance::LeastConnections), SESSIONS);
    // In two draws of ten it is once in five times; six standard deviations are 240.
    assert!(newcomers(Balance::P2c).abs_diff(SESSIONS / 5) < 240);
}

#[test]
fn ties_are_broken_by_chance_and_weight() {
    // With one session more they are at 1 / 1, 3 / 3 and 3 / 1; the last is never least.
    const DRAWS: u32 = 10_000;
    let loads = Loads::new(1, 3);
    [1, 1, 2, 2].into_iter().for_each(|upstream| loads.add(0, upstream));
    let mut balancer = balancer(Balance::LeastConnections, &[1, 3, 1], 0, 0, 7);
    let mut had = [0_u32; 3];
    for _ in 0..DRAWS {
        had[balancer.first_pick(&loads)] += 1;
    }
    // Six standard deviations are 260.
    assert!(had[1].abs_diff(DRAWS * 3 / 4) < 260 && had[2] == 0, "{had:?}");
}

#[test]
fn workers_with_the_same_seed_choose_for_themselves() {
    for &balance in Balance::ALL {
        let loads = Loads::new(1, 16);
        let choices = |worker| {
            let mut balancer = balancer(balance, &[1; 16], 0, worker, 1);
            (0..32).map(|_| balancer.first_pick(&loads)).collect::<Vec<_>>()
        };
        assert_ne!(choices(0), choices(1), "{balance}");
        assert_eq!(choices(1), choices(1), "{balance}");
    }
}
