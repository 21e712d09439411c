//! The summary in the terminal: a table a scenario, one line a mode, at most 100 columns.
//!
//! A table has the columns for which its trials have values, most important first, as many as fit: who got the
//! connections, whether the load was carried, what is compared, how long messages took, what they cost, and
//! whether the first of these differs from the baseline's.

use std::fmt::Write as _;

use evenkeel::measure::balance::Verdict as Balanced;

use super::{
    page::{
        figures::{Figure, three_digits, times},
        view::{accept, median},
    },
    results::{Call, Comparison, Results, ScenarioNote, Trial},
    summary::Summary,
};

/// What a cell shows where there is nothing to show, or too little.
pub const NOTHING: &str = "–";

/// Columns of the terminal that everything fits in.
const WIDTH: usize = 100;
/// Between two columns.
const GAP: usize = 2;
/// The widest heading of the last column; the legend says what it is.
const CALL_MAX: usize = 18;
/// With more workers than these, their counts are left to the page: bars alone.
const COUNTED_MAX: usize = 4;
/// With more workers than these, a bar stands for several of them.
const BARS_MAX: usize = 24;

const SPARKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Figures with a column of their own, or that one of those tells as well.
const SHOWN: [&str; 7] = [
    "dispersion",
    "switches_per_accept",
    "p50_ns",
    "p99_ns",
    "p999_ns",
    "achieved_share",
    "cpu_ns_per_message",
];

/// Whether the table may use bold type and colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Plain,
    Coloured,
}

/// The tables of a run.
pub fn render(results: &Results, style: Style) -> String {
    let tables = results.scenarios.iter().map(|note| table(results, note, style));
    tables.filter(|table| !table.is_empty()).collect::<Vec<_>>().join("\n")
}

/// What the columns mean.
pub fn legend(results: &Results) -> String {
    let text = format!(
        "Connections: the sum of {}, workers in order of registration. disp.: index of dispersion, chance is 1. \
         chance?: more even (better) or more packed (worse) than chance. switches: the server's context switches per \
         connection. CPU: per message. Latency: from the moment when a message was due, as the client saw it; \
         {NOTHING}: fewer than ten samples beyond. OVERLOADED n%: n % of the offered load was answered in time. Last \
         column: the first figure that is compared, times the baseline's; ▲ higher, ▼ lower, = no difference seen, \
         ? too few rounds.",
        match results.rounds {
            1 => "one round".to_owned(),
            rounds => format!("up to {rounds} rounds"),
        }
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

/// A line of a table: the rounds of a mode, in a sweep at one of its steps.
struct Line<'a> {
    mode: &'a str,
    step: Option<f64>,
    rounds: Summary<'a>,
}

/// What every line may show in one column.
struct Column {
    heading: String,
    align: Align,
    cells: Vec<String>,
}

#[derive(Clone, Copy)]
enum Align {
    Left,
    Right,
}

fn table(results: &Results, note: &ScenarioNote, style: Style) -> String {
    let lines = lines(results, note);
    if lines.is_empty() {
        return String::new();
    }
    let mut columns = vec![Column::of(&lines, "mode", Align::Left, |line| Some(line.name()))];
    columns.extend(balance(note, &lines));
    columns.extend(compared(note, &lines));
    columns.extend(latency(&lines));
    columns.extend(costs(&lines));
    let call = calls(results, note, &lines);
    let columns = fitting(columns, call);
    let rounds = lines.iter().map(|line| line.rounds.trials.len()).max().unwrap_or(0);
    let rounds = if rounds == 1 { "1 round".to_owned() } else { format!("{rounds} rounds") };
    let name = if note.heading.starts_with(&*note.name) { "" } else { &format!("{}: ", note.name) };
    let title = wrap(&format!("{name}{}, {rounds}", note.heading), "", "");
    paint(title.trim_end(), "1", style) + "\n" + &lay_out(&columns, lines.len(), style)
}

fn lines<'a>(results: &'a Results, note: &'a ScenarioNote) -> Vec<Line<'a>> {
    let steps =
        note.sweep.as_ref().map_or_else(|| vec![None], |steps| steps.iter().copied().map(Some).collect());
    let line = |mode: &'a String, step: Option<f64>| {
        let mut rounds = Summary::of(results, &note.name, |name| name == mode);
        rounds.trials.retain(|trial| trial.step == step);
        (!rounds.trials.is_empty()).then_some(Line { mode, step, rounds })
    };
    note.modes.iter().flat_map(|mode| steps.iter().filter_map(move |&step| line(mode, step))).collect()
}

impl Line<'_> {
    fn name(&self) -> String {
        match self.step {
            Some(step) => format!("{} @ {step}", self.mode),
            None => self.mode.to_owned(),
        }
    }

    /// The median of the rounds.
    fn figure(&self, name: &str) -> Option<f64> {
        median(
            self.rounds.trials.iter().filter_map(|trial: &&Trial| trial.figures.get(name).copied()).collect(),
        )
    }
}

impl Column {
    fn of(lines: &[Line], heading: &str, align: Align, cell: impl Fn(&Line) -> Option<String>) -> Self {
        let cells = lines.iter().map(|line| cell(line).unwrap_or_else(|| NOTHING.to_owned())).collect();
        Self { heading: heading.to_owned(), align, cells }
    }

    fn width(&self) -> usize {
        let cells = self.cells.iter().map(|cell| columns_of(cell));
        cells.chain([columns_of(&self.heading)]).max().unwrap_or(0)
    }

    /// Whether any line has something to show.
    fn is_worth_it(&self) -> bool {
        self.cells.iter().any(|cell| cell != NOTHING)
    }
}

/// Who got the connections. Nobody asks with one worker.
fn balance(note: &ScenarioNote, lines: &[Line]) -> Vec<Column> {
    if note.workers < 2 {
        return Vec::new();
    }
    let most = lines.iter().filter_map(|line| line.rounds.balance()?.per_worker.into_iter().max()).max();
    let digits = most.unwrap_or(0).to_string().len();
    let counts = |line: &Line| {
        let balance = line.rounds.balance()?;
        balance.per_worker.iter().any(|&count| count > 0).then(|| counts(&balance.per_worker, digits))
    };
    let verdict = |line: &Line| Some(against_chance(line.rounds.balance()?.verdict?).to_owned());
    let mut columns = vec![Column::of(lines, "connections", Align::Left, counts)];
    // Where there is load there is more to show, and the word says enough.
    if !note.has_load || note.figures.iter().any(|name| name == "dispersion") {
        let index = |line: &Line| Some(dispersion(line.rounds.balance()?.dispersion));
        columns.push(Column::of(lines, "disp.", Align::Right, index));
    }
    columns.push(Column::of(lines, "chance?", Align::Left, verdict));
    if !note.has_load {
        let switches = |line: &Line| Some(format!("{:.1}", line.figure("switches_per_accept")?));
        columns.push(Column::of(lines, "switches", Align::Right, switches));
    }
    columns
}

/// The scenario's figures, those apart that every scenario shows.
fn compared(note: &ScenarioNote, lines: &[Line]) -> Vec<Column> {
    let figures = note.figures.iter().filter(|name| !SHOWN.contains(&name.as_str()));
    let column = |name: &String| {
        let of = Figure::named(name);
        let unit = if of.unit == "per s" { "" } else { of.unit };
        let heading = [&of.short(name), unit].join(" ");
        Column::of(lines, heading.trim_end(), Align::Right, |line| {
            Some(three_digits(of.value(line.figure(name)?)))
        })
    };
    figures.map(column).collect()
}

fn latency(lines: &[Line]) -> Vec<Column> {
    let at = |q: f64| {
        move |line: &Line| match line.rounds.overload() {
            // Said once a line, where the first quantile would be.
            Some(share) if q == 0.5 => Some(format!("OVERLOADED {:.0}%", share * 100.0)),
            Some(_) => None,
            None => line.rounds.quantile_ns(q).map(|nanos| millis(Some(nanos))),
        }
    };
    [("p50 ms", 0.5), ("p99 ms", 0.99), ("p99.9", 0.999)]
        .into_iter()
        .map(|(heading, q)| Column::of(lines, heading, Align::Right, at(q)))
        .collect()
}

fn costs(lines: &[Line]) -> Vec<Column> {
    let cpu = |line: &Line| Some(three_digits(line.rounds.cpu_ns_per_message()? / 1e3));
    vec![Column::of(lines, "CPU µs", Align::Right, cpu)]
}

/// Whether the first figure that was compared differs.
fn calls(results: &Results, note: &ScenarioNote, lines: &[Line]) -> Option<Column> {
    let of_scenario = || results.comparisons.iter().filter(|one| one.scenario == note.name);
    let figure = note.figures.iter().find(|name| of_scenario().any(|one| one.figure == **name))?;
    let call = |line: &Line| {
        // In a run of all accept modes with all triggers, accept modes are compared, not their combinations.
        let names = [line.mode, accept(line.mode)];
        let is_of = |one: &&Comparison| {
            one.figure == *figure && one.step == line.step && names.contains(&one.mode.as_str())
        };
        let one = of_scenario().find(is_of)?;
        let ratio = one.ratio.as_ref().map(|ratio| format!("×{} ", times(ratio.estimate)));
        Some(ratio.unwrap_or_default() + sign(one.call))
    };
    let heading = match format!("{} vs base", Figure::named(figure).short(figure)) {
        long if columns_of(&long) > CALL_MAX => "vs base".to_owned(),
        heading => heading,
    };
    Some(Column::of(lines, &heading, Align::Right, call))
}

fn sign(call: Call) -> &'static str {
    match call {
        Call::Higher => "▲",
        Call::Lower => "▼",
        Call::NoDifferenceSeen => "=",
        Call::TooFewRounds => "?",
    }
}

/// As many columns as there is room for; the last has its place in any case.
fn fitting(columns: Vec<Column>, last: Option<Column>) -> Vec<Column> {
    let last = last.filter(Column::is_worth_it);
    let mut left = WIDTH - last.as_ref().map_or(0, |last| last.width() + GAP);
    let mut fitting: Vec<Column> = Vec::new();
    for column in columns.into_iter().filter(Column::is_worth_it) {
        let width = column.width() + if fitting.is_empty() { 0 } else { GAP };
        if width <= left {
            left -= width;
            fitting.push(column);
        }
    }
    fitting.extend(last);
    fitting
}

/// A bar a worker, then the numbers if they are few.
fn counts(per_worker: &[u64], digits: usize) -> String {
    let per_bar = per_worker.len().div_ceil(BARS_MAX).max(1);
    let bars: Vec<u64> = per_worker.chunks(per_bar).map(|workers| workers.iter().sum()).collect();
    let most = bars.iter().copied().max().unwrap_or(0).max(1);
    let mut text: String = bars.iter().map(|&count| spark(count, most)).collect();
    if per_worker.len() <= COUNTED_MAX {
        for count in per_worker {
            // Writing to a string cannot fail.
            let _ = write!(text, " {count:>digits$}");
        }
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

/// Nanoseconds as milliseconds with three digits.
pub fn millis(nanos: Option<u64>) -> String {
    let Some(nanos) = nanos else { return NOTHING.to_owned() };
    match nanos as f64 / 1e6 {
        ms if ms < 9.995 => format!("{ms:.2}"),
        ms if ms < 99.95 => format!("{ms:.1}"),
        ms => format!("{ms:.0}"),
    }
}

fn lay_out(columns: &[Column], rows: usize, style: Style) -> String {
    let gap = " ".repeat(GAP);
    let join = |cell: &dyn Fn(&Column) -> String| {
        let cells: Vec<_> =
            columns.iter().map(|column| pad(&cell(column), column.width(), column.align)).collect();
        cells.join(&gap).trim_end().to_owned()
    };
    let head = paint(&join(&|column| column.heading.clone()), "2", style);
    let rows = (0..rows).map(|row| emphasize(&join(&|column| column.cells[row].clone()), style));
    std::iter::once(head).chain(rows).map(|line| line + "\n").collect()
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
    fn tables_fit_a_hundred_columns_and_have_a_line_for_each_mode() {
        let results = fixture::results();
        let table = render(&results, Style::Plain);
        for line in table.lines() {
            assert!(columns_of(line) <= 100, "{} columns: {line}", columns_of(line));
        }
        for mode in &results.modes {
            let lines = table.lines().filter(|line| line.split_whitespace().next() == Some(mode)).count();
            assert_eq!(lines, results.scenarios.len(), "{mode}");
        }
        assert!(table.contains("█··· 800   0   0   0") && table.contains("worse"), "{table}");
        assert!(table.contains("OVERLOADED 38%"), "{table}");
    }

    #[test]
    fn columns_stand_under_their_headings() {
        let results = fixture::results();
        let table = table(&results, &results.scenarios[0], Style::Plain);
        let lines: Vec<Vec<char>> = table.lines().map(|line| line.chars().collect()).collect();
        let is_heading = |window: &[char]| window.iter().collect::<String>() == "disp.";
        let end = lines[1].windows(5).position(is_heading).unwrap() + 5;
        for line in &lines[2..] {
            assert!(
                line[end - 1].is_ascii_digit() && line[end] == ' ',
                "{}",
                line.iter().collect::<String>()
            );
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out_but_not_the_last() {
        let column = |width: usize| Column {
            heading: "x".repeat(width),
            align: Align::Left,
            cells: vec!["1".to_owned()],
        };
        let widths = |columns: &[Column]| columns.iter().map(Column::width).collect::<Vec<_>>();
        assert_eq!(
            widths(&fitting(vec![column(60), column(50), column(20)], Some(column(10)))),
            [60, 20, 10]
        );
        let empty = Column { cells: vec![NOTHING.to_owned()], ..column(9) };
        assert_eq!(widths(&fitting(vec![column(1), empty], None)), [1]);
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
        assert_eq!(counts(&[400, 1, 0, 200], 3), "█▁·▄ 400   1   0 200");
        assert_eq!(counts(&[0, 0], 1), "·· 0 0");
        assert_eq!(counts(&[8; 48], 1).chars().count(), 24);
    }
}
