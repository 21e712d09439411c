//! What each worker got, as bars: beside an even share and, for connections, beside what chance would give.

use crate::{
    config::units::show_count,
    measure::{
        Report, chance,
        page::{
            figure,
            frame::{Frame, PANEL},
            scale::{Scale, tick_text, ticks_from_zero},
        },
        report::Worker,
    },
};

/// One measure of all workers.
struct Measure<'a> {
    name: &'a str,
    /// What the y axis shows, with its unit.
    axis: &'a str,
    values: Vec<f64>,
    /// Where chance keeps each of them, 95 times in 100.
    band: Option<(u64, u64)>,
    max_over_mean: f64,
}

/// A panel for each measure; none without workers.
pub(super) fn panels(report: &Report) -> String {
    let (workers, balance) = (&report.workers, &report.balance);
    if workers.is_empty() {
        return String::new();
    }
    let of = |value: fn(&Worker) -> f64| workers.iter().map(value).collect::<Vec<_>>();
    let busy_percent = |worker: &Worker| percent(worker.counts.busy_ns as f64, report.duration_s * 1e9);
    let has_band = report.merged.is_empty() && workers.len() > 1 && report.totals.accepted > 0;
    let accepted = Measure {
        name: "Connections accepted",
        axis: "connections",
        values: of(|worker| worker.counts.accepted as f64),
        band: has_band.then(|| chance::share_band(workers.len(), report.totals.accepted)),
        max_over_mean: balance.accepted.max_over_mean,
    };
    let plain = |name, axis, values, max_over_mean| Measure { name, axis, values, band: None, max_over_mean };
    let measures = [
        accepted,
        plain(
            "Connections open",
            "connections, averaged over time",
            of(|worker| worker.active_avg),
            balance.active_avg.max_over_mean,
        ),
        plain(
            "Messages",
            "messages",
            of(|worker| worker.counts.messages as f64),
            balance.messages.max_over_mean,
        ),
        plain(
            "Busy",
            "% of the time",
            workers.iter().map(busy_percent).collect(),
            balance.busy_ns.max_over_mean,
        ),
    ];
    format!(
        "<div class=\"panels\">\n{}</div>\n",
        measures.iter().map(|it| panel(it, workers)).collect::<String>()
    )
}

fn panel(measure: &Measure, workers: &[Worker]) -> String {
    let Measure { name, axis, values, band, max_over_mean } = measure;
    let told: Vec<String> = values.iter().take(64).map(|value| show_count(*value)).collect();
    let mut frame = Frame::new(PANEL, name, &format!("{axis}, by worker: {}", told.join(", ")));
    let most = values.iter().copied().fold(0.0, f64::max).max(band.map_or(0.0, |(_, high)| high as f64));
    let ticks = ticks_from_zero(most, 4);
    let y = Scale::linear((0.0, ticks.last().copied().unwrap_or(1.0)), frame.y_range());
    let (left, right) = frame.x_range();
    if let Some((low, high)) = band {
        let (top, bottom) = (y.at(*high as f64 + 0.5), y.at((*low as f64 - 0.5).max(0.0)));
        let tip = format!("by chance, a worker gets {low} to {high} (95 %)");
        frame.svg.rect("band", (left, top), (right - left, bottom - top), &tip);
    }
    for value in ticks {
        let class = if value == 0.0 { "axis" } else { "grid" };
        frame.y_tick(y.at(value), &tick_text(value), class);
    }
    let x = Scale::linear((0.0, values.len() as f64), (left, right));
    let every = values.len().div_ceil(12);
    for (at, (value, worker)) in values.iter().zip(workers).enumerate() {
        let slot = (x.at(at as f64 + 0.15), x.at(at as f64 + 0.85));
        let top = y.at(*value);
        let tip = format!("worker {}: {} {axis}", worker.worker, show_count(*value));
        frame.svg.rect("bar c0", (slot.0, top), (slot.1 - slot.0, frame.bottom() - top), &tip);
        if at % every == 0 {
            frame.x_tick(x.at(at as f64 + 0.5), &worker.worker.to_string());
        }
    }
    let even = y.at(values.iter().sum::<f64>() / values.len() as f64);
    if values.len() > 1 {
        frame.svg.line("even", (left, even), (right, even));
    }
    frame.titles("worker", axis);
    figure(name, &format!("max/mean {max_over_mean:.2}"), &frame.svg.finish())
}

fn percent(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole * 100.0 } else { 0.0 }
}
