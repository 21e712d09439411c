//! The percentile spectrum of each histogram of durations, with each worker's own behind it.

use hdrhistogram::Histogram;

use crate::{
    config::units::show_count,
    measure::{
        Report,
        page::{
            Hue, figure,
            frame::{Frame, PANEL},
            spectrum::{Axes, Curve, Points, points},
        },
        report::{HistogramJson, NamedHistograms},
    },
};

/// The most workers whose curves are drawn.
const WORKERS_MAX: usize = 32;

/// A panel for each histogram that has enough samples for a curve.
pub(super) fn panels(report: &Report) -> String {
    let durations = report.histograms.iter().filter(|(_, histogram)| histogram.unit == "ns");
    let panels: String = durations.filter_map(|(name, histogram)| panel(report, name, histogram)).collect();
    if panels.is_empty() { panels } else { format!("<div class=\"panels\">\n{panels}</div>\n") }
}

fn panel(report: &Report, name: &str, histogram: &HistogramJson) -> Option<String> {
    let all = points(&histogram.decode().ok()?);
    let workers = report.workers.iter().take(WORKERS_MAX).filter(|_| report.workers.len() > 1);
    let each: Vec<Points> =
        workers.filter_map(|worker| decoded(&worker.histograms, name)).map(|it| points(&it)).collect();
    let longest_ms = all.iter().chain(each.iter().flatten()).map(|(_, ms)| *ms).fold(0.0, f64::max);
    // Microseconds where all of it is less than a millisecond, so that the axis has no row of zeros.
    let (factor, unit) = if longest_ms < 1.0 { (1_000.0, "µs") } else { (1.0, "ms") };
    let scaled = |points: Points| points.into_iter().map(|(rarity, ms)| (rarity, ms * factor)).collect();
    let (all, each): (Points, Vec<Points>) = (scaled(all), each.into_iter().map(scaled).collect());
    let axes = Axes::around(each.iter().chain([&all]))?;
    let tells = tells(name);
    let mut frame = Frame::new(PANEL, name, tells);
    let curve =
        Curve { name: name.to_owned(), hue: Hue::new(0, 0), points: all, runs: Vec::new(), thin: false };
    axes.draw(&mut frame, unit);
    axes.ghosts(&mut frame, &each);
    axes.curves(&mut frame, &[curve]);
    let samples = format!("{} samples", show_count(histogram.count as f64));
    let note = if tells.is_empty() { samples } else { format!("{tells}; {samples}") };
    Some(figure(name, &note, &frame.svg.finish()))
}

fn decoded(histograms: &NamedHistograms, name: &str) -> Option<Histogram<u64>> {
    histograms.get(name)?.decode().ok()
}

/// What a histogram is of.
fn tells(name: &str) -> &'static str {
    match name {
        "event_delay" => "epoll_wait returned → this event's turn began",
        "turn" => "one turn of a session: service time",
        "iteration" => "one pass of the loop without the wait",
        "wait" => "time inside epoll_wait",
        "session_life" => "accept → closed",
        "connect" => "connecting to an upstream",
        "first_byte" => "accept → the upstream's first byte",
        "transit" => "readable → written onward",
        "arrival_delay" => "arrived in the kernel → read",
        _ => "",
    }
}
