//! What happened when: one trial of each mode along its own time.
//!
//! Three rows share the axis, in seconds since the client's first connect: how slow answers were (a heat map,
//! which shows modes and stalls that a percentile hides), which workers held the connections, and how uneven
//! that was beside what chance would do.

use evenkeel::measure::{
    chance,
    page::{
        frame::{Frame, MARGINS, PANEL},
        heat::{Cells, Levels},
        scale::{Scale, decade_ticks, extent, tick_text, ticks_between, ticks_from_zero},
    },
};

use super::{
    Detail,
    html::{figure, row},
    view::{Column, Series, View, median},
};
use crate::{
    raw::Raw,
    reports::{Heat, Slices},
};

/// More columns than these can't be told apart in a panel: neighbours are added up.
const COLUMNS_MAX: usize = 60;
const LANE: f64 = 15.0;
/// The height of a strip's lanes together is at most this.
const LANES_MAX: f64 = 160.0;

/// The heat maps of answers by time and latency. `None` where there are none.
pub fn latency(view: &View) -> Option<String> {
    if view.detail >= Detail::Least {
        return None;
    }
    let maps: Vec<_> = view.series_by_row().into_iter().filter_map(Map::of).collect();
    let most = extent(maps.iter().flat_map(|map| &map.counts).flatten().map(|&count| count as f64))?.1;
    let (low, high) = extent(maps.iter().flat_map(|map| [map.low_ns, map.high_ns]))?;
    let levels = Levels::logarithmic(most);
    let panels = maps.iter().map(|map| figure(map.mode, "", "", &map.draw(levels, (low, high))));
    let html = row(
        "When answers were slow",
        "Answers by the time when they came and how long they took, in the first round; darker on white, lighter on \
         black: more of them. All panels have one scale.",
        panels,
    )?;
    Some(html + &levels.key("answers"))
}

/// Who held the connections.
pub fn workers(view: &View) -> Option<String> {
    if view.detail >= Detail::Least || view.note.workers < 2 {
        return None;
    }
    let workers = view.note.workers;
    let strips: Vec<_> =
        view.series_by_row().into_iter().filter_map(|series| strip(series, workers)).collect();
    let most = extent(strips.iter().flat_map(|strip| &strip.rows).flatten().copied())?.1;
    if most <= 0.0 {
        return None;
    }
    let levels = Levels::linear(most);
    let panels = strips.iter().map(|strip| figure(strip.mode, "", "", &strip.draw(levels)));
    let html = row(
        "Who holds the connections, over time",
        "Open connections of each worker, in the first round. All panels have one scale.",
        panels,
    )?;
    Some(html + &levels.key("connections"))
}

/// How uneven that was: the fullest worker over the mean, beside what chance gives.
pub fn imbalance(view: &View) -> Option<String> {
    if view.detail >= Detail::Bare || view.note.workers < 2 {
        return None;
    }
    let total = view.trials().map(|trial| trial.per_worker.iter().sum::<u64>()).max()?;
    let workers = view.note.workers;
    let by_chance = chance::max_over_mean(workers, total);
    let panels: Vec<_> =
        view.columns.iter().filter_map(|column| imbalance_panel(column, workers, by_chance)).collect();
    row(
        "Imbalance over time",
        "The fullest worker's open connections over the mean: 1 is even. The median of the rounds, shaded from the \
         lowest to the highest. Dashed: what chance gives on average; grey: where it stays in 95 % of all cases.",
        panels,
    )
}

/// A heat map's data, in at most [`COLUMNS_MAX`] columns.
struct Map<'a> {
    mode: &'a str,
    /// When columns begin, and the last ends.
    column_s: f64,
    measured_s: (f64, f64),
    bounds_ns: Vec<u64>,
    counts: Vec<Vec<u64>>,
    low_ns: f64,
    high_ns: f64,
}

impl<'a> Map<'a> {
    fn of(series: &Series<'a>) -> Option<Self> {
        series.first(|raw| Self::of_slices(series.mode, slices(raw)?))
    }

    /// `None` where nothing was answered.
    fn of_slices(mode: &'a str, slices: &Slices) -> Option<Self> {
        let Heat { bounds_ns, counts } = &slices.heat;
        (counts.len() > 1).then_some(())?;
        let per_column = counts.len().div_ceil(COLUMNS_MAX).max(1);
        let add = |rows: &[Vec<u64>]| -> Vec<u64> {
            let at = |bucket: usize| rows.iter().filter_map(|row| row.get(bucket)).sum();
            (0..bounds_ns.len()).map(at).collect()
        };
        let counts: Vec<_> = counts.chunks(per_column).map(add).collect();
        let used: Vec<_> =
            (0..bounds_ns.len()).filter(|&bucket| counts.iter().any(|column| column[bucket] > 0)).collect();
        let (first, last) = (*used.first()?, *used.last()?);
        let slice_s = slices.slice_ns as f64 / 1e9;
        Some(Self {
            mode,
            column_s: slice_s * per_column as f64,
            measured_s: measured_s(slices),
            low_ns: bounds_ns[first].max(1) as f64,
            high_ns: end_of(bounds_ns, last),
            bounds_ns: bounds_ns.clone(),
            counts,
        })
    }

    fn draw(&self, levels: Levels, (low_ns, high_ns): (f64, f64)) -> String {
        let title = format!("Answers by time and latency in {}", self.mode);
        let mut frame =
            Frame::new(PANEL, &title, "A heat map: counts of answers, the more the farther from the ground.");
        let length_s = self.counts.len() as f64 * self.column_s;
        let x = Scale::linear((0.0, length_s), frame.x_range());
        let y = Scale::logarithmic((low_ns / 1e6, high_ns / 1e6), frame.y_range());
        let buckets: Vec<_> = (0..self.bounds_ns.len())
            .filter(|&at| (low_ns..high_ns).contains(&(self.bounds_ns[at].max(1) as f64)))
            .collect();
        let level = |bucket: usize, column: &Vec<u64>| levels.of(column[bucket] as f64);
        let rows =
            buckets.iter().map(|&at| self.counts.iter().map(|column| level(at, column)).collect()).collect();
        for tick in decade_ticks((low_ns / 1e6, high_ns / 1e6)) {
            frame.y_tick(y.at(tick), &tick_text(tick), "grid");
        }
        Cells { rows }.draw(&mut frame, self.counts.len());
        time_axis(&mut frame, &x, length_s, self.measured_s);
        frame.titles("time, s", "response time, ms");
        frame.svg.finish()
    }
}

/// A worker × time strip's data.
struct Strip<'a> {
    mode: &'a str,
    length_s: f64,
    measured_s: (f64, f64),
    /// One a worker.
    rows: Vec<Vec<f64>>,
}

impl Strip<'_> {
    fn draw(&self, levels: Levels) -> String {
        let lane = LANE.min(LANES_MAX / self.rows.len() as f64);
        let height = self.rows.len() as f64 * lane + MARGINS;
        let title = format!("Open connections by worker and time in {}", self.mode);
        let mut frame = Frame::new((PANEL.0, height), &title, "A lane a worker; worker 0 is at the top.");
        let x = Scale::linear((0.0, self.length_s), frame.x_range());
        // The first row of cells is at the bottom.
        let lanes = self.rows.iter().rev();
        let rows = lanes.map(|row| row.iter().map(|&open| levels.of(open)).collect()).collect();
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        Cells { rows }.draw(&mut frame, columns);
        let every = ((11.0 / lane).ceil() as usize).max(1);
        for worker in (0..self.rows.len()).step_by(every) {
            let y = frame.top() + (worker as f64 + 0.5) * lane;
            frame.y_name(y, &worker.to_string());
        }
        time_axis(&mut frame, &x, self.length_s, self.measured_s);
        frame.titles("time, s", "worker");
        frame.svg.finish()
    }
}

fn strip<'a>(series: &Series<'a>, workers: usize) -> Option<Strip<'a>> {
    series.first(|raw| strip_of(series.mode, slices(raw)?, workers))
}

fn strip_of<'a>(mode: &'a str, slices: &Slices, workers: usize) -> Option<Strip<'a>> {
    let lanes = lanes(slices, workers)?;
    let count = lanes[0].len();
    let per_column = count.div_ceil(COLUMNS_MAX).max(1);
    // The end of a column stands for it: these are levels, not events.
    let open = |column: &[i64]| column.last().map_or(0.0, |&open| open as f64);
    let lane = |open_by_slice: &Vec<i64>| open_by_slice.chunks(per_column).map(open).collect();
    let slice_s = slices.slice_ns as f64 / 1e9;
    Some(Strip {
        mode,
        length_s: count.div_ceil(per_column) as f64 * per_column as f64 * slice_s,
        measured_s: measured_s(slices),
        rows: lanes.iter().map(lane).collect(),
    })
}

fn imbalance_panel(column: &Column, workers: usize, by_chance: chance::MaxOverMean) -> Option<String> {
    let title = format!("Fullest worker over the mean in {}", column.name);
    let mut frame = Frame::new(PANEL, &title, "Lines over time, beside a band of what chance gives.");
    let (left, right) = frame.x_range();
    let rounds: Vec<(_, Vec<Line>)> = column
        .series
        .iter()
        .map(|series| {
            (series, series.trials.iter().filter_map(|trial| uneven(&*trial.raw()?, workers)).collect())
        })
        .collect();
    let length_s = rounds.iter().flat_map(|(_, rounds)| rounds).filter_map(|round| Some(round.last()?.0));
    let length_s = extent(length_s)?.1;
    let x = Scale::linear((0.0, length_s), (left, right));
    let ticks = ticks_from_zero(workers as f64, 4);
    let y = Scale::linear((0.0, ticks[ticks.len() - 1]), frame.y_range());
    frame.svg.rect(
        "band",
        (left, y.at(by_chance.p95)),
        (right - left, y.at(1.0) - y.at(by_chance.p95)),
        "by chance, 95 %",
    );
    frame.y_ticks(&ticks, |value| y.at(value));
    frame.svg.line("even", (left, y.at(by_chance.mean)), (right, y.at(by_chance.mean)));
    let place =
        |points: Vec<(f64, f64)>| -> Vec<_> { points.iter().map(|&(s, it)| (x.at(s), y.at(it))).collect() };
    for (series, rounds) in rounds.iter().filter(|(_, rounds)| !rounds.is_empty()) {
        let bound = |pick: fn((f64, f64)) -> f64| place(across(rounds, |values| extent(values).map(pick)));
        let class = format!("ribbon {}", series.hue.colour());
        frame.svg.ribbon(&class, &bound(|(low, _)| low), &bound(|(_, high)| high), "");
        frame.svg.path(&format!("curve {}", series.hue), &place(across(rounds, median)), series.mode);
    }
    time_ticks(&mut frame, &x, length_s);
    frame.titles("time, s", "fullest over mean");
    Some(figure(&column.name, "", "", &frame.svg.finish()))
}

/// Over time.
type Line = Vec<(f64, f64)>;

/// (seconds, max/mean) at the end of each slice in which there were connections.
fn uneven(raw: &Raw, workers: usize) -> Option<Line> {
    let slices = slices(raw)?;
    let lanes = lanes(slices, workers)?;
    let at = |index: usize| {
        let open = || lanes.iter().map(|of_worker| of_worker[index]);
        let (total, most) = (open().sum::<i64>(), open().max()?);
        let s = (index + 1) as f64 * slices.slice_ns as f64 / 1e9;
        // Of a handful nobody can say how even it is.
        let enough = total >= 2 * lanes.len() as i64;
        enough.then(|| (s, most as f64 * lanes.len() as f64 / total as f64))
    };
    let points: Vec<_> = (0..lanes[0].len()).filter_map(at).collect();
    (points.len() > 1).then_some(points)
}

/// At each time of the first round, what `pick` makes of all rounds' values.
fn across(rounds: &[Line], pick: impl Fn(Vec<f64>) -> Option<f64>) -> Line {
    let reach = rounds.iter().map(Vec::len).min().unwrap_or(0);
    let every = reach.div_ceil(COLUMNS_MAX).max(1);
    let at =
        |index: usize| Some((rounds[0][index].0, pick(rounds.iter().map(|round| round[index].1).collect())?));
    (0..reach).step_by(every).filter_map(at).collect()
}

fn slices(raw: &Raw) -> Option<&Slices> {
    raw.slices.as_ref().filter(|slices| slices.slice_ns > 0)
}

/// When messages were measured; no time at all where none were due, as the client only connected.
fn measured_s(slices: &Slices) -> (f64, f64) {
    if slices.answered.iter().all(|&answers| answers == 0) {
        return (0.0, 0.0);
    }
    let s = |slice: usize| slice as f64 * slices.slice_ns as f64 / 1e9;
    (s(slices.measured_from), s(slices.measured_until))
}

/// The open connections of each worker, slice by slice. A client knows the workers that have greeted it, and one that
/// got no connection has greeted nobody. `None` where nobody has.
fn lanes(slices: &Slices, workers: usize) -> Option<Vec<Vec<i64>>> {
    let count = slices.open_by_worker.iter().map(Vec::len).min()?;
    let seen = slices.open_by_worker.iter().map(|lane| lane[..count].to_vec());
    let missing = workers.saturating_sub(slices.open_by_worker.len());
    Some(seen.chain(std::iter::repeat_n(vec![0; count], missing)).collect())
}

fn end_of(bounds_ns: &[u64], bucket: usize) -> f64 {
    let start = bounds_ns[bucket].max(1) as f64;
    bounds_ns.get(bucket + 1).map_or(start * 2f64.powf(0.25), |&next| next as f64)
}

fn time_axis(frame: &mut Frame, x: &Scale, length_s: f64, (from_s, until_s): (f64, f64)) {
    time_ticks(frame, x, length_s);
    // Until there it's connecting and warm-up, from there it's what happens afterwards.
    for s in [from_s, until_s].into_iter().filter(|&s| s > 0.0 && s < length_s * 0.999) {
        frame.svg.line("even", (x.at(s), frame.top()), (x.at(s), frame.bottom()));
    }
}

fn time_ticks(frame: &mut Frame, x: &Scale, length_s: f64) {
    for s in ticks_between((0.0, length_s), 4) {
        frame.x_tick(x.at(s), &tick_text(s));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{page::sample, raw::Source};

    #[test]
    fn imbalance_is_the_fullest_over_the_mean() {
        let results = sample::results();
        let packed = results.trials.iter().find(|trial| trial.mode == "exclusive/level").unwrap();
        let line = uneven(&packed.raw().unwrap(), 2).unwrap();
        assert!(line.iter().all(|&(_, ratio)| ratio == 2.0), "all of two workers' on one: {line:?}");
        assert_eq!(line.last().map(|&(s, _)| s), Some(2.0), "eight slices of 250 ms");
    }

    #[test]
    fn a_worker_that_greeted_nobody_had_no_connection() {
        let slices =
            Slices { slice_ns: 1_000_000_000, open_by_worker: vec![vec![8, 8]], ..Slices::default() };
        let raw = Raw { slices: Some(slices), ..Raw::default() };
        assert_eq!(uneven(&raw, 4), Some(vec![(1.0, 4.0), (2.0, 4.0)]), "one of four has them all");
        let strip = strip_of("exclusive/edge", raw.slices.as_ref().unwrap(), 4).unwrap();
        assert_eq!(strip.rows, [[8.0; 2], [0.0; 2], [0.0; 2], [0.0; 2]]);
    }

    #[test]
    fn a_strip_has_a_lane_a_worker() {
        let results = sample::results();
        let view = View::new(&results, &results.scenarios[0], Detail::All);
        let strip = strip(view.series().next().unwrap(), 2).unwrap();
        assert_eq!((strip.rows.len(), strip.rows[0].len(), strip.measured_s), (2, 8, (1.0, 2.0)));
        assert_eq!(strip.rows[0][7], 18.0);
    }

    #[test]
    fn without_slices_nothing_is_drawn() {
        let mut results = sample::results();
        for trial in &mut results.trials {
            trial.source = Some(Source::holding(Raw::default()));
        }
        let view = View::new(&results, &results.scenarios[0], Detail::All);
        assert_eq!((latency(&view), workers(&view), imbalance(&view)), (None, None, None));
    }

    #[test]
    fn where_clients_only_connect_it_is_drawn_who_holds_the_connections() {
        let mut results = sample::results();
        for trial in &mut results.trials {
            let slices = trial.raw().unwrap().slices.clone().unwrap();
            let slices = Slices { answered: vec![0; 8], heat: Heat::default(), ..slices };
            trial.source = Some(Source::holding(Raw { slices: Some(slices), ..Raw::default() }));
            trial.load = None;
        }
        let view = View::new(&results, &results.scenarios[0], Detail::All);
        assert!(latency(&view).is_none() && workers(&view).is_some() && imbalance(&view).is_some());
        assert_eq!(strip(view.series().next().unwrap(), 2).unwrap().measured_s, (0.0, 0.0));
    }

    #[test]
    fn a_long_run_is_drawn_in_few_columns() {
        let long: Vec<Line> = vec![(0..1000).map(|at| (f64::from(at), 1.0)).collect(); 2];
        assert!(across(&long, median).len() <= COLUMNS_MAX);
    }
}
