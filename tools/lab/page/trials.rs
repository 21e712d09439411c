//! Every trial, in the order in which they ran: drift, outliers, and whether runs of one mode lie closer to each
//! other than to those of another. Doubtful trials are hollow: they are shown, never dropped.

use evenkeel::measure::page::{
    frame::{Frame, PANEL},
    scale::{Scale, decade_ticks, decades, extent, tick_text, ticks_from_zero},
};

use super::{
    figures::{Figure, three_digits},
    html::{figure, row},
    view::{Column, View, doubts},
};
use crate::results::Trial;

const HEIGHT: f64 = 160.0;

/// A panel a column. `None` where no trial has a figure.
pub fn panels(view: &View) -> Option<String> {
    let figures = view.note.figures.iter().map(String::as_str);
    let has = |name: &str| view.trials().filter(|trial| trial.figures.contains_key(name)).count() > 1;
    // The tail is where trials differ most; else whatever is compared first.
    let name = ["p99_ns"].into_iter().chain(figures).find(|name| has(name))?;
    let axes = Axes::of(view, name)?;
    let title = axes.of.title(name);
    let panels = view.columns.iter().map(|column| figure(&column.name, "", "", &axes.panel(view, column, &title)));
    let twins = if view.twins.is_empty() { "" } else { " Crosses: the baseline's twin (A/A)." };
    row(
        "Every trial",
        &format!(
            "{title}. A mark is a trial, a fresh server and a fresh client, at the time when it ran. Hollow: overloaded, \
             the client itself was late, or not stationary.{twins} Grey: the other modes.",
        ),
        panels,
    )
}

/// One pair of axes for all panels.
struct Axes<'a> {
    of: Figure,
    name: &'a str,
    from_s: f64,
    until_s: f64,
    domain: (f64, f64),
    logarithmic: bool,
}

impl<'a> Axes<'a> {
    fn of(view: &View, name: &'a str) -> Option<Self> {
        let of = Figure::named(name);
        let trials = || view.trials().chain(view.twins.iter().copied());
        let values = trials().filter_map(|trial| trial.figures.get(name)).map(|&value| of.value(value));
        let (low, high) = extent(values)?;
        let (from_s, until_s) = extent(trials().map(|trial| trial.at_s))?;
        let logarithmic = of.logarithmic && low > 0.0;
        let domain = if logarithmic {
            decades((low, high))
        } else {
            (0.0, ticks_from_zero(high, 4).last().copied().unwrap_or(1.0))
        };
        Some(Self { of, name, from_s, until_s: until_s.max(from_s + 1.0), domain, logarithmic })
    }

    fn panel(&self, view: &View, column: &Column, title: &str) -> String {
        let mut frame =
            Frame::new((PANEL.0, HEIGHT), &format!("{title} of every trial in {}", column.name), "Marks in run order.");
        let (left, right) = frame.x_range();
        let x = Scale::linear((self.from_s, self.until_s), (left + 8.0, right - 8.0));
        let y = if self.logarithmic {
            let y = Scale::logarithmic(self.domain, frame.y_range());
            frame.y_ticks(&decade_ticks(self.domain), |value| y.at(value));
            y
        } else {
            let y = Scale::linear(self.domain, frame.y_range());
            frame.y_ticks(&ticks_from_zero(self.domain.1, 4), |value| y.at(value));
            y
        };
        let length = self.until_s - self.from_s;
        for s in ticks_from_zero(length, 4).into_iter().filter(|&s| s <= length) {
            frame.x_tick(x.at(self.from_s + s), &tick_text((self.from_s + s).round()));
        }
        let place = |trial: &Trial| Some((x.at(trial.at_s), y.at(self.of.value(*trial.figures.get(self.name)?))));
        let is_own = |trial: &Trial| column.series.iter().any(|series| series.mode == trial.mode);
        let others: Vec<_> = view.trials().filter(|trial| !is_own(trial)).filter_map(place).collect();
        frame.svg.dots("dots", &others);
        for twin in view.twins.iter().filter(|twin| is_own(twin)) {
            if let Some((x, y)) = place(twin) {
                frame.svg.cross("cross", (x, y), 3.5, &self.tip(twin, "A/A, "));
            }
        }
        for series in &column.series {
            for trial in &series.trials {
                let Some(at) = place(trial) else { continue };
                let hollow = if doubts(trial).is_empty() { "" } else { " hollow" };
                let class = format!("dot {}{hollow}", series.hue.colour());
                if series.hue.dash() % 2 == 0 {
                    frame.svg.circle(&class, at, 3.8, &self.tip(trial, ""));
                } else {
                    frame.svg.diamond(&class, at, 4.4, &self.tip(trial, ""));
                }
            }
        }
        frame.titles("time in the run, s", &short(title));
        frame.svg.finish()
    }

    fn tip(&self, trial: &Trial, what: &str) -> String {
        let value = trial.figures.get(self.name).map(|&value| three_digits(self.of.value(value)));
        let mut tip = format!("{what}{}, round {}: {}", trial.mode, trial.round + 1, value.unwrap_or_default());
        for doubt in doubts(trial) {
            tip = tip + ", " + doubt;
        }
        tip
    }
}

/// What fits above an axis.
fn short(title: &str) -> String {
    title.replace(" of the response time", "")
}
