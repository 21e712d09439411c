//! One scenario of a run as its charts see it: its modes in columns, each with its look and its trials.
//!
//! Where a scenario compares accept modes, each is a column and has a colour of its own on the whole page; its
//! triggers and variants differ in dashes. Where there is one accept mode only, each mode is a column.

use evenkeel::measure::{
    balance::Balance,
    page::{Hue, spectrum::Points},
};
use hdrhistogram::Histogram;

use super::Detail;
use crate::{
    raw::{self, Distribution, Raw},
    results::{Results, ScenarioNote, Trial},
    summary::Summary,
};

/// A scenario with the trials that it had.
#[derive(Debug)]
pub struct View<'a> {
    pub note: &'a ScenarioNote,
    pub columns: Vec<Column<'a>>,
    /// The baseline again, as if it were another mode.
    pub twins: Vec<&'a Trial>,
    pub detail: Detail,
}

/// Modes that are shown side by side.
#[derive(Debug)]
pub struct Column<'a> {
    pub name: String,
    pub series: Vec<Series<'a>>,
}

/// A mode.
#[derive(Debug)]
pub struct Series<'a> {
    pub mode: &'a str,
    /// What tells it from the others of its column.
    pub short: &'a str,
    pub hue: Hue,
    /// In the order in which they ran.
    pub trials: Vec<&'a Trial>,
}

impl<'a> View<'a> {
    pub fn new(results: &'a Results, note: &'a ScenarioNote, detail: Detail) -> Self {
        let ran = || results.trials.iter().filter(|trial| trial.scenario == note.name);
        let modes: Vec<&str> = note.modes.iter().map(String::as_str).collect();
        let accepts = distinct(modes.iter().map(|mode| accept(mode)));
        let by_accept = accepts.len() > 1;
        let mut columns: Vec<Column> = Vec::new();
        for (index, &mode) in modes.iter().enumerate() {
            let trials: Vec<_> = ran().filter(|trial| trial.mode == mode && !trial.twin).collect();
            let name = if by_accept { accept(mode) } else { mode };
            let at = columns.iter().position(|column| column.name == name).unwrap_or(columns.len());
            if at == columns.len() {
                columns.push(Column { name: name.to_owned(), series: Vec::new() });
            }
            let hue =
                if by_accept { Hue::new(colour(name), columns[at].series.len()) } else { Hue::nth(index) };
            let short = mode.split_once('/').map_or(mode, |(_, short)| short);
            columns[at].series.push(Series { mode, short, hue, trials });
        }
        for column in &mut columns {
            if let [only] = &column.series[..] {
                column.name = only.mode.to_owned();
            }
            column.series.retain(|series| !series.trials.is_empty());
        }
        columns.retain(|column| !column.series.is_empty());
        Self { note, columns, twins: ran().filter(|trial| trial.twin).collect(), detail }
    }

    pub fn series(&self) -> impl Iterator<Item = &Series<'a>> {
        self.columns.iter().flat_map(|column| &column.series)
    }

    /// All modes, so that the first of each column come first: columns stay columns where panels wrap. Where
    /// the page must be small, those alone.
    pub fn series_by_row(&self) -> Vec<&Series<'a>> {
        let rows = self.columns.iter().map(|column| column.series.len()).max().unwrap_or(0);
        let rows = if self.detail >= Detail::Less { rows.min(1) } else { rows };
        let row = |at: usize| self.columns.iter().filter_map(move |column| column.series.get(at));
        (0..rows).flat_map(row).collect()
    }

    pub fn trials(&self) -> impl Iterator<Item = &'a Trial> {
        self.series().flat_map(|series| series.trials.iter().copied())
    }

    /// The look of a mode, or of an accept mode, by its name.
    pub fn hue(&self, name: &str) -> Hue {
        let by_mode = self.series().find(|series| series.mode == name).map(|series| series.hue);
        let by_column = || self.columns.iter().find(|column| column.name == name)?.series.first();
        by_mode.or_else(|| by_column().map(|series| series.hue)).unwrap_or(Hue::new(5, 0))
    }
}

impl<'a> Series<'a> {
    /// What a chart needs, of the first trial that has it: where one trial stands for all, it's the first.
    pub fn first<T>(&self, find: impl Fn(&Raw) -> Option<T>) -> Option<T> {
        self.trials.iter().find_map(|trial| find(&*trial.raw()?))
    }

    fn summary(&self) -> Summary<'a> {
        Summary { trials: self.trials.clone() }
    }

    /// Connections per worker, added over the rounds. `None` where nobody can be uneven.
    pub fn balance(&self) -> Option<Balance> {
        let balance = self.summary().balance()?;
        (balance.per_worker.len() > 1 && balance.per_worker.iter().any(|&count| count > 0)).then_some(balance)
    }

    /// All rounds' distributions in one. `None` without any sample.
    pub fn merged(&self, which: impl Fn(&Raw) -> &Distribution) -> Option<Histogram<u64>> {
        raw::merged(self.trials.iter().copied(), which)
    }

    /// A quantile of the response time over all rounds, if enough samples lie beyond it.
    pub fn quantile_ns(&self, q: f64) -> Option<u64> {
        self.summary().quantile_ns(q)
    }

    /// If any round was overloaded: the share of the offered load that the worst one achieved.
    pub fn overload(&self) -> Option<f64> {
        self.summary().overload()
    }

    /// The median over the rounds of a figure of the trials.
    pub fn median(&self, figure: &str) -> Option<f64> {
        median(self.trials.iter().filter_map(|trial| trial.figures.get(figure).copied()).collect())
    }
}

/// Whether a reader should be wary of a trial, and why.
pub fn doubts(trial: &Trial) -> Vec<&'static str> {
    let overloaded = trial.load.as_ref().is_some_and(|load| load.overloaded);
    [
        (overloaded, "overloaded"),
        (!trial.clean, "the client itself was late"),
        (trial.stationary == Some(false), "not stationary"),
        (!trial.counts_agree, "counts disagree"),
    ]
    .into_iter()
    .filter_map(|(is_so, doubt)| is_so.then_some(doubt))
    .collect()
}

/// Curves of single trials.
pub fn runs(points: impl Iterator<Item = Points>) -> Vec<Points> {
    points.filter(|points| points.len() > 1).collect()
}

/// The middle of some values; `None` without any.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        even if even % 2 == 0 => Some(f64::midpoint(values[middle - 1], values[middle])),
        _ => Some(values[middle]),
    }
}

/// `exclusive` of `exclusive/edge+unlimited`.
pub fn accept(mode: &str) -> &str {
    mode.split(['/', '+']).next().unwrap_or(mode)
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut distinct = Vec::new();
    for name in names {
        if !distinct.contains(&name) {
            distinct.push(name);
        }
    }
    distinct
}

/// The colour of an accept mode, the same on each page.
fn colour(accept: &str) -> usize {
    let known = ["private", "shared", "exclusive", "rotate", "dealt", "local"];
    known.iter().position(|&name| name == accept).unwrap_or(7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::sample;

    #[test]
    fn accept_modes_are_columns_with_colours_of_their_own() {
        let results = sample::results();
        let view = View::new(&results, &results.scenarios[0], Detail::All);
        let columns: Vec<_> =
            view.columns.iter().map(|column| (&*column.name, column.series.len())).collect();
        assert_eq!(columns, [("private", 2), ("exclusive", 2)]);
        let looks: Vec<_> = view.series().map(|series| series.hue.to_string()).collect();
        assert_eq!(looks, ["c0", "c0 d1", "c2", "c2 d1"]);
        assert_eq!(view.twins.len(), 2);
        let rows: Vec<_> = view.series_by_row().iter().map(|series| series.mode).collect();
        assert_eq!(rows, ["private/level", "exclusive/level", "private/edge", "exclusive/edge"]);
    }

    #[test]
    fn modes_of_one_accept_mode_are_columns_each() {
        let results = sample::results();
        let view = View::new(&results, &results.scenarios[1], Detail::All);
        let names: Vec<_> = view.columns.iter().map(|column| &*column.name).collect();
        assert_eq!(names, ["private/edge", "private/edge+unlimited"]);
        assert_ne!(view.hue("private/edge"), view.hue("private/edge+unlimited"));
    }

    #[test]
    fn a_mode_that_never_ran_has_no_column() {
        let mut results = sample::results();
        results.trials.retain(|trial| trial.mode.starts_with("private"));
        let view = View::new(&results, &results.scenarios[0], Detail::All);
        assert_eq!(view.columns.len(), 1);
    }

    #[test]
    fn a_doubtful_trial_says_why() {
        let mut trial = sample::results().trials[0].clone();
        assert_eq!(doubts(&trial), Vec::<&str>::new());
        (trial.clean, trial.stationary) = (false, Some(false));
        assert_eq!(doubts(&trial), ["the client itself was late", "not stationary"]);
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(
            (median(vec![3.0, 1.0]), median(vec![2.0, 9.0, 1.0]), median(vec![])),
            (Some(2.0), Some(2.0), None)
        );
    }
}
