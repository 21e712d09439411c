//! Per worker, a panel a column: bars beside the band in which chance would keep them.

use evenkeel::measure::{
    balance::{Balance, Verdict},
    chance,
    page::{
        frame::{Frame, PANEL},
        scale::{Scale, ticks_from_zero},
    },
};

use super::{
    Detail,
    html::{badge, figure, row},
    view::{Column, Series, View},
};
use crate::{results::Trial, table};

/// More bars than these in a panel are too thin to see: then a bar is the mean of its rounds.
const BARS_MAX: usize = 96;
/// The same where the page must be small.
const BARS_MAX_BARE: usize = 16;

/// What of a trial is shown: a value a worker.
type Values<'a> = &'a dyn Fn(&Trial) -> Vec<f64>;

/// Connections per worker: who packs, who is even, what is chance. `None` with one worker or no connection.
pub fn connections(view: &View) -> Option<String> {
    let counts = |trial: &Trial| trial.per_worker.iter().map(|&count| count as f64).collect();
    let highest = highest(view, &counts)?;
    let panels = view.columns.iter().filter_map(|column| {
        let balances = column.series.iter().map(Series::balance).collect::<Option<Vec<_>>>()?;
        let badge = word(&balances).map(|(word, kind)| badge(word, kind)).unwrap_or_default();
        let svg = panel((column, bars_max(view)), (highest, "connections"), &counts, even_band(column));
        Some(figure(&column.name, &badge, &note(column, &balances), &svg))
    });
    let note = format!(
        "{} The grey band is where chance keeps 95 % of them; the dashed line is an even share.",
        what_a_bar_is(view)
    );
    row("Connections per worker", &note, panels)
}

/// How busy each worker was. `None` where nothing was asked of them.
pub fn busy(view: &View) -> Option<String> {
    let shares = |trial: &Trial| trial.busy_share.iter().map(|share| share * 100.0).collect();
    if view.detail >= Detail::Bare || view.note.workers < 2 || view.trials().all(|trial| trial.load.is_none())
    {
        return None;
    }
    let highest = highest(view, &shares)?;
    let panels = view.columns.iter().map(|column| {
        figure(
            &column.name,
            "",
            "",
            &panel((column, bars_max(view)), (highest, "busy, % of the time"), &shares, None),
        )
    });
    row("How busy each worker was", &what_a_bar_is(view), panels)
}

/// `PACKED`, `EVEN`, `AS CHANCE`, where all of these come out alike, and its badge's kind.
pub fn word(balances: &[Balance]) -> Option<(&'static str, &'static str)> {
    let mut verdicts = balances.iter().map(|balance| balance.verdict);
    let first = verdicts.next()??;
    if verdicts.any(|verdict| verdict != Some(first)) {
        return None;
    }
    match first {
        Verdict::WorseThanChance => Some(("PACKED", "alarm")),
        Verdict::BetterThanChance => Some(("EVEN", "good")),
        Verdict::ByChance => Some(("AS CHANCE", "")),
        Verdict::NoData | Verdict::OneWorker => None,
    }
}

/// Where chance keeps a worker's count, and an even share.
struct Band {
    low: f64,
    high: f64,
    even: f64,
}

/// `None` where rounds had so different numbers of connections that no band holds for all of them.
fn even_band(column: &Column) -> Option<Band> {
    let totals = || column.series.iter().flat_map(|series| &series.trials).map(|trial| total(trial));
    let (fewest, most) = (totals().min()?, totals().max()?);
    let workers = column.series.first()?.trials.first()?.per_worker.len();
    let (low, high) = chance::share_band(workers, most);
    (fewest * 10 >= most * 9).then(|| Band {
        low: (low as f64 - 0.5).max(0.0),
        high: high as f64 + 0.5,
        even: most as f64 / workers as f64,
    })
}

/// All panels of a scenario have one scale, so that they can be compared by eye.
fn panel(
    (column, most): (&Column, usize),
    (highest, what): (f64, &str),
    values: Values,
    band: Option<Band>,
) -> String {
    let names: Vec<_> = column.series.iter().map(|series| series.short).collect();
    let description = format!("Bars for {}, each round.", names.join(" and "));
    let mut frame = Frame::new(PANEL, &format!("{what} per worker in {}", column.name), &description);
    let ticks = ticks_from_zero(highest, 4);
    let y = Scale::linear((0.0, ticks[ticks.len() - 1]), frame.y_range());
    let (left, right) = frame.x_range();
    if let Some(Band { low, high, .. }) = band {
        let tip = format!("by chance, a worker gets {:.0} to {:.0} (95 %)", low + 0.5, high - 0.5);
        frame.svg.rect("band", (left, y.at(high)), (right - left, y.at(low) - y.at(high)), &tip);
    }
    frame.y_ticks(&ticks, |value| y.at(value));
    let bars = bars((column, most), values);
    let workers = bars.iter().map(|bar| bar.values.len()).max().unwrap_or(0);
    let x = Scale::linear((0.0, workers as f64), (left, right));
    // One text in so many, where each would touch the next.
    let every = workers.div_ceil(12);
    draw(&mut frame, &bars, (workers, &x), &y);
    for worker in (0..workers).step_by(every) {
        frame.x_tick(x.at(worker as f64 + 0.5), &worker.to_string());
    }
    if let Some(Band { even, .. }) = band {
        frame.svg.line("even", (left, y.at(even)), (right, y.at(even)));
    }
    frame.titles("worker, in order of registration", what);
    frame.svg.finish()
}

/// What stands at each worker: one value of each.
struct Bar {
    class: String,
    mode: String,
    values: Vec<f64>,
}

/// A bar a round; the mean of the rounds where those would be too many to see.
fn bars((column, most): (&Column, usize), values: Values) -> Vec<Bar> {
    let trials: usize = column.series.iter().map(|series| series.trials.len()).sum();
    let workers =
        column.series.iter().flat_map(|series| &series.trials).map(|trial| values(trial).len()).max();
    let apart = trials * workers.unwrap_or(0) <= most;
    let of_series = |series: &Series| -> Vec<Bar> {
        let alternate = if series.hue.dash() > 0 { " alternate" } else { "" };
        let class = format!("stroke {}{alternate}", series.hue.colour());
        let bar = |values| Bar { class: class.clone(), mode: series.short.to_owned(), values };
        if apart {
            return series.trials.iter().map(|trial| bar(values(trial))).collect();
        }
        let rounds: Vec<_> = series.trials.iter().map(|trial| values(trial)).collect();
        let mean = |worker: usize| {
            rounds.iter().filter_map(|round| round.get(worker)).sum::<f64>() / rounds.len() as f64
        };
        vec![bar((0..workers.unwrap_or(0)).map(mean).collect())]
    };
    column.series.iter().flat_map(of_series).collect()
}

/// Bars of one look are one element; a pointer is told a worker's values by an invisible one above them.
fn draw(frame: &mut Frame, bars: &[Bar], (workers, x): (usize, &Scale), y: &Scale) {
    let slot = x.at(0.9) - x.at(0.1);
    let width = slot / bars.len() as f64;
    let bottom = frame.bottom();
    let mut at = 0;
    for alike in bars.chunk_by(|one, next| one.class == next.class) {
        let place = |(index, bar): (usize, &Bar), worker: usize| {
            let value = bar.values.get(worker).copied().filter(|&value| value > 0.0)?;
            let from = x.at(worker as f64 + 0.1) + (at + index) as f64 * width;
            Some((from + width / 2.0, y.at(value) - bottom))
        };
        let of_worker = |worker| alike.iter().enumerate().filter_map(move |bar| place(bar, worker));
        let strokes: Vec<_> = (0..workers).flat_map(of_worker).collect();
        let gap = if width > 4.0 { 1.0 } else { 0.3 };
        frame.svg.strokes(&alike[0].class, bottom, &strokes, (width - gap).max(0.6));
        at += alike.len();
    }
    let top = frame.top();
    for worker in 0..workers {
        let left = x.at(worker as f64 + 0.1);
        frame.svg.rect("tip", (left, top), (slot, bottom - top), &tip(bars, worker));
    }
}

/// `worker 0: level 98, 104; edge 101, 97`.
fn tip(bars: &[Bar], worker: usize) -> String {
    let of_mode = |alike: &[Bar]| {
        let values = alike.iter().map(|bar| format!("{:.0}", bar.values.get(worker).copied().unwrap_or(0.0)));
        format!("{} {}", alike[0].mode, values.collect::<Vec<_>>().join(", "))
    };
    let modes: Vec<_> = bars.chunk_by(|one, next| one.class == next.class).map(of_mode).collect();
    format!("worker {worker}: {}", modes.join("; "))
}

fn bars_max(view: &View) -> usize {
    if view.detail >= Detail::Bare { BARS_MAX_BARE } else { BARS_MAX }
}

fn highest(view: &View, values: Values) -> Option<f64> {
    let all = view.trials().flat_map(values);
    all.fold(None, |highest: Option<f64>, value| Some(highest.map_or(value, |it| it.max(value))))
        .filter(|&highest| highest > 0.0)
}

fn what_a_bar_is(view: &View) -> String {
    let bars = |column: &Column| {
        let trials: usize = column.series.iter().map(|series| series.trials.len()).sum();
        trials * view.note.workers
    };
    let apart = view.columns.iter().all(|column| bars(column) <= bars_max(view));
    let what = if apart {
        "A bar is one worker in one round"
    } else {
        "A bar is one worker, the mean of the rounds where they are many"
    };
    let widest = view.columns.iter().max_by_key(|column| column.series.len());
    match widest {
        Some(column) if column.series.len() > 1 => {
            let names: Vec<_> = column.series.iter().map(|series| series.short).collect();
            format!("{what}: {}, the later ones paler.", names.join(", then "))
        }
        _ => format!("{what}."),
    }
}

/// `dispersion 800 (chance: 1), fullest worker 4.0 × its share`.
fn note(column: &Column, balances: &[Balance]) -> String {
    let texts = |of: &dyn Fn(&Balance) -> String| {
        let mut texts: Vec<_> = balances.iter().map(of).collect();
        texts.dedup();
        texts.join(" / ")
    };
    let names: Vec<_> = column.series.iter().map(|series| series.short).collect();
    let alike = word(balances).is_some() || column.series.len() == 1;
    let of = if alike { String::new() } else { format!("{}: ", names.join(" / ")) };
    format!(
        "{of}dispersion {}, fullest worker {} × its share",
        texts(&|balance| table::dispersion(balance.dispersion)),
        texts(&|balance| format!("{:.1}", balance.max_over_mean))
    )
}

fn total(trial: &Trial) -> u64 {
    trial.per_worker.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::sample;

    #[test]
    fn a_column_says_what_its_counts_are_beside_chance() {
        let results = sample::results();
        let view = View::new(&results, &results.scenarios[0], Detail::All);
        let row = connections(&view).unwrap();
        assert!(row.contains("exclusive <span class=\"badge alarm\">PACKED</span>"), "{row}");
        assert!(row.contains("worker 0: level 40, 40; edge 40, 40"), "{row}");
        assert!(row.contains("by chance, a worker gets 14 to 26 (95 %)"), "{row}");
        let one_worker = crate::results::ScenarioNote { workers: 1, ..results.scenarios[0].clone() };
        assert_eq!(busy(&View::new(&results, &one_worker, Detail::All)), None);
    }

    #[test]
    fn rounds_with_different_numbers_of_connections_have_no_band() {
        let mut results = sample::results();
        results.trials[0].per_worker = vec![9, 3];
        let view = View::new(&results, &results.scenarios[0], Detail::All);
        assert!(even_band(&view.columns[0]).is_none() && even_band(&view.columns[1]).is_some());
    }
}
