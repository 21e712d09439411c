//! A small run that has something for every chart, for their tests: two accept modes with two triggers, a
//! variant, a sweep. It depends on no scenario of the lab's, so that those can change.

use evenkeel::measure::{balance::Balance, histograms};
use hdrhistogram::Histogram;

use crate::{
    fixture,
    raw::{Distribution, Raw, Source},
    reports::{ByConnection, Heat, Slices},
    results::{Call, ClaimResult, Comparison, LoadFigures, Results, ScenarioNote, Trial, Verdict, quantile},
    statistics::Ratio,
};

const ROUNDS: usize = 2;
const GRID: [&str; 4] = ["private/level", "private/edge", "exclusive/level", "exclusive/edge"];

/// The run.
pub fn results() -> Results {
    let scenarios = vec![
        note("spread", &GRID, &["dispersion", "p99_ns"], None),
        note("variant", &["private/edge", "private/edge+unlimited"], &["p99_ns"], None),
        note("rising", &["private/edge", "exclusive/edge"], &["p99_ns"], Some(vec![100.0, 400.0])),
    ];
    let template = fixture::results_of(1);
    let loaded = template.trials.iter().find(|trial| trial.load.is_some()).cloned();
    let loaded = loaded.expect("the fixture has a scenario with load");
    let mut trials = Vec::new();
    for round in 0..ROUNDS {
        for note in &scenarios {
            for step in
                note.sweep.as_ref().map_or(vec![None], |steps| steps.iter().map(|&it| Some(it)).collect())
            {
                let twin = note.sweep.is_none().then_some((&note.modes[0], true));
                for (mode, twin) in note.modes.iter().map(|mode| (mode, false)).chain(twin) {
                    trials.push(trial(&loaded, note, (mode, twin), step, (round, trials.len())));
                }
            }
        }
    }
    let verdict = |about: &str, text: &str| Verdict { about: about.to_owned(), text: text.to_owned() };
    Results {
        trials_planned: trials.len(),
        scenarios,
        trials,
        comparisons: comparisons(),
        claims: vec![claim()],
        verdicts: vec![verdict("packed", "Packed: exclusive"), verdict("conditions", "Conditions: <quiet>")],
        modes: GRID.map(str::to_owned).to_vec(),
        ..template
    }
}

fn note(name: &str, modes: &[&str], figures: &[&str], sweep: Option<Vec<f64>>) -> ScenarioNote {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    ScenarioNote {
        name: name.to_owned(),
        group: "accept".to_owned(),
        reveals: "what is to be seen".to_owned(),
        source: "somebody".to_owned(),
        parameters: "echo; --rate swept over 100, 400".to_owned(),
        heading: name.to_owned(),
        has_load: true,
        modes: owned(modes),
        figures: owned(figures),
        workers: 2,
        rounds: ROUNDS,
        contended: false,
        sweep,
        claims: Vec::new(),
    }
}

fn trial(
    template: &Trial,
    note: &ScenarioNote,
    (mode, twin): (&str, bool),
    step: Option<f64>,
    (round, order): (usize, usize),
) -> Trial {
    let packed = mode.starts_with("exclusive");
    let per_worker = if packed { vec![40, 0] } else { vec![18 + round as u64, 22 - round as u64] };
    let balance = Balance::of_counts(&per_worker);
    let (latency, service) = distributions(packed, round as u64);
    let load = template.load.clone().map(|load| LoadFigures {
        overloaded: false,
        send_lag_p99_ns: 20_000 + round as u64 * 1_000,
        p50_ns: quantile(&latency, 0.5),
        p99_ns: quantile(&latency, 0.99),
        ..load
    });
    let raw = Raw {
        latency: Distribution::of(&latency),
        service: Distribution::of(&service),
        slices: Some(slices(&per_worker)),
        by_connection: Some(by_connection(&per_worker)),
    };
    let p99_ns = load.as_ref().and_then(|load| load.p99_ns).unwrap_or(0) as f64;
    let edge = f64::from(mode.contains("/edge"));
    let figures = [
        ("dispersion", balance.dispersion),
        ("max_over_mean", balance.max_over_mean),
        ("p99_ns", p99_ns * step.unwrap_or(100.0) / 100.0),
        ("achieved_share", 1.0),
        ("waits_per_message", 0.9),
        ("reads_per_message", 1.0 + edge),
        ("eagain_per_message", edge),
        ("writes_per_message", 1.0),
        ("ctls_per_message", 0.0),
        ("variance_between_workers", 0.25),
    ];
    Trial {
        scenario: note.name.clone(),
        mode: mode.to_owned(),
        twin,
        step,
        round,
        order,
        at_s: order as f64 * 2.0,
        dispersion: balance.dispersion,
        max_over_mean: balance.max_over_mean,
        against_chance: balance.verdict.unwrap_or(template.against_chance),
        busy_share: vec![0.5, 0.25],
        stationary: Some(!(packed && round == 1)),
        clean: true,
        figures: figures.map(|(name, value)| (name.to_owned(), value)).into(),
        per_worker_reported: per_worker.clone(),
        per_worker,
        load,
        source: Some(Source::holding(raw)),
        ..template.clone()
    }
}

/// 1000 messages whose waits double from half to half: the tail is that of 1/(1−p).
fn distributions(packed: bool, round: u64) -> (Histogram<u64>, Histogram<u64>) {
    let (mut latency, mut service) = (histograms::histogram(), histograms::histogram());
    for message in 1..=1_000u64 {
        let wait_ns = 50_000_000 / message * (1 + u64::from(packed) * 4) * (10 + round) / 10;
        latency.record(200_000 + wait_ns).expect("within bounds");
        service.record(200_000 + wait_ns / 10).expect("within bounds");
    }
    (latency, service)
}

fn slices(per_worker: &[u64]) -> Slices {
    let count = 8;
    let open = |&connections: &u64| (1..=count).map(|slice| connections as i64 * slice.min(4) / 4).collect();
    Slices {
        slice_ns: 250_000_000,
        measured_from: 4,
        measured_until: 8,
        answered: vec![125; 8],
        open_by_worker: per_worker.iter().map(open).collect(),
        heat: Heat {
            bounds_ns: (0..8).map(|bucket| 100_000 << bucket).collect(),
            counts: (0..8).map(|slice| (0..8).map(|bucket| (slice * bucket) % 5).collect()).collect(),
        },
        ..Slices::default()
    }
}

fn by_connection(per_worker: &[u64]) -> ByConnection {
    let workers = per_worker.iter().enumerate();
    let worker: Vec<_> = workers.flat_map(|(worker, &count)| vec![Some(worker); count as usize]).collect();
    let p99_ns = worker
        .iter()
        .zip(1..)
        .map(|(worker, at)| Some(1_000_000 * (worker.unwrap_or(0) as u64 + 1) + at * 10_000));
    ByConnection {
        p99_ns: p99_ns.collect(),
        messages: vec![25; worker.len()],
        p50_ns: vec![None; worker.len()],
        worker,
    }
}

fn comparisons() -> Vec<Comparison> {
    let ratio = |estimate: f64| {
        Some(Ratio { estimate, low: estimate * 0.8, high: estimate * 1.25, confidence: 0.95 })
    };
    let one = |scenario: &str, figure: &str, mode: &str, step: Option<f64>, estimate: f64| Comparison {
        scenario: scenario.to_owned(),
        step,
        figure: figure.to_owned(),
        mode: mode.to_owned(),
        against: "private".to_owned(),
        pairs: 8,
        ratio: ratio(estimate),
        p_value: Some(0.01),
        p_holm: Some(0.02),
        noise: ratio(1.0),
        call: if estimate > 2.0 { Call::Higher } else { Call::NoDifferenceSeen },
    };
    vec![
        one("spread", "p99_ns", "exclusive", None, 5.0),
        one("spread", "p99_ns", "edge", None, 1.02),
        one("spread", "dispersion", "exclusive", None, 40.0),
        one("variant", "p99_ns", "private/edge+unlimited", None, 1.1),
        one("rising", "p99_ns", "exclusive/edge", Some(400.0), 5.0),
    ]
}

fn claim() -> ClaimResult {
    ClaimResult {
        scenario: "spread".to_owned(),
        says: "It packs.".to_owned(),
        figure: "max_over_mean".to_owned(),
        of: "exclusive/edge".to_owned(),
        over: None,
        value: Some(2.0),
        at_least: Some(1.5),
        at_most: None,
        holds: Some(true),
    }
}
