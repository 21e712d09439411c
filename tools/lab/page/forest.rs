//! The forest plot: what each mode's figure is as a multiple of the baseline's, and how surely.
//!
//! A row is a comparison: the estimate and its interval on a logarithmic axis. The mark is full only where a
//! difference was called. Behind each row lies, in grey, the interval in which the baseline differs from itself
//! (A/A): what doesn't leave it is no more than that.

use evenkeel::measure::page::{
    frame::{Frame, MARGINS, WIDE},
    scale::{Scale, decade_ticks, extent},
    svg::Anchor,
};

use super::{
    figures::{Figure, three_digits, times},
    html::{figure, table},
    view::View,
};
use crate::{
    results::{Call, Comparison},
    statistics::Ratio,
    table::NOTHING,
};

const ROW: f64 = 19.0;
/// What a letter of the text right of the plot takes, on average.
const LETTER: f64 = 6.4;
/// More rows than these are left to the table.
const ROWS_MAX: usize = 24;
/// Ratios beyond this are drawn at the edge.
const FACTOR_MAX: f64 = 1e3;

/// What a reader must know of these charts.
pub const NOTE: &str = "Each round's ratio to the baseline: the estimate (Hodges–Lehmann) with its 95 % interval \
                        (Wilcoxon). A mark is full, and its row bold, where a difference is called: beyond chance \
                        after Holm's adjustment, and beyond A/A, the baseline against itself, which is the grey band.";

/// The chart of one figure of one scenario.
#[derive(Debug)]
pub struct Plot {
    pub scenario: String,
    pub figure: String,
    pub html: String,
}

/// A plot for each figure that was compared. None of a sweep: its own charts show each step beside the others.
pub fn plots(view: &View, comparisons: &[Comparison]) -> Vec<Plot> {
    if view.note.sweep.is_some() {
        return Vec::new();
    }
    let drawn = |name: &String| {
        let html = plot(view, &of(view, comparisons, name), name)?;
        Some(Plot { scenario: view.note.name.to_string(), figure: name.to_string(), html })
    };
    view.note.figures.iter().filter_map(drawn).collect()
}

/// The comparisons of one figure.
fn of<'a>(view: &View, comparisons: &'a [Comparison], name: &str) -> Vec<&'a Comparison> {
    let here = |comparison: &&Comparison| comparison.scenario == view.note.name && comparison.figure == name;
    comparisons.iter().filter(here).take(ROWS_MAX).collect()
}

fn plot(view: &View, rows: &[&Comparison], name: &str) -> Option<String> {
    let ratios = || rows.iter().filter_map(|row| row.ratio.as_ref());
    let noises = || rows.iter().filter_map(|row| row.noise.as_ref());
    let ends = ratios().chain(noises()).flat_map(|ratio| [ratio.low, ratio.high, ratio.estimate]);
    ratios().next()?;
    let domain = domain(ends);
    let noise = noises().next();
    let names: Vec<String> = rows.iter().map(|row| row_name(row)).collect();
    let against = rows.first().map_or("", |row| &row.against);
    let twin = format!("A/A: {against}");
    let longest = names.iter().map(String::as_str).chain(noise.map(|_| twin.as_str()));
    let height = (rows.len() + usize::from(noise.is_some())) as f64 * ROW + MARGINS;
    let title =
        format!("{} in {}, as a multiple of the baseline's", Figure::named(name).title(name), view.note.name);
    let mut frame = Frame::with_names(
        longest,
        (WIDE, height),
        &title,
        "Estimates with intervals; in words at the right.",
    );
    let (left, right) = frame.x_range();
    // Room for the ratio and its interval in words, right of the plot.
    let longest = ratios().chain(noises()).map(|ratio| words(ratio).chars().count()).max().unwrap_or(0);
    let text_at = right + 10.0 - longest as f64 * LETTER;
    let x = Scale::logarithmic(domain, (left + 6.0, text_at - 10.0));
    for (at, row) in rows.iter().enumerate() {
        draw_noise(&mut frame, row.noise.as_ref(), at, &x);
    }
    frame.x_ticks(&ticks(domain), |ratio| x.at(ratio));
    frame.svg.line("axis", (x.at(1.0), frame.top()), (x.at(1.0), frame.bottom()));
    for (at, (row, name)) in rows.iter().zip(&names).enumerate() {
        draw_row(&mut frame, view, (row, name), (at, text_at), &x);
    }
    if let Some(noise) = noise {
        let y = middle(&frame, rows.len());
        frame.svg.text("tick", (left - 5.0, y + 3.5), Anchor::End, &twin);
        draw_ratio(&mut frame, noise, ("c5", " hollow"), y, &x);
        frame.svg.text("tick", (text_at, y + 3.5), Anchor::Start, &words(noise));
    }
    frame.titles("times the baseline's", "");
    let caption = format!("{}: {}", view.note.name, Figure::named(name).title(name));
    Some(figure(&caption, "", &subtitle(rows), &frame.svg.finish()))
}

/// All of it in figures.
pub fn numbers(view: &View, comparisons: &[Comparison]) -> Option<String> {
    let headings = [
        "figure",
        "mode",
        "against",
        "pairs",
        "ratio",
        "95 % interval",
        "p, adjusted",
        "A/A interval",
        "call",
    ];
    let interval = |ratio: &Ratio| format!("{} to {}", times(ratio.low), times(ratio.high));
    let dash = || NOTHING.to_owned();
    let cells = |row: &Comparison| {
        vec![
            Figure::named(&row.figure).title(&row.figure),
            row_name(row),
            row.against.to_string(),
            row.pairs.to_string(),
            row.ratio.as_ref().map_or_else(dash, |ratio| times(ratio.estimate)),
            row.ratio.as_ref().map_or_else(dash, interval),
            row.p_holm.map_or_else(dash, three_digits),
            row.noise.as_ref().map_or_else(dash, interval),
            call(row.call).to_owned(),
        ]
    };
    let rows: Vec<_> = comparisons.iter().filter(|row| row.scenario == view.note.name).map(cells).collect();
    (!rows.is_empty()).then(|| table(&headings.map(str::to_owned), &rows))
}

/// A call in words.
pub fn call(call: Call) -> &'static str {
    match call {
        Call::Lower => "lower",
        Call::Higher => "higher",
        Call::NoDifferenceSeen => "no difference seen",
        Call::TooFewRounds => "too few rounds",
    }
}

/// Which modes differ, in words.
fn subtitle(rows: &[&Comparison]) -> String {
    let named = |call: Call| {
        let names: Vec<_> = rows.iter().filter(|row| row.call == call).map(|row| row_name(row)).collect();
        names.join(", ")
    };
    let parts = [("lower", named(Call::Lower)), ("higher", named(Call::Higher))];
    let parts: Vec<_> = parts.into_iter().filter(|(_, names)| !names.is_empty()).collect();
    if parts.is_empty() {
        let few = rows.iter().all(|row| row.call == Call::TooFewRounds);
        return if few { "too few rounds to call a difference" } else { "no difference seen" }.to_owned();
    }
    parts.into_iter().map(|(call, names)| format!("{call}: {names}")).collect::<Vec<_>>().join("; ")
}

fn row_name(row: &Comparison) -> String {
    match row.step {
        Some(step) => format!("{} @ {step}", row.mode),
        None => row.mode.to_string(),
    }
}

fn words(ratio: &Ratio) -> String {
    let [estimate, low, high] = [ratio.estimate, ratio.low, ratio.high].map(times);
    format!("×{estimate} [{low}, {high}]")
}

/// Symmetric about 1 where it nearly is anyway, and never narrower than ± 10 %.
fn domain(ends: impl Iterator<Item = f64>) -> (f64, f64) {
    let ends = ends.filter(|&end| end > 0.0).chain([0.9, 1.1]);
    let (low, high) = extent(ends).unwrap_or((0.9, 1.1));
    ((low / 1.05).max(1.0 / FACTOR_MAX), (high * 1.05).min(FACTOR_MAX))
}

fn ticks((low, high): (f64, f64)) -> Vec<f64> {
    if high / low > 4.0 {
        return decade_ticks((low, high));
    }
    // The finer set has to leave room for 1 between its neighbours.
    let near: &[f64] = match high / low {
        span if span > 2.2 => &[0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0],
        _ => &[0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 1.75, 2.0],
    };
    near.iter().copied().filter(|tick| (low..=high).contains(tick)).collect()
}

fn middle(frame: &Frame, at: usize) -> f64 {
    frame.top() + (at as f64 + 0.5) * ROW
}

fn draw_noise(frame: &mut Frame, noise: Option<&Ratio>, at: usize, x: &Scale) {
    let Some(noise) = noise else { return };
    let (from, to) = (x.at(noise.low), x.at(noise.high));
    let top = middle(frame, at) - ROW / 2.0;
    frame.svg.rect("band", (from, top), ((to - from).max(1.0), ROW), "");
}

fn draw_row(
    frame: &mut Frame,
    view: &View,
    (row, name): (&Comparison, &str),
    (at, text_at): (usize, f64),
    x: &Scale,
) {
    let (left, _) = frame.x_range();
    let y = middle(frame, at);
    let called = matches!(row.call, Call::Lower | Call::Higher);
    frame.svg.text(if called { "strong" } else { "tick" }, (left - 5.0, y + 3.5), Anchor::End, name);
    let text = match &row.ratio {
        Some(ratio) => {
            let hue = view.hue(&row.mode).colour();
            draw_ratio(frame, ratio, (&hue, if called { "" } else { " hollow" }), y, x);
            words(ratio)
        }
        None => call(row.call).to_owned(),
    };
    frame.svg.text(if called { "strong" } else { "tick" }, (text_at, y + 3.5), Anchor::Start, &text);
}

fn draw_ratio(frame: &mut Frame, ratio: &Ratio, (hue, hollow): (&str, &str), y: f64, x: &Scale) {
    frame.svg.line(&format!("thin {hue}"), (x.at(ratio.low), y), (x.at(ratio.high), y));
    frame.svg.circle(&format!("dot {hue}{hollow}"), (x.at(ratio.estimate), y), 4.0, "");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::{Detail, sample};

    #[test]
    fn a_mark_is_full_where_a_difference_is_called() {
        let results = sample::results();
        let view = View::new(&results, &results.scenarios[0], Detail::All);
        let plots = plots(&view, &results.comparisons);
        let names: Vec<_> = plots.iter().map(|plot| plot.figure.as_str()).collect();
        assert_eq!(names, ["dispersion", "p99_ns"]);
        let html = &plots[1].html;
        assert!(html.contains("<small>higher: exclusive</small>"), "{html}");
        assert_eq!(html.matches("class=\"dot c2\"").count(), 1, "the called one is full");
        assert_eq!(html.matches("hollow").count(), 2, "edge and A/A are hollow");
        assert!(html.contains("A/A: private") && html.contains("×5.00 [4.00, 6.25]"), "{html}");
    }

    #[test]
    fn nothing_is_plotted_of_what_was_not_compared() {
        let mut results = sample::results();
        results.comparisons.iter_mut().for_each(|one| one.ratio = None);
        let view = View::new(&results, &results.scenarios[0], Detail::All);
        assert!(plots(&view, &results.comparisons).is_empty());
        assert!(numbers(&view, &results.comparisons).is_some_and(|table| table.contains("–")));
    }

    #[test]
    fn the_axis_holds_all_intervals_and_is_not_too_narrow() {
        assert_eq!(domain([].into_iter()), (0.9 / 1.05, 1.1 * 1.05));
        let (low, high) = domain([1e-9, 7.0].into_iter());
        assert!(low == 1e-3 && (7.0..8.0).contains(&high));
        assert!(ticks((0.8, 1.6)).contains(&1.25) && ticks((0.01, 200.0)).contains(&100.0));
        assert_eq!(ticks((0.8, 3.1)), [1.0, 1.5, 2.0, 3.0]);
    }
}
