//! The table in the terminal: one line a mode, at most 100 columns.

use std::fmt::Write as _;

use evenkeel::measure::balance::Verdict as Balanced;

use super::{
    results::{Results, ScenarioNote},
    summary::Summary,
};

/// What a cell shows where there is nothing to show, or too little.
pub const NOTHING: &str = "–";

/// Columns of the terminal that everything fits in.
const WIDTH: usize = 100;

const SPARKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Whether the table may use bold type and colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Plain,
    Coloured,
}

/// Columns under one heading.
struct Group {
    heading: String,
    columns: Vec<Column>,
}

struct Column {
    heading: &'static str,
    align: Align,
    /// One a mode.
    cells: Vec<String>,
}

#[derive(Clone, Copy)]
enum Align {
    Left,
    Right,
}

/// The table of a run.
pub fn render(results: &Results, style: Style) -> String {
    let mut groups = vec![Group { heading: String::new(), columns: vec![names(results)] }];
    groups.extend(results.scenarios.iter().map(|scenario| match scenario.has_load {
        false => balance_group(results, scenario),
        true => latency_group(results, scenario),
    }));
    groups.extend(cost_group(results));
    lay_out(&groups, results.modes.len(), style)
}

/// What the columns mean.
pub fn legend(results: &Results) -> String {
    let rounds = match results.rounds {
        1 => "of one round".to_owned(),
        rounds => format!("the sum of {rounds} rounds"),
    };
    let text = format!(
        "Connections: {rounds}, workers in order of registration. chance?: more even (better) or more packed \
         (worse) than chance. switches: context switches of the server per connection. Latency: from the moment \
         when a message was due, as the client saw it. OVERLOADED n%: n % of the offered load was answered in \
         time. –: fewer than ten samples beyond."
    );
    wrap(&text, "", "")
}

/// Breaks a sentence into lines of the table's width.
pub fn wrap(text: &str, first: &str, rest: &str) -> String {
    let (mut wrapped, mut width) = (first.to_owned(), columns_of(first));
    for (index, word) in text.split(' ').enumerate() {
        if index > 0 && width + 1 + columns_of(word) > WIDTH {
            wrapped += &format!("\n{rest}");
            width = columns_of(rest);
        } else if index > 0 {
            wrapped.push(' ');
            width += 1;
        }
        wrapped.push_str(word);
        width += columns_of(word);
    }
    wrapped + "\n"
}

fn names(results: &Results) -> Column {
    Column { heading: "mode", align: Align::Left, cells: results.modes.clone() }
}

fn balance_group(results: &Results, scenario: &ScenarioNote) -> Group {
    let each = |cell: &dyn Fn(&Summary) -> Option<String>| per_mode(results, &scenario.name, cell);
    Group {
        heading: format!("{} × {}", scenario.rounds, scenario.heading),
        columns: vec![
            Column {
                heading: "per worker",
                align: Align::Left,
                cells: each(&|summary| Some(counts(&summary.balance()?.per_worker))),
            },
            Column {
                heading: "disp.",
                align: Align::Right,
                cells: each(&|summary| Some(dispersion(summary.balance()?.dispersion))),
            },
            Column {
                heading: "chance?",
                align: Align::Left,
                cells: each(&|summary| Some(against_chance(summary.balance()?.verdict?).to_owned())),
            },
            Column {
                heading: "switches",
                align: Align::Right,
                cells: each(&|summary| Some(format!("{:.1}", summary.switches_per_accept()?))),
            },
        ],
    }
}

fn latency_group(results: &Results, scenario: &ScenarioNote) -> Group {
    let cells = per_mode(results, &scenario.name, &|summary| Some(latency(summary)));
    Group {
        heading: scenario.heading.clone(),
        columns: vec![Column { heading: "p50 ms  p99 ms", align: Align::Right, cells }],
    }
}

/// What a message costs, in the scenario with the most of them.
fn cost_group(results: &Results) -> Option<Group> {
    let busiest = results.scenarios.iter().rfind(|scenario| scenario.has_load)?;
    let cells = per_mode(results, &busiest.name, &|summary| {
        Some(format!("{:.1}", summary.cpu_ns_per_message()? / 1e3))
    });
    Some(Group {
        heading: "CPU µs".to_owned(),
        columns: vec![Column { heading: "/msg", align: Align::Right, cells }],
    })
}

fn per_mode(results: &Results, scenario: &str, cell: &dyn Fn(&Summary) -> Option<String>) -> Vec<String> {
    let of_mode = |mode: &String| cell(&Summary::of(results, scenario, |name| name == mode));
    results.modes.iter().map(|mode| of_mode(mode).unwrap_or_else(|| NOTHING.to_owned())).collect()
}

/// A bar a worker, then the numbers.
fn counts(per_worker: &[u64]) -> String {
    let most = per_worker.iter().copied().max().unwrap_or(0).max(1);
    let mut text: String = per_worker.iter().map(|&count| spark(count, most)).collect();
    for count in per_worker {
        // Writing to a string cannot fail.
        let _ = write!(text, " {count:>3}");
    }
    text
}

fn spark(count: u64, most: u64) -> char {
    match count {
        0 => '·',
        count => SPARKS[((count * 8).div_ceil(most) as usize).clamp(1, 8) - 1],
    }
}

/// An index of dispersion with three digits.
pub fn dispersion(dispersion: f64) -> String {
    match dispersion {
        d if d < 9.995 => format!("{d:.2}"),
        d => format!("{d:.0}"),
    }
}

/// The verdict in one word, as the table has room for it.
pub fn against_chance(verdict: Balanced) -> &'static str {
    match verdict {
        Balanced::BetterThanChance => "better",
        Balanced::ByChance => "as",
        Balanced::WorseThanChance => "worse",
        Balanced::NoData | Balanced::OneWorker => NOTHING,
    }
}

fn latency(summary: &Summary) -> String {
    if let Some(share) = summary.overload() {
        return format!("OVERLOADED {:>2.0}%", share * 100.0);
    }
    format!("{:>6}  {:>6}", millis(summary.quantile_ns(0.5)), millis(summary.quantile_ns(0.99)))
}

/// Nanoseconds as milliseconds with three digits.
pub fn millis(nanos: Option<u64>) -> String {
    let Some(nanos) = nanos else { return NOTHING.to_owned() };
    match nanos as f64 / 1e6 {
        ms if ms < 9.995 => format!("{ms:.2}"),
        ms if ms < 99.95 => format!("{ms:.1}"),
        ms => format!("{ms:.0}"),
    }
}

fn lay_out(groups: &[Group], rows: usize, style: Style) -> String {
    let (mut headings, mut titles) = (String::new(), String::new());
    let mut lines = vec![String::new(); rows];
    for group in groups {
        let mut width = 0;
        for (index, column) in group.columns.iter().enumerate() {
            let gap = if index == 0 { "" } else { " " };
            let cells = column.cells.iter().map(String::as_str);
            let column_width = cells.chain([column.heading]).map(columns_of).max().unwrap_or(0);
            // Writing to a string cannot fail, here and below.
            let _ = write!(titles, "{gap}{}", pad(column.heading, column_width, column.align));
            for (line, cell) in lines.iter_mut().zip(&column.cells) {
                let _ = write!(line, "{gap}{}", pad(cell, column_width, column.align));
            }
            width += column_width + gap.len();
        }
        let spare = columns_of(&group.heading).saturating_sub(width);
        headings.push_str(&pad(&group.heading, width, Align::Left));
        for line in lines.iter_mut().chain([&mut titles]) {
            line.push_str(&" ".repeat(spare));
        }
        for line in lines.iter_mut().chain([&mut titles, &mut headings]) {
            line.push_str("  ");
        }
    }
    let head = [headings, titles].map(|line| paint(line.trim_end(), "1", style));
    let rows = lines.iter().map(|line| emphasize(line.trim_end(), style));
    head.into_iter().chain(rows).map(|line| line + "\n").collect()
}

fn pad(text: &str, width: usize, align: Align) -> String {
    let fill = " ".repeat(width.saturating_sub(columns_of(text)));
    match align {
        Align::Left => format!("{text}{fill}"),
        Align::Right => format!("{fill}{text}"),
    }
}

/// Every character that the lab prints is one column wide.
fn columns_of(text: &str) -> usize {
    text.chars().count()
}

fn emphasize(line: &str, style: Style) -> String {
    line.replace("OVERLOADED", &paint("OVERLOADED", "31", style))
}

fn paint(text: &str, code: &str, style: Style) -> String {
    match style {
        Style::Plain => text.to_owned(),
        Style::Coloured => format!("\x1b[{code}m{text}\x1b[0m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn the_table_fits_a_hundred_columns_and_has_a_line_for_each_mode() {
        let table = render(&fixture::results(), Style::Plain);
        for line in table.lines() {
            assert!(columns_of(line) <= 100, "{} columns: {line}", columns_of(line));
        }
        assert_eq!(table.lines().count(), 2 + fixture::results().modes.len());
        let exclusive = table.lines().find(|line| line.starts_with("exclusive/level")).unwrap();
        for part in ["█··· 800   0   0   0", "worse", "OVERLOADED 38%"] {
            assert!(exclusive.contains(part), "{part:?} is not in {exclusive}");
        }
    }

    #[test]
    fn columns_stand_under_their_headings() {
        let table = render(&fixture::results(), Style::Plain);
        let lines: Vec<Vec<char>> = table.lines().map(|line| line.chars().collect()).collect();
        let title: String = lines[1].iter().collect();
        let at = title
            .chars()
            .collect::<Vec<_>>()
            .windows(5)
            .position(|w| w.iter().collect::<String>() == "disp.");
        let end = at.unwrap() + 5;
        for line in &lines[2..] {
            assert!(
                line[end - 1].is_ascii_digit() && line[end] == ' ',
                "{}",
                line.iter().collect::<String>()
            );
        }
    }

    #[test]
    fn without_a_terminal_there_is_no_colour() {
        assert!(!render(&fixture::results(), Style::Plain).contains('\x1b'));
        assert!(render(&fixture::results(), Style::Coloured).contains("\x1b[31mOVERLOADED"));
    }

    #[test]
    fn sentences_are_broken_between_words() {
        let text = "word ".repeat(50);
        let wrapped = wrap(text.trim_end(), "• ", "  ");
        assert!(wrapped.lines().all(|line| columns_of(line) <= WIDTH));
        assert_eq!(wrapped.split_whitespace().count(), 51);
        assert!(wrapped.starts_with("• word") && wrapped.contains("\n  word"));
    }

    #[test]
    fn too_few_samples_are_a_dash() {
        assert_eq!(millis(None), "–");
        assert_eq!(
            [9_994_000, 12_340_000, 1_234_000_000].map(|ns| millis(Some(ns))),
            ["9.99", "12.3", "1234"]
        );
    }

    #[test]
    fn a_bar_tells_nothing_from_little() {
        assert_eq!(counts(&[400, 1, 0, 200]), "█▁·▄ 400   1   0 200");
        assert_eq!(counts(&[0, 0]), "··   0   0");
    }
}
