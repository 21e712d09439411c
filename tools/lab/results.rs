//! What the lab writes: `results.json`, schema `evenkeel-lab/1`. Fields are only added.
//!
//! One [`Trial`] is one observation; whatever is said about a mode is derived from its trials
//! (`summary.rs`), and can be derived again from this file and the raw reports beside it.

use evenkeel::measure::{
    balance::{Balance, Verdict as Balanced},
    report::Report,
};
use hdrhistogram::Histogram;
use serde::Serialize;

use super::{
    machine::Machine,
    reports::ClientReport,
    scenario::{Load, Scenario, Settings},
    trial::{Plan, Reports},
};

/// Everything of one run.
#[derive(Debug, Serialize)]
pub struct Results {
    pub schema: &'static str,
    pub version: &'static str,
    /// UTC, RFC 3339.
    pub started: String,
    pub command: String,
    pub seed: u64,
    pub machine: Machine,
    /// Workers and client threads exceed the cores: latencies are compared, not claimed.
    pub contended: bool,
    pub workers: usize,
    pub rounds: usize,
    pub phase_ms: u64,
    pub scenarios: Vec<ScenarioNote>,
    /// In the order of the table; the first is the baseline.
    pub modes: Vec<String>,
    pub trials_planned: usize,
    /// The run ended early, by Ctrl-C or by a failure; the trials are those that were finished.
    pub interrupted: bool,
    /// In the order in which they ran.
    pub trials: Vec<Trial>,
    pub verdicts: Vec<Verdict>,
}

/// A scenario's name and parameters, so that the file can be read without the program.
#[derive(Debug, Serialize)]
pub struct ScenarioNote {
    pub name: &'static str,
    pub reveals: &'static str,
    pub parameters: String,
}

/// A sentence about the run, and what it is about.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    pub about: &'static str,
    pub text: String,
}

/// One trial, summed up.
#[derive(Clone, Debug, Serialize)]
pub struct Trial {
    pub scenario: &'static str,
    pub mode: String,
    pub round: usize,
    /// Connections per worker, as the clients saw them (`--greet`).
    pub per_worker: Vec<u64>,
    /// The same by the server's report.
    pub per_worker_reported: Vec<u64>,
    /// Both counts agree, worker by worker, and the report adds up.
    pub counts_agree: bool,
    pub dispersion: f64,
    pub jain: f64,
    pub max_over_mean: f64,
    pub p_value: Option<f64>,
    pub against_chance: Balanced,
    /// Context switches of the workers and, in `dealt`, of the acceptor.
    pub context_switches: u64,
    pub context_switches_per_accept: f64,
    /// The share of the server's life that each worker spent outside epoll_wait.
    pub busy_share: Vec<f64>,
    /// `null` where nothing was sent.
    pub load: Option<LoadFigures>,
    /// The raw reports, relative to this file.
    pub server_report: String,
    pub client_report: String,
}

/// The figures of a trial with load.
#[derive(Clone, Debug, Serialize)]
pub struct LoadFigures {
    pub messages: u64,
    /// Messages that were due in the measured time, by the schedule that was drawn.
    pub offered_per_s: f64,
    pub achieved_per_s: f64,
    /// Achieved < 98 % of offered: the percentiles measure the length of the run.
    pub overloaded: bool,
    /// Response time, from the moment when a message was due. `null` with fewer than ten samples beyond.
    pub p50_ns: Option<u64>,
    pub p99_ns: Option<u64>,
    /// How late the client itself sent.
    pub send_lag_p99_ns: u64,
    /// CPU time of the server's workers over the messages that they read, warm-up included.
    pub cpu_ns_per_message: f64,
    /// The whole distribution; in the file it is in the client's report.
    #[serde(skip)]
    pub latency: Histogram<u64>,
}

/// A quantile is only shown with at least so many samples beyond it.
const SAMPLES_BEYOND_MIN: f64 = 10.0;

impl Results {
    pub const SCHEMA: &'static str = "evenkeel-lab/1";

    /// What was run and where, on one line.
    pub fn headline(&self) -> String {
        let part = if self.interrupted {
            format!(" ({} of {} trials)", self.trials.len(), self.trials_planned)
        } else {
            String::new()
        };
        let Machine { kernel, cpus, .. } = &self.machine;
        let (workers, modes, rounds, seed) = (self.workers, self.modes.len(), self.rounds, self.seed);
        format!(
            "echo, {workers} workers, {modes} modes × {rounds} rounds{part} · seed {seed} · kernel {kernel} · \
             {cpus} cores"
        )
    }

    /// What a reader must know before he believes a figure: a word, and what it means here.
    pub fn warnings(&self) -> Vec<(&'static str, String)> {
        let mut warnings = Vec::new();
        let Machine { cpus, others_percent, steal_percent, .. } = &self.machine;
        if self.interrupted {
            warnings.push(("INTERRUPTED", "the run ended early".to_owned()));
        }
        if self.contended {
            let workers = self.workers;
            let what = format!(
                "{workers} workers and the client share {cpus} cores: compare latencies, don't quote them"
            );
            warnings.push(("CONTENDED", what));
        }
        if self.machine.is_disturbed() {
            let what = format!(
                "others used {others_percent} % of the CPU ({steal_percent} % stolen): run again on a quiet machine"
            );
            warnings.push(("DISTURBED", what));
        }
        warnings
    }
}

impl ScenarioNote {
    pub fn of(scenario: &Scenario) -> Self {
        Self { name: scenario.name, reveals: scenario.reveals, parameters: scenario.parameters() }
    }
}

impl Trial {
    /// What two reports say about a trial.
    ///
    /// # Errors
    /// A sentence, where a report can't be read.
    pub fn new(plan: &Plan, settings: &Settings, reports: &Reports) -> Result<Self, String> {
        let server = Report::from_json(&reports.server)
            .map_err(|error| format!("cannot read the server's report: {error}"))?;
        let client: ClientReport = reports.client.parse()?;
        let per_worker = client.per_worker(settings.workers);
        let balance = Balance::of_counts(&per_worker);
        let switches = server.totals.context_switches
            + server.acceptor.as_ref().map_or(0, |acceptor| acceptor.context_switches);
        let file =
            format!("raw/{}-{}-r{}", plan.scenario.name, plan.mode.to_string().replace('/', "-"), plan.round);
        Ok(Self {
            scenario: plan.scenario.name,
            mode: plan.mode.to_string(),
            round: plan.round,
            counts_agree: counts_agree(&per_worker, &server, &client),
            per_worker,
            per_worker_reported: server.balance.accepted.per_worker.clone(),
            dispersion: balance.dispersion,
            jain: balance.jain,
            max_over_mean: balance.max_over_mean,
            p_value: balance.by_chance.and_then(|chance| chance.p_value),
            against_chance: balance.verdict.unwrap_or(Balanced::NoData),
            context_switches: switches,
            context_switches_per_accept: per(switches, server.totals.accepted),
            busy_share: server
                .workers
                .iter()
                .map(|worker| busy_share(worker.counts.busy_ns, server.duration_s))
                .collect(),
            load: match plan.scenario.load {
                Load::ConnectOnly { .. } => None,
                Load::Open { .. } => Some(LoadFigures::new(&server, &client)?),
            },
            server_report: format!("{file}.server.json"),
            client_report: format!("{file}.client.json"),
        })
    }
}

impl LoadFigures {
    fn new(server: &Report, client: &ClientReport) -> Result<Self, String> {
        let latency = client.latency.decode()?;
        Ok(Self {
            messages: client.messages,
            offered_per_s: client.offered_per_s.unwrap_or(0.0),
            achieved_per_s: client.rate_per_s,
            overloaded: client.fell_short.unwrap_or(false),
            p50_ns: quantile(&latency, 0.5),
            p99_ns: quantile(&latency, 0.99),
            send_lag_p99_ns: client.send_lag.p99,
            cpu_ns_per_message: per(server.totals.cpu_ns, server.totals.messages),
            latency,
        })
    }
}

/// A quantile, if enough samples lie beyond it to say anything about it.
pub fn quantile(histogram: &Histogram<u64>, q: f64) -> Option<u64> {
    (histogram.len() as f64 * (1.0 - q) >= SAMPLES_BEYOND_MIN).then(|| histogram.value_at_quantile(q))
}

/// What the clients saw is what the server counted, and nothing was lost between accept and close.
fn counts_agree(per_worker: &[u64], server: &Report, client: &ClientReport) -> bool {
    let totals = &server.totals;
    per_worker == server.balance.accepted.per_worker
        && totals.accepted == per_worker.iter().sum::<u64>()
        && totals.accepted == client.connections
        && totals.accepted == totals.closed + totals.active
}

fn per(amount: u64, count: u64) -> f64 {
    if count == 0 { 0.0 } else { amount as f64 / count as f64 }
}

fn busy_share(busy_ns: u64, duration_s: f64) -> f64 {
    if duration_s > 0.0 { (busy_ns as f64 / (duration_s * 1e9) * 1e4).round() / 1e4 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(per_worker: [u64; 2], closed: u64) -> Report {
        let accepted: u64 = per_worker.iter().sum();
        let text = format!(
            r#"{{"schema":"evenkeel-report/1","duration_s":2.0,"acceptor":null,
                "workers":[{{"busy_ns":1000000000}},{{"busy_ns":0}}],
                "balance":{{"accepted":{{"per_worker":{per_worker:?}}}}},
                "totals":{{"accepted":{accepted},"closed":{closed},"active":0,"messages":0,
                           "context_switches":20,"cpu_ns":0}}}}"#
        );
        Report::from_json(&text).unwrap()
    }

    fn client(connections: u64) -> ClientReport {
        let text = format!(
            r#"{{"messages":0,"connections":{connections},"rate_per_s":0.0,
                "latency":{{}},"send_lag":{{}},"by_worker":[]}}"#
        );
        text.parse().unwrap()
    }

    #[test]
    fn counts_must_agree_worker_by_worker() {
        assert!(counts_agree(&[6, 4], &server([6, 4], 10), &client(10)));
        assert!(!counts_agree(&[4, 6], &server([6, 4], 10), &client(10)), "swapped workers");
        assert!(!counts_agree(&[6, 4, 0], &server([6, 4], 10), &client(10)), "a worker too many");
        assert!(!counts_agree(&[6, 4], &server([6, 4], 9), &client(10)), "a session that never ended");
        assert!(!counts_agree(&[6, 4], &server([6, 4], 10), &client(11)), "a connection nobody accepted");
    }

    #[test]
    fn a_quantile_needs_ten_samples_beyond_it() {
        let mut histogram = Histogram::new(3).unwrap();
        histogram.record_n(5, 999).unwrap();
        assert_eq!((quantile(&histogram, 0.5), quantile(&histogram, 0.99)), (Some(5), None));
        histogram.record_n(5, 2).unwrap();
        assert_eq!(quantile(&histogram, 0.99), Some(5));
    }

    #[test]
    fn a_share_of_no_time_is_none() {
        assert_eq!((busy_share(5, 0.0), busy_share(1_000_000_000, 2.0), per(3, 0)), (0.0, 0.5, 0.0));
    }
}
