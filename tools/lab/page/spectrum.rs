//! How long messages wait: the percentile spectrum, a panel a column, all others in grey behind it.

use evenkeel::measure::page::{
    frame::{Frame, PANEL},
    spectrum::{Axes, Curve, Points, points},
};

use super::{
    Detail,
    html::{badge, figure, row},
    view::{Column, Series, View, runs},
};
use crate::table::millis;

/// `None` where nothing was measured.
pub fn panels(view: &View) -> Option<String> {
    let curves: Vec<Vec<Curve>> = view
        .columns
        .iter()
        .map(|column| column.series.iter().flat_map(|series| curves(series, view.detail)).collect())
        .collect();
    let axes = Axes::around(curves.iter().flatten().map(|curve| &curve.points))?;
    let all: Vec<&Points> =
        curves.iter().flatten().filter(|curve| !curve.thin).map(|curve| &curve.points).collect();
    let ghosts = format!("{}-spectra", view.note.name);
    let own = view.columns.iter().zip(&curves).filter(|(_, own)| !own.is_empty());
    let panels = own.enumerate().map(|(at, (column, own))| {
        let title = format!("Response time by percentile in {}", column.name);
        let mut frame = Frame::new(PANEL, &title, &note(column));
        axes.draw(&mut frame, "response time, ms");
        if at == 0 {
            frame.svg.begin(&ghosts);
            axes.ghosts(&mut frame, all.iter().copied());
            frame.svg.end();
        } else {
            frame.svg.again(&ghosts);
        }
        axes.curves(&mut frame, own);
        let overloaded = column.series.iter().any(|series| series.overload().is_some());
        let badges = if overloaded { badge("OVERLOADED", "alarm") } else { String::new() };
        figure(&column.name, &badges, &note(column), &frame.svg.finish())
    });
    let dashes = view.columns.iter().any(|column| column.series.len() > 1);
    let note = format!(
        "All rounds merged; shaded: from the lowest to the highest round. Thick: response time, from the moment when \
         a message was due; thin: service time, from the moment when it was sent. {}Grey: the other modes. A curve \
         ends where fewer than ten samples lie beyond.",
        if dashes { "Solid: the first mode named; dashed: the second. " } else { "" }
    );
    row("Who waits: percentiles of the response time", &note, panels)
}

/// `level: p50 0.91, p99 12.3 ms`, a mode a part.
fn note(column: &Column) -> String {
    let of = |series: &Series| {
        let name = if column.series.len() > 1 { format!("{}: ", series.short) } else { String::new() };
        match series.overload() {
            Some(share) => format!("{name}{:.0} % of the load answered", share * 100.0),
            None => format!(
                "{name}p50 {}, p99 {} ms",
                millis(series.quantile_ns(0.5)),
                millis(series.quantile_ns(0.99))
            ),
        }
    };
    column.series.iter().map(of).collect::<Vec<_>>().join(" · ")
}

fn curves(series: &Series, detail: Detail) -> Vec<Curve> {
    let curve = |name: &str, points: Points, runs, thin| Curve {
        name: format!("{}, {name}", series.mode),
        hue: series.hue,
        points,
        runs,
        thin,
    };
    let response = series.merged(|raw| &raw.latency).map(|merged| {
        let rounds = if detail < Detail::Bare { &series.trials[..] } else { &[] };
        let runs = runs(rounds.iter().filter_map(|trial| Some(points(&trial.raw()?.latency.histogram()))));
        curve("response", points(&merged), runs, false)
    });
    let service = (detail < Detail::Bare).then(|| series.merged(|raw| &raw.service)).flatten();
    let service = service.map(|merged| curve("service", points(&merged), Vec::new(), true));
    response.into_iter().chain(service).filter(|curve| curve.points.len() > 1).collect()
}
