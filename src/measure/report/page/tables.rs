//! The tables of the page: what the charts show, in figures, and what no chart shows.

use serde_json::Value;

use crate::{
    config::units::{show_count, show_nanos},
    measure::{
        Counts, Report,
        balance::Verdict,
        page::escape,
        report::{
            HistogramJson, NamedHistograms, Part, Upstream, compare::plain, text::is_backed, text::percent,
        },
    },
};

const NONE: &str = "–";

/// More rows than this hide what a page is about; the rest is in the JSON within it.
const ROWS_MAX: usize = 256;

/// A table whose first column names its rows.
fn table(heads: &[&str], rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let cell = |element: &str, text: &str| format!("<{element}>{}</{element}>", escape(text));
    let heads: String = heads.iter().map(|head| cell("th", head)).collect();
    let left = rows.len().saturating_sub(ROWS_MAX);
    let row = |cells: Vec<String>| {
        let cells = cells.iter().enumerate().map(|(at, text)| cell(if at == 0 { "th" } else { "td" }, text));
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    let rows: String = rows.into_iter().take(ROWS_MAX).map(row).collect();
    let rest = if left > 0 { format!("<p class=\"note\">… and {left} more.</p>\n") } else { String::new() };
    format!(
        "<div class=\"wide\" tabindex=\"0\"><table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n\
         </table></div>\n{rest}"
    )
}

pub(super) fn runs(report: &Report) -> String {
    let row = |part: &Part| {
        vec![
            part.file.clone(),
            part.started.clone(),
            show_nanos(part.duration_s * 1e9),
            show_count(part.accepted as f64),
            show_count(part.messages as f64),
            format!("{:.2}", part.dispersion),
            format!("{:.2}", part.max_over_mean),
            part.verdict.unwrap_or(Verdict::NoData).to_string(),
            format!("Linux {}, {} CPUs", part.machine.kernel, part.machine.cpus),
        ]
    };
    let heads = [
        "run",
        "began",
        "time",
        "connections",
        "messages",
        "dispersion",
        "max/mean",
        "by chance?",
        "machine",
    ];
    table(&heads, report.merged.iter().map(row).collect())
}

pub(super) fn workers(report: &Report) -> String {
    let all_ns = report.duration_s * 1e9;
    let row = |name: String, core, counts: &Counts, active: String, peak, busy_of_ns, histograms| {
        let mut cells = vec![
            name,
            core,
            show_count(counts.accepted as f64),
            active,
            peak,
            show_count(counts.messages as f64),
            percent(counts.busy_ns as f64, busy_of_ns),
            show_count(counts.wakeups as f64),
            percent(counts.spurious_wakeups as f64, counts.wakeups as f64),
            show_count(counts.context_switches as f64),
        ];
        cells.extend(["turn", "iteration"].into_iter().flat_map(|name| median_and_p99(histograms, name)));
        cells
    };
    let mut rows: Vec<Vec<String>> = report
        .workers
        .iter()
        .map(|it| {
            let core = it.core.map_or_else(|| NONE.into(), |core| core.to_string());
            let active = format!("{:.1}", it.active_avg);
            let peak = show_count(it.active_max as f64);
            row(it.worker.to_string(), core, &it.counts, active, peak, all_ns, &it.histograms)
        })
        .collect();
    if report.workers.len() > 1 {
        let active = format!("{:.1}", report.workers.iter().map(|worker| worker.active_avg).sum::<f64>());
        let time_ns = all_ns * report.workers.len() as f64;
        let peak = String::new();
        rows.insert(
            0,
            row("all".into(), String::new(), &report.totals, active, peak, time_ns, &report.histograms),
        );
    }
    let heads = [
        "worker",
        "core",
        "accepted",
        "open",
        "peak",
        "messages",
        "busy",
        "wakeups",
        "spurious",
        "switches",
        "turn p50",
        "turn p99",
        "iteration p50",
        "iteration p99",
    ];
    table(&heads, rows)
}

fn median_and_p99(histograms: &NamedHistograms, name: &str) -> [String; 2] {
    let histogram = histograms.get(name).cloned().unwrap_or_default();
    [quantile(&histogram, 0.5, histogram.p50), quantile(&histogram, 0.99, histogram.p99)]
}

pub(super) fn latency(report: &Report) -> String {
    let recorded = report.histograms.iter().filter(|(_, histogram)| histogram.count > 0);
    let row = |(name, it): (&str, &HistogramJson)| {
        let name = if it.unit == "ns" { name.to_owned() } else { format!("{name} ({})", it.unit) };
        let mut cells = vec![name, show_count(it.count as f64), value(it, it.mean)];
        let quantiles = [(0.5, it.p50), (0.9, it.p90), (0.99, it.p99), (0.999, it.p999), (0.9999, it.p9999)];
        cells.extend(quantiles.map(|(at, value)| quantile(it, at, value)));
        cells.push(value(it, it.max as f64));
        cells
    };
    table(
        &["histogram", "samples", "mean", "p50", "p90", "p99", "p99.9", "p99.99", "max"],
        recorded.map(row).collect(),
    )
}

fn quantile(histogram: &HistogramJson, at: f64, of: u64) -> String {
    if is_backed(histogram.count, at) { value(histogram, of as f64) } else { NONE.to_owned() }
}

fn value(histogram: &HistogramJson, value: f64) -> String {
    if histogram.unit == "ns" { show_nanos(value) } else { show_count(value) }
}

pub(super) fn upstreams(report: &Report) -> String {
    let row = |it: &Upstream| {
        vec![
            it.address.clone(),
            it.service.clone(),
            it.weight.to_string(),
            show_count(it.counts.connected as f64),
            show_count(it.counts.active as f64),
            show_count(it.counts.failed as f64),
            bytes(it.counts.bytes_to),
            bytes(it.counts.bytes_from),
        ]
    };
    let heads = ["upstream", "service", "weight", "connected", "open", "failed", "to it", "from it"];
    table(&heads, report.upstreams.iter().map(row).collect())
}

pub(super) fn endings(report: &Report) -> String {
    let total = report.ends.total() as f64;
    let rows = report.ends.by_count().into_iter().map(|(letters, code, count)| {
        let meaning =
            code.map_or_else(|| "a code that this version doesn't know".to_owned(), |code| code.meaning());
        vec![letters, show_count(count as f64), percent(count as f64, total), meaning]
    });
    let table = table(&["ending", "sessions", "share", "what happened"], rows.collect());
    table.replace("<table>", "<table class=\"words\">")
}

pub(super) fn settings(report: &Report) -> String {
    let config = serde_json::to_value(&report.config).unwrap_or_default();
    let settings = config.as_object().into_iter().flatten();
    let rows = settings
        .map(|(name, value)| format!("<dt>{}</dt><dd>{}</dd>\n", escape(name), escape(&plain(value))));
    format!("<h3>Settings</h3>\n<dl>\n{}</dl>\n", rows.collect::<String>())
}

pub(super) fn counters(report: &Report) -> String {
    let totals = serde_json::to_value(&report.totals).unwrap_or_default();
    let mut rows = Vec::new();
    for (name, value) in totals.as_object().into_iter().flatten() {
        match value {
            Value::Object(kinds) => {
                rows.extend(kinds.iter().map(|(kind, count)| vec![format!("{name}.{kind}"), plain(count)]));
            }
            _ => rows.push(vec![name.clone(), plain(value)]),
        }
    }
    format!("<h3>Counters of all workers</h3>\n{}", table(&["counter", "count"], rows))
}

fn bytes(bytes: u64) -> String {
    let shown = show_count(bytes as f64);
    if shown.contains(' ') { shown + "B" } else { shown + " B" }
}
