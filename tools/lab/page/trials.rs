//! Every trial, in the order in which they ran: drift, outliers, and whether runs of one mode lie closer to each
//! other than to those of another. Doubtful trials are hollow: they are shown, never dropped.

use evenkeel::measure::page::{
    frame::{Frame, PANEL},
    scale::{Scale, decade_ticks, decades, extent, tick_text, ticks_between, ticks_from_zero},
};

use super::{
    Detail,
    figures::{Figure, three_digits},
    html::{figure, row},
    view::{Column, Series, View, doubts},
};
use crate::results::Trial;

const HEIGHT: f64 = 160.0;

/// A panel a column. `None` where no trial has a figure.
pub fn panels(view: &View) -> Option<String> {
    if view.detail >= Detail::Bare {
        return None;
    }
    let figures = view.note.figures.iter().map(String::as_str);
    let has = |name: &str| view.trials().filter(|trial| trial.figures.contains_key(name)).count() > 1;
    // The tail is where trials differ most; else whatever is compared first.
    let name = ["p99_ns"].into_iter().chain(figures).find(|name| has(name))?;
    let axes = Axes::of(view, name)?;
    let title = axes.of.title(name);
    let panels =
        view.columns.iter().map(|column| figure(&column.name, "", "", &axes.panel(view, column, &title)));
    let twins = if view.twins.is_empty() { "" } else { " Crosses: the baseline's twin (A/A)." };
    row(
        "Every trial",
        &format!(
            "{title}. A mark is a trial, a fresh server and a fresh client, at the time when it ran. Hollow: \
             overloaded, the client itself was late, or not stationary.{twins} Grey: the other modes.",
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
        let mut frame = Frame::new(
            (PANEL.0, HEIGHT),
            &format!("{title} of every trial in {}", column.name),
            "Marks in run order.",
        );
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
        for s in ticks_between((self.from_s, self.until_s), 5) {
            frame.x_tick(x.at(s), &tick_text(s));
        }
        let place =
            |trial: &Trial| Some((x.at(trial.at_s), y.at(self.of.value(*trial.figures.get(self.name)?))));
        let is_own = |trial: &Trial| column.series.iter().any(|series| series.mode == trial.mode);
        let ghosts = format!("{}-trials", view.note.name);
        if view.columns.first().is_some_and(|first| first.name == column.name) {
            frame.svg.begin(&ghosts);
            frame.svg.dots("dots", &view.trials().filter_map(place).collect::<Vec<_>>());
            frame.svg.end();
        } else {
            frame.svg.again(&ghosts);
        }
        for twin in view.twins.iter().filter(|twin| is_own(twin)) {
            if let Some((x, y)) = place(twin) {
                frame.svg.cross("cross", (x, y), 3.5, &self.tip(twin, "A/A, "));
            }
        }
        for series in &column.series {
            self.marks(&mut frame, series, &place);
        }
        frame.titles("time in the run, s", &short(title));
        frame.svg.finish()
    }

    /// The trials of a mode: those without doubts are one element.
    fn marks(&self, frame: &mut Frame, series: &Series, place: &dyn Fn(&Trial) -> Option<(f64, f64)>) {
        let (doubtful, clean): (Vec<&Trial>, Vec<_>) =
            series.trials.iter().partition(|trial| !doubts(trial).is_empty());
        let (colour, round) = (series.hue.colour(), series.hue.dash().is_multiple_of(2));
        let shape = if round { "" } else { " square" };
        let clean: Vec<_> = clean.into_iter().filter_map(place).collect();
        frame.svg.dots(&format!("marks {colour}{shape}"), &clean);
        for (trial, at) in doubtful.into_iter().filter_map(|trial| Some((trial, place(trial)?))) {
            let (class, tip) = (format!("dot {colour} hollow"), self.tip(trial, ""));
            if round {
                frame.svg.circle(&class, at, 3.2, &tip);
            } else {
                frame.svg.rect(&class, (at.0 - 3.0, at.1 - 3.0), (6.0, 6.0), &tip);
            }
        }
    }

    fn tip(&self, trial: &Trial, what: &str) -> String {
        let value = trial.figures.get(self.name).map(|&value| three_digits(self.of.value(value)));
        let mut tip =
            format!("{what}{}, round {}: {}", trial.mode, trial.round + 1, value.unwrap_or_default());
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
