//! Whether one's latency is one's worker: the connections' own p99, as a curve a worker.
//!
//! Where the curves lie apart, a client's luck was decided when it was accepted. η² says how much of the variance
//! lies between workers.

use evenkeel::measure::page::{
    Hue,
    frame::{Frame, PANEL},
    scale::{Scale, decade_ticks, decades, extent},
};

use super::{
    Detail,
    html::{figure, row},
    view::{Series, View},
};
use crate::reports::ByConnection;

/// Steps of a curve; a worker with more connections is drawn by as many of its quantiles.
const STEPS_MAX: usize = 40;
/// Nobody tells apart more curves than these.
const WORKERS_MAX: usize = 16;
/// A curve of fewer connections is only noise.
const CONNECTIONS_MIN: usize = 3;

/// A panel a mode. `None` where no connection had a p99.
pub fn panels(view: &View) -> Option<String> {
    if view.detail >= Detail::Least || !(2..=WORKERS_MAX).contains(&view.note.workers) {
        return None;
    }
    let groups: Vec<_> =
        view.series_by_row().into_iter().filter_map(|it| Some((it, by_worker(it)?))).collect();
    let all = groups.iter().flat_map(|(_, workers)| workers).flatten().copied();
    let domain = decades(extent(all.filter(|&ms| ms > 0.0))?);
    let panels = groups.iter().map(|(series, workers)| {
        let explained = series.median("variance_between_workers");
        let note =
            explained.map(|share| format!("the worker explains {:.0} % of the variance", share * 100.0));
        figure(series.mode, "", &note.unwrap_or_default(), &draw(series.mode, workers, domain))
    });
    let html = row(
        "Is a connection's latency its worker's?",
        "The p99 of each connection, in the first round: one curve is the connections of one worker.",
        panels,
    )?;
    Some(html + &key(groups.iter().map(|(_, workers)| workers.len()).max()?))
}

/// The p99 of each connection, sorted, by its worker.
fn by_worker(series: &Series) -> Option<Vec<Vec<f64>>> {
    series.first(|raw| sorted_by_worker(raw.by_connection.as_ref()?))
}

fn sorted_by_worker(connections: &ByConnection) -> Option<Vec<Vec<f64>>> {
    let most = connections.worker.iter().flatten().max()?;
    let mut workers = vec![Vec::new(); (most + 1).min(WORKERS_MAX)];
    for (worker, p99_ns) in connections.worker.iter().zip(&connections.p99_ns) {
        if let (Some(worker), Some(p99_ns)) = (worker, p99_ns)
            && let Some(of_worker) = workers.get_mut(*worker)
        {
            of_worker.push(*p99_ns as f64 / 1e6);
        }
    }
    workers.iter_mut().for_each(|of_worker| of_worker.sort_by(f64::total_cmp));
    workers.iter().any(|of_worker| of_worker.len() >= CONNECTIONS_MIN).then_some(workers)
}

fn draw(mode: &str, workers: &[Vec<f64>], domain: (f64, f64)) -> String {
    let title = format!("Share of each worker's connections whose p99 is below a value, in {mode}");
    let mut frame = Frame::new(PANEL, &title, "A curve a worker.");
    let x = Scale::logarithmic(domain, frame.x_range());
    let y = Scale::linear((0.0, 100.0), frame.y_range());
    frame.y_ticks(&[0.0, 25.0, 50.0, 75.0, 100.0], |value| y.at(value));
    frame.x_ticks(&decade_ticks(domain), |ms| x.at(ms));
    for (worker, sorted) in workers.iter().enumerate().filter(|(_, sorted)| sorted.len() >= CONNECTIONS_MIN) {
        let tip = format!("worker {worker}, {} connections", sorted.len());
        frame.svg.path(&format!("curve {}", Hue::nth(worker)), &steps(sorted, &x, &y), &tip);
    }
    frame.titles("p99 of a connection, ms", "connections, %");
    frame.svg.finish()
}

/// The empirical distribution, which rises by one step a connection.
fn steps(sorted: &[f64], x: &Scale, y: &Scale) -> Vec<(f64, f64)> {
    let count = sorted.len().min(STEPS_MAX);
    let mut points = vec![(x.at(sorted[0]), y.at(0.0))];
    for step in 1..=count {
        let at = x.at(sorted[step * sorted.len() / count - 1]);
        let below = y.at((step - 1) as f64 * 100.0 / count as f64);
        points.extend([(at, below), (at, y.at(step as f64 * 100.0 / count as f64))]);
    }
    points
}

/// What the curves are.
fn key(workers: usize) -> String {
    super::html::key((0..workers).map(|worker| (Hue::nth(worker).to_string(), format!("worker {worker}"))))
}
