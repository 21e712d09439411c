//! A run as it might have been, for the tests of table, verdicts and page: 4 workers, 2 rounds.

use evenkeel::measure::{
    balance::{Balance, Verdict as Balanced},
    histograms,
};

use super::{
    machine::Machine,
    mode::Mode,
    results::{LoadFigures, Results, ScenarioNote, Trial, quantile},
    scenario::{self, Load, Scenario},
};

/// The run.
pub fn results() -> Results {
    let mut trials = Vec::new();
    for round in 0..2 {
        for mode in Mode::quick() {
            trials.extend(scenario::ALL.iter().map(|scenario| trial(scenario, mode, round)));
        }
    }
    Results {
        schema: Results::SCHEMA,
        version: "0.0.0",
        started: "2026-01-01T00:00:00.000Z".into(),
        command: "evenkeel-lab quick --seed 7 <&>".into(),
        seed: 7,
        machine: Machine { cpus: 2, kernel: "6.18".into(), ..Machine::default() },
        contended: true,
        workers: 4,
        rounds: 2,
        phase_ms: 900,
        scenarios: scenario::ALL.iter().map(|scenario| ScenarioNote::of(scenario)).collect(),
        modes: Mode::quick().iter().map(Mode::to_string).collect(),
        trials_planned: trials.len(),
        interrupted: false,
        trials,
        verdicts: Vec::new(),
    }
}

fn trial(scenario: &Scenario, mode: Mode, round: usize) -> Trial {
    let total = match scenario.load {
        Load::ConnectOnly { connections } => connections,
        Load::Open { .. } => 64,
    };
    let per_worker = per_worker(mode.accept.name(), total);
    let balance = Balance::of_counts(&per_worker);
    let switches: u64 = if mode.accept.name() == "shared" { 3 } else { 1 };
    Trial {
        scenario: scenario.name,
        mode: mode.to_string(),
        round,
        per_worker_reported: per_worker.clone(),
        counts_agree: true,
        dispersion: balance.dispersion,
        jain: balance.jain,
        max_over_mean: balance.max_over_mean,
        p_value: balance.by_chance.and_then(|chance| chance.p_value),
        against_chance: balance.verdict.unwrap_or(Balanced::NoData),
        context_switches: switches * total,
        context_switches_per_accept: switches as f64,
        busy_share: vec![0.5; per_worker.len()],
        load: match scenario.load {
            Load::ConnectOnly { .. } => None,
            Load::Open { rate } => Some(load(scenario.name, rate, mode, round)),
        },
        server_report: "raw/server.json".into(),
        client_report: "raw/client.json".into(),
        per_worker,
    }
}

fn per_worker(accept: &str, total: u64) -> Vec<u64> {
    let quarter = total / 4;
    match accept {
        "exclusive" => vec![total, 0, 0, 0],
        "private" => vec![quarter + 3, quarter - 5, quarter + 4, quarter - 2],
        "shared" => vec![2 * quarter, quarter, quarter, 0],
        _ => vec![quarter; 4],
    }
}

/// Latencies around half a millisecond with a tail that is five times as long in `exclusive`.
fn load(scenario: &str, rate: u64, mode: Mode, round: usize) -> LoadFigures {
    let packed = mode.accept.name() == "exclusive";
    let overloaded = packed && scenario == "busy";
    let jitter = 1.0 + 0.1 * ((round + mode.trigger.name().len()) % 3) as f64;
    let tail = if packed { 5.0 } else { 1.0 } * jitter;
    let mut latency = histograms::histogram();
    for i in 0..2_000 {
        let response_ns = 500_000.0 * (1.0 - (2_000.0f64 / f64::from(2_001 - i)).ln() * -tail);
        latency.record(response_ns as u64).unwrap();
    }
    LoadFigures {
        messages: 2_000,
        offered_per_s: rate as f64,
        achieved_per_s: rate as f64 * if overloaded { 0.38 } else { 1.0 },
        overloaded,
        p50_ns: quantile(&latency, 0.5),
        p99_ns: quantile(&latency, 0.99),
        send_lag_p99_ns: 90_000,
        cpu_ns_per_message: 20_000.0 * jitter,
        latency,
    }
}
