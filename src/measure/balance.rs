//! How evenly work is spread over workers, and whether chance would have done the same.
//!
//! Four figures, because each misleads by itself: `max_over_mean` is what capacity planning needs (1 − 1/it is
//! the capacity that idles while the busiest worker is full), `dispersion` is the one that chance sets to 1,
//! whatever the numbers, `jain` and `cov` are those that papers print. Only accepted connections are compared
//! with chance: messages of one connection aren't independent of each other, and time isn't a count.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    chance::{self, Tails},
    report::round::to_digits,
};

/// How evenly one measure is spread.
///
/// ```
/// use evenkeel::measure::balance::{Balance, Verdict};
///
/// let packed = Balance::of_counts(&[390, 8, 2, 0]);
/// assert_eq!(packed.verdict, Some(Verdict::WorseThanChance));
/// assert_eq!(packed.max_over_mean, 3.9);
/// assert_eq!(Balance::of_counts(&[100, 100, 100, 100]).verdict, Some(Verdict::BetterThanChance));
/// assert_eq!(Balance::of_counts(&[104, 98, 91, 107]).verdict, Some(Verdict::ByChance));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Balance<T = u64> {
    /// The measure itself, one value a worker, in the order of workers.
    pub per_worker: Vec<T>,
    /// Σ(c−m)²/m/(n−1), with m the mean over n workers: 0 for equal counts, 1 by chance (counts of
    /// independent things), the whole count where one worker has it all. 0 with one worker.
    pub dispersion: f64,
    /// Jain's index (Σc)²/(nΣc²): 1 for equal counts, 1/n where one worker has it all.
    pub jain: f64,
    /// The largest over the mean: 1 for equal counts, n where one worker has it all.
    pub max_over_mean: f64,
    /// Coefficient of variation: the standard deviation (of the population) over the mean.
    pub cov: f64,
    /// What a fair hash would give; only where the things counted are independent.
    pub by_chance: Option<ByChance>,
    /// The comparison with it, in a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
}

/// What a fair hash would give for as many connections and as many workers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ByChance {
    /// Median of max/mean.
    pub max_over_mean_p50: f64,
    /// 95 of 100 draws have a max/mean of at most this.
    pub max_over_mean_p95: f64,
    /// The probability that chance gives a dispersion at least as far out, at either end; `None` without data
    /// and with one worker.
    pub p_value: Option<f64>,
}

/// A spread against that of a fair hash, at the level [`Verdict::P_VALUE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Nothing was counted.
    #[serde(rename = "no data")]
    NoData,
    /// One worker gets everything, whatever the mode.
    #[serde(rename = "one worker")]
    OneWorker,
    /// More even than a hash: something balances.
    #[serde(rename = "better than chance")]
    BetterThanChance,
    /// A hash would do the same.
    #[serde(rename = "as chance gives")]
    ByChance,
    /// Less even than a hash: something concentrates.
    #[serde(rename = "worse than chance")]
    WorseThanChance,
}

impl Balance {
    /// The balance of independent things, such as connections, beside what chance would give.
    pub fn of_counts(counts: &[u64]) -> Self {
        let spread = Spread::of(counts.iter().map(|&count| count as f64));
        let chance = chance::max_over_mean(counts.len(), chance::total(counts));
        let by_chance = ByChance {
            max_over_mean_p50: to_digits(chance.p50, DIGITS),
            max_over_mean_p95: to_digits(chance.p95, DIGITS),
            p_value: Tails::of(counts).map(|tails| to_digits(tails.p_value(), DIGITS)),
        };
        Self {
            by_chance: Some(by_chance),
            verdict: Some(Verdict::of(counts)),
            ..spread.balance(counts.to_vec())
        }
    }

    /// The balance of amounts that are not independent counts, such as messages or nanoseconds.
    pub fn of_amounts(amounts: &[u64]) -> Self {
        Spread::of(amounts.iter().map(|&amount| amount as f64)).balance(amounts.to_vec())
    }
}

impl Balance<f64> {
    /// The balance of averages, such as open sessions over time.
    pub fn of_averages(averages: &[f64]) -> Self {
        let averages: Vec<f64> = averages.iter().map(|&average| to_digits(average, DIGITS)).collect();
        Spread::of(averages.iter().copied()).balance(averages)
    }
}

impl<T> Default for Balance<T> {
    fn default() -> Self {
        Spread::EVEN.balance(Vec::new())
    }
}

impl Default for ByChance {
    fn default() -> Self {
        Self { max_over_mean_p50: 1.0, max_over_mean_p95: 1.0, p_value: None }
    }
}

impl Verdict {
    /// A spread that chance gives less often than this is called better or worse than chance.
    pub const P_VALUE: f64 = 0.01;

    /// Judges counts of independent things, one a worker.
    pub fn of(counts: &[u64]) -> Self {
        Self::of_rounds(&[counts])
    }

    /// Judges several rounds of them together; see [`Tails::of_rounds`].
    pub fn of_rounds(rounds: &[&[u64]]) -> Self {
        match Tails::of_rounds(rounds) {
            None if rounds.iter().any(|counts| counts.len() == 1 && counts[0] > 0) => Self::OneWorker,
            None => Self::NoData,
            Some(tails) if tails.p_value() >= Self::P_VALUE => Self::ByChance,
            Some(tails) if tails.low < tails.high => Self::BetterThanChance,
            Some(_) => Self::WorseThanChance,
        }
    }

    /// The one name of this value, the same in reports and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoData => "no data",
            Self::OneWorker => "one worker",
            Self::BetterThanChance => "better than chance",
            Self::ByChance => "as chance gives",
            Self::WorseThanChance => "worse than chance",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Figures are written with so many significant digits: more would be noise.
const DIGITS: usize = 6;

/// The four figures, without what they are of.
struct Spread {
    dispersion: f64,
    jain: f64,
    max_over_mean: f64,
    cov: f64,
}

impl Spread {
    /// Nothing, or nothing to compare.
    const EVEN: Self = Self { dispersion: 0.0, jain: 1.0, max_over_mean: 1.0, cov: 0.0 };

    fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        let n = values.clone().count() as f64;
        let sum: f64 = values.clone().sum();
        if n < 2.0 || sum <= 0.0 || !sum.is_finite() {
            return Self::EVEN;
        }
        let mean = sum / n;
        // Around the mean, and over it: squares of nanoseconds would lose the digits that matter.
        let variance = values.clone().map(|value| (value / mean - 1.0).powi(2)).sum::<f64>() / n;
        Self {
            dispersion: variance * mean * n / (n - 1.0),
            jain: 1.0 / (1.0 + variance),
            max_over_mean: values.fold(0.0, f64::max) / mean,
            cov: variance.sqrt(),
        }
    }

    fn balance<T>(self, per_worker: Vec<T>) -> Balance<T> {
        Balance {
            per_worker,
            dispersion: to_digits(self.dispersion, DIGITS),
            jain: to_digits(self.jain, DIGITS),
            max_over_mean: to_digits(self.max_over_mean, DIGITS),
            cov: to_digits(self.cov, DIGITS),
            by_chance: None,
            verdict: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn without_data_or_with_one_worker_all_is_even() {
        for (counts, verdict) in [
            (&[][..], Verdict::NoData),
            (&[0], Verdict::NoData),
            (&[0, 0, 0], Verdict::NoData),
            (&[7], Verdict::OneWorker),
        ] {
            let balance = Balance::of_counts(counts);
            assert_eq!(
                (balance.dispersion, balance.jain, balance.max_over_mean, balance.cov),
                (0.0, 1.0, 1.0, 0.0)
            );
            assert_eq!(balance.by_chance, Some(ByChance::default()));
            assert_eq!(balance.verdict, Some(verdict), "{counts:?}");
        }
    }

    #[test]
    fn all_on_one_worker_is_the_other_end() {
        let balance = Balance::of_counts(&[0, 400, 0, 0]);
        assert_eq!((balance.dispersion, balance.jain, balance.max_over_mean), (400.0, 0.25, 4.0));
        assert_eq!(balance.cov, to_digits(3.0_f64.sqrt(), DIGITS));
        assert_eq!(balance.verdict, Some(Verdict::WorseThanChance));
        assert!(balance.by_chance.unwrap().p_value.unwrap() < 1e-100);
    }

    #[test]
    fn figures_are_by_their_definitions() {
        let balance = Balance::of_counts(&[10, 20, 30]);
        // m = 20, Σ(c−m)² = 200.
        assert_eq!((balance.dispersion, balance.max_over_mean), (5.0, 1.5));
        assert_eq!(balance.jain, to_digits(3600.0 / (3.0 * 1400.0), DIGITS));
        assert_eq!(balance.cov, to_digits((200.0_f64 / 3.0).sqrt() / 20.0, DIGITS));
    }

    #[test]
    fn verdicts_at_both_ends_and_between() {
        for (counts, verdict) in [
            (&[100, 100, 100, 100][..], Verdict::BetterThanChance),
            (&[101, 99, 100, 100], Verdict::BetterThanChance),
            (&[104, 98, 91, 107], Verdict::ByChance),
            (&[115, 85, 96, 104], Verdict::ByChance),
            (&[130, 70, 100, 100], Verdict::WorseThanChance),
            // Once in 25 times: two workers share 400 connections equally by chance.
            (&[200, 200], Verdict::ByChance),
            (&[1, 1, 1, 1], Verdict::ByChance),
            (&[12, 0, 0, 0], Verdict::WorseThanChance),
        ] {
            assert_eq!(Verdict::of(counts), verdict, "{counts:?}");
        }
    }

    #[test]
    fn amounts_are_not_compared_with_chance() {
        let json = serde_json::to_value(Balance::of_amounts(&[5, 7])).unwrap();
        assert!(json["by_chance"].is_null() && json.get("verdict").is_none());
        assert_eq!(json["per_worker"], serde_json::json!([5, 7]));
        assert!(Balance::of_averages(&[0.5, 1.5]).by_chance.is_none());
    }

    #[test]
    fn a_verdict_is_written_by_its_name() {
        for verdict in [
            Verdict::NoData,
            Verdict::OneWorker,
            Verdict::BetterThanChance,
            Verdict::ByChance,
            Verdict::WorseThanChance,
        ] {
            assert_eq!(serde_json::to_value(verdict).unwrap(), verdict.name());
        }
    }

    proptest! {
        #[test]
        fn figures_stay_in_their_bounds(counts in prop::collection::vec(0_u64..1_000_000, 2..40)) {
            let n = counts.len() as f64;
            let balance = Balance::of_amounts(&counts);
            prop_assert!((1.0..=n * 1.000_01).contains(&balance.max_over_mean));
            prop_assert!((1.0 / n * 0.999_99..=1.0).contains(&balance.jain));
            prop_assert!((balance.jain * (1.0 + balance.cov.powi(2)) - 1.0).abs() < 1e-4);
            let total: u64 = counts.iter().sum();
            if total > 0 {
                let dispersion = chance::pearson(&counts) / (n - 1.0);
                prop_assert!((balance.dispersion - dispersion).abs() <= 1e-5 * dispersion.max(1e-6));
            }
        }
    }
}
