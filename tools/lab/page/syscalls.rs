//! What a message costs in system calls: a bar a mode, its parts one after another.

use evenkeel::measure::page::{
    frame::{Frame, MARGINS, WIDE},
    scale::{Scale, ticks_from_zero},
    svg::Anchor,
};

use super::{
    figures::three_digits,
    html::{charts, figure, key},
    view::{Series, View},
};

const ROW: f64 = 20.0;
/// For the sum, right of the plot.
const TEXT: f64 = 34.0;

/// Parts of a bar: their name, and what they are in a trial's figures.
const PARTS: [(&str, &str); 5] = [
    ("epoll_wait", "waits_per_message"),
    ("read with data", "reads_per_message"),
    ("read: EAGAIN", "eagain_per_message"),
    ("write", "writes_per_message"),
    ("epoll_ctl", "ctls_per_message"),
];

/// `None` where nobody counted.
pub fn chart(view: &View) -> Option<String> {
    let rows: Vec<_> = view.series().filter_map(|series| Some((series.mode, calls(series)?))).collect();
    let highest = rows.iter().map(|(_, calls)| calls.iter().sum()).fold(0.0, f64::max);
    if highest <= 0.0 {
        return None;
    }
    let svg = draw(&rows, highest);
    let parts = PARTS.iter().enumerate().map(|(at, (name, _))| (format!("box part{at}"), (*name).to_owned()));
    let chart = figure("System calls per message", "", "", &svg) + &key(parts);
    charts(
        "What a message costs",
        "System calls of the server's workers over the messages that they read, the median of the rounds. Parts stand \
         in the order of the key, from left to right.",
        [format!("<div>{chart}</div>")],
    )
}

/// The parts of one mode's bar. Reads that found nothing are a part of their own.
fn calls(series: &Series) -> Option<[f64; PARTS.len()]> {
    let mut calls = PARTS.map(|(_, figure)| series.median(figure));
    if let [_, Some(reads), Some(eagain), ..] = &mut calls {
        *reads = (*reads - *eagain).max(0.0);
    }
    calls.iter().any(Option::is_some).then(|| calls.map(|calls| calls.unwrap_or(0.0)))
}

fn draw(rows: &[(&str, [f64; PARTS.len()])], highest: f64) -> String {
    let size = (WIDE, rows.len() as f64 * ROW + MARGINS);
    let names = rows.iter().map(|(mode, _)| *mode);
    let mut frame = Frame::with_names(
        names,
        size,
        "System calls per message",
        "A bar a mode; the sum stands at its end.",
    );
    let (left, right) = frame.x_range();
    let ticks = ticks_from_zero(highest, 4);
    let x = Scale::linear((0.0, ticks[ticks.len() - 1]), (left, right - TEXT));
    frame.x_ticks(&ticks, |value| x.at(value));
    for (at, (mode, calls)) in rows.iter().enumerate() {
        let top = frame.top() + at as f64 * ROW;
        frame.svg.text("tick", (left - 5.0, top + ROW / 2.0 + 3.5), Anchor::End, mode);
        let mut from = 0.0;
        for (part, (&calls, (name, _))) in
            calls.iter().zip(PARTS).enumerate().filter(|(_, (calls, _))| **calls > 0.0)
        {
            let (start, end) = (x.at(from), x.at(from + calls));
            let shown = end - start > 30.0;
            let tip = if shown { String::new() } else { format!("{} {name}", three_digits(calls)) };
            frame.svg.rect(&format!("part{part}"), (start, top + 3.0), (end - start, ROW - 6.0), &tip);
            if shown {
                let middle = (f64::midpoint(start, end), top + ROW / 2.0 + 3.5);
                frame.svg.text("within", middle, Anchor::Middle, &three_digits(calls));
            }
            from += calls;
        }
        frame.svg.text(
            "strong",
            (x.at(from) + 5.0, top + ROW / 2.0 + 3.5),
            Anchor::Start,
            &three_digits(from),
        );
    }
    frame.titles("calls per message", "");
    frame.svg.finish()
}
