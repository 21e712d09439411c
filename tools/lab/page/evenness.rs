//! How evenly each mode spreads, measure by measure, and where chance would keep that measure: in figures.
//!
//! A hash is blind, and every measure calls its spread uneven to some degree. So beside each stands the interval in
//! which a fair hash keeps it 95 times in 100, for as many workers and connections: of the dispersion by χ², of the
//! others, which have no such form, by dealing again and again. Messages go where their connection goes, so that a
//! few busy ones scatter more: they are dealt with their weights.

use evenkeel::measure::{
    balance::Verdict,
    chance::{Chance, Dispersion, Measure, Tails},
};

use super::{
    Detail,
    html::table,
    view::{Series, View, median},
};
use crate::{
    figures::effective_n,
    reports::ByConnection,
    table::{NOTHING, dispersion},
};

/// What stands above the table.
pub const NOTE: &str = "\
The median of the rounds, and in brackets where a fair hash keeps a round 95 times in 100: ▲ above that, ▼ below. \
Dispersion and p are of all rounds together. Messages, of the first round, where connections carry so different \
numbers of them that it matters: a hash deals each connection with all that it carries.";

/// Connections that are as many as this share of themselves would be, if all were equally busy, are busy alike.
const ALIKE: f64 = 0.9;

/// A row a mode. `None` where nobody can be uneven.
pub fn measures(view: &View) -> Option<String> {
    if view.note.workers < 2 || view.note.sweep.is_some() {
        return None;
    }
    let mut dealt = Dealt::default();
    let mut rows = Vec::new();
    for series in view.series() {
        rows.extend(connections(series, &mut dealt));
        // Of a short page, what it takes to read every trial's report once more is saved.
        rows.extend((view.detail < Detail::Bare).then(|| messages(series, view.note.workers)).flatten());
    }
    let headings = ["mode", "of", "p", "dispersion", "Jain's index", "max/mean", "CoV", "Gini's index"];
    (!rows.is_empty()).then(|| table(&headings.map(str::to_owned), &rows))
}

/// What chance gives, by workers and connections: the modes of a scenario mostly have as many.
#[derive(Default)]
struct Dealt(Vec<((usize, u64), Option<Chance>)>);

impl Dealt {
    fn chance(&mut self, workers: usize, total: u64) -> Option<&Chance> {
        let key = (workers, total);
        let at = self.0.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
            self.0.push((key, Chance::of_counts(workers, total)));
            self.0.len() - 1
        });
        self.0[at].1.as_ref()
    }
}

fn connections(series: &Series, dealt: &mut Dealt) -> Option<Vec<String>> {
    let rounds: Vec<&[u64]> = series.trials.iter().map(|trial| &trial.per_worker[..]).collect();
    let (spread, tails) = (Dispersion::of_rounds(&rounds)?, Tails::of_rounds(&rounds)?);
    let workers = rounds.iter().map(|counts| counts.len()).max()?;
    // What chance does is dealt for a typical round; they all have as many connections, or nearly.
    let total = median(rounds.iter().map(|counts| counts.iter().sum::<u64>() as f64).collect())?;
    let chance = dealt.chance(workers, total.round() as u64)?;
    let mut cells = vec![series.mode.to_owned(), "connections".to_owned(), p_value(tails.p_value())];
    cells.push(beside(spread.index, spread.by_chance, dispersion));
    for measure in Measure::ALL {
        let seen = median(rounds.iter().map(|counts| measure.of(counts)).collect())?;
        cells.push(beside(seen, chance.band(measure), three_places));
    }
    Some(cells)
}

/// `None` where all connections carry about as many.
fn messages(series: &Series, workers: usize) -> Option<Vec<String>> {
    series.first(|raw| {
        let each = raw.by_connection.as_ref()?;
        let connections = each.messages.iter().filter(|&&messages| messages > 0).count() as f64;
        (effective_n(each)? < ALIKE * connections).then_some(())?;
        let (shares, chance) = (by_worker(each, workers)?, Chance::of_weights(workers, &each.messages)?);
        let mut cells = [series.mode, "messages", NOTHING, NOTHING].map(str::to_owned).to_vec();
        let cell = |measure: Measure| beside(measure.of(&shares), chance.band(measure), three_places);
        cells.extend(Measure::ALL.map(cell));
        Some(cells)
    })
}

/// `None` where connections were replaced by others that went elsewhere.
fn by_worker(each: &ByConnection, workers: usize) -> Option<Vec<u64>> {
    let mut shares = vec![0; workers];
    for (worker, messages) in each.worker.iter().zip(&each.messages) {
        *shares.get_mut((*worker)?)? += messages;
    }
    Some(shares)
}

/// `3.91 (1.02–1.17) ▲`.
fn beside(seen: f64, (low, high): (f64, f64), shown: fn(f64) -> String) -> String {
    // Half of the last digit shown: nobody is to see a mark beside two equal numbers.
    const SLACK: f64 = 0.000_5;
    let mark = match seen {
        it if it > high + SLACK => " ▲",
        it if it < low - SLACK => " ▼",
        _ => "",
    };
    format!("{} ({}–{}){mark}", shown(seen), shown(low), shown(high))
}

/// Of measures that are all within a few units of 1: those of a good hash differ in the third.
fn three_places(value: f64) -> String {
    format!("{value:.3}")
}

fn p_value(p: f64) -> String {
    match p {
        p if p < 0.001 => "<0.001".to_owned(),
        p if p < Verdict::P_VALUE * 10.0 => format!("{p:.3}"),
        p => format!("{p:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        page::sample,
        raw::{Raw, Source},
    };

    /// The text of each cell, without the headings.
    fn cells(html: &str) -> Vec<Vec<&str>> {
        fn texts(row: &str) -> Vec<&str> {
            let cells = row.split('>').filter_map(|part| part.split_once("</t"));
            cells.map(|(text, _)| text).filter(|text| !text.is_empty()).collect()
        }
        html.split("<tr>").skip(2).map(texts).collect()
    }

    #[test]
    fn each_measure_stands_beside_what_chance_gives() {
        let results = sample::results();
        let html = measures(&View::new(&results, &results.scenarios[0], Detail::All)).unwrap();
        let rows = cells(&html);
        let row = |mode: &str| rows.iter().find(|row| row[0] == mode).unwrap().clone();
        // 18 and 22, 19 and 21: as chance has it. Two workers, 40 connections.
        let private = row("private/level");
        assert_eq!(private[1], "connections");
        assert!(private[3..].iter().all(|cell| cell.ends_with(')')), "{private:?}");
        // All 40 on one of two.
        let packed = row("exclusive/edge");
        assert_eq!((packed[2], packed[4]), ("&lt;0.001", "0.500 (0.891–1.000) ▼"));
        for (cell, seen) in packed[5..].iter().zip(["2.000", "1.000", "0.500"]) {
            assert!(cell.starts_with(seen) && cell.ends_with('▲'), "{cell}");
        }
        assert!(rows.iter().all(|row| row[1] == "connections"), "all are equally busy: {rows:?}");
    }

    #[test]
    fn busy_connections_are_dealt_with_all_that_they_carry() {
        let mut results = sample::results();
        for trial in &mut results.trials {
            let mut raw = Raw::clone(&trial.raw().unwrap());
            let each = raw.by_connection.as_mut().unwrap();
            // Both elephants are on worker 0.
            each.messages[0] = 2_000;
            each.messages[1] = 2_000;
            trial.source = Some(Source::holding(raw));
        }
        let html = measures(&View::new(&results, &results.scenarios[0], Detail::All)).unwrap();
        let rows = cells(&html);
        let (counts, weighted) = (&rows[0], &rows[1]);
        assert_eq!((counts[0], weighted[0], weighted[1]), ("private/level", "private/level", "messages"));
        // Two elephants fall on one worker half of the time: what packs them is no more than chance.
        assert!(!weighted[5].contains('▲') && weighted[5].starts_with("1.778 ("), "{weighted:?}");
        let short = measures(&View::new(&results, &results.scenarios[0], Detail::Bare)).unwrap();
        assert!(!short.contains("messages"), "{short}");
    }

    #[test]
    fn a_sweep_and_a_lone_worker_have_none() {
        let results = sample::results();
        assert_eq!(measures(&View::new(&results, &results.scenarios[2], Detail::All)), None);
        let alone = crate::results::ScenarioNote { workers: 1, ..results.scenarios[0].clone() };
        assert_eq!(measures(&View::new(&results, &alone, Detail::All)), None);
    }

    #[test]
    fn a_value_at_the_edge_has_no_mark() {
        assert_eq!(beside(1.0, (1.000_2, 1.2), three_places), "1.000 (1.000–1.200)");
        assert_eq!([0.000_4, 0.031, 0.31].map(p_value), ["<0.001", "0.031", "0.31"]);
    }
}
