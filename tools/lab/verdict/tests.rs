//! The sentences: what they say of a run, and what they keep quiet about.

use fastrand::Rng;

use super::*;
use crate::{
    claims, comparison,
    results::ClaimResult,
    sample::{note, run, trial},
    scenario::Claim,
};

const ACCEPTS: [&str; 4] = ["private", "exclusive", "rotate", "shared"];

fn modes() -> Vec<String> {
    ACCEPTS.iter().flat_map(|accept| ["level", "edge"].map(|trigger| format!("{accept}/{trigger}"))).collect()
}

/// Trickle and busy, as `quick` has them: `exclusive` packs and is overloaded, `rotate` is even, `private` is dealt by
/// chance, `shared` packs a different worker in each round.
fn quick(rounds: usize) -> Results {
    let (mut results, modes) = (run(), modes());
    let modes: Vec<&str> = modes.iter().map(String::as_str).collect();
    let mut trickle = note("trickle", &modes, &["dispersion", "switches_per_accept"]);
    trickle.has_load = false;
    trickle.heading = "400 connects, 1ms apart".into();
    let mut busy = note("busy", &modes, &["p99_ns", "cpu_ns_per_message"]);
    busy.heading = "busy, 5000/s".into();
    trickle.claims = vec![Claim {
        says: "EPOLLEXCLUSIVE packs.".into(),
        figure: "max_over_mean".into(),
        of: "exclusive/edge".into(),
        over: None,
        at_least: Some(2.5),
        at_most: None,
    }];
    results.scenarios = vec![trickle, busy];
    let mut rng = Rng::with_seed(9);
    for round in 0..rounds {
        for mode in &modes {
            results.trials.extend(both(mode, round, &mut rng));
            if mode.starts_with("private") {
                results.trials.extend(both(mode, round, &mut rng).map(Trial::twin));
            }
        }
    }
    results.rounds = rounds;
    conclude(&mut results);
    results
}

fn conclude(results: &mut Results) {
    results.comparisons = comparison::all(results);
    results.claims = claims::all(results);
    results.verdicts = all(results);
}

/// The two trials of a mode in a round.
fn both(mode: &str, round: usize, rng: &mut Rng) -> [Trial; 2] {
    let accept = mode.split('/').next().unwrap_or_default();
    let counts = counts(accept, round, rng);
    let wobble = 1.0 + 0.05 * (rng.f64() - 0.5);
    let p99_ns = wobble
        * match accept {
            "rotate" => 1.5e6,
            "exclusive" => 90e6,
            _ => 3e6,
        };
    let latencies: Vec<u64> = (1..=2_000).map(|i| (p99_ns * f64::from(i) / 1_980.0) as u64).collect();
    let switches = if accept == "shared" { 3.0 } else { 1.0 };
    let max_over_mean = *counts.iter().max().unwrap() as f64 / 100.0;
    let apart = if accept == "private" { 2.4 } else { 1.1 };
    [
        trial("trickle", mode, round)
            .with_counts(&counts)
            .with("max_over_mean", max_over_mean)
            .with("switches_per_accept", switches * wobble),
        trial("busy", mode, round)
            .with_counts(&counts)
            .with_load(&latencies, if accept == "exclusive" { 0.38 } else { 1.0 })
            .with("p99_ns", p99_ns)
            .with("cpu_ns_per_message", 20e3 * (1.0 + 0.01 * (rng.f64() - 0.5)))
            .with("worker_p99_max_over_min", apart * wobble)
            .with("variance_between_workers", 0.6),
    ]
}

fn counts(accept: &str, round: usize, rng: &mut Rng) -> Vec<u64> {
    let mut counts = vec![0; 4];
    match accept {
        "exclusive" => counts[0] = 400,
        "rotate" => counts.fill(100),
        "shared" => {
            counts.fill(50);
            counts[round % 4] = 250;
        }
        _ => (0..400).for_each(|_| counts[rng.usize(..4)] += 1),
    }
    counts
}

fn text<'a>(results: &'a Results, about: &str) -> &'a str {
    results.verdicts.iter().find(|verdict| verdict.about == about).map_or("", |verdict| &verdict.text)
}

#[test]
fn the_five_questions_are_answered() {
    let results = quick(4);
    let (packed, even, chance) = (text(&results, "packed"), text(&results, "even"), text(&results, "chance"));
    // Which mode packs? Also one that packs another worker in each round.
    assert!(packed.starts_with("Packed: exclusive (100 % to one worker, dispersion 400)"), "{packed}");
    assert!(
        packed.contains("shared (62 % to one worker") && packed.contains("even would be 25 %"),
        "{packed}"
    );
    // Which is even?
    assert!(even.starts_with("Even, better than chance: rotate (the fullest worker had 0 % above"), "{even}");
    // Which is chance?
    assert!(chance.starts_with("Chance, as a fair hash deals: private (dispersion "), "{chance}");
    assert!(chance.contains("over 8 trials"), "{chance}");
    // Who pays in the tail?
    let (tail, workers) = (text(&results, "tail"), text(&results, "workers"));
    assert!(tail.starts_with("Tail, busy, 5000/s: p99 (private 3.0"), "{tail}");
    assert!(tail.contains("lower in rotate (×0.50 ["), "{tail}");
    assert!(
        tail.contains("higher in exclusive (OVERLOADED)") && tail.contains("no difference seen for shared"),
        "{tail}"
    );
    assert!(tail.contains("no difference seen in CPU per message (private 20 µs), all within ×"), "{tail}");
    let overload = "OVERLOADED: exclusive in 8 of 8 trials (at worst 38 % of the load was answered)";
    assert!(tail.contains(overload), "{tail}");
    assert!(
        workers.starts_with("Who pays in busy: in private the clients of the slowest worker"),
        "{workers}"
    );
    assert!(!workers.contains("exclusive"), "of what is overloaded no percentile is told: {workers}");
    // Is the difference real?
    let noise = text(&results, "noise");
    assert!(noise.starts_with("Real or noise: ") && noise.contains("(A/A): p99 in busy ×"), "{noise}");
    let triggers = text(&results, "triggers");
    assert!(triggers.starts_with("Edge against level: no difference seen in"), "{triggers}");
}

#[test]
fn the_ten_most_important_come_first_and_open_with_what_they_are_about() {
    let results = quick(4);
    let about: Vec<_> = results.verdicts.iter().map(|verdict| verdict.about.as_str()).collect();
    assert_eq!(about[..6], ["packed", "even", "chance", "tail", "workers", "triggers"]);
    assert_eq!(about[6], "noise");
    assert!(about.len() <= 12, "{about:?}");
    for verdict in &results.verdicts {
        let (opening, _) = verdict.text.split_once(": ").unwrap_or_default();
        assert!(!opening.is_empty() && verdict.text.ends_with('.'), "{}", verdict.text);
        assert!(verdict.text.len() < 700 && !verdict.text.contains("NaN"), "{}", verdict.text);
    }
}

#[test]
fn one_round_settles_nothing() {
    let results = quick(1);
    let rounds = text(&results, "rounds");
    assert!(rounds.starts_with("Too few rounds: 1 round can't settle any difference"), "{rounds}");
    assert!(rounds.ends_with("takes 4 (--trials 4)."), "{rounds}");
    let all: String = results.verdicts.iter().map(|verdict| verdict.text.as_str()).collect();
    assert!(
        !all.contains("lower in") && !all.contains("higher in") && !all.contains("Real or noise"),
        "{all}"
    );
    assert!(
        text(&results, "tail").contains("not settled (too few rounds): rotate ×0.5"),
        "{}",
        text(&results, "tail")
    );
    // Counts of one round say what they say.
    assert!(text(&results, "packed").contains("exclusive"));
    assert_eq!(text(&results, "workers"), "", "a range of two trials is none");
}

#[test]
fn an_interrupted_run_says_what_its_trials_hold() {
    let mut results = quick(4);
    // It ended in the first round, before any load was put to anything but the baseline.
    results.trials.retain(|trial| trial.round == 0 && trial.mode.starts_with("private"));
    conclude(&mut results);
    assert_eq!((text(&results, "packed"), text(&results, "tail"), text(&results, "noise")), ("", "", ""));
    assert!(text(&results, "chance").contains("private"), "{:?}", results.verdicts);
    assert!(results.claims.iter().all(|claim| claim.holds.is_none()));
    results.trials.clear();
    conclude(&mut results);
    assert_eq!(results.verdicts, []);
    results.scenarios.clear();
    conclude(&mut results);
    assert_eq!(results.verdicts, []);
}

#[test]
fn triggers_that_spread_differently_are_told_apart() {
    let mut results = quick(4);
    for trial in results.trials.iter_mut().filter(|trial| trial.mode == "shared/edge") {
        trial.per_worker = vec![100; 4];
    }
    conclude(&mut results);
    assert!(text(&results, "packed").contains("shared/level (62 %"), "{}", text(&results, "packed"));
    assert!(text(&results, "even").contains("shared/edge"), "{}", text(&results, "even"));
}

#[test]
fn workers_that_are_not_clearly_further_apart_are_not_told_of() {
    let mut results = quick(4);
    assert!(text(&results, "workers").contains("in private"));
    // In `rotate` it is now anything from 1.1 to 3.
    for trial in results.trials.iter_mut().filter(|trial| trial.mode.starts_with("rotate")) {
        let apart = 1.1 + 0.6 * trial.round as f64;
        trial.figures.insert("worker_p99_max_over_min".into(), apart);
    }
    results.trials.retain(|trial| !trial.mode.starts_with("shared"));
    conclude(&mut results);
    assert_eq!(text(&results, "workers"), "");
    // Two trials a mode have a range that means nothing.
    assert_eq!(text(&quick(1), "workers"), "");
    assert!(text(&quick(2), "workers").contains("in private"), "four trials, of two triggers");
}

#[test]
fn a_claim_is_told_with_its_figure() {
    let mut results = quick(4);
    let claim = text(&results, "trickle");
    let figure = "(max/mean of connections, exclusive/edge: 4; claimed: at least 2.5)";
    assert_eq!(claim, format!("Holds (trickle): EPOLLEXCLUSIVE packs {figure}."));
    results.claims.push(ClaimResult {
        over: Some("private/edge".into()),
        value: Some(0.5),
        holds: Some(false),
        ..results.claims[0].clone()
    });
    results.verdicts = all(&results);
    assert_eq!(text(&results, "claims"), "Claims: 1 of 2 claims DO NOT HOLD, in trickle.");
    let failed = &results.verdicts.iter().filter(|verdict| verdict.about == "trickle").nth(1).unwrap().text;
    assert!(failed.starts_with("DOES NOT HOLD (trickle): "), "{failed}");
    assert!(failed.contains("exclusive/edge over private/edge: ×0.50; claimed: at least ×2.50"), "{failed}");
}

#[test]
fn what_disturbed_a_run_is_said() {
    let mut results = quick(4);
    assert_eq!(text(&results, "conditions"), "");
    results.contended = true;
    results.machine.cpus = 2;
    results.trials[0].conditions.others_percent = 30.0;
    results.trials[1].stationary = Some(false);
    results.trials[1].clean = false;
    conclude(&mut results);
    let conditions = text(&results, "conditions");
    for part in [
        "Conditions: CONTENDED: 4 workers and the client share 2 cores",
        "DISTURBED in 1 of 80 trials",
        "NON-STATIONARY in 1 of 80 trials",
        "the client was late in 1 of 40 trials with load (2.5 %; the others alone contradict nothing)",
    ] {
        assert!(conditions.contains(part), "{conditions}");
    }
}

#[test]
fn modes_without_a_grid_are_compared_with_the_first() {
    let mut results = run();
    let mut scenario = note("hog-and-mice", &["private/edge", "private/edge+unlimited"], &["p99_ns"]);
    scenario.group = "trigger".into();
    results.scenarios = vec![scenario];
    for round in 0..6 {
        let trial = |mode: &str, p99_ns: f64| {
            trial("hog-and-mice", mode, round)
                .with("p99_ns", p99_ns + 1e4 * round as f64)
                .with_counts(&[9, 8, 7, 8])
        };
        results.trials.extend([trial("private/edge", 1e6), trial("private/edge", 1.01e6).twin()]);
        results.trials.push(trial("private/edge+unlimited", 9e6));
    }
    conclude(&mut results);
    let tail = text(&results, "tail");
    let expected = "Tail, hog-and-mice: p99 (private/edge 1.02 ms) is higher in private/edge+unlimited (×8";
    assert!(tail.starts_with(expected), "{tail}");
    // Of spread nothing is said: that isn't what the scenario is about.
    assert_eq!(text(&results, "chance"), "");
}

#[test]
fn a_sweep_is_told_step_by_step() {
    let mut results = run();
    let mut scenario = note("sweep", &["private/edge", "rotate/edge"], &["p99_ns"]);
    scenario.sweep = Some(vec![500.0, 4000.0]);
    results.scenarios = vec![scenario];
    for round in 0..8 {
        for (step, factor) in [(500.0, 1.0), (4000.0, 0.5)] {
            let trial = |mode: &str, factor: f64| {
                let p99_ns = 1e6 * factor * (1.0 + 0.01 * round as f64);
                trial("sweep", mode, round).at(step).with("p99_ns", p99_ns)
            };
            results.trials.extend([trial("private/edge", 1.0), trial("private/edge", 1.001).twin()]);
            results.trials.push(trial("rotate/edge", factor));
        }
    }
    conclude(&mut results);
    let tail = text(&results, "tail");
    assert!(tail.contains("lower in rotate/edge at 4000 (×0.50 ["), "{tail}");
    assert!(tail.contains("no difference seen for rotate/edge at 500 (×1.00 ["), "{tail}");
}

#[test]
fn steps_that_come_out_alike_are_told_together() {
    let mut results = run();
    let mut scenario = note("sweep", &["private/edge", "exclusive/edge", "rotate/edge"], &["p99_ns"]);
    let steps = [400.0, 1200.0, 2000.0, 2600.0, 3000.0, 3400.0];
    scenario.sweep = Some(steps.to_vec());
    results.scenarios = vec![scenario];
    for round in 0..10 {
        for (nth, step) in steps.into_iter().enumerate() {
            let trial = |mode: &str, factor: f64| {
                let p99_ns = 1e6 * factor * (1.0 + 0.01 * round as f64);
                trial("sweep", mode, round).at(step).with("p99_ns", p99_ns)
            };
            results.trials.extend([trial("private/edge", 1.0), trial("private/edge", 1.001).twin()]);
            results.trials.push(trial("exclusive/edge", 3.0 + nth as f64));
            results.trials.push(trial("rotate/edge", if nth < 3 { 1.0 } else { 0.5 }));
        }
    }
    conclude(&mut results);
    assert_eq!(
        text(&results, "tail"),
        "Tail, sweep: p99 is higher in exclusive/edge at every step (×3.00 to ×8.00), lower in rotate/edge from \
         2600 on (×0.50), no difference seen for rotate/edge up to 2000 (all within ×1.00 to ×1.00)."
    );
}

#[test]
fn what_is_not_settled_is_told_in_few_words() {
    let mut results = run();
    results.scenarios =
        vec![note("hunt", &["private/edge", "private/level", "rotate/edge"], &["mean_ns", "stalls"])];
    for mode in ["private/edge", "private/level", "rotate/edge"] {
        let mean_ns = if mode == "rotate/edge" { 2e6 } else { 1e6 };
        let trial = trial("hunt", mode, 0).with("mean_ns", mean_ns).with("stalls", 0.0);
        results.trials.extend([trial.clone(), trial.twin()]);
    }
    conclude(&mut results);
    assert_eq!(
        text(&results, "tail"),
        "Tail, hunt: mean latency (private/edge 1 ms) is not settled (too few rounds): private/level ×1.00 and \
         rotate/edge ×2.00; stalls (private/edge 0) is not settled: private/level and rotate/edge ×1.00 each."
    );
}

#[test]
fn a_disagreement_is_loud() {
    let mut results = quick(1);
    assert!(agreement(&results).is_ok());
    results.trials[3].counts_agree = false;
    let warning = agreement(&results).unwrap_err();
    assert!(warning.starts_with("WARNING") && warning.contains("DISAGREE in 1 of"), "{warning}");
}
