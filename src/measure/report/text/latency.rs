//! How long things took: the quantiles of all workers together.

use super::{
    is_backed,
    page::{Page, Span, Style},
    table::{Cell, Column, Table},
};
use crate::{
    config::units::{show_count, show_nanos},
    measure::{Report, report::HistogramJson},
};

/// The histograms that are durations of the loop, in its order.
const ALWAYS: [&str; 5] = ["event_delay", "turn", "iteration", "wait", "session_life"];

/// Those that only a proxy records, or `--timestamps`.
const WHERE_RECORDED: [&str; 4] = ["arrival_delay", "connect", "first_byte", "transit"];

/// The durations that a page tells of, by name.
pub(super) fn shown(report: &Report) -> impl Iterator<Item = (&'static str, &HistogramJson)> {
    let named = |name| report.histograms.get(name).map(|histogram| (name, histogram));
    let always = ALWAYS.into_iter().filter_map(named);
    always.chain(WHERE_RECORDED.into_iter().filter_map(named).filter(|(_, histogram)| histogram.count > 0))
}

/// What stands where a figure would mean nothing.
const NONE: &str = "–";

pub(super) fn print(report: &Report, page: &mut Page) {
    if !is_recorded(report) {
        page.paragraph(
            2,
            &[Span::plain("Latency: no histograms were recorded (--measure full records them).")],
        );
        return;
    }
    let mut table = Table::new(vec![
        Column::left("latency"),
        Column::right("count"),
        Column::right("p50"),
        Column::right("p90").expendable(1),
        Column::right("p99"),
        Column::right("p99.9"),
        Column::right("p99.99").expendable(2),
        Column::right("max"),
    ]);
    for (name, histogram) in shown(report) {
        table.row(Style::Plain, row(name, histogram));
    }
    table.print(page);
}

pub(super) fn is_recorded(report: &Report) -> bool {
    report.histograms.iter().any(|(_, histogram)| histogram.count > 0)
}

fn row(name: &str, histogram: &HistogramJson) -> Vec<Cell> {
    let count = histogram.count;
    let max = if count > 0 { show_nanos(histogram.max as f64) } else { NONE.to_owned() };
    [
        name.to_owned(),
        show_count(count as f64),
        quantile(count, 0.5, histogram.p50),
        quantile(count, 0.9, histogram.p90),
        quantile(count, 0.99, histogram.p99),
        quantile(count, 0.999, histogram.p999),
        quantile(count, 0.9999, histogram.p9999),
        max,
    ]
    .map(Cell::Text)
    .into()
}

/// The value in nanoseconds, or a dash where too few of `count` samples lie beyond it.
pub(super) fn quantile(count: u64, quantile: f64, value_ns: u64) -> String {
    if is_backed(count, quantile) { show_nanos(value_ns as f64) } else { NONE.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_with_fewer_than_ten_samples_beyond_it_is_not_shown() {
        for (count, at, shown) in [
            (19, 0.5, false),
            (20, 0.5, true),
            (100, 0.9, true),
            (999, 0.99, false),
            (1_000, 0.99, true),
            (99_999, 0.9999, false),
            (100_000, 0.9999, true),
        ] {
            assert_eq!(quantile(count, at, 1_500) == "1.50 µs", shown, "{count} samples, {at}");
        }
    }
}
