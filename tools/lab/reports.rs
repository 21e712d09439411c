//! What the lab reads in a client's report: the fields that it needs, by their contract. (A server's report
//! has its type in the library.)

use std::str::FromStr;

use evenkeel::measure::report::HistogramJson;
use serde::Deserialize;

/// Of `evenkeel-load/1`; the lab's own clients print the same.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ClientReport {
    pub messages: u64,
    pub connections: u64,
    pub rate_per_s: f64,
    /// The measured window.
    #[serde(default)]
    pub duration_s: f64,
    /// Messages a second that were due; absent in closed loop and where nothing is sent.
    pub offered_per_s: Option<f64>,
    /// Whether answers came at less than 98 % of that rate.
    pub fell_short: Option<bool>,
    /// Of the messages, in one direction.
    #[serde(default)]
    pub bytes: u64,
    /// CPU time of the generator's threads in the window.
    #[serde(default)]
    pub cpu_s: f64,
    #[serde(default)]
    pub config: ClientConfig,
    #[serde(default)]
    pub errors: ClientErrors,
    /// From due (closed loop: from sent) to answered.
    pub latency: HistogramJson,
    /// From sent to answered.
    #[serde(default)]
    pub service_latency: HistogramJson,
    /// From connect to established.
    #[serde(default)]
    pub connect_latency: HistogramJson,
    /// How late the generator itself was.
    pub send_lag: HistogramJson,
    #[serde(default)]
    pub by_worker: Vec<Served>,
    /// What happened when, with `--slices`.
    pub slices: Option<Slices>,
    /// One entry a connection, with `--per-connection`.
    pub by_connection: Option<ByConnection>,
    /// Connections on which the server fell asleep although it owed something, by the client that hunts for them.
    pub stalls: Option<u64>,
    /// Whether a signal ended it before its time; it ends well all the same.
    #[serde(default)]
    pub interrupted: bool,
}

/// The run as it was asked for.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ClientConfig {
    /// Bytes of a message.
    pub size: u64,
}

/// What failed, by kind.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ClientErrors {
    pub connect: u64,
    pub reset: u64,
    pub short: u64,
    pub mismatch: u64,
    pub timeout: u64,
}

/// The connections that one worker greeted.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Served {
    pub worker: usize,
    pub connections: u64,
    #[serde(default)]
    pub latency: HistogramJson,
}

/// The client's time in slices of equal length, from its first connect on.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Slices {
    pub slice_ns: u64,
    /// The measured slices are those from here until before there.
    pub measured_from: usize,
    pub measured_until: usize,
    /// Messages that were due, and that were answered.
    pub due: Vec<u64>,
    pub answered: Vec<u64>,
    /// Of the answers of a slice; `null` where there were too few.
    pub p99_ns: Vec<Option<u64>>,
    /// A row a worker, a column a slice: connections that it greeted and that are open at the slice's end; without
    /// greetings, no rows.
    pub open_by_worker: Vec<Vec<i64>>,
    pub answered_by_worker: Vec<Vec<u64>>,
    pub heat: Heat,
}

/// How many answers of a slice took how long.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Heat {
    /// The lower bound of each bucket.
    pub bounds_ns: Vec<u64>,
    /// A row a slice, a column a bucket.
    pub counts: Vec<Vec<u64>>,
}

/// One entry a connection; the successors of one that was replaced count with it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ByConnection {
    /// `null` where several workers had a connection's successors.
    pub worker: Vec<Option<usize>>,
    pub messages: Vec<u64>,
    pub p50_ns: Vec<Option<u64>>,
    pub p99_ns: Vec<Option<u64>>,
}

impl ClientReport {
    /// Connections per worker, as the clients saw them; workers that greeted nobody have 0.
    pub fn per_worker(&self, workers: usize) -> Vec<u64> {
        let most = self.by_worker.iter().map(|served| served.worker + 1).max().unwrap_or(0);
        // A greeting may name a worker that the server shouldn't have; it must show, but not fill memory.
        let mut counts = vec![0; workers.max(most.min(1 << 16))];
        for served in &self.by_worker {
            if let Some(count) = counts.get_mut(served.worker) {
                *count += served.connections;
            }
        }
        counts
    }
}

impl ClientErrors {
    pub fn all(&self) -> u64 {
        self.connect + self.reset + self.short + self.mismatch + self.timeout
    }
}

impl FromStr for ClientReport {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        serde_json::from_str(text)
            .map_err(|error| format!("cannot read the load generator's report: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_that_greeted_nobody_count_as_zero() {
        let text = r#"{"messages":0,"connections":3,"rate_per_s":0.0,"latency":{},"send_lag":{},
                       "by_worker":[{"worker":2,"connections":3,"messages":0}]}"#;
        let report: ClientReport = text.parse().unwrap();
        assert_eq!(report.per_worker(4), [0, 0, 3, 0]);
        assert_eq!(report.per_worker(2), [0, 0, 3], "a worker that should not be there is shown");
    }

    #[test]
    fn slices_and_connections_are_read() {
        let text = r#"{"messages":9,"connections":3,"rate_per_s":9.0,"latency":{},"send_lag":{},
            "slices":{"slice_ns":100,"measured_from":1,"measured_until":2,"due":[1,2],"answered":[1,2],
                      "p99_ns":[null,7],"open_by_worker":[[1],[2]],"answered_by_worker":[[1],[2]],
                      "heat":{"bounds_ns":[1,2],"counts":[[1,0],[0,2]]}},
            "by_connection":{"worker":[0,null],"messages":[5,4],"p50_ns":[1,2],"p99_ns":[null,3]}}"#;
        let report: ClientReport = text.parse().unwrap();
        assert_eq!(report.slices.map(|slices| slices.p99_ns), Some(vec![None, Some(7)]));
        assert_eq!(report.by_connection.map(|each| each.worker), Some(vec![Some(0), None]));
    }

    #[test]
    fn what_is_missing_is_said() {
        let message = "{}".parse::<ClientReport>().unwrap_err();
        assert!(message.starts_with("cannot read the load generator's report: missing field"), "{message}");
    }
}
