//! `evenkeel-load merge`: reports of several runs as one.
//!
//! Histograms are added bucket by bucket, so quantiles are those of all messages: averaging quantiles would give
//! numbers that nobody has seen. Counts and durations add up, and a rate is that of the added durations: the mean
//! of the runs, whether they ran one after another or side by side.

use std::{ffi::OsString, fs, path::PathBuf, process::ExitCode};

use clap::Parser;
use evenkeel::{cli::in_one_line, measure::report::HistogramJson};
use hdrhistogram::Histogram;

use super::{
    places::PlacesJson,
    print,
    report::{Report, SCHEMA, Worker},
    tally::histogram,
    usage_error,
};

/// Merge reports of several runs (`--json`) into one.
#[derive(Debug, Parser)]
#[command(name = "evenkeel-load merge", max_term_width = 100)]
struct Args {
    /// Files with one report a line.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Print the merged report as one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Runs `merge` with these arguments, the first of which is a name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(error) if error.use_stderr() => {
            return usage_error(&format!("{} (see merge --help)", in_one_line(&error)));
        }
        Err(help) => {
            // A closed stdout has seen enough of the help.
            let _ = help.print();
            return ExitCode::SUCCESS;
        }
    };
    let merged = read_all(&args.files).and_then(|reports| merge(&reports));
    match merged.map(|report| print(&report, args.json)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            eprintln!("evenkeel-load: cannot write the report: {error}");
            ExitCode::FAILURE
        }
        Err(message) => {
            eprintln!("evenkeel-load: {message}");
            ExitCode::FAILURE
        }
    }
}

fn read_all(files: &[PathBuf]) -> Result<Vec<Report>, String> {
    let mut reports = Vec::new();
    for file in files {
        let text =
            fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        let before = reports.len();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let report =
                read(line).map_err(|why| format!("{}, line {}, is {why}", file.display(), index + 1))?;
            reports.push(report);
        }
        if reports.len() == before {
            return Err(format!("{} is empty: it should have a line of JSON", file.display()));
        }
    }
    Ok(reports)
}

fn read(line: &str) -> Result<Report, String> {
    let report: Report = serde_json::from_str(line)
        .map_err(|error| format!("not a report of evenkeel-load, which --json prints: {error}"))?;
    if report.schema == SCHEMA {
        Ok(report)
    } else {
        Err(format!("not a report of the form {SCHEMA}, but '{}'", report.schema))
    }
}

/// The sum of some reports.
fn merge(reports: &[Report]) -> Result<Report, String> {
    let [first, rest @ ..] = reports else { return Err("there is nothing to merge".to_owned()) };
    let mut sum = Report { runs: Some(0), slices: None, ..first.clone() };
    for other in rest {
        add_counts(&mut sum, other);
    }
    let runs = reports.iter().map(|report| report.runs.unwrap_or(1)).sum();
    let per_s = |of: &dyn Fn(&Report) -> f64| {
        let total: f64 = reports.iter().map(|report| of(report) * report.duration_s).sum();
        if sum.duration_s > 0.0 { total / sum.duration_s } else { 0.0 }
    };
    let all = |of: &dyn Fn(&Report) -> Option<&HistogramJson>| add(reports.iter().filter_map(of));
    Ok(Report {
        runs: Some(runs),
        rate_per_s: per_s(&|report| report.rate_per_s),
        offered_per_s: sum.offered_per_s.map(|_| per_s(&|report| report.offered_per_s.unwrap_or(0.0))),
        latency: all(&|report| Some(&report.latency))?,
        service_latency: all(&|report| Some(&report.service_latency))?,
        connect_latency: all(&|report| Some(&report.connect_latency))?,
        send_lag: all(&|report| Some(&report.send_lag))?,
        receive_delay: match &sum.receive_delay {
            Some(_) => Some(all(&|report| report.receive_delay.as_ref())?),
            None => None,
        },
        by_worker: add_workers(reports)?,
        by_connection: add_places(reports),
        ..sum
    })
}

fn add_counts(sum: &mut Report, other: &Report) {
    sum.started = sum.started.clone().min(other.started.clone());
    sum.duration_s += other.duration_s;
    sum.interrupted |= other.interrupted;
    sum.configs_differ |= other.configs_differ || other.config.but_seed() != sum.config.but_seed();
    sum.messages += other.messages;
    sum.sent += other.sent;
    sum.lost += other.lost;
    sum.bytes += other.bytes;
    sum.connections += other.connections;
    sum.errors.add(other.errors);
    sum.threads = sum.threads.max(other.threads);
    sum.cpu_s += other.cpu_s;
    sum.offered_per_s = sum.offered_per_s.or(other.offered_per_s);
    sum.fell_short = match (sum.fell_short, other.fell_short) {
        (Some(one), Some(other)) => Some(one || other),
        (one, other) => one.or(other),
    };
    if sum.receive_delay.is_none() {
        sum.receive_delay.clone_from(&other.receive_delay);
    }
    sum.unstamped = match (sum.unstamped, other.unstamped) {
        (Some(one), Some(other)) => Some(one + other),
        (one, other) => one.or(other),
    };
    sum.first_failure = sum.first_failure.take().or_else(|| other.first_failure.clone());
}

fn add<'r>(parts: impl Iterator<Item = &'r HistogramJson>) -> Result<HistogramJson, String> {
    let mut sum = histogram();
    for part in parts.filter(|part| part.count > 0) {
        sum += decode(part)?;
    }
    Ok(HistogramJson::new("ns", &sum))
}

fn decode(part: &HistogramJson) -> Result<Histogram<u64>, String> {
    part.decode().map_err(|why| format!("a report can't be merged: {why}"))
}

fn add_workers(reports: &[Report]) -> Result<Option<Vec<Worker>>, String> {
    let mut all: Vec<_> = reports.iter().filter_map(|report| report.by_worker.as_ref()).flatten().collect();
    if reports.iter().all(|report| report.by_worker.is_none()) {
        return Ok(None);
    }
    all.sort_by_key(|worker| worker.worker);
    let one = |parts: &[&Worker]| {
        Ok(Worker {
            worker: parts[0].worker,
            connections: parts.iter().map(|part| part.connections).sum(),
            messages: parts.iter().map(|part| part.messages).sum(),
            latency: add(parts.iter().map(|part| &part.latency))?,
        })
    };
    all.chunk_by(|left, right| left.worker == right.worker).map(one).collect::<Result<_, _>>().map(Some)
}

fn add_places(reports: &[Report]) -> Option<PlacesJson> {
    let mut parts = reports.iter().filter_map(|report| report.by_connection.as_ref());
    let mut all = parts.next()?.clone();
    parts.for_each(|part| all.append(part.clone()));
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(latencies_ns: &[u64], worker: u64) -> Report {
        let mut latency = histogram();
        latencies_ns.iter().for_each(|&ns| latency.record(ns).unwrap());
        let (messages, latency) = (latencies_ns.len() as u64, HistogramJson::new("ns", &latency));
        Report {
            schema: SCHEMA.to_owned(),
            duration_s: 2.0,
            messages,
            rate_per_s: messages as f64 / 2.0,
            by_worker: Some(vec![Worker { worker, connections: 3, messages, latency: latency.clone() }]),
            latency,
            ..Report::default()
        }
    }

    #[test]
    fn quantiles_are_those_of_all_messages() {
        let (fast, slow) = (report(&[1_000; 99], 0), report(&[9_000_000], 1));
        let sum = merge(&[fast, slow]).unwrap();
        assert_eq!((sum.messages, sum.runs, sum.duration_s), (100, Some(2), 4.0));
        assert!((sum.rate_per_s - 25.0).abs() < 1e-9);
        // The mean of both p99 would be 4.5 ms.
        assert_eq!((sum.latency.count, sum.latency.p99), (100, 1_000));
        assert!(sum.latency.max >= 9_000_000);
    }

    #[test]
    fn workers_are_merged_by_their_number() {
        let reports = [report(&[1; 5], 1), report(&[1; 7], 0), report(&[1; 2], 1)];
        let workers = merge(&reports).unwrap().by_worker.unwrap();
        let told: Vec<_> =
            workers.iter().map(|it| (it.worker, it.connections, it.messages, it.latency.count)).collect();
        assert_eq!(told, [(0, 3, 7, 7), (1, 6, 7, 7)]);
    }

    #[test]
    fn merging_in_two_steps_is_merging_at_once() {
        let reports = [report(&[5; 5], 1), report(&[70; 7], 0), report(&[900; 2], 1)];
        let two = merge(&reports[..2]).unwrap();
        assert_eq!(
            serde_json::to_value(merge(&[two, reports[2].clone()]).unwrap()).unwrap(),
            serde_json::to_value(merge(&reports).unwrap()).unwrap()
        );
    }

    #[test]
    fn what_is_no_report_is_refused_with_a_sentence() {
        for (text, word) in [("{}", "of the form"), ("7", "not a report"), ("{\"schema\":\"x\"}", "'x'")] {
            assert!(read(text).unwrap_err().contains(word), "{text}");
        }
        let broken = Report {
            latency: HistogramJson { count: 1, hdr: "*".to_owned(), ..HistogramJson::default() },
            ..report(&[1], 0)
        };
        assert!(merge(&[broken]).unwrap_err().contains("can't be merged"));
    }
}
