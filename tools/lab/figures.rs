//! The figures of a trial, by name: what scenarios compare, claims are about, and charts show.
//!
//! Each is there only where it has a meaning: a quantile needs samples beyond it, a ratio something to divide
//! by. A figure that is absent is 'not known', never 0.

use std::collections::{BTreeMap, BTreeSet};

use evenkeel::measure::{balance::Balance, report::Report};
use hdrhistogram::Histogram;

use super::{
    reports::{ByConnection, ClientReport, Served, Slices},
    results::quantile,
    statistics::weights,
};

/// A greeting may name a worker that there can't be.
const WORKERS_MAX: usize = 1 << 16;

/// Every figure that there can be.
pub const NAMES: &[&str] = &[
    "dispersion",
    "jain",
    "max_over_mean",
    "cov",
    "effective_n",
    "share_max",
    "messages_max_over_mean",
    "busy_max_over_mean",
    "switches_per_accept",
    "involuntary_switches",
    "p50_ns",
    "p90_ns",
    "p99_ns",
    "p999_ns",
    "p99_sliced_ns",
    "mean_ns",
    "stddev_ns",
    "max_ns",
    "service_p50_ns",
    "service_p99_ns",
    "lag_p99_ns",
    "connect_p50_ns",
    "connect_p99_ns",
    "connect_max_ns",
    "arrival_delay_p99_ns",
    "achieved_share",
    "rate_per_s",
    "bytes_per_s",
    "cpu_ns_per_message",
    "waits_per_message",
    "reads_per_message",
    "eagain_per_message",
    "writes_per_message",
    "ctls_per_message",
    "spurious_per_wakeup",
    "events_per_wakeup",
    "errors",
    "resets",
    "timeouts",
    "mismatches",
    "stalls",
    "worker_p99_max_over_min",
    "variance_between_workers",
];

/// Figures by name, as they are found.
#[derive(Debug, Default)]
pub struct Figures(BTreeMap<String, f64>);

impl Figures {
    /// A figure, if there is one and it is a number.
    pub fn put(&mut self, name: &str, value: impl Into<Option<f64>>) {
        if let Some(value) = value.into().filter(|value| value.is_finite()) {
            self.0.insert(name.to_owned(), rounded(value));
        }
    }

    pub fn finish(self) -> BTreeMap<String, f64> {
        self.0
    }

    /// How the connections are spread over workers.
    pub fn put_balance(&mut self, per_worker: &[u64], balance: &Balance) {
        let all: u64 = per_worker.iter().sum();
        if all == 0 || per_worker.len() < 2 {
            return;
        }
        self.put("dispersion", balance.dispersion);
        self.put("jain", balance.jain);
        self.put("max_over_mean", balance.max_over_mean);
        self.put("cov", balance.cov);
        let most = per_worker.iter().copied().max().unwrap_or(0);
        self.put("share_max", most as f64 / all as f64);
    }

    /// What the server's own counters tell; `messages` are all that it was sent, the warm-up's included.
    pub fn put_server(&mut self, server: &Report, messages: u64) {
        let totals = &server.totals;
        let switches = totals.context_switches
            + server.acceptor.as_ref().map_or(0, |acceptor| acceptor.context_switches);
        self.put("switches_per_accept", ratio(switches, totals.accepted));
        self.put("involuntary_switches", totals.context_switches_involuntary as f64);
        let spread = |balance: f64, is_there: bool| is_there.then_some(balance);
        self.put("busy_max_over_mean", spread(server.balance.busy_ns.max_over_mean, totals.busy_ns > 0));
        self.put("spurious_per_wakeup", ratio(totals.spurious_wakeups, totals.wakeups));
        self.put("events_per_wakeup", ratio(totals.events, totals.wakeups));
        let of_messages = server.balance.messages.max_over_mean;
        self.put("messages_max_over_mean", spread(of_messages, totals.messages > 0));
        for (name, amount) in [
            ("cpu_ns_per_message", totals.cpu_ns),
            ("waits_per_message", totals.epoll_waits),
            ("reads_per_message", totals.reads),
            ("eagain_per_message", totals.read_eagain),
            ("writes_per_message", totals.writes),
            ("ctls_per_message", totals.epoll_ctls),
        ] {
            self.put(name, ratio(amount, messages));
        }
        let delay = server.histograms.get("arrival_delay").filter(|delay| delay.count > 1_000);
        self.put("arrival_delay_p99_ns", delay.map(|delay| delay.p99 as f64));
    }

    /// What the client saw of connecting and of what failed.
    pub fn put_client(&mut self, client: &ClientReport) -> Result<(), String> {
        let errors = &client.errors;
        self.put("errors", errors.all() as f64);
        self.put("resets", errors.reset as f64);
        self.put("timeouts", errors.timeout as f64);
        self.put("mismatches", errors.mismatch as f64);
        if client.connect_latency.count > 0 {
            let connect = client.connect_latency.decode()?;
            self.put("connect_p50_ns", of(&connect, 0.5));
            self.put("connect_p99_ns", of(&connect, 0.99));
            self.put("connect_max_ns", connect.max() as f64);
        }
        self.put("stalls", client.stalls.map(|stalls| stalls as f64));
        Ok(())
    }

    /// What the client saw of its messages.
    pub fn put_load(&mut self, client: &ClientReport, latency: &Histogram<u64>) {
        if latency.is_empty() {
            return;
        }
        for (name, q) in [("p50_ns", 0.5), ("p90_ns", 0.9), ("p99_ns", 0.99), ("p999_ns", 0.999)] {
            self.put(name, of(latency, q));
        }
        self.put("mean_ns", latency.mean());
        self.put("stddev_ns", latency.stdev());
        self.put("max_ns", latency.max() as f64);
        self.put("rate_per_s", client.rate_per_s);
        self.put("bytes_per_s", per_s(client.bytes, client.duration_s));
        let offered = client.offered_per_s.filter(|&offered| offered > 0.0);
        self.put("achieved_share", offered.map(|offered| client.rate_per_s / offered));
        self.put("p99_sliced_ns", client.slices.as_ref().and_then(p99_sliced_ns));
        self.put("worker_p99_max_over_min", worker_p99_max_over_min(&client.by_worker));
        self.put(
            "variance_between_workers",
            client.by_connection.as_ref().and_then(variance_between_workers),
        );
    }

    /// The client's other two histograms, without which response times say little.
    pub fn put_truth(&mut self, service: &Histogram<u64>, lag: &Histogram<u64>) {
        self.put("service_p50_ns", of(service, 0.5));
        self.put("service_p99_ns", of(service, 0.99));
        self.put("lag_p99_ns", of(lag, 0.99));
    }
}

/// How many messages a server was sent: by their bytes, as one read may bring many, or a part of one. Where
/// clients with messages of other sizes are beside the measured one, reads have to do.
pub fn messages(server: &Report, client: &ClientReport, is_alone: bool) -> u64 {
    match client.config.size {
        0 => server.totals.messages,
        size if is_alone => server.totals.bytes_in / size,
        _ => server.totals.messages,
    }
}

/// Connections as many as equally busy ones would scatter the same.
pub fn effective_n(connections: &ByConnection) -> Option<f64> {
    weights::effective_n(connections.messages.iter().map(|&messages| messages as f64))
}

/// The p99 of each measured slice that has one.
pub fn slices_p99_ns(slices: &Slices) -> Vec<f64> {
    let until = slices.measured_until.min(slices.p99_ns.len());
    let measured = slices.p99_ns.get(slices.measured_from..until).unwrap_or_default();
    measured.iter().flatten().map(|&p99_ns| p99_ns as f64).collect()
}

/// The median, of a copy that is sorted; `None` of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted.get(sorted.len().checked_sub(1)? / 2)?, sorted.get(sorted.len() / 2)?);
    Some((low + high) / 2.0)
}

/// The median of the slices' p99: a few stalls of the machine don't move it.
fn p99_sliced_ns(slices: &Slices) -> Option<f64> {
    median(&slices_p99_ns(slices))
}

/// The slowest worker's p99 over the fastest one's, of those with enough messages.
fn worker_p99_max_over_min(by_worker: &[Served]) -> Option<f64> {
    let enough = by_worker.iter().filter(|served| served.latency.count >= 1_000);
    let p99s: Vec<f64> = enough.map(|served| served.latency.p99 as f64).filter(|&p99| p99 > 0.0).collect();
    let (low, high) =
        p99s.iter().fold((f64::INFINITY, 0.0f64), |(low, high), &p99| (low.min(p99), high.max(p99)));
    (p99s.len() > 1).then(|| high / low)
}

/// The share of the connections' p99s' variance that is between workers: 0, your worker doesn't matter; 1, your
/// latency is your worker. With fewer than two connections a worker it would be luck.
fn variance_between_workers(connections: &ByConnection) -> Option<f64> {
    let known = connections.worker.iter().zip(&connections.p99_ns);
    let known: Vec<(usize, f64)> = known
        .filter_map(|(worker, p99)| Some(((*worker)?, (*p99)? as f64)))
        .filter(|(worker, _)| *worker < WORKERS_MAX)
        .collect();
    let workers: BTreeSet<usize> = known.iter().map(|(worker, _)| *worker).collect();
    (known.len() >= 2 * workers.len()).then(|| weights::variance_between(known)).flatten()
}

/// To six significant digits, which is more than any figure here is worth.
fn rounded(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

fn of(histogram: &Histogram<u64>, q: f64) -> Option<f64> {
    quantile(histogram, q).map(|value| value as f64)
}

fn ratio(amount: u64, count: u64) -> Option<f64> {
    (count > 0).then(|| amount as f64 / count as f64)
}

fn per_s(amount: u64, duration_s: f64) -> Option<f64> {
    (duration_s > 0.0).then(|| amount as f64 / duration_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_connections_count_for_fewer() {
        let n = |messages: &[u64]| {
            effective_n(&ByConnection { messages: messages.to_vec(), ..ByConnection::default() })
        };
        assert_eq!(n(&[10, 10, 10, 10]), Some(4.0));
        assert_eq!(n(&[10, 0, 0, 0]), Some(1.0));
        assert!(n(&[91, 1, 1, 1, 1, 1, 1, 1, 1, 1]).is_some_and(|n| (1.0..1.3).contains(&n)));
        assert_eq!(n(&[0, 0]), None);
    }

    #[test]
    fn the_worker_explains_all_or_nothing() {
        let share = |worker: &[usize], p99: &[u64]| {
            variance_between_workers(&ByConnection {
                worker: worker.iter().copied().map(Some).collect(),
                p99_ns: p99.iter().copied().map(Some).collect(),
                ..ByConnection::default()
            })
        };
        assert_eq!(share(&[0, 0, 1, 1], &[5, 5, 9, 9]), Some(1.0));
        assert_eq!(share(&[0, 0, 1, 1], &[5, 9, 5, 9]), Some(0.0));
        assert_eq!(share(&[0, 0, 0, 0], &[5, 9, 5, 9]), None, "one worker");
        assert_eq!(share(&[0, 0, 1, 1], &[5, 5, 5, 5]), None, "nothing to explain");
    }

    #[test]
    fn a_figure_without_a_meaning_is_absent() {
        let mut figures = Figures::default();
        figures.put("p99_ns", None);
        figures.put("cov", f64::NAN);
        figures.put("jain", 0.5);
        assert_eq!(figures.finish().into_iter().collect::<Vec<_>>(), [("jain".to_owned(), 0.5)]);
    }

    #[test]
    fn only_measured_slices_count() {
        let slices = Slices {
            measured_from: 1,
            measured_until: 4,
            p99_ns: vec![Some(900), Some(3), None, Some(5), Some(900)],
            ..Slices::default()
        };
        assert_eq!(p99_sliced_ns(&slices), Some(4.0));
        assert_eq!(slices_p99_ns(&Slices { measured_from: 9, ..slices }), Vec::<f64>::new());
        assert_eq!(median(&[]), None);
    }
}
