//! A run as it might have been, for the tests of table, verdicts and page: 4 workers, the scenarios of `quick`.

use evenkeel::measure::{
    balance::{Balance, Verdict as Balanced},
    histograms,
    report::HistogramJson,
};
use hdrhistogram::Histogram;

use super::{
    figures::{self, Figures},
    machine::Machine,
    mode::Mode,
    raw::{Distribution, Raw, Source},
    reports::{ByConnection, ClientReport, Heat, Served, Slices},
    results::{Conditions, LoadFigures, Results, ScenarioNote, Trial, quantile},
    scenario::{self, Part, Scenario, Suite},
    schedule,
    trial::Plan,
};

const CONNECTIONS: usize = 64;

/// A run of `quick` with two rounds.
pub fn results() -> Results {
    results_of(2)
}

/// A run of `quick` with so many rounds.
pub fn results_of(rounds: usize) -> Results {
    let parts = Suite::QUICK.parts(scenario::all(), Some(rounds));
    let trials: Vec<_> = schedule::plan(&parts, 2, 7).iter().map(trial).collect();
    let note = |part: &Part| ScenarioNote::of(&part.scenario, part.rounds, 2);
    Results {
        schema: Results::SCHEMA.into(),
        version: "0.0.0".into(),
        started: "2026-01-01T00:00:00.000Z".into(),
        command: "evenkeel-lab quick --seed 7 <&>".into(),
        suite: "quick".into(),
        seed: 7,
        machine: Machine { cpus: 2, kernel: "6.18".into(), ..Machine::default() },
        contended: true,
        workers: 4,
        rounds,
        phase_ms: 400,
        scenarios: parts.iter().map(note).collect(),
        modes: Mode::quick().iter().map(Mode::to_string).collect(),
        trials_planned: trials.len(),
        interrupted: false,
        failures: Vec::new(),
        trials,
        comparisons: Vec::new(),
        claims: Vec::new(),
        verdicts: Vec::new(),
    }
}

fn trial(plan: &Plan) -> Trial {
    let (scenario, accept) = (&plan.scenario, plan.mode.accept.name());
    let total = if scenario.has_load() { CONNECTIONS as u64 } else { 400 };
    let per_worker = per_worker(accept, total);
    let balance = Balance::of_counts(&per_worker);
    let switches: u64 = if accept == "shared" { 3 } else { 1 };
    let load = scenario.has_load().then(|| load(plan));
    let mut figures = Figures::default();
    figures.put_balance(&per_worker, &balance);
    figures.put("switches_per_accept", switches as f64);
    let mut raw = Raw::default();
    if let Some(load) = &load {
        let tail = tail(plan);
        let (latency, service) = (tailed(500_000.0, tail), tailed(400_000.0, tail / 2.0));
        let client = client(&latency, &per_worker, load);
        figures.put_load(&client, &latency);
        figures.put_truth(&service, &tailed(9_000.0, 1.0));
        figures.put("cpu_ns_per_message", load.cpu_ns_per_message);
        raw = Raw { service: Distribution::of(&service), ..Raw::of(client).expect("what was encoded") };
    }
    Trial {
        scenario: scenario.name.clone(),
        mode: plan.mode.to_string(),
        twin: plan.twin,
        step: plan.step,
        round: plan.round,
        order: plan.order,
        at_s: plan.order as f64 * 1.5,
        registration: Vec::new(),
        per_worker_reported: per_worker.clone(),
        counts_agree: true,
        dispersion: balance.dispersion,
        jain: balance.jain,
        max_over_mean: balance.max_over_mean,
        cov: balance.cov,
        p_value: balance.by_chance.and_then(|chance| chance.p_value),
        against_chance: balance.verdict.unwrap_or(Balanced::NoData),
        effective_n: load.as_ref().map(|_| CONNECTIONS as f64),
        context_switches: switches * total,
        context_switches_per_accept: switches as f64,
        busy_share: vec![0.5; per_worker.len()],
        conditions: Conditions {
            hiccup_p99_ns: 80_000,
            hiccup_max_ns: 900_000,
            steal_percent: 0.4,
            others_percent: 1.1,
            involuntary_switches: 40,
            listen_overflows: 0,
            listen_drops: 0,
            time_wait: 12,
            client_cpu_share: 0.2,
        },
        stationary: load.as_ref().map(|load| !load.overloaded),
        clean: !plan.order.is_multiple_of(5),
        figures: figures.finish(),
        load,
        server_report: format!("raw/{}.server.json", plan.file_name()),
        client_report: format!("raw/{}.client.json", plan.file_name()),
        hlog: None,
        source: Some(Source::holding(raw)),
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

/// Latencies around half a millisecond.
fn load(plan: &Plan) -> LoadFigures {
    let rate = rate(&plan.scenario);
    let overloaded = is_overloaded(plan);
    let latency = tailed(500_000.0, tail(plan));
    LoadFigures {
        messages: latency.len(),
        offered_per_s: rate,
        achieved_per_s: rate * if overloaded { 0.38 } else { 1.0 },
        overloaded,
        p50_ns: quantile(&latency, 0.5),
        p99_ns: quantile(&latency, 0.99),
        send_lag_p99_ns: 90_000,
        cpu_ns_per_message: 20_000.0 * jitter(plan),
    }
}

fn is_overloaded(plan: &Plan) -> bool {
    plan.mode.accept.name() == "exclusive"
}

/// The tail is five times as long in `exclusive`.
fn tail(plan: &Plan) -> f64 {
    if is_overloaded(plan) { 5.0 * jitter(plan) } else { jitter(plan) }
}

fn jitter(plan: &Plan) -> f64 {
    1.0 + 0.1 * ((plan.round + plan.mode.trigger.name().len() + usize::from(plan.twin)) % 3) as f64
}

fn rate(scenario: &Scenario) -> f64 {
    let flags = &scenario.client.flags;
    let at = flags.iter().position(|flag| flag == "--rate").expect("the fixture's load has a rate");
    flags[at + 1].parse().expect("a rate is a number")
}

fn tailed(median_ns: f64, tail: f64) -> Histogram<u64> {
    let mut histogram = histograms::histogram();
    for i in 0..2_000 {
        let value_ns = median_ns * (1.0 - (2_000.0f64 / f64::from(2_001 - i)).ln() * -tail);
        histogram.record(value_ns as u64).expect("within the bounds");
    }
    histogram
}

/// A client's report with eight measured slices, and each connection by itself.
fn client(latency: &Histogram<u64>, per_worker: &[u64], load: &LoadFigures) -> ClientReport {
    const SLICES: usize = 10;
    let json = HistogramJson::new("ns", latency);
    let served =
        |(worker, &connections): (usize, &u64)| Served { worker, connections, latency: json.clone() };
    let workers = per_worker.iter().enumerate();
    let each = workers.clone().flat_map(|(worker, &count)| vec![Some(worker); count as usize]);
    let in_slice = |slice: usize| if slice < 2 { 0 } else { 250 };
    ClientReport {
        messages: latency.len(),
        connections: per_worker.iter().sum(),
        rate_per_s: load.achieved_per_s,
        duration_s: 0.8,
        offered_per_s: Some(load.offered_per_s),
        by_worker: workers.map(served).collect(),
        latency: json,
        slices: Some(Slices {
            slice_ns: 100_000_000,
            measured_from: 2,
            measured_until: SLICES,
            due: (0..SLICES).map(in_slice).collect(),
            answered: (0..SLICES).map(in_slice).collect(),
            p99_ns: (0..SLICES).map(|slice| (slice >= 2).then(|| latency.value_at_quantile(0.99))).collect(),
            open_by_worker: per_worker.iter().map(|&count| vec![count as i64; SLICES]).collect(),
            answered_by_worker: per_worker.iter().map(|&count| vec![count * 4; SLICES]).collect(),
            heat: Heat {
                bounds_ns: (0..8).map(|bucket| 400_000 << bucket).collect(),
                counts: (0..SLICES).map(|slice| (0..8).map(|b| in_slice(slice) >> b).collect()).collect(),
            },
        }),
        by_connection: Some(ByConnection {
            worker: each.collect(),
            messages: vec![31; CONNECTIONS],
            p50_ns: vec![Some(500_000); CONNECTIONS],
            p99_ns: (0..CONNECTIONS as u64).map(|index| Some(2_000_000 + index * 50_000)).collect(),
        }),
        ..ClientReport::default()
    }
}

#[test]
fn the_fixture_is_a_whole_run() {
    let results = results();
    assert_eq!(results.trials.len(), 2 * 2 * 12);
    let busy = results.trials.iter().find(|trial| trial.load.is_some()).expect("one with load");
    for name in ["p50_ns", "p99_ns", "p99_sliced_ns", "service_p50_ns", "variance_between_workers"] {
        assert!(busy.figures.contains_key(name) && figures::NAMES.contains(&name), "{name}");
    }
}
