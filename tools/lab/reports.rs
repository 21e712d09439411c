//! What the lab reads in the two reports of a trial: the fields that it needs, by their contract.

use evenkeel::measure::report::HistogramJson;
use serde::Deserialize;

/// Of `evenkeel-report/1`.
#[derive(Debug, Deserialize)]
pub struct ServerReport {
    pub totals: Totals,
    pub balance: Balances,
    pub workers: Vec<Worker>,
    pub acceptor: Option<Acceptor>,
    pub duration_s: f64,
}

#[derive(Debug, Deserialize)]
pub struct Totals {
    pub accepted: u64,
    pub closed: u64,
    pub active: u64,
    pub messages: u64,
    pub context_switches: u64,
    pub cpu_ns: u64,
}

#[derive(Debug, Deserialize)]
pub struct Balances {
    pub accepted: PerWorker,
}

#[derive(Debug, Deserialize)]
pub struct PerWorker {
    pub per_worker: Vec<u64>,
}

#[derive(Debug, Deserialize)]
pub struct Worker {
    pub busy_ns: u64,
}

#[derive(Debug, Deserialize)]
pub struct Acceptor {
    pub context_switches: u64,
}

/// Of `evenkeel-load/1`.
#[derive(Debug, Deserialize)]
pub struct ClientReport {
    pub messages: u64,
    pub connections: u64,
    pub rate_per_s: f64,
    pub latency: HistogramJson,
    pub send_lag: HistogramJson,
    pub by_worker: Vec<Served>,
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

/// Reads a report.
///
/// # Errors
/// A sentence that names the report and what is wrong with it.
pub fn parse<'a, T: Deserialize<'a>>(whose: &str, text: &'a str) -> Result<T, String> {
    serde_json::from_str(text.trim()).map_err(|error| format!("cannot read the report of {whose}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_that_greeted_nobody_count_as_zero() {
        let text = r#"{"messages":0,"connections":3,"rate_per_s":0.0,"latency":{},"send_lag":{},
                       "by_worker":[{"worker":2,"connections":3,"messages":0}]}"#;
        let report: ClientReport = parse("the client", text).unwrap();
        assert_eq!(report.per_worker(4), [0, 0, 3, 0]);
        assert_eq!(report.per_worker(2), [0, 0, 3], "a worker that should not be there is shown");
    }

    #[test]
    fn what_is_missing_is_said() {
        let message = parse::<ServerReport>("the server", "{}").unwrap_err();
        assert_eq!(message, "cannot read the report of the server: missing field `totals` at line 1 column 2");
    }
}
