//! A histogram as a table of percentiles: the `.hgrm` text that HdrHistogram's plotters read.
//!
//! Rows and layout are those of `AbstractHistogram.outputPercentileDistribution` with five ticks per half distance,
//! byte for byte for a histogram of three significant digits: plotters take it apart by columns. (Java writes as
//! many decimals as there are digits; here there are never fewer than three, or microseconds would all be alike.)

use std::fmt::Write as _;

use hdrhistogram::Histogram;

/// Rows for each halving of the distance to 100 %.
const TICKS_PER_HALF_DISTANCE: f64 = 5.0;

const NS_PER_MS: f64 = 1e6;

/// The percentile table of a histogram of nanoseconds; its values are in milliseconds.
///
/// ```
/// use evenkeel::measure::{hgrm, histograms::histogram};
///
/// let mut turns = histogram();
/// turns.record(2_000_000).unwrap();
/// let text = hgrm::text(&turns);
/// assert!(text.starts_with("       Value     Percentile TotalCount 1/(1-Percentile)\n\n"));
/// assert!(text.contains("\n       2.007 1.000000000000          1\n#[Mean    =        2.003, "));
/// ```
pub fn text(histogram: &Histogram<u64>) -> String {
    let mut text =
        format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    rows(histogram, &mut text);
    footer(histogram, &mut text);
    text
}

fn rows(histogram: &Histogram<u64>, text: &mut String) {
    let (len, mut count, mut level) = (histogram.len(), 0, 0.0);
    for step in histogram.iter_recorded() {
        count += step.count_at_value();
        let value_ms = step.value_iterated_to() as f64 / NS_PER_MS;
        while 100.0 * count as f64 / len as f64 >= level {
            // Of two numbers that are equally near Java writes the larger, and Rust the even one.
            let quantile = (level * 1e10).round() / 1e12;
            let beyond = 1.0 / (1.0 - level / 100.0);
            // Writing to a String can't fail, here and below.
            let _ = writeln!(text, "{value_ms:12.3} {quantile:.12} {count:10} {beyond:14.2}");
            level = next_level(level);
            if count == len {
                let _ = writeln!(text, "{value_ms:12.3} {:.12} {count:10}", 1.0);
                break;
            }
        }
    }
}

/// The next percentage with a row of its own. In percent, and by the same steps as Java takes, because the row depends
/// on the last bit where a bucket ends exactly there.
fn next_level(level: f64) -> f64 {
    let halvings = (100.0 / (100.0 - level)).ln() / 2_f64.ln();
    level + 100.0 / (TICKS_PER_HALF_DISTANCE * 2_f64.powi(halvings as i32 + 1))
}

fn footer(histogram: &Histogram<u64>, text: &mut String) {
    let (mean, stdev) = (histogram.mean() / NS_PER_MS, histogram.stdev() / NS_PER_MS);
    let (max, count) = (histogram.max() as f64 / NS_PER_MS, histogram.len());
    let (buckets, sub_buckets) = (histogram.buckets(), sub_buckets(histogram));
    let _ = writeln!(text, "#[Mean    = {mean:12.3}, StdDeviation   = {stdev:12.3}]");
    let _ = writeln!(text, "#[Max     = {max:12.3}, Total count    = {count:12}]");
    let _ = writeln!(text, "#[Buckets = {buckets:12}, SubBuckets     = {sub_buckets:12}]");
}

/// How many values are told apart below the first power of two: twice the precision, rounded up to a power of two.
fn sub_buckets(histogram: &Histogram<u64>) -> u64 {
    (2 * 10_u64.pow(u32::from(histogram.sigfig()))).next_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::histograms::histogram;

    #[test]
    fn rows_run_from_the_least_value_to_all_of_them() {
        let mut samples = histogram();
        (1..=1_000).for_each(|ms| samples.record(ms * 1_000_000).unwrap());
        let text = text(&samples);
        let rows: Vec<Vec<&str>> = text
            .lines()
            .skip(2)
            .take_while(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().collect())
            .collect();
        let (first, last) = (&rows[0], rows.last().unwrap());
        assert_eq!((first[1], first[3]), ("0.000000000000", "1.00"));
        assert_eq!((last[1], last[2], last.len()), ("1.000000000000", "1000", 3));
        let half = rows.iter().find(|row| row[1] == "0.500000000000").unwrap();
        let value_ms: f64 = half[0].parse().unwrap();
        assert!((value_ms - 500.0).abs() <= 5.0 && half[3] == "2.00", "{half:?}");
        assert!(rows[..rows.len() - 1].iter().all(|row| row.len() == 4));
        assert!(text.ends_with("SubBuckets     =          256]\n"));
    }

    #[test]
    fn without_samples_there_are_no_rows() {
        let text = text(&histogram());
        assert_eq!(text.lines().count(), 2 + 3, "{text}");
        assert!(text.contains("Total count    =            0]"));
    }
}
