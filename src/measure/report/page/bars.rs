//! What each worker got, as bars: beside an even share and, for connections, beside what chance would give.

use crate::{
    config::units::show_count,
    measure::{
        Report,
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
        band: has_band.then(|| chance_band(report.totals.accepted, workers.len())),
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

/// Where one worker's share of `total` connections lies with 95 %, if each goes to one of `workers` by chance: between
/// the binomial quantiles at 2.5 and 97.5 %, exact where there are few and by the normal distribution where there
/// are many.
fn chance_band(total: u64, workers: usize) -> (u64, u64) {
    const EXACT_MAX: u64 = 100_000;
    let share = 1.0 / workers as f64;
    if total > EXACT_MAX {
        let mean = total as f64 * share;
        let reach = 1.96 * (mean * (1.0 - share)).sqrt();
        return ((mean - reach).round() as u64, (mean + reach).round() as u64);
    }
    let mut log_probability = total as f64 * (1.0 - share).ln();
    let (mut below, mut low) = (0.0, None);
    for count in 0..total {
        below += log_probability.exp();
        if below >= 0.025 {
            low = low.or(Some(count));
        }
        if below >= 0.975 {
            return (low.unwrap_or(count), count);
        }
        log_probability += ((total - count) as f64 / (count + 1) as f64 * share / (1.0 - share)).ln();
    }
    (low.unwrap_or(total), total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_band_is_where_chance_keeps_a_share() {
        // scipy.stats.binom.ppf([0.025, 0.975], total, 1 / workers)
        assert_eq!(chance_band(400, 4), (83, 117));
        assert_eq!(chance_band(10, 2), (2, 8));
        assert_eq!(chance_band(1, 4), (0, 1));
        let (exact, normal) = (chance_band(100_000, 8), chance_band(100_001, 8));
        assert!(exact.0.abs_diff(normal.0) <= 1 && exact.1.abs_diff(normal.1) <= 1, "{exact:?} {normal:?}");
        assert!(chance_band(u64::MAX, 3).0 > u64::MAX / 4, "and it ends");
    }
}
