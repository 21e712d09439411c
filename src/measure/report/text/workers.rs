//! Each worker's share of the work, and how its loop ran.

use super::{
    latency::{is_recorded, quantile},
    page::{Page, Span, Style},
    percent,
    table::{Cell, Column, Table},
};
use crate::{
    config::units::show_count,
    measure::{
        Counts, Report,
        report::{NamedHistograms, Worker},
    },
};

/// More rows than this hide what the page is about; the rest is summed up in a line.
const ROWS_MAX: usize = 32;

/// What each worker got: connections and messages beside the most that any worker got, busy time beside the
/// whole time.
pub(super) fn print_shares(report: &Report, page: &mut Page) {
    if report.workers.is_empty() {
        return;
    }
    let mut table = Table::new(vec![
        Column::right("worker"),
        Column::right("core").expendable(1),
        Column::right("accepted"),
        Column::bar(),
        Column::right("active"),
        Column::right("peak").expendable(2),
        Column::right("messages"),
        Column::bar(),
        Column::right("busy"),
        Column::bar(),
    ]);
    let most = |value: fn(&Worker) -> u64| report.workers.iter().map(value).max().unwrap_or(0) as f64;
    let most = (most(|worker| worker.counts.accepted), most(|worker| worker.counts.messages));
    for worker in report.workers.iter().take(ROWS_MAX) {
        table.row(Style::Plain, share(report, worker, most));
    }
    table.row(Style::Strong, all_shares(report));
    table.print(page);
    if report.workers.len() > ROWS_MAX {
        page.paragraph(2, &[Span::new(Style::Faint, rest(report))]);
    }
}

fn share(report: &Report, worker: &Worker, (accepted_most, messages_most): (f64, f64)) -> Vec<Cell> {
    let counts = &worker.counts;
    vec![
        worker.worker.to_string().into(),
        worker.core.map_or_else(|| "–".to_owned(), |core| core.to_string()).into(),
        show_count(counts.accepted as f64).into(),
        Cell::Bar(counts.accepted as f64 / accepted_most),
        show_average(worker.active_avg).into(),
        show_count(worker.active_max as f64).into(),
        show_count(counts.messages as f64).into(),
        Cell::Bar(counts.messages as f64 / messages_most),
        busy(report, counts, 1).into(),
        Cell::Bar(busy_part(report, counts, 1)),
    ]
}

fn all_shares(report: &Report) -> Vec<Cell> {
    let (totals, workers) = (&report.totals, report.workers.len());
    vec![
        "all".to_owned().into(),
        Cell::Nothing,
        show_count(totals.accepted as f64).into(),
        Cell::Nothing,
        show_average(report.workers.iter().map(|worker| worker.active_avg).sum()).into(),
        Cell::Nothing,
        show_count(totals.messages as f64).into(),
        Cell::Nothing,
        busy(report, totals, workers).into(),
        Cell::Nothing,
    ]
}

/// Time outside epoll_wait, as a part of the time that so many workers had; 0 where it wasn't measured.
fn busy_part(report: &Report, counts: &Counts, workers: usize) -> f64 {
    let whole_ns = report.duration_s * 1e9 * workers as f64;
    if whole_ns > 0.0 { counts.busy_ns as f64 / whole_ns } else { 0.0 }
}

fn busy(report: &Report, counts: &Counts, workers: usize) -> String {
    match report.totals.busy_ns {
        0 => "–".to_owned(),
        _ => percent(busy_part(report, counts, workers), 1.0),
    }
}

fn show_average(average: f64) -> String {
    if average < 99.95 { format!("{average:.1}") } else { show_count(average) }
}

/// `and 96 more workers (32 to 127): …`.
fn rest(report: &Report) -> String {
    let rest = &report.workers[ROWS_MAX..];
    let range = |value: fn(&Worker) -> u64| {
        let (low, high) =
            (rest.iter().map(value).min().unwrap_or(0), rest.iter().map(value).max().unwrap_or(0));
        format!("{} to {}", show_count(low as f64), show_count(high as f64))
    };
    let numbers = rest.iter().map(|worker| worker.worker);
    format!(
        "… and {} more (workers {} to {}): accepted {} each, messages {} each; all of them are in the JSON report",
        rest.len(),
        numbers.clone().min().unwrap_or(0),
        numbers.max().unwrap_or(0),
        range(|worker| worker.counts.accepted),
        range(|worker| worker.counts.messages),
    )
}

/// How each worker's loop ran: what woke it, and how long events waited for their turn and turns took.
pub(super) fn print_loops(report: &Report, page: &mut Page) {
    if report.workers.is_empty() {
        return;
    }
    let mut columns = vec![
        Column::right("worker"),
        Column::right("wakeups"),
        Column::right("spurious").expendable(2),
        Column::right("switches").expendable(1),
    ];
    let timed = is_recorded(report);
    if timed {
        columns.extend(TIMED.iter().flat_map(|&(name, expendable)| {
            ["p50", "p99"]
                .map(|head| Column::right(head).under(name).expendable(expendable).at_least(DURATION_WIDTH))
        }));
    }
    let mut table = Table::new(columns);
    for worker in report.workers.iter().take(ROWS_MAX) {
        table.row(
            Style::Plain,
            loop_row(worker.worker.to_string(), &worker.counts, &worker.histograms, timed),
        );
    }
    table.row(Style::Strong, loop_row("all".to_owned(), &report.totals, &report.histograms, timed));
    table.print(page);
    if report.workers.len() > ROWS_MAX {
        let rest = format!("… and {} more", report.workers.len() - ROWS_MAX);
        page.paragraph(2, &[Span::new(Style::Faint, rest)]);
    }
}

/// As wide as a duration gets, `12.3 µs`: so the titles fit over their columns, whatever was measured.
const DURATION_WIDTH: usize = 7;

/// The histograms that are shown for each worker, and when they are left out.
const TIMED: [(&str, u8); 4] = [("event_delay", 0), ("turn", 0), ("iteration", 3), ("wait", 4)];

fn loop_row(name: String, counts: &Counts, histograms: &NamedHistograms, timed: bool) -> Vec<Cell> {
    let mut cells: Vec<Cell> = vec![
        name.into(),
        show_count(counts.wakeups as f64).into(),
        percent(counts.spurious_wakeups as f64, counts.wakeups as f64).into(),
        show_count(counts.context_switches as f64).into(),
    ];
    if timed {
        cells.extend(TIMED.iter().flat_map(|&(name, _)| two_quantiles(histograms, name)));
    }
    cells
}

fn two_quantiles(histograms: &NamedHistograms, name: &str) -> [Cell; 2] {
    let histogram = histograms.get(name).cloned().unwrap_or_default();
    [(0.5, histogram.p50), (0.99, histogram.p99)]
        .map(|(at, value)| quantile(histogram.count, at, value).into())
}
