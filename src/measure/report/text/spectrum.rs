//! The shape of the distributions: one line each, on one logarithmic axis of time.
//!
//! Quantiles hide shape: two humps, a tail that begins late. Here a column is a slice of a decade and its
//! height the logarithm of the samples in it, so that a single outlier among millions can still be seen.

use hdrhistogram::Histogram;

use super::{
    latency::{is_recorded, shown},
    page::{Page, Span, Style},
};
use crate::measure::{Report, report::HistogramJson};

const LEVELS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const COLUMNS_PER_DECADE_MAX: usize = 8;

/// The names' column, and the gap behind it.
const INDENT: usize = 14;

pub(super) fn print(report: &Report, page: &mut Page) {
    let histograms = decoded(report);
    if !is_recorded(report) || histograms.is_empty() {
        return;
    }
    let axis = Axis::over(&histograms, page.width - INDENT);
    page.line(&[Span::new(Style::Faint, format!("{:<INDENT$}{}", "spectrum", axis.labels()))]);
    for (name, histogram) in &histograms {
        let columns: String = axis.heights(histogram).into_iter().map(|level| LEVELS[level]).collect();
        page.line(&[Span::plain(format!("{name:<INDENT$}")), Span::new(Style::Bar, columns)]);
    }
}

/// Those with samples; one that can't be decoded has no shape to show.
fn decoded(report: &Report) -> Vec<(&'static str, Histogram<u64>)> {
    let decode = |(name, histogram): (_, &HistogramJson)| {
        let histogram = histogram.decode().ok()?;
        (!histogram.is_empty()).then_some((name, histogram))
    };
    shown(report).filter_map(decode).collect()
}

/// Whole decades of nanoseconds, from 10^`first`.
struct Axis {
    first: usize,
    decades: usize,
    columns_per_decade: usize,
}

impl Axis {
    fn over(histograms: &[(&str, Histogram<u64>)], width: usize) -> Self {
        let first = histograms.iter().map(|(_, histogram)| decade(histogram.min())).min().unwrap_or(0);
        let last = histograms.iter().map(|(_, histogram)| decade(histogram.max())).max().unwrap_or(0);
        let decades = last - first + 1;
        Self { first, decades, columns_per_decade: (width / decades).clamp(1, COLUMNS_PER_DECADE_MAX) }
    }

    /// The column of a value, by its logarithm.
    fn column(&self, value_ns: u64) -> usize {
        let decades = (value_ns.max(1) as f64).log10() - self.first as f64;
        let column = (decades * self.columns_per_decade as f64).max(0.0) as usize;
        column.min(self.decades * self.columns_per_decade - 1)
    }

    /// A level for each column, 0 for no samples.
    fn heights(&self, histogram: &Histogram<u64>) -> Vec<usize> {
        let mut counts = vec![0_u64; self.decades * self.columns_per_decade];
        for step in histogram.iter_recorded() {
            let column = self.column(step.value_iterated_to());
            counts[column] = counts[column].saturating_add(step.count_at_value());
        }
        let most = (counts.iter().copied().max().unwrap_or(0) as f64).ln_1p();
        let level = |count: u64| ((count as f64).ln_1p() / most * (LEVELS.len() - 1) as f64).ceil() as usize;
        counts
            .into_iter()
            .map(|count| if count == 0 { 0 } else { level(count).min(LEVELS.len() - 1) })
            .collect()
    }

    /// `1 µs` where its decade begins; every second or third one where they would touch.
    fn labels(&self) -> String {
        const LABEL_WIDTH: usize = 7;
        let step = LABEL_WIDTH.div_ceil(self.columns_per_decade);
        let labels = (0..self.decades).step_by(step).map(|decade| label(self.first + decade));
        let width = self.columns_per_decade * step;
        labels.map(|label| format!("{label:<width$}")).collect()
    }
}

/// The largest n with 10^n ≤ `value_ns`.
fn decade(value_ns: u64) -> usize {
    value_ns.max(1).ilog10() as usize
}

fn label(decade: usize) -> String {
    let (unit, rest) = match decade {
        0..=2 => ("ns", decade),
        3..=5 => ("µs", decade - 3),
        6..=8 => ("ms", decade - 6),
        _ => ("s", decade - 9),
    };
    format!("{} {unit}", 10_u64.saturating_pow(u32::try_from(rest).unwrap_or(u32::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::histograms::histogram;

    fn axis(values: &[u64], width: usize) -> (Axis, Histogram<u64>) {
        let mut samples = histogram();
        values.iter().for_each(|&value| samples.record(value).unwrap());
        (Axis::over(&[("turn", samples.clone())], width), samples)
    }

    #[test]
    fn a_value_stands_in_its_decade() {
        let (axis, samples) = axis(&[150, 1_500, 1_500, 1_500, 90_000], 60);
        assert_eq!((axis.first, axis.decades, axis.columns_per_decade), (2, 3, 8));
        let heights = axis.heights(&samples);
        let seen: Vec<_> = heights.iter().enumerate().filter(|&(_, &height)| height > 0).collect();
        assert_eq!(seen, [(1, &4), (9, &8), (23, &4)]);
    }

    #[test]
    fn labels_stand_where_decades_begin() {
        assert_eq!(axis(&[100, 10_000], 60).0.labels(), "100 ns  1 µs    10 µs   ");
        // Three columns a decade: every third decade is named.
        assert_eq!(axis(&[1, 1_000_000], 21).0.labels(), "1 ns     1 µs     1 ms     ");
    }

    #[test]
    fn the_axis_fits_for_any_range() {
        for (low, high) in [(1, 1), (1, 60_000_000_000), (999, 1_000)] {
            for width in [46, 60, 186] {
                let (axis, _) = axis(&[low, high], width);
                assert!(axis.decades * axis.columns_per_decade <= width);
            }
        }
    }
}
