//! All rounds of one scenario in one mode, or in both triggers of one accept mode, taken together.
//!
//! Counts are added and histograms merged, bucket by bucket; percentiles are never averaged.

use evenkeel::measure::{
    balance::{Balance, Verdict},
    chance::Dispersion,
};
use hdrhistogram::Histogram;

use super::{
    raw,
    results::{LoadFigures, Results, Trial, quantile},
};

/// Some trials of one scenario that are looked at as one.
#[derive(Debug)]
pub struct Summary<'a> {
    pub trials: Vec<&'a Trial>,
}

impl<'a> Summary<'a> {
    /// The rounds of `scenario` in the modes that `belongs` picks by name.
    pub fn of(results: &'a Results, scenario: &str, belongs: impl Fn(&str) -> bool) -> Self {
        let picked = |trial: &&Trial| trial.scenario == scenario && !trial.twin && belongs(&trial.mode);
        Self { trials: results.trials.iter().filter(picked).collect() }
    }

    /// Connections per worker, added over the rounds, and their balance. `None` without trials. It is judged round by
    /// round: a mode that packs another worker each time looks even in the sum.
    pub fn balance(&self) -> Option<Balance> {
        let workers = self.trials.iter().map(|trial| trial.per_worker.len()).max()?;
        let mut sums = vec![0; workers];
        for trial in &self.trials {
            for (sum, count) in sums.iter_mut().zip(&trial.per_worker) {
                *sum += count;
            }
        }
        let rounds: Vec<&[u64]> = self.trials.iter().map(|trial| &trial.per_worker[..]).collect();
        let dispersion = Dispersion::of_rounds(&rounds).map_or(0.0, |dispersion| dispersion.index);
        Some(Balance { dispersion, verdict: Some(Verdict::of_rounds(&rounds)), ..Balance::of_counts(&sums) })
    }

    /// The figures of the rounds that had load.
    pub fn loads(&self) -> impl Iterator<Item = &'a LoadFigures> {
        self.trials.iter().filter_map(|trial| trial.load.as_ref())
    }

    /// All rounds' latencies. `None` without any.
    pub fn latency(&self) -> Option<Histogram<u64>> {
        raw::merged(self.trials.iter().copied(), |raw| &raw.latency)
    }

    /// A quantile of the merged latencies, if enough samples lie beyond it.
    pub fn quantile_ns(&self, q: f64) -> Option<u64> {
        quantile(&self.latency()?, q)
    }

    /// If any round was overloaded: the share of the offered load that the worst one achieved.
    pub fn overload(&self) -> Option<f64> {
        self.loads()
            .filter(|load| load.overloaded)
            .map(|load| load.achieved_per_s / load.offered_per_s)
            .min_by(f64::total_cmp)
    }

    /// CPU time per message, the mean over the rounds. `None` without messages.
    pub fn cpu_ns_per_message(&self) -> Option<f64> {
        let costs: Vec<f64> =
            self.loads().map(|load| load.cpu_ns_per_message).filter(|&cost| cost > 0.0).collect();
        (!costs.is_empty()).then(|| costs.iter().sum::<f64>() / costs.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn packing_another_worker_each_time_is_packing() {
        let mut results = fixture::results();
        let mode = results.modes[0].clone();
        let scenario = results.scenarios[0].name.clone();
        let packed = [vec![400, 0, 0, 0], vec![0, 400, 0, 0], vec![0, 0, 400, 0], vec![0, 0, 0, 400]];
        let mut packed = packed.into_iter().cycle();
        let is_one = |trial: &&mut Trial| trial.mode == mode && trial.scenario == scenario;
        for trial in results.trials.iter_mut().filter(is_one) {
            trial.per_worker = packed.next().expect("it goes round");
        }
        let balance =
            Summary::of(&results, &scenario, |name| name == mode).balance().expect("there are trials");
        assert_eq!(balance.verdict, Some(Verdict::WorseThanChance));
        assert_eq!(balance.dispersion, 400.0);
    }
}
