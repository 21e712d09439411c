//! From the reports of a trial's processes to one observation.

use evenkeel::measure::{
    balance::{Balance, Verdict as Balanced},
    report::Report,
};
use hdrhistogram::Histogram;

use super::{
    figures::{self, Figures},
    raw,
    reports::{ClientReport, Slices},
    results::{LoadFigures, Trial, quantile},
    scenario::ServerKind,
    statistics::Unpaired,
    trial::{Observed, Plan, Reports},
};

/// A client that was later than this at its p99 is not to be blamed, whatever the server does.
const LAG_FINE_NS: u64 = 100_000;
/// Fewer slices in one half of the measured time don't tell whether the two are alike.
const SLICES_MIN: usize = 6;
/// Halves that are less than this apart are alike, however surely they differ.
const DRIFT_MAX: f64 = 1.25;
/// How often equal halves may be called unlike.
const DRIFT_BY_CHANCE: f64 = 0.01;

/// What the reports say about a trial.
///
/// # Errors
/// A sentence, where a report can't be read.
pub fn trial(plan: &Plan, observed: &Observed) -> Result<Trial, String> {
    let reports = &observed.reports;
    let server = Report::from_json(&reports.server)
        .map_err(|error| format!("cannot read the server's report: {error}"))?;
    let client: ClientReport = reports.client.parse()?;
    if client.interrupted {
        return Err("the load generator was interrupted".into());
    }
    let beside = beside(reports)?;
    let seen = seen(plan, &server, &client, &beside);
    let balance = Balance::of_counts(&seen);
    let messages = figures::messages(&server, &client, beside.is_empty());
    let latency = raw::decode(&client.latency)?;
    let load = plan.scenario.has_load().then(|| load_figures(&server, &client, &latency, messages));
    let mut figures = Figures::default();
    figures.put_balance(&seen, &balance);
    figures.put_server(&server, messages);
    figures.put_client(&client)?;
    figures.put("effective_n", client.by_connection.as_ref().and_then(figures::effective_n));
    if load.is_some() {
        figures.put_load(&client, &latency);
        figures.put_truth(&raw::decode(&client.service_latency)?, &raw::decode(&client.send_lag)?);
    }
    let figures = figures.finish();
    let switches = server.totals.context_switches
        + server.acceptor.as_ref().map_or(0, |acceptor| acceptor.context_switches);
    let mut conditions = observed.conditions.clone();
    conditions.involuntary_switches = server.totals.context_switches_involuntary;
    conditions.client_cpu_share = share(client.cpu_s, client.duration_s);
    let file = format!("raw/{}", plan.file_name());
    Ok(Trial {
        scenario: plan.scenario.name.clone(),
        mode: plan.mode.to_string(),
        twin: plan.twin,
        step: plan.step,
        round: plan.round,
        order: plan.order,
        at_s: observed.at_s,
        registration: registration(plan, &server),
        counts_agree: counts_agree(plan, &seen, &server, &client, &beside),
        per_worker: seen,
        per_worker_reported: server.balance.accepted.per_worker.clone(),
        dispersion: balance.dispersion,
        jain: balance.jain,
        max_over_mean: balance.max_over_mean,
        cov: balance.cov,
        p_value: balance.by_chance.and_then(|chance| chance.p_value),
        against_chance: balance.verdict.unwrap_or(Balanced::NoData),
        effective_n: figures.get("effective_n").copied(),
        context_switches: switches,
        context_switches_per_accept: figures.get("switches_per_accept").copied().unwrap_or(0.0),
        busy_share: server.workers.iter().map(|worker| busy(worker.counts.busy_ns, &server)).collect(),
        conditions,
        stationary: client.slices.as_ref().and_then(is_stationary),
        clean: is_clean(&client),
        figures,
        load,
        server_report: format!("{file}.server.json"),
        client_report: format!("{file}.client.json"),
        hlog: observed.hlog.then(|| format!("hlog/{}.hlog", plan.file_name())),
        source: None,
    })
}

/// The figures of a load; `messages` are all that the server was sent, the warm-up's included.
fn load_figures(
    server: &Report,
    client: &ClientReport,
    latency: &Histogram<u64>,
    messages: u64,
) -> LoadFigures {
    let cpu_ns = server.totals.cpu_ns as f64;
    LoadFigures {
        messages: client.messages,
        offered_per_s: client.offered_per_s.unwrap_or(0.0),
        achieved_per_s: client.rate_per_s,
        overloaded: client.fell_short.unwrap_or(false),
        p50_ns: quantile(latency, 0.5),
        p99_ns: quantile(latency, 0.99),
        send_lag_p99_ns: client.send_lag.p99,
        cpu_ns_per_message: if messages > 0 { cpu_ns / messages as f64 } else { 0.0 },
    }
}

/// The clients beside the measured one were ended by a signal, and say so.
fn beside(reports: &Reports) -> Result<Vec<ClientReport>, String> {
    reports.beside.iter().map(|(_, text)| text.parse()).collect()
}

/// Connections per worker by all clients' greetings; where nobody greets, by the server's report.
fn seen(plan: &Plan, server: &Report, client: &ClientReport, beside: &[ClientReport]) -> Vec<u64> {
    if plan.scenario.server.kind == ServerKind::Proxy {
        return server.balance.accepted.per_worker.clone();
    }
    let workers = plan.scenario.server.workers;
    let mut seen = client.per_worker(workers);
    for other in beside.iter().map(|report| report.per_worker(workers)) {
        seen.resize(seen.len().max(other.len()), 0);
        seen.iter_mut().zip(other).for_each(|(sum, count)| *sum += count);
    }
    seen
}

/// What the clients saw is what the server counted, and nothing was lost between accept and close.
fn counts_agree(
    plan: &Plan,
    seen: &[u64],
    server: &Report,
    client: &ClientReport,
    beside: &[ClientReport],
) -> bool {
    let totals = &server.totals;
    let connected = client.connections + beside.iter().map(|report| report.connections).sum::<u64>();
    let is_whole = totals.accepted == totals.closed + totals.active;
    // A worker that leaves has connections reset that it never accepted: clients may have seen more.
    let may_lose = plan.scenario.server.kind == ServerKind::LeaveJoin;
    let same_total = totals.accepted == connected || (may_lose && totals.accepted < connected);
    is_whole
        && same_total
        && seen == server.balance.accepted.per_worker
        && totals.accepted == seen.iter().sum::<u64>()
}

/// Workers register one after the other, in the order of their numbers.
fn registration(plan: &Plan, server: &Report) -> Vec<usize> {
    match plan.scenario.server.pin {
        true => server.workers.iter().filter_map(|worker| worker.core).collect(),
        false => Vec::new(),
    }
}

fn is_clean(client: &ClientReport) -> bool {
    let lag_ns = client.send_lag.p99;
    lag_ns <= LAG_FINE_NS || lag_ns * 10 <= client.service_latency.p50
}

/// Compares the halves of the measured time: the slices' p99s must differ in rank and by much to be called unlike.
fn is_stationary(slices: &Slices) -> Option<bool> {
    let p99s = figures::slices_p99_ns(slices);
    let (first, second) = p99s.split_at(p99s.len() / 2);
    if first.len() < SLICES_MIN {
        return None;
    }
    let drift = Unpaired::of(first, second, 0.95)?;
    let apart = drift.ratio.estimate.max(1.0 / drift.ratio.estimate);
    Some(apart <= DRIFT_MAX || drift.p_value > DRIFT_BY_CHANCE)
}

/// The share of the server's life that a worker spent outside epoll_wait, in ten thousandths.
fn busy(busy_ns: u64, server: &Report) -> f64 {
    (share(busy_ns as f64 / 1e9, server.duration_s) * 1e4).round() / 1e4
}

fn share(part_s: f64, whole_s: f64) -> f64 {
    if whole_s > 0.0 { part_s / whole_s } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{reports::Served, scenario};

    fn plan() -> Plan {
        Plan::first(Arc::new(scenario::all().remove(0)))
    }

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
        ClientReport { connections, ..ClientReport::default() }
    }

    #[test]
    fn counts_must_agree_worker_by_worker() {
        let agree = |seen: &[u64], server: &Report, connections| {
            counts_agree(&plan(), seen, server, &client(connections), &[])
        };
        assert!(agree(&[6, 4], &server([6, 4], 10), 10));
        assert!(!agree(&[4, 6], &server([6, 4], 10), 10), "swapped workers");
        assert!(!agree(&[6, 4, 0], &server([6, 4], 10), 10), "a worker too many");
        assert!(!agree(&[6, 4], &server([6, 4], 9), 10), "a session that never ended");
        assert!(!agree(&[6, 4], &server([6, 4], 10), 11), "a connection nobody accepted");
    }

    #[test]
    fn the_clients_beside_count_too() {
        let served = |worker, connections| Served { worker, connections, ..Served::default() };
        let report = |by_worker: Vec<Served>| ClientReport {
            connections: by_worker.iter().map(|served| served.connections).sum(),
            by_worker,
            ..ClientReport::default()
        };
        let (client, beside) = (report(vec![served(0, 4)]), [report(vec![served(0, 2), served(1, 4)])]);
        let server = server([6, 4], 10);
        let mut plan = plan();
        Arc::make_mut(&mut plan.scenario).server.workers = 2;
        let seen = seen(&plan, &server, &client, &beside);
        assert_eq!(seen, [6, 4]);
        assert!(counts_agree(&plan, &seen, &server, &client, &beside));
        assert!(!counts_agree(&plan, &seen, &server, &client, &[]), "the others are missing");
    }

    #[test]
    fn a_drift_is_seen_and_a_spike_is_not() {
        let of = |p99s: &[u64]| {
            is_stationary(&Slices {
                measured_until: p99s.len(),
                p99_ns: p99s.iter().copied().map(Some).collect(),
                ..Slices::default()
            })
        };
        assert_eq!(of(&[5; 8]), None, "too short to tell");
        assert_eq!(of(&[50, 52, 49, 51, 50, 53, 50, 49, 51, 52, 50, 51]), Some(true));
        assert_eq!(of(&[50, 52, 900, 51, 50, 53, 50, 49, 51, 52, 50, 51]), Some(true), "one stall");
        assert_eq!(of(&[50, 52, 49, 51, 50, 53, 90, 120, 150, 180, 200, 220]), Some(false), "a queue grows");
    }

    #[test]
    fn a_late_client_is_told() {
        let late = |lag_ns, service_ns| {
            let mut report = client(1);
            (report.send_lag.p99, report.service_latency.p50) = (lag_ns, service_ns);
            is_clean(&report)
        };
        assert!(late(90_000, 10_000), "100 µs are fine");
        assert!(late(900_000, 10_000_000), "a tenth of the service time is fine");
        assert!(!late(900_000, 1_000_000));
    }

    #[test]
    fn a_share_of_no_time_is_none() {
        assert_eq!((share(5.0, 0.0), share(1.0, 2.0)), (0.0, 0.5));
    }
}
