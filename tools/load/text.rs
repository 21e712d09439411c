//! The report for people: tables that fit 80 columns, and sentences about what needs to be known before the
//! figures are believed.

use std::fmt::{self, Display, Formatter};

use evenkeel::{
    config::units::{show_count, show_nanos},
    measure::report::HistogramJson,
};

use super::report::{Config, Kind, Report, Worker};

/// The longest line, in characters.
const WIDTH: usize = 80;

/// The longest bar.
const BAR_LEN: f64 = 24.0;

/// A quantile of which fewer messages lie beyond isn't shown: it would be a single message's story.
const BEYOND_MIN: f64 = 10.0;

/// A report to be printed.
pub struct Text<'a>(pub &'a Report);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(report) = self;
        writeln!(f, "{}\n{}\n", headline(report), describe(&report.config))?;
        self.totals(f)?;
        self.errors(f)?;
        if report.latency.count + report.connect_latency.count > 0 {
            self.latencies(f)?;
        }
        if let Some(workers) = &report.by_worker {
            by_worker(f, workers)?;
        }
        for sentence in self.caveats() {
            writeln!(f)?;
            wrapped(f, &sentence)?;
        }
        Ok(())
    }
}

impl Text<'_> {
    fn totals(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let report = self.0;
        if report.config.kind != Kind::ConnectOnly {
            writeln!(
                f,
                "  messages     {} in {:.1} s · {}/s{} · {:.1} MB/s each way",
                show_count(report.messages as f64),
                report.duration_s,
                show_count(report.rate_per_s),
                report
                    .offered_per_s
                    .map_or(String::new(), |offered| format!(" of {}/s offered", show_count(offered))),
                report.rate_per_s * report.config.size as f64 / 1e6,
            )?;
        }
        writeln!(f, "  connections  {}", report.connections)?;
        let own = 1e9 * report.cpu_s / report.messages.max(1) as f64;
        match report.messages {
            0 => Ok(()),
            _ => writeln!(f, "  own CPU      {:.2} s · {} a message", report.cpu_s, show_nanos(own)),
        }
    }

    fn errors(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let errors = &self.0.errors;
        let kinds = [
            (errors.connect, "connect"),
            (errors.reset, "reset"),
            (errors.timeout, "timeout"),
            (errors.mismatch, "mismatch"),
            (errors.short, "short"),
            (self.0.lost, "messages lost with their connection"),
        ];
        let told: Vec<_> = kinds
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, kind)| format!("{count} {kind}"))
            .collect();
        writeln!(f, "  errors       {}", if told.is_empty() { "none".to_owned() } else { told.join(" · ") })
    }

    fn latencies(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let report = self.0;
        writeln!(
            f,
            "\n  {:<9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}",
            "", "mean", "p50", "p90", "p99", "p99.9", "p99.99", "max"
        )?;
        latency(f, "latency", &report.latency)?;
        if report.config.kind == Kind::Open {
            latency(f, "service", &report.service_latency)?;
        }
        latency(f, "send lag", &report.send_lag)?;
        latency(f, "connect", &report.connect_latency)?;
        report.receive_delay.as_ref().map_or(Ok(()), |delay| latency(f, "in kernel", delay))
    }

    /// What a reader must know before believing the figures.
    fn caveats(&self) -> Vec<String> {
        let Self(report) = self;
        let mut told = Vec::new();
        if report.configs_differ {
            told.push("Not all runs were alike: what is described is the first one.".to_owned());
        }
        if report.interrupted {
            told.push(self.interruption());
        }
        if report.fell_short == Some(true) {
            told.push(format!(
                "Fell short: {:.1} % of the offered rate was achieved. Latencies then tell how long the run \
                 was, not how fast the server is: offer less.",
                100.0 * report.rate_per_s / report.offered_per_s.unwrap_or(f64::INFINITY)
            ));
        }
        if report.errors.timeout > 0 {
            told.push(format!(
                "{} messages were never answered; they are in `latency` with the time they had waited.",
                report.errors.timeout
            ));
        }
        let is_late = report.send_lag.p99 as f64 > 0.1 * report.service_latency.p50 as f64;
        if report.config.kind == Kind::Open && is_late && report.send_lag.count > 0 {
            told.push(
                "The generator itself was late: the p99 of `send lag` is more than a tenth of the median \
                 service latency. Give it a core of its own (--cores, --spin), more --threads, or a lower \
                 rate."
                    .to_owned(),
            );
        }
        if let (Some(failure), false) = (&report.first_failure, report.failed()) {
            told.push(format!("First failure: {failure}."));
        }
        told
    }

    fn interruption(&self) -> String {
        let Self(report) = self;
        let config = &report.config;
        if report.runs.is_some() {
            return "Interrupted: one run or more ended before its time.".to_owned();
        }
        if config.kind == Kind::ConnectOnly {
            return format!("Interrupted: {} connections were asked for.", config.connections);
        }
        if report.duration_s == 0.0 {
            return "Interrupted before anything was measured.".to_owned();
        }
        let after = match config.messages {
            Some(messages) => {
                format!("{} of {} messages", show_count(report.messages as f64), show_count(messages as f64))
            }
            None => format!("{:.1} of {:.1} s", report.duration_s, config.duration_s.unwrap_or(0.0)),
        };
        format!("Interrupted after {after}: the figures are those of the time until then.")
    }
}

fn headline(report: &Report) -> String {
    match report.runs {
        Some(runs) => format!("evenkeel-load, {runs} runs merged → {}", report.config.address),
        None => format!("evenkeel-load → {}", report.config.address),
    }
}

/// Writes a sentence in lines of at most [`WIDTH`] characters, as far as its words allow.
fn wrapped(f: &mut Formatter<'_>, sentence: &str) -> fmt::Result {
    let mut column = 0;
    for word in sentence.split(' ') {
        let len = word.chars().count();
        if column > 0 && column + 1 + len > WIDTH {
            writeln!(f)?;
            column = 0;
        }
        let space = if column > 0 { " " } else { "" };
        write!(f, "{space}{word}")?;
        column += space.len() + len;
    }
    writeln!(f)
}

fn describe(config: &Config) -> String {
    let Config { connections, size, .. } = config;
    match config.kind {
        Kind::Closed => {
            let pipeline = config.pipeline.unwrap_or(1);
            format!("closed loop · {connections} connections × {pipeline} in flight · {size} B")
        }
        Kind::Open => format!(
            "open loop · {}/s {} · {connections} connections{} · {size} B",
            show_count(config.rate.unwrap_or(0.0)),
            config.arrivals.as_deref().unwrap_or_default(),
            config.pipeline.map_or_else(String::new, |most| format!(" × ≤ {most} in flight")),
        ),
        Kind::ConnectOnly => format!("{connections} connections, opened and held"),
    }
}

fn latency(f: &mut Formatter<'_>, name: &str, histogram: &HistogramJson) -> fmt::Result {
    write!(f, "  {name:<9}")?;
    if histogram.count == 0 {
        return writeln!(f, "{:>9}", "–");
    }
    let quantiles = [
        (0.5, histogram.p50),
        (0.9, histogram.p90),
        (0.99, histogram.p99),
        (0.999, histogram.p999),
        (0.9999, histogram.p9999),
    ];
    write!(f, "{:>9}", show_nanos(histogram.mean))?;
    for (quantile, value) in quantiles {
        match histogram.count as f64 * (1.0 - quantile) >= BEYOND_MIN {
            true => write!(f, "{:>9}", show_nanos(value as f64))?,
            false => write!(f, "{:>9}", "–")?,
        }
    }
    writeln!(f, "{:>9}", show_nanos(histogram.max as f64))
}

fn by_worker(f: &mut Formatter<'_>, workers: &[Worker]) -> fmt::Result {
    let most = workers.iter().map(|worker| worker.connections).max().unwrap_or(0).max(1);
    writeln!(f, "\n  {:<8}{:>12}{:>11}{:>10}{:>10}", "worker", "connections", "messages", "p50", "p99")?;
    for worker in workers {
        let bar = "█".repeat((BAR_LEN * worker.connections as f64 / most as f64).round() as usize);
        let quantile = |value: u64| match worker.latency.count {
            0 => "–".to_owned(),
            _ => show_nanos(value as f64),
        };
        let row = format!(
            "  {:<8}{:>12}{:>11}{:>10}{:>10}  {bar}",
            worker.worker,
            worker.connections,
            show_count(worker.messages as f64),
            quantile(worker.latency.p50),
            quantile(worker.latency.p99),
        );
        writeln!(f, "{}", row.trim_end())?;
    }
    Ok(())
}
