//! The report: one model, told as JSON for programs and as text for people.
//!
//! The JSON form is a contract (`docs/report.md`): fields are added, never removed or renamed, and a number is
//! always a number. So the structs below *are* the format: what they say is what is written, and what
//! was written by any version of this schema can be read back into them, whatever fields came or went.
//!
//! `build` makes a report from what workers hand out, `read` from a file; `text` shows it.

pub mod build;
pub mod compare;
pub mod date;
pub mod histogram;
pub mod merge;
pub mod named;
pub mod read;
pub(crate) mod round;
pub mod text;

mod machine;
mod page;

pub use build::{ListenerInfo, RunInfo, ServiceInfo, UpstreamInfo};
pub use histogram::HistogramJson;
pub use named::NamedHistograms;

use serde::{Deserialize, Serialize};

use super::{
    balance::{Balance, Verdict},
    counts::{Counts, UpstreamCounts},
    ledger::Ends,
    snapshot::AcceptorSnapshot,
};

/// What happened in a run: the JSON report, field by field.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use evenkeel::{config::Options, measure::report::{Report, RunInfo}};
///
/// let options = Options::default();
/// let run = RunInfo::new(SystemTime::now(), Duration::from_secs(10), &options);
/// let report = Report::new(run, &[], None);
/// let line = report.to_json_line();
/// assert_eq!(Report::from_json(&line), Ok(report));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// [`Report::SCHEMA`].
    pub schema: String,
    /// The version of evenkeel that wrote it.
    pub version: String,
    /// When the run began: RFC 3339, UTC.
    pub started: String,
    /// From then to the report, in seconds.
    pub duration_s: f64,
    /// Where it ran.
    pub machine: Machine,
    /// What was asked for.
    pub config: Config,
    /// What was served, and where.
    pub services: Vec<Service>,
    /// Exact sums over workers.
    pub totals: Counts,
    /// How evenly the workers shared.
    pub balance: Balances,
    /// All workers' histograms, merged.
    pub histograms: NamedHistograms,
    /// Each worker, in order.
    pub workers: Vec<Worker>,
    /// The acceptor thread, in accept mode `dealt`.
    pub acceptor: Option<AcceptorSnapshot>,
    /// How many proxied sessions ended how, by the code of the close ledger.
    pub ends: Ends,
    /// Where connections were forwarded to.
    pub upstreams: Vec<Upstream>,
    /// Sentences about what a reader might not expect.
    pub notes: Vec<String>,
    /// The runs that this is the sum of, where it was made from several reports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub merged: Vec<Part>,
    /// How those runs spread their connections, all of them together beside chance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merged_balance: Option<Together>,
}

/// One of the runs that a merged report is the sum of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Part {
    /// Where its report was read from.
    pub file: String,
    /// The version of evenkeel that wrote it.
    pub version: String,
    /// When it began.
    pub started: String,
    /// How long it took, in seconds.
    pub duration_s: f64,
    /// Where it ran.
    pub machine: Machine,
    /// Where it listened.
    pub listen: Vec<String>,
    /// Connections accepted.
    pub accepted: u64,
    /// The same by worker.
    pub per_worker: Vec<u64>,
    /// Messages.
    pub messages: u64,
    /// How evenly its connections were spread: the dispersion, as in `balance.accepted`.
    pub dispersion: f64,
    /// The same as max/mean.
    pub max_over_mean: f64,
    /// The comparison with chance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
}

/// The spreads of several runs, each with a deal of its own, held against chance together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Together {
    /// Pearson's statistics over their degrees of freedom, all runs: 1 by chance.
    pub dispersion: f64,
    /// The probability that chance gives one at least as far out, at either end.
    pub p_value: f64,
    /// The comparison with chance.
    pub verdict: Verdict,
}

/// Where a run took place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// CPUs that are online.
    pub cpus: usize,
    /// The kernel's release, as `uname -r` has it.
    pub kernel: String,
}

/// What was asked for, by the names of the flags.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// `--accept`.
    pub accept: String,
    /// `--trigger`.
    pub trigger: String,
    /// `--listen-trigger`.
    pub listen_trigger: String,
    /// `--poll`.
    pub poll: String,
    /// Number of workers.
    pub workers: usize,
    /// The cores that workers were given.
    pub cores: Vec<usize>,
    /// Whether each worker stayed on its core.
    pub pin: bool,
    /// `--rotate-every`, accepts.
    pub rotate_every: u32,
    /// `--deal`.
    pub deal: String,
    /// The most accepts in one iteration, as it applies to `accept`.
    pub accept_budget: usize,
    /// The most bytes that a turn reads.
    pub budget: usize,
    /// The length of each accept queue that was asked for.
    pub backlog: i32,
    /// Whether TCP_NODELAY was set.
    pub nodelay: bool,
    /// `--drain`, in seconds.
    pub drain_s: f64,
    /// `--measure`.
    pub measure: String,
    /// `--timestamps`.
    pub timestamps: bool,
}

/// One service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// What it is: `echo`, `proxy`.
    pub kind: String,
    /// How a proxy chooses upstreams; empty for others.
    pub balance: String,
    /// How bytes cross a proxy; empty for others.
    pub forward: String,
    /// Its addresses, with the real port.
    pub listen: Vec<String>,
    /// Connections that workers opened a session for.
    pub accepted: u64,
    /// The same addresses, each with the accept mode that it was served by.
    pub listeners: Vec<Listener>,
}

/// One listening address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Listener {
    /// The address, with the real port.
    pub address: String,
    /// How its connections reached workers, which isn't `config.accept` where that can't be (unix sockets).
    pub accept: String,
}

/// How evenly five measures are spread over workers; only the first is compared with chance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Balances {
    /// Connections accepted.
    pub accepted: Balance,
    /// Open sessions, averaged over time.
    pub active_avg: Balance<f64>,
    /// The most sessions open at once.
    pub active_max: Balance,
    /// Messages.
    pub messages: Balance,
    /// Time outside epoll_wait, in nanoseconds.
    pub busy_ns: Balance,
}

/// One worker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Worker {
    /// Its number, from 0.
    pub worker: usize,
    /// The core it was pinned to, if it was.
    pub core: Option<usize>,
    /// What it counted, field by field as in `totals`.
    #[serde(flatten)]
    pub counts: Counts,
    /// Open sessions, averaged over time.
    pub active_avg: f64,
    /// The most sessions open at once.
    pub active_max: u64,
    /// The longest accept queue that it found.
    pub accept_queue_max: u64,
    /// What it recorded.
    pub histograms: NamedHistograms,
}

/// One upstream of a proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Upstream {
    /// The name of the service that it is an upstream of.
    pub service: String,
    /// Its address.
    pub address: String,
    /// Its share, against the others'.
    pub weight: u32,
    /// Whether it is used only while no other of its group is usable.
    pub backup: bool,
    /// Whether it gets sessions: `up`, `down`, `leaving`, `vacant`.
    pub state: String,
    /// Whether the DNS answer that it comes from is older than it said that it may be.
    pub stale: bool,
    /// Checks that passed.
    pub checks_passed: u64,
    /// Checks that failed.
    pub checks_failed: u64,
    /// What all workers counted of it.
    #[serde(flatten)]
    pub counts: UpstreamCounts,
}

impl Report {
    /// The name of this format; the number grows only if a field ever had to change its meaning.
    pub const SCHEMA: &str = "evenkeel-report/1";

    /// The report as JSON, on one line, without a line feed.
    pub fn to_json_line(&self) -> String {
        // Fails for maps with keys that aren't strings and for types that refuse: there are none here.
        serde_json::to_string(self).expect("a report has only string keys and infallible fields")
    }
}

#[cfg(test)]
pub(crate) mod samples;
