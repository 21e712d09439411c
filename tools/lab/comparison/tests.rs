//! Differences that are there are found, and those that aren't are not.

use fastrand::Rng;

use super::*;
use crate::sample::{note, run, trial};

const MODES: [&str; 3] = ["private/edge", "exclusive/edge", "rotate/edge"];

/// p99 of one mode, over and over, on a busy machine: most runs within a factor of two, some hit by a stall.
fn wild_p99s_ns(rng: &mut Rng) -> Vec<f64> {
    let one = |rng: &mut Rng| {
        let stalled = if rng.u8(..10) == 0 { 20.0 } else { 1.0 };
        1e6 * (rng.f64() + rng.f64() - 1.0).exp() * stalled
    };
    (0..24).map(|_| one(rng)).collect()
}

/// A run with the A/A twin in which every mode has p99s drawn from the same runs, times a factor of its own.
fn drawn(pool: &[f64], factors: [f64; 3], rounds: usize, rng: &mut Rng) -> Results {
    let mut results = run();
    results.scenarios = vec![note("busy", &MODES, &["p99_ns"])];
    for round in 0..rounds {
        for (mode, factor) in MODES.into_iter().zip(factors) {
            let p99_ns = pool[rng.usize(..pool.len())] * factor;
            results.trials.push(trial("busy", mode, round).with("p99_ns", p99_ns));
        }
        let p99_ns = pool[rng.usize(..pool.len())];
        results.trials.push(trial("busy", MODES[0], round).twin().with("p99_ns", p99_ns));
    }
    results
}

#[test]
fn the_baseline_against_itself_is_no_different() {
    let pool = wild_p99s_ns(&mut Rng::with_seed(1));
    let (mut covered, mut called) = (0, 0);
    for seed in 0..100 {
        let results = drawn(&pool, [1.0; 3], 10, &mut Rng::with_seed(seed));
        let comparisons = all(&results);
        covered += usize::from(comparisons[0].noise.is_some_and(|noise| noise.covers(1.0)));
        called += usize::from(comparisons.iter().any(|it| it.call != Call::NoDifferenceSeen));
    }
    assert!(covered >= 90, "the interval of A/A covers 1 in {covered} of 100 runs");
    // Of the modes, which are all the same: at most 5 of 100 runs may find any difference.
    assert!(called <= 5, "{called} of 100 runs see what isn't there");
}

#[test]
fn the_interval_is_not_wider_than_it_has_to_be() {
    // If it always covered 1 it would say nothing: of 1000 runs some must miss, 49 on average (95.1 %).
    let pool = wild_p99s_ns(&mut Rng::with_seed(1));
    let missed = (0..1_000).filter(|&seed| {
        let results = drawn(&pool, [1.0; 3], 10, &mut Rng::with_seed(seed));
        all(&results)[0].noise.is_some_and(|noise| !noise.covers(1.0))
    });
    let missed = missed.count();
    assert!((22..=76).contains(&missed), "{missed} of 1000");
}

#[test]
fn a_difference_that_is_there_is_found() {
    let mut rng = Rng::with_seed(2);
    let pool: Vec<f64> = (0..24).map(|_| 1e6 * (0.4 * (rng.f64() - 0.5)).exp()).collect();
    let mut found = 0;
    for seed in 0..100 {
        let comparisons = all(&drawn(&pool, [1.0, 1.5, 0.7], 10, &mut Rng::with_seed(seed)));
        let calls: Vec<_> = comparisons.iter().map(|it| it.call).collect();
        found += usize::from(calls == [Call::Higher, Call::Lower]);
        let ratio = comparisons[0].ratio.expect("ten pairs");
        assert!((1.2..1.8).contains(&ratio.estimate) && ratio.confidence >= 0.95, "{ratio:?}");
    }
    assert!(found >= 95, "found in {found} of 100 runs");
}

/// A run in which the second mode has exactly `factor` times the p99 of the first, and the twin `noise` times.
fn planted(modes: &[&str], rounds: usize, factor: f64, noise: impl Fn(usize) -> f64) -> Results {
    let mut results = run();
    results.scenarios = vec![note("busy", modes, &["p99_ns"])];
    for round in 0..rounds {
        let base_ns = 1e6 + 1e4 * round as f64;
        for (index, mode) in modes.iter().enumerate() {
            let p99_ns = if index == 1 { base_ns * factor } else { base_ns };
            results.trials.push(trial("busy", mode, round).with("p99_ns", p99_ns));
        }
        results.trials.push(trial("busy", modes[0], round).twin().with("p99_ns", base_ns * noise(round)));
    }
    results
}

fn calls(results: &Results) -> Vec<Call> {
    all(results).iter().map(|it| it.call).collect()
}

#[test]
fn what_is_within_the_noise_is_not_a_difference() {
    let quiet = |round: usize| if round.is_multiple_of(2) { 1.01 } else { 0.99 };
    let shifted = |round: usize| 1.3 + 0.01 * round as f64;
    let [first, second, ..] = MODES;
    assert_eq!(calls(&planted(&[first, second], 8, 1.2, quiet)), [Call::Higher]);
    // The baseline differs from itself by more.
    assert_eq!(calls(&planted(&[first, second], 8, 1.32, shifted)), [Call::NoDifferenceSeen]);
    assert_eq!(calls(&planted(&[first, second], 8, 2.0, shifted)), [Call::Higher]);
}

#[test]
fn an_interval_that_reaches_one_is_no_difference() {
    // Four rounds without any difference and six with: p is 2/2⁶, but the interval begins at 1.
    let [first, second, ..] = MODES;
    let mut results = planted(&[first, second], 10, 1.0, |_| 1.0);
    let later = results.trials.iter_mut().filter(|trial| trial.mode == second && trial.round >= 4);
    later
        .for_each(|trial| *trial.figures.get_mut("p99_ns").expect("all have it") *= 2.0 + trial.round as f64);
    let comparison = &all(&results)[0];
    assert!(comparison.p_holm.is_some_and(|p| p < 0.05), "{comparison:?}");
    assert_eq!(
        (comparison.ratio.map(|ratio| ratio.low), comparison.call),
        (Some(1.0), Call::NoDifferenceSeen)
    );
}

#[test]
fn more_modes_take_more_rounds() {
    let quiet = |round: usize| if round.is_multiple_of(2) { 1.01 } else { 0.99 };
    assert_eq!(calls(&planted(&MODES[..2], 5, 3.0, quiet)), [Call::TooFewRounds]);
    assert_eq!(calls(&planted(&MODES[..2], 6, 3.0, quiet)), [Call::Higher]);
    // Two comparisons: 2 × 2/2⁶ > 0.05.
    assert_eq!(calls(&planted(&MODES, 6, 3.0, quiet)), [Call::TooFewRounds; 2]);
    let seven = all(&planted(&MODES, 7, 3.0, quiet));
    assert_eq!([seven[0].call, seven[1].call], [Call::Higher, Call::NoDifferenceSeen]);
    assert_eq!((seven[0].p_value, seven[0].p_holm), (Some(2.0 / 128.0), Some(4.0 / 128.0)));
    assert_eq!([1, 2, 3, 4, 6, 7].map(|comparisons| rounds_needed(comparisons, 1)), [6, 7, 7, 8, 8, 9]);
    assert_eq!(rounds_needed(5, 2), 4, "as in quick: five comparisons, two triggers");
}

#[test]
fn without_a_twin_nothing_is_called() {
    let mut results = planted(&MODES[..2], 8, 3.0, |_| 1.0);
    results.trials.retain(|trial| !trial.twin);
    let comparisons = all(&results);
    assert_eq!((comparisons[0].call, comparisons[0].noise), (Call::TooFewRounds, None));
    assert!(comparisons[0].ratio.is_some_and(|ratio| (ratio.estimate - 3.0).abs() < 1e-9));
}

#[test]
fn a_grid_is_compared_by_rows_and_columns() {
    let modes = ["private/level", "private/edge", "exclusive/level", "exclusive/edge"];
    let mut results = run();
    results.scenarios = vec![note("busy", &modes, &["p99_ns"])];
    for round in 0..6_usize {
        for mode in modes {
            let wobble = if round.is_multiple_of(2) { 1.01 + 0.001 * round as f64 } else { 0.99 };
            let p99_ns = if mode.starts_with("exclusive") { 3e6 } else { 1e6 };
            let trial = |p99_ns: f64| trial("busy", mode, round).with("p99_ns", p99_ns);
            results.trials.push(trial(p99_ns * if mode.ends_with("edge") { wobble } else { 1.0 / wobble }));
            if mode.starts_with("private") {
                results.trials.push(trial(p99_ns).twin());
            }
        }
    }
    let comparisons = all(&results);
    let named: Vec<_> =
        comparisons.iter().map(|it| (it.mode.as_str(), it.against.as_str(), it.pairs, it.call)).collect();
    assert_eq!(
        named,
        [("exclusive", "private", 12, Call::Higher), ("edge", "level", 12, Call::NoDifferenceSeen)]
    );
    assert_eq!(note("", &modes[..3], &[]).grid(), None);
    assert_eq!(note("", &["private/level", "private/edge"], &[]).grid(), None);
    assert_eq!(note("", &["a/level", "a/level+x", "b/level", "b/level+x"], &[]).grid(), None);
}

#[test]
fn what_is_missing_is_left_out_and_what_is_zero_is_not() {
    let mut results = run();
    results.scenarios = vec![note("trickle", &MODES[..2], &["dispersion", "p99_ns"])];
    for round in 0..7 {
        results.trials.push(trial("trickle", MODES[0], round).with("dispersion", 0.8 + 0.1 * round as f64));
        results.trials.push(trial("trickle", MODES[0], round).twin().with("dispersion", 1.1));
        if round > 0 {
            results.trials.push(trial("trickle", MODES[1], round).with("dispersion", 0.0));
        }
    }
    let comparisons = all(&results);
    assert_eq!((comparisons[0].pairs, comparisons[0].call), (6, Call::Lower));
    let json = serde_json::to_string(&comparisons[0]).unwrap();
    assert!(!json.contains("\"low\":null"), "{json}");
    assert_eq!((comparisons[1].pairs, comparisons[1].ratio, comparisons[1].p_holm), (0, None, None));
    assert_eq!(comparisons[1].call, Call::TooFewRounds);
}

#[test]
fn the_steps_of_a_sweep_are_one_family() {
    let mut results = run();
    let mut note = note("sweep", &MODES[..2], &["p99_ns"]);
    note.sweep = Some(vec![500.0, 1000.0]);
    results.scenarios = vec![note];
    for round in 0..7 {
        for (step, factor) in [(500.0, 1.0), (1000.0, 2.0)] {
            let base_ns = step * 1e3 * (1.0 + 0.01 * round as f64);
            let trial = |mode: &str, p99_ns: f64| trial("sweep", mode, round).at(step).with("p99_ns", p99_ns);
            results.trials.push(trial(MODES[0], base_ns));
            results.trials.push(trial(MODES[0], base_ns * 1.001).twin());
            results.trials.push(trial(MODES[1], base_ns * factor));
        }
    }
    let comparisons = all(&results);
    let steps: Vec<_> = comparisons.iter().map(|it| (it.step, it.call)).collect();
    assert_eq!(steps, [(Some(500.0), Call::NoDifferenceSeen), (Some(1000.0), Call::Higher)]);
    assert_eq!(comparisons[1].p_holm, Some(4.0 / 128.0));
}

#[test]
fn a_tail_that_only_all_rounds_have_is_compared_by_drawing_rounds() {
    let mut results = run();
    results.scenarios = vec![note("busy", &MODES[..2], &["p999_ns"])];
    let mut rng = Rng::with_seed(3);
    for round in 0..8 {
        let mut latencies = |factor: f64| -> Vec<u64> {
            (0..2_500).map(|_| (1e4 * factor / (1.0 - rng.f64())) as u64).collect()
        };
        let base = latencies(1.0);
        results.trials.push(trial("busy", MODES[0], round).with_load(&base, 1.0));
        results.trials.push(trial("busy", MODES[0], round).twin().with_load(&latencies(1.0), 1.0));
        results.trials.push(trial("busy", MODES[1], round).with_load(&latencies(20.0), 1.0));
    }
    let comparison = &all(&results)[0];
    let (ratio, noise) = (comparison.ratio.expect("16,000 samples"), comparison.noise.expect("as many"));
    assert!(ratio.low > 4.0 && ratio.high < 100.0 && noise.covers(1.0), "{ratio:?} {noise:?}");
    assert_eq!((comparison.pairs, comparison.call), (8, Call::Higher));
    // Three rounds are too few to draw from.
    results.trials.retain(|trial| trial.round < 3);
    assert_eq!((all(&results)[0].ratio, all(&results)[0].call), (None, Call::TooFewRounds));
}

#[test]
fn two_runs_are_compared_mode_by_mode() {
    let (old, mut new) = (planted(&MODES, 8, 1.0, |_| 1.0), planted(&MODES, 6, 2.0, |_| 1.0));
    let comparisons = between(&old, &new);
    let calls: Vec<_> = comparisons.iter().map(|it| (it.mode.as_str(), it.call)).collect();
    assert_eq!(
        calls,
        [(MODES[0], Call::NoDifferenceSeen), (MODES[1], Call::Higher), (MODES[2], Call::NoDifferenceSeen)]
    );
    assert!(comparisons[1].ratio.is_some_and(|ratio| (ratio.estimate - 2.0).abs() < 0.05));
    assert_eq!((comparisons[1].pairs, comparisons[1].noise), (6, None));
    new.trials.retain(|trial| trial.round < 2);
    assert!(between(&old, &new).iter().all(|it| it.call == Call::TooFewRounds));
    new.scenarios[0].name = "other".into();
    assert_eq!(between(&old, &new), []);
}
