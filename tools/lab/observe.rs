//! From the reports of a trial's processes to one observation.

use std::collections::BTreeMap;

use evenkeel::measure::{
    balance::{Balance, Verdict as Balanced},
    report::Report,
};

use super::{
    figures::{self, Figures},
    reports::{ClientReport, Slices},
    results::{LoadFigures, Trial, quantile},
    scenario::ServerKind,
    trial::{Observed, Plan},
};

/// A client that was later than this at its p99 is not to be blamed, whatever the server does.
const LAG_FINE_NS: u64 = 100_000;
/// Fewer slices in one half of the measured time don't tell whether the two are alike.
const SLICES_MIN: usize = 6;
/// Halves that are less than this apart are alike, however surely they differ.
const DRIFT_MAX: f64 = 1.25;
/// Standard deviations of the rank sum: once in a hundred runs by chance.
const DRIFT_DEVIATIONS: f64 = 2.58;

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
    let load = match plan.scenario.has_load() {
        true => Some(load_figures(&server, &client)?),
        false => None,
    };
    let figures = figures(&server, &client, &seen, &balance, load.as_ref())?;
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
        hlog: observed.hlog.as_ref().map(|_| format!("hlog/{}.hlog", plan.file_name())),
    })
}

/// The figures of a load, with its whole distributions.
///
/// # Errors
/// A sentence, where a histogram can't be decoded.
pub fn load_figures(server: &Report, client: &ClientReport) -> Result<LoadFigures, String> {
    let cpu_ns_per_message = match server.totals.messages {
        0 => 0.0,
        messages => server.totals.cpu_ns as f64 / messages as f64,
    };
    let latency = decode(&client.latency)?;
    Ok(LoadFigures {
        messages: client.messages,
        offered_per_s: client.offered_per_s.unwrap_or(0.0),
        achieved_per_s: client.rate_per_s,
        overloaded: client.fell_short.unwrap_or(false),
        p50_ns: quantile(&latency, 0.5),
        p99_ns: quantile(&latency, 0.99),
        send_lag_p99_ns: client.send_lag.p99,
        cpu_ns_per_message,
        service: decode(&client.service_latency)?,
        lag: decode(&client.send_lag)?,
        latency,
        client: client.clone(),
    })
}
