//! A quantile so far out that no round has enough samples beyond it, though all rounds together do.
//!
//! There is no value a round, so there are no pairs and no ranks: the rounds themselves are drawn again, with
//! replacement, and the quantiles of their merged histograms compared (`statistics::bootstrap`).

use std::collections::BTreeMap;

use super::{
    raw::{Distribution, Raw},
    results::{SAMPLES_BEYOND_MIN, Trial},
    statistics::{Ratio, bootstrap},
};

/// The ratio of a merged quantile in two modes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Merged {
    pub ratio: Ratio,
    pub p_value: f64,
}

/// The ratio `b / a` of the quantile that `figure` names, over rounds of pairs of trials. `None` where the figure is no
/// quantile, or the rounds are too few, or even all of them have too few samples beyond it.
pub fn ratio(figure: &str, rounds: &[Vec<(&Trial, &Trial)>], seed: u64) -> Option<Merged> {
    let (q, histogram) = quantile(figure)?;
    let a = Rounds::of(rounds.iter().map(|pairs| pairs.iter().map(|(a, _)| *a)), histogram)?;
    let b = Rounds::of(rounds.iter().map(|pairs| pairs.iter().map(|(_, b)| *b)), histogram)?;
    let ratio = |times: &[u32]| Some(b.quantile(q, times)? / a.quantile(q, times)?);
    let estimate = ratio(&vec![1; rounds.len()])?;
    let drawn = bootstrap::interval(rounds.len(), seed, 1.0, ratio)?;
    let ratio = Ratio { estimate, low: drawn.low, high: drawn.high, confidence: 0.95 };
    Some(Merged { ratio, p_value: drawn.p_value })
}

type Pick = fn(&Raw) -> &Distribution;

/// Which quantile a figure is, of which histogram.
fn quantile(figure: &str) -> Option<(f64, Pick)> {
    let (name, pick): (&str, Pick) = match figure.strip_prefix("service_") {
        Some(name) => (name, |raw| &raw.service),
        None => (figure, |raw| &raw.latency),
    };
    let q = match name {
        "p50_ns" => 0.5,
        "p90_ns" => 0.9,
        "p99_ns" => 0.99,
        "p999_ns" => 0.999,
        _ => return None,
    };
    Some((q, pick))
}

/// The values of some rounds, so arranged that they are quickly merged.
struct Rounds {
    /// From the largest down: a value, and how often each round has it.
    counts: Vec<(u64, Vec<u64>)>,
    /// All values of each round.
    totals: Vec<u64>,
}

impl Rounds {
    fn of<'a, T: Iterator<Item = &'a Trial>>(
        rounds: impl ExactSizeIterator<Item = T>,
        pick: Pick,
    ) -> Option<Self> {
        let mut totals = vec![0; rounds.len()];
        let mut counts: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for (round, trials) in rounds.enumerate() {
            for trial in trials {
                for &(value, count) in &pick(&*trial.raw()?).counts {
                    counts.entry(value).or_insert_with(|| vec![0; totals.len()])[round] += count;
                    totals[round] += count;
                }
            }
        }
        Some(Self { counts: counts.into_iter().rev().collect(), totals })
    }

    /// A quantile of the rounds, each as many times as is said; `None` with too few samples beyond it.
    fn quantile(&self, q: f64, times: &[u32]) -> Option<f64> {
        let sum = |counts: &[u64]| -> u64 {
            counts.iter().zip(times).map(|(c, &times)| c * u64::from(times)).sum()
        };
        let beyond = sum(&self.totals) as f64 * (1.0 - q);
        let mut above = 0;
        let reaches = |(_, counts): &&(u64, Vec<u64>)| {
            above += sum(counts);
            above as f64 > beyond
        };
        (beyond >= SAMPLES_BEYOND_MIN)
            .then(|| self.counts.iter().find(reaches))
            .flatten()
            .map(|(value, _)| *value as f64)
    }
}
