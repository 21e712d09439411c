//! What the lab reads in a client's report: the fields that it needs, by their contract. (A server's report
//! has its type in the library.)

use std::str::FromStr;

use evenkeel::measure::report::HistogramJson;
use serde::Deserialize;

/// Of `evenkeel-load/1`.
#[derive(Debug, Deserialize)]
pub struct ClientReport {
    pub messages: u64,
    pub connections: u64,
    pub rate_per_s: f64,
    /// Messages a second that were due; absent where nothing is sent.
    pub offered_per_s: Option<f64>,
    /// Whether answers came at less than 98 % of that rate.
    pub fell_short: Option<bool>,
    pub latency: HistogramJson,
    pub send_lag: HistogramJson,
    pub by_worker: Vec<Served>,
    /// Whether a signal ended it before its time; it ends well all the same.
    #[serde(default)]
    interrupted: bool,
}

/// The connections that one worker greeted.
#[derive(Debug, Deserialize)]
pub struct Served {
    pub worker: usize,
    pub connections: u64,
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

impl FromStr for ClientReport {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let report: Self = serde_json::from_str(text)
            .map_err(|error| format!("cannot read the load generator's report: {error}"))?;
        if report.interrupted { Err("the load generator was interrupted".into()) } else { Ok(report) }
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
    fn half_a_trial_is_none() {
        let text = r#"{"messages":9,"connections":3,"rate_per_s":9.0,"latency":{},"send_lag":{},"by_worker":[],
                       "interrupted":true}"#;
        assert_eq!(text.parse::<ClientReport>().unwrap_err(), "the load generator was interrupted");
    }

    #[test]
    fn what_is_missing_is_said() {
        let message = "{}".parse::<ClientReport>().unwrap_err();
        assert!(message.starts_with("cannot read the load generator's report: missing field"), "{message}");
    }
}
