//! What the lab writes: `results.json`, schema `evenkeel-lab/1`. Fields are only added.
//!
//! One [`Trial`] is one observation; whatever is said about a mode is derived from its trials, and can be
//! derived again from this file and the raw reports beside it.

use std::collections::BTreeMap;

use evenkeel::measure::balance::Verdict as Balanced;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::{
    machine::Machine,
    raw::Source,
    scenario::{Claim, Scenario},
    statistics::Ratio,
};

/// Everything of one run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    pub schema: String,
    pub version: String,
    /// UTC, RFC 3339.
    pub started: String,
    pub command: String,
    /// `quick`, `small`, `full` or `run`.
    pub suite: String,
    pub seed: u64,
    pub machine: Machine,
    /// In some scenario, workers and client threads exceed the cores: latencies are compared, not claimed.
    pub contended: bool,
    /// The most that a scenario has.
    pub workers: usize,
    /// The most that a scenario has.
    pub rounds: usize,
    /// How long messages are measured in the first scenario that has load.
    pub phase_ms: u64,
    pub scenarios: Vec<ScenarioNote>,
    /// Of all scenarios, in their order.
    pub modes: Vec<String>,
    pub trials_planned: usize,
    /// The run ended early, by Ctrl-C or by a failure; the trials are those that were finished.
    pub interrupted: bool,
    /// What ended a scenario early, a sentence each; its remaining trials were left out.
    #[serde(default)]
    pub failures: Vec<String>,
    /// In the order in which they ran.
    pub trials: Vec<Trial>,
    pub comparisons: Vec<Comparison>,
    pub claims: Vec<ClaimResult>,
    pub verdicts: Vec<Verdict>,
}

/// A scenario with its parameters, so that the file can be read without the program.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScenarioNote {
    pub name: String,
    pub group: String,
    pub reveals: String,
    pub source: String,
    pub parameters: String,
    /// What happens, in a few words: for headings.
    pub heading: String,
    /// Whether messages are measured.
    pub has_load: bool,
    /// The first is the baseline.
    pub modes: Vec<String>,
    /// What is compared, by its name in `figures`.
    pub figures: Vec<String>,
    pub workers: usize,
    pub rounds: usize,
    pub contended: bool,
    /// The values of the flag that is swept.
    pub sweep: Option<Vec<f64>>,
    pub claims: Vec<Claim>,
}

/// A sentence about the run, and what it is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    pub about: String,
    pub text: String,
}

/// One trial, summed up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trial {
    pub scenario: String,
    pub mode: String,
    /// The baseline once more: what differs between the two is noise.
    pub twin: bool,
    /// The value of the flag that is swept.
    pub step: Option<f64>,
    pub round: usize,
    /// Its position in the run, from 0.
    pub order: usize,
    /// When it began, in seconds since the run did.
    pub at_s: f64,
    /// Cores, in the order in which their workers registered; empty where workers aren't pinned.
    pub registration: Vec<usize>,
    /// Connections per worker, as the clients saw them (`--greet`); behind a proxy, as it reported them.
    pub per_worker: Vec<u64>,
    /// The same by the server's report.
    pub per_worker_reported: Vec<u64>,
    /// Both counts agree, worker by worker, and the report adds up.
    pub counts_agree: bool,
    pub dispersion: f64,
    pub jain: f64,
    pub max_over_mean: f64,
    pub cov: f64,
    pub p_value: Option<f64>,
    pub against_chance: Balanced,
    /// Connections, weighted by their messages: as many as equal ones would scatter the same (Kish).
    pub effective_n: Option<f64>,
    /// Context switches of the workers and, in `dealt`, of the acceptor.
    pub context_switches: u64,
    pub context_switches_per_accept: f64,
    /// The share of the server's life that each worker spent outside epoll_wait.
    pub busy_share: Vec<f64>,
    /// `null` where nothing was sent.
    pub load: Option<LoadFigures>,
    pub conditions: Conditions,
    /// Whether the second half of the measured time was like the first; `null` where it was too short to tell.
    pub stationary: Option<bool>,
    /// The client was punctual: its lag's p99 is at most 100 µs, or a tenth of the median service time.
    pub clean: bool,
    /// By name, those that have a meaning here.
    pub figures: BTreeMap<String, f64>,
    /// The raw reports and the interval log, relative to this file.
    pub server_report: String,
    pub client_report: String,
    pub hlog: Option<String>,
    /// Where the lab reads the rest of what the client reported.
    #[serde(skip)]
    pub source: Option<Source>,
}

/// The figures of a trial with load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LoadFigures {
    pub messages: u64,
    /// Messages that were due in the measured time, by the schedule that was drawn; 0 in closed loop.
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
}

/// What else happened while a trial ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Conditions {
    /// How late an idle thread of the lab woke up that slept for 2 ms at a time.
    pub hiccup_p99_ns: u64,
    pub hiccup_max_ns: u64,
    /// Of the CPU time of all cores: taken by the hypervisor, used by processes other than the lab's.
    pub steal_percent: f64,
    pub others_percent: f64,
    /// Times that a core was taken away from a worker.
    pub involuntary_switches: u64,
    /// Of the whole machine: connections that met a full accept queue, SYNs that were dropped, sockets in
    /// TIME_WAIT at the end.
    pub listen_overflows: u64,
    pub listen_drops: u64,
    pub time_wait: u64,
    /// CPU time of the measured client over the measured time; 1 is a whole core.
    pub client_cpu_share: f64,
}

/// A mode against another in one figure, round by round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    pub scenario: String,
    pub step: Option<f64>,
    pub figure: String,
    pub mode: String,
    pub against: String,
    pub pairs: usize,
    /// `mode / against`.
    pub ratio: Option<Ratio>,
    pub p_value: Option<f64>,
    /// Adjusted for all comparisons of this figure in this scenario.
    pub p_holm: Option<f64>,
    /// The baseline against itself.
    pub noise: Option<Ratio>,
    pub call: Call,
}

/// What a comparison comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Call {
    Lower,
    Higher,
    NoDifferenceSeen,
    TooFewRounds,
}

/// A scenario's claim, tested by this run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClaimResult {
    pub scenario: String,
    pub says: String,
    pub figure: String,
    pub of: String,
    pub over: Option<String>,
    pub value: Option<f64>,
    pub at_least: Option<f64>,
    pub at_most: Option<f64>,
    /// `null` where there are no trials to tell.
    pub holds: Option<bool>,
}

/// A quantile is only shown with at least so many samples beyond it.
pub const SAMPLES_BEYOND_MIN: f64 = 10.0;

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
        let (modes, rounds, seed) = (self.modes.len(), self.rounds, self.seed);
        let scenarios = match &self.scenarios[..] {
            [one] => one.name.clone(),
            several => format!("{} scenarios", several.len()),
        };
        format!(
            "{scenarios}, {modes} modes × {rounds} rounds{part} · seed {seed} · kernel {kernel} · {cpus} cores"
        )
    }

    /// Whether this is a run of the very same trials as `other`, in the same order.
    ///
    /// # Errors
    /// What differs.
    pub fn is_same_plan(&self, other: &Self) -> Result<(), String> {
        let names = |results: &Self| -> Vec<String> {
            results.scenarios.iter().map(|scenario| scenario.name.clone()).collect()
        };
        let (here, there) = (names(self), names(other));
        if here != there {
            return Err(format!("its scenarios are {}, not {}", here.join(", "), there.join(", ")));
        }
        for (name, here, there) in [
            ("version", self.version.clone(), other.version.clone()),
            ("seed", self.seed.to_string(), other.seed.to_string()),
            ("number of rounds", self.rounds.to_string(), other.rounds.to_string()),
            ("number of cores", self.machine.cpus.to_string(), other.machine.cpus.to_string()),
        ] {
            if here != there {
                return Err(format!("its {name} is {here}, not {there}"));
            }
        }
        match self.scenarios.iter().zip(&other.scenarios).find(|(here, there)| here != there) {
            Some((here, there)) if here.modes != there.modes => {
                let (name, here, there) = (&here.name, here.modes.join(", "), there.modes.join(", "));
                Err(format!("{name} has the modes {here}, not {there}"))
            }
            Some((here, _)) => Err(format!("{} had other parameters", here.name)),
            None => Ok(()),
        }
    }

    /// What a reader must know before he believes a figure: a word, and what it means here.
    pub fn warnings(&self) -> Vec<(&'static str, String)> {
        let mut warnings = Vec::new();
        let Machine { cpus, others_percent, steal_percent, .. } = &self.machine;
        if !self.failures.is_empty() {
            warnings.push(("FAILED", self.failures.join("; ")));
        } else if self.interrupted {
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
    pub fn of(scenario: &Scenario, rounds: usize, cpus: usize) -> Self {
        Self {
            name: scenario.name.clone(),
            group: scenario.group.name().to_owned(),
            reveals: scenario.reveals.clone(),
            source: scenario.source.clone(),
            parameters: scenario.parameters(),
            heading: scenario.heading(),
            has_load: scenario.has_load(),
            modes: scenario.modes.iter().map(ToString::to_string).collect(),
            figures: scenario.figures.clone(),
            workers: scenario.server.workers,
            rounds,
            contended: scenario.is_contended(cpus),
            sweep: scenario.sweep.as_ref().map(|sweep| sweep.values.clone()),
            claims: scenario.claims.clone(),
        }
    }
}

impl Trial {
    /// Which one it is, for sentences about it.
    pub fn name(&self) -> String {
        let step = self.step.map(|step| format!(" at {step}")).unwrap_or_default();
        let twin = if self.twin { " (A/A twin)" } else { "" };
        format!("{} {}{twin}{step} round {}", self.scenario, self.mode, self.round + 1)
    }
}

/// A quantile, if enough samples lie beyond it to say anything about it.
pub fn quantile(histogram: &Histogram<u64>, q: f64) -> Option<u64> {
    (histogram.len() as f64 * (1.0 - q) >= SAMPLES_BEYOND_MIN).then(|| histogram.value_at_quantile(q))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn a_quantile_needs_ten_samples_beyond_it() {
        let mut histogram = Histogram::new(3).unwrap();
        histogram.record_n(5, 999).unwrap();
        assert_eq!((quantile(&histogram, 0.5), quantile(&histogram, 0.99)), (Some(5), None));
        histogram.record_n(5, 2).unwrap();
        assert_eq!(quantile(&histogram, 0.99), Some(5));
    }

    #[test]
    fn what_is_written_can_be_read_again() {
        let results = fixture::results();
        let text = serde_json::to_string(&results).unwrap();
        let again: Results = serde_json::from_str(&text).unwrap();
        assert!(serde_json::to_string(&again).unwrap() == text, "{text}");
    }

    #[test]
    fn calls_are_written_in_words() {
        assert_eq!(serde_json::to_string(&Call::NoDifferenceSeen).unwrap(), "\"no-difference-seen\"");
    }
}
