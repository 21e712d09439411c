//! A sweep: how figures grow with what is asked, a curve a mode.

use evenkeel::measure::page::{
    Hue,
    frame::{Frame, WIDE},
    scale::{Scale, decade_ticks, decades, extent, ticks_from_zero},
};

use super::{
    figures::Figure,
    html::{charts, figure, key},
    view::{Series, View, doubts, median},
};

const HEIGHT: f64 = 230.0;

/// A chart for each figure that is compared, and for what was answered of what was offered.
pub fn panels(view: &View) -> Option<String> {
    let steps = view.note.sweep.as_ref().filter(|steps| steps.len() > 1)?;
    let mut names: Vec<&str> = view.note.figures.iter().map(String::as_str).collect();
    let offered = view.trials().any(|trial| trial.figures.contains_key("achieved_share"));
    if offered && !names.contains(&"achieved_share") {
        names.push("achieved_share");
    }
    let panels: Vec<_> = names.into_iter().filter_map(|name| panel(view, name, steps)).collect();
    let html = charts(
        "The sweep",
        "The median of the rounds; shaded: from the lowest round to the highest. Hollow marks: some round there is \
         overloaded or otherwise doubtful.",
        panels,
    )?;
    let entry = |(at, series): (usize, &Series)| (hue(at, series).to_string(), series.mode.to_owned());
    Some(html + &key(view.series().enumerate().map(entry)))
}

/// On one pair of axes each mode has a dash of its own as well.
fn hue(at: usize, series: &Series) -> Hue {
    series.hue.dashed(at)
}

/// What a mode had at one step.
struct Point {
    step: f64,
    low: f64,
    median: f64,
    high: f64,
    doubtful: bool,
}

fn panel(view: &View, name: &str, steps: &[f64]) -> Option<String> {
    let of = Figure::named(name);
    let curves: Vec<(Hue, &str, Vec<Point>)> =
        view.series().enumerate().map(|(at, it)| (hue(at, it), it.mode, points(it, name, steps))).collect();
    let all = || curves.iter().flat_map(|(_, _, points)| points);
    let (low, high) = extent(all().flat_map(|point| [point.low, point.high]))?;
    if all().count() < 2 {
        return None;
    }
    let flag = flag(&view.note.parameters);
    let title = of.title(name);
    let mut frame = Frame::new((WIDE, HEIGHT), &format!("{title} by {flag}"), "A curve a mode.");
    let logarithmic = of.logarithmic && low > 0.0;
    let y = if logarithmic {
        let domain = decades((low, high));
        let y = Scale::logarithmic(domain, frame.y_range());
        frame.y_ticks(&decade_ticks(domain), |value| y.at(value));
        y
    } else {
        let ticks = ticks_from_zero(high, 4);
        let y = Scale::linear((0.0, ticks[ticks.len() - 1]), frame.y_range());
        frame.y_ticks(&ticks, |value| y.at(value));
        y
    };
    let x = step_axis(&mut frame, steps);
    for (hue, mode, points) in &curves {
        draw(&mut frame, (*hue, mode, points), (&x, &y));
    }
    frame.titles(&flag, &title);
    Some(figure(&title, "", "", &frame.svg.finish()))
}

fn points(series: &Series, name: &str, steps: &[f64]) -> Vec<Point> {
    let of = Figure::named(name);
    let point = |&step: &f64| {
        let here = || series.trials.iter().filter(move |trial| trial.step == Some(step));
        let values: Vec<f64> =
            here().filter_map(|trial| trial.figures.get(name)).map(|&value| of.value(value)).collect();
        let (low, high) = extent(values.iter().copied())?;
        let doubtful = here().any(|trial| !doubts(trial).is_empty());
        Some(Point { step, low, median: median(values)?, high, doubtful })
    };
    steps.iter().filter_map(point).collect()
}

/// Logarithmic where the steps span a decade.
fn step_axis(frame: &mut Frame, steps: &[f64]) -> Scale {
    let (low, high) = extent(steps.iter().copied()).unwrap_or((0.0, 1.0));
    let (left, right) = frame.x_range();
    let range = (left + 8.0, right - 8.0);
    let x = if low > 0.0 && high / low >= 10.0 {
        Scale::logarithmic((low, high), range)
    } else {
        Scale::linear((low, high), range)
    };
    frame.x_ticks(steps, |step| x.at(step));
    x
}

fn draw(frame: &mut Frame, (hue, mode, points): (Hue, &str, &[Point]), (x, y): (&Scale, &Scale)) {
    let line = |value: fn(&Point) -> f64| -> Vec<_> {
        points.iter().map(|point| (x.at(point.step), y.at(value(point)))).collect()
    };
    let colour = hue.colour();
    frame.svg.ribbon(&format!("ribbon {colour}"), &line(|point| point.low), &line(|point| point.high), "");
    frame.svg.path(&format!("curve {hue}"), &line(|point| point.median), mode);
    for (point, at) in points.iter().zip(line(|point| point.median)) {
        let hollow = if point.doubtful { " hollow" } else { "" };
        let tip = format!("{mode} at {}: {}", point.step, super::figures::three_digits(point.median));
        frame.svg.circle(&format!("dot {colour}{hollow}"), at, 3.0, &tip);
    }
}

/// The flag that is swept, as the parameters name it.
fn flag(parameters: &str) -> String {
    let words = parameters.split(" swept over ").next().filter(|before| before.len() < parameters.len());
    let flag = words.and_then(|before| before.rsplit(' ').next()).unwrap_or("step");
    match flag.trim_start_matches("--") {
        "rate" => "offered messages per s".to_owned(),
        "connections" => "connections".to_owned(),
        "pipeline" => "messages in flight per connection".to_owned(),
        "size" => "bytes per message".to_owned(),
        _ => flag.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_is_named_after_the_flag() {
        assert_eq!(flag("echo; --rate swept over 1, 2"), "offered messages per s");
        assert_eq!(flag("echo; --budget swept over 1, 2; more"), "--budget");
        assert_eq!(flag("nothing"), "step");
    }
}
