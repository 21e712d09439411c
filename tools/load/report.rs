//! The report: what all threads saw, as numbers. `docs/load.md` says what each field means.

use evenkeel::measure::report::HistogramJson;
use serde::{Deserialize, Serialize};

use super::{
    clock::SECOND_NS,
    places::PlacesJson,
    plan::{Close, End, Load, Plan},
    slices::SlicesJson,
    tally::{Errors, Tally},
};

/// The name of this format; the number grows only if a field ever had to change its meaning.
pub const SCHEMA: &str = "evenkeel-load/1";

/// An open loop fell short where it achieved less than this part of what was offered.
const ACHIEVED_MIN: f64 = 0.98;

/// Messages that may be on their way at the end of a run without its having fallen short.
const ON_THEIR_WAY: u64 = 10;

/// A run's results; serialized, the JSON contract.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// Of the generator.
    pub version: String,
    /// When the program started: RFC 3339, UTC.
    pub started: String,
    /// How many runs this is the sum of, where it was merged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs: Option<u64>,
    /// Whether those had different configurations; `config` is that of the first one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub configs_differ: bool,
    /// The measured window.
    pub duration_s: f64,
    /// Whether a signal ended the run before its time.
    pub interrupted: bool,
    /// The run as it was asked for.
    pub config: Config,
    /// Measured messages that were answered.
    pub messages: u64,
    /// Measured messages that were issued: `messages + errors.timeout + lost`.
    pub sent: u64,
    /// Of these, how many went down with their connection.
    pub lost: u64,
    /// Answers a second within the window.
    pub rate_per_s: f64,
    /// Messages a second that were due within the window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offered_per_s: Option<f64>,
    /// Whether the server, or the generator, did not keep up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fell_short: Option<bool>,
    /// Of the messages, in one direction.
    pub bytes: u64,
    /// Established, the whole run.
    pub connections: u64,
    /// By kind, the whole run.
    pub errors: Errors,
    /// From due (closed loop: from sent) to answered.
    pub latency: HistogramJson,
    /// From sent to answered.
    pub service_latency: HistogramJson,
    /// From connect to established.
    pub connect_latency: HistogramJson,
    /// How late the generator itself was.
    pub send_lag: HistogramJson,
    /// From the kernel's receive stamp to the read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receive_delay: Option<HistogramJson>,
    /// Reads whose bytes had no stamp.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unstamped: Option<u64>,
    /// What each worker did, where connections are greeted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_worker: Option<Vec<Worker>>,
    /// The run over time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slices: Option<SlicesJson>,
    /// The connections one by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_connection: Option<PlacesJson>,
    /// Threads that shared the load.
    pub threads: usize,
    /// The generator's own CPU time within the window, user and system.
    pub cpu_s: f64,
    /// The first failure, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_failure: Option<String>,
}

/// What one worker of the server did.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Worker {
    /// Its number.
    pub worker: u64,
    /// Connections that it greeted, the whole run.
    pub connections: u64,
    /// Measured messages that it answered.
    pub messages: u64,
    /// Their latency.
    pub latency: HistogramJson,
}

/// The run as it was asked for; what wasn't asked for isn't there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The server.
    pub address: String,
    /// What connections carry.
    #[serde(rename = "loop")]
    pub kind: Kind,
    /// In all.
    pub connections: usize,
    /// Bytes of a message.
    pub size: u64,
    /// Messages in flight on a connection; open loop: the most, where that was limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<usize>,
    /// Open loop: messages a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// Open loop: the gaps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arrivals: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spin: Option<bool>,
    /// How long to measure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_s: Option<f64>,
    /// After how many messages to stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<u64>,
    warmup_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    churn: Option<u64>,
    greet: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    close: Option<String>,
    shape: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    think_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    read_rate: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    write_chunk: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    hold: bool,
    connect_spacing_s: f64,
    threads: usize,
    cores: Vec<usize>,
    seed: u64,
    verify: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    slices_s: Option<f64>,
    per_connection: bool,
    timestamps: bool,
}

/// What connections carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The next message when an answer was there.
    #[default]
    Closed,
    /// Messages when they were due.
    Open,
    /// Nothing.
    ConnectOnly,
}

impl Report {
    /// Sums up a run that began at `started`.
    pub fn new(plan: &Plan, started: String, tally: Tally) -> Self {
        let duration_s = tally.window_ns.map_or(0.0, |(from_ns, until_ns)| seconds(until_ns - from_ns));
        let per_s = |count: u64| if duration_s > 0.0 { count as f64 / duration_s } else { 0.0 };
        let latency = tally.latency();
        let messages = tally.groups.iter().map(|group| group.messages).sum();
        let is_open_loop = plan.is_open_loop();
        Self {
            schema: SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started,
            runs: None,
            configs_differ: false,
            duration_s,
            interrupted: tally.interrupted,
            config: Config::new(plan),
            messages,
            sent: tally.sent,
            lost: tally.lost,
            rate_per_s: per_s(tally.answered_in_window),
            offered_per_s: is_open_loop.then(|| per_s(tally.sent)),
            fell_short: is_open_loop.then(|| fell_short(tally.answered_in_window, tally.sent)),
            bytes: messages * plan.size,
            connections: tally.opened,
            errors: tally.errors,
            service_latency: nanos(tally.service.as_ref().unwrap_or(&latency)),
            latency: nanos(&latency),
            connect_latency: nanos(&tally.connect),
            send_lag: nanos(&tally.lag),
            receive_delay: tally.stamps.as_ref().map(|stamps| nanos(&stamps.delay)),
            unstamped: tally.stamps.as_ref().map(|stamps| stamps.unstamped),
            by_worker: plan.greet.then(|| Worker::all(&tally)),
            slices: tally.slices.as_ref().map(|slices| {
                SlicesJson::new(slices, tally.window_ns.unwrap_or((tally.end_ns, tally.end_ns)), tally.end_ns)
            }),
            by_connection: plan.per_connection.then(|| PlacesJson::new(&tally.places)),
            threads: plan.threads,
            cpu_s: seconds(tally.cpu_ns),
            first_failure: tally.first_failure,
        }
    }

    /// Whether a byte was wrong or nothing could connect.
    pub fn failed(&self) -> bool {
        self.errors.mismatch > 0 || self.connections == 0
    }

    /// What a person should know even if only the exit status is looked at.
    pub fn failures(&self) -> Vec<String> {
        let unknown = if self.interrupted { "interrupted too early" } else { "no reason was given" };
        let why = self.first_failure.as_deref().unwrap_or(unknown);
        match self {
            Self { connections: 0, .. } => {
                vec![format!("nothing could connect to {}: {why}", self.config.address)]
            }
            Self { errors: Errors { mismatch: 1.., .. }, .. } => {
                vec![format!(
                    "{} connections carried wrong bytes; first failure: {why}",
                    self.errors.mismatch
                )]
            }
            _ => Vec::new(),
        }
    }
}

impl Worker {
    fn all(tally: &Tally) -> Vec<Self> {
        let greeted = tally.groups.iter().filter_map(|group| group.worker.map(|worker| (worker, group)));
        let mut workers: Vec<_> = greeted
            .map(|(worker, group)| Self {
                worker,
                connections: group.connections,
                messages: group.messages,
                latency: nanos(&group.latency),
            })
            .collect();
        workers.sort_by_key(|worker| worker.worker);
        workers
    }
}

impl Config {
    /// All that makes runs comparable: those of one experiment differ in their seeds, and in where the server was.
    pub fn but_seed(&self) -> Self {
        Self { seed: 0, address: String::new(), ..self.clone() }
    }

    fn new(plan: &Plan) -> Self {
        let in_flight_max = Some(plan.in_flight_max as usize).filter(|_| plan.in_flight_max < u64::MAX);
        let (kind, pipeline, open) = match plan.load {
            Load::Closed { pipeline } => (Kind::Closed, Some(pipeline), None),
            Load::Open { rate_per_s, arrivals, spin } => {
                (Kind::Open, in_flight_max, Some((rate_per_s, arrivals, spin)))
            }
            Load::ConnectOnly => (Kind::ConnectOnly, None, None),
        };
        let (duration_s, messages) = match plan.end {
            _ if plan.load == Load::ConnectOnly => (None, None),
            End::AfterNs(duration_ns) => (Some(seconds(duration_ns)), None),
            End::AfterMessages(messages) => (None, Some(messages)),
        };
        Self {
            address: plan.address.to_string(),
            kind,
            connections: plan.connections,
            size: plan.size,
            pipeline,
            rate: open.map(|(rate_per_s, ..)| rate_per_s),
            arrivals: open.map(|(_, arrivals, _)| arrivals.to_string()),
            spin: open.map(|(.., spin)| spin),
            duration_s,
            messages,
            warmup_s: seconds(plan.warmup_ns),
            churn: plan.churn,
            greet: plan.greet,
            close: plan.churn.map(|_| match plan.close {
                Close::Fin => "fin".to_owned(),
                Close::Rst => "rst".to_owned(),
            }),
            shape: plan.shape.to_string(),
            think_s: plan.think_ns.map(seconds),
            read_rate: plan.read_rate,
            write_chunk: Some(plan.write_chunk).filter(|&chunk| chunk != u64::MAX),
            source: plan.source.map(|source| source.to_string()),
            hold: plan.hold,
            connect_spacing_s: seconds(plan.spacing_ns),
            threads: plan.threads,
            cores: plan.cores.clone(),
            seed: plan.seed,
            verify: plan.verify,
            slices_s: plan.slice_ns.map(seconds),
            per_connection: plan.per_connection,
            timestamps: plan.timestamps,
        }
    }
}

/// Whether `answered` messages within the window are too few for the `offered` ones.
fn fell_short(answered: u64, offered: u64) -> bool {
    (answered as f64) < ACHIEVED_MIN * offered as f64 && answered + ON_THEIR_WAY < offered
}

fn nanos(histogram: &hdrhistogram::Histogram<u64>) -> HistogramJson {
    HistogramJson::new("ns", histogram)
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / SECOND_NS as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_percent_less_than_offered_is_short() {
        assert!(fell_short(9_799, 10_000));
        assert!(!fell_short(9_800, 10_000));
        assert!(!fell_short(10_050, 10_000), "answers to the warm-up's messages come on top");
        assert!(!fell_short(90, 100), "a few are on their way when the window ends");
        assert!(fell_short(0, 100));
    }
}
