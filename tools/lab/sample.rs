//! Runs for the tests of what is concluded from them: trial by trial, with the figures that a test gives them.

use evenkeel::measure::{balance::Verdict as Balanced, histograms::histogram};

use super::{
    machine::Machine,
    raw::{Distribution, Raw, Source},
    results::{Conditions, LoadFigures, Results, ScenarioNote, Trial},
};

/// A run without scenarios.
pub fn run() -> Results {
    Results {
        schema: Results::SCHEMA.into(),
        version: "0.0.0".into(),
        started: "2026-01-01T00:00:00.000Z".into(),
        command: "evenkeel-lab run".into(),
        suite: "run".into(),
        seed: 7,
        machine: Machine { cpus: 8, ..Machine::default() },
        contended: false,
        workers: 4,
        rounds: 0,
        phase_ms: 0,
        scenarios: Vec::new(),
        modes: Vec::new(),
        trials_planned: 0,
        interrupted: false,
        failures: Vec::new(),
        trials: Vec::new(),
        comparisons: Vec::new(),
        claims: Vec::new(),
        verdicts: Vec::new(),
    }
}

/// A scenario of four workers.
pub fn note(name: &str, modes: &[&str], figures: &[&str]) -> ScenarioNote {
    ScenarioNote {
        name: name.into(),
        group: "accept".into(),
        heading: name.into(),
        has_load: true,
        modes: modes.iter().map(|&mode| mode.to_owned()).collect(),
        figures: figures.iter().map(|&figure| figure.to_owned()).collect(),
        workers: 4,
        ..ScenarioNote::default()
    }
}

/// A trial in which nothing happened.
pub fn trial(scenario: &str, mode: &str, round: usize) -> Trial {
    Trial {
        scenario: scenario.into(),
        mode: mode.into(),
        twin: false,
        step: None,
        round,
        order: 0,
        at_s: 0.0,
        registration: Vec::new(),
        per_worker: Vec::new(),
        per_worker_reported: Vec::new(),
        counts_agree: true,
        dispersion: 0.0,
        jain: 1.0,
        max_over_mean: 1.0,
        cov: 0.0,
        p_value: None,
        against_chance: Balanced::NoData,
        effective_n: None,
        context_switches: 0,
        context_switches_per_accept: 0.0,
        busy_share: Vec::new(),
        load: None,
        conditions: Conditions::default(),
        stationary: None,
        clean: true,
        figures: [].into(),
        server_report: String::new(),
        client_report: String::new(),
        hlog: None,
        source: None,
    }
}

impl Trial {
    pub fn with(mut self, figure: &str, value: f64) -> Self {
        self.figures.insert(figure.into(), value);
        self
    }

    pub fn twin(mut self) -> Self {
        self.twin = true;
        self
    }

    pub fn at(mut self, step: f64) -> Self {
        self.step = Some(step);
        self
    }

    pub fn with_counts(mut self, per_worker: &[u64]) -> Self {
        self.per_worker = per_worker.to_vec();
        self
    }

    /// Messages of these latencies, at a load of 1,000 a second of which `share` was answered.
    pub fn with_load(mut self, latencies_ns: &[u64], share: f64) -> Self {
        let mut latency = histogram();
        latencies_ns.iter().for_each(|&ns| latency.saturating_record(ns));
        self.load = Some(LoadFigures {
            messages: latency.len(),
            offered_per_s: 1_000.0,
            achieved_per_s: 1_000.0 * share,
            overloaded: share < 0.98,
            p50_ns: None,
            p99_ns: None,
            send_lag_p99_ns: 0,
            cpu_ns_per_message: 0.0,
        });
        let latency = Distribution::of(&latency);
        self.source = Some(Source::holding(Raw { service: latency.clone(), latency, ..Raw::default() }));
        self
    }
}
