//! The report for human eyes.
//!
//! From the whole to the parts: what ran and what it did, how the workers shared it and whether that is better
//! than chance, where a proxy forwarded to and how its sessions ended, how long things took (for all, then for each
//! core), and what went wrong, if anything did. What is
//! zero and should be isn't mentioned; a quantile that too few samples stand behind isn't shown.

pub(super) mod balance;
mod compared;
mod endings;
pub(super) mod headline;
mod latency;
mod merged;
pub(super) mod oddities;
mod page;
mod spectrum;
mod table;
mod upstreams;
mod workers;

use page::Page;

use super::Report;

impl Report {
    /// The narrowest and the widest page; widths outside are taken for the nearer of these.
    pub const TEXT_WIDTHS: std::ops::RangeInclusive<usize> = 60..=200;

    /// The report as text, no line of which is longer than `width` characters; with `colour`, in ANSI colours.
    ///
    /// ```
    /// use evenkeel::measure::Report;
    ///
    /// let text = Report::default().to_text(80, false);
    /// assert!(text.lines().all(|line| line.chars().count() <= 80));
    /// ```
    pub fn to_text(&self, width: usize, colour: bool) -> String {
        let mut page = Page::new(width.clamp(*Self::TEXT_WIDTHS.start(), *Self::TEXT_WIDTHS.end()), colour);
        for section in [
            headline::print,
            merged::print,
            workers::print_shares,
            balance::print,
            upstreams::print,
            endings::print,
            latency::print,
            spectrum::print,
            workers::print_loops,
            oddities::print,
        ] {
            page.gap();
            section(self, &mut page);
        }
        page.into_text().trim_end().to_owned() + "\n"
    }
}

/// Quantiles with fewer samples beyond them than this say more about luck than about latency.
const SAMPLES_BEYOND_MIN: f64 = 10.0;

/// Whether enough samples lie beyond this quantile of `count` samples for it to mean something.
pub(super) fn is_backed(count: u64, quantile: f64) -> bool {
    // The slack is for 1 - 0.9 and its like, which have no exact double.
    count as f64 * (1.0 - quantile) >= SAMPLES_BEYOND_MIN - 1e-6
}

/// `12 %`, `0.4 %`, `<0.1 %`; nothing, and any part of nothing, is `0 %`.
pub(super) fn percent(part: f64, whole: f64) -> String {
    let percent = if whole > 0.0 { part / whole * 100.0 } else { 0.0 };
    match percent {
        p if p > 0.0 && p < 0.05 => "<0.1 %".to_owned(),
        p => format!("{p:.*} %", usize::from(p > 0.0 && p < 9.95)),
    }
}
#[cfg(test)]
mod tests;
