//! Whether it matters at which worker a client ended up: who pays for an uneven spread.

use super::{
    super::{
        results::{Results, ScenarioNote},
        statistics::order::median_with_interval,
    },
    is_of, subjects, trials,
    words::{percent, times},
};

/// The slowest worker's p99 over the fastest one's, where that is far apart and another mode's are not. It is said of
/// modes that kept up, and of values that don't overlap: the interval of the one median lies beyond that of the other.
pub fn sentence(results: &Results, note: &ScenarioNote) -> Option<String> {
    let mut spreads: Vec<Spread> =
        subjects(note).into_iter().filter_map(|subject| Spread::of(results, note, subject)).collect();
    spreads.sort_by(|one, other| one.median.total_cmp(&other.median));
    let (least, most) = (spreads.first()?, spreads.last()?);
    if most.low < FAR_APART || most.low <= least.high || most.trials < TRIALS_MIN || least.trials < TRIALS_MIN
    {
        return None;
    }
    let share = most.between.map(|share| {
        format!("; {} of the variance of its connections' p99 lies between workers", percent(share))
    });
    Some(format!(
        "Who pays in {}: in {} the clients of the slowest worker have a p99 {} that of the fastest one's ({} to {} \
         over rounds){}; in {} it is {} ({} to {}).",
        note.name,
        most.name,
        times(most.median),
        times(most.low),
        times(most.high),
        share.unwrap_or_default(),
        least.name,
        times(least.median),
        times(least.low),
        times(least.high),
    ))
}

/// Below this nobody would notice.
const FAR_APART: f64 = 1.25;

/// With fewer, two ranges that don't overlap are no news.
const TRIALS_MIN: usize = 4;

struct Spread {
    name: String,
    trials: usize,
    median: f64,
    low: f64,
    high: f64,
    /// The median of η².
    between: Option<f64>,
}

impl Spread {
    fn of(results: &Results, note: &ScenarioNote, name: String) -> Option<Self> {
        let values = |figure: &str| -> Vec<f64> {
            let own = trials(results, note).filter(|trial| is_of(trial, &name));
            own.filter_map(|trial| trial.figures.get(figure).copied()).collect()
        };
        let mut loads =
            trials(results, note).filter(|trial| is_of(trial, &name)).filter_map(|trial| trial.load.as_ref());
        if loads.any(|load| load.overloaded) {
            return None;
        }
        let ratios = values("worker_p99_max_over_min");
        let (median, low, high) = median_with_interval(&ratios)?;
        let between = median_with_interval(&values("variance_between_workers")).map(|(median, ..)| median);
        Some(Self { trials: ratios.len(), median, low, high, between, name })
    }
}
