//! The runs that a report is the sum of.

use super::{
    headline::counted,
    page::{Page, Span, Style},
    table::{Cell, Column, Table},
};
use crate::{
    config::units::{show_count, show_nanos},
    measure::{
        Report,
        balance::Verdict,
        report::{Machine, Part},
    },
};

/// More rows than this hide what the page is about.
const ROWS_MAX: usize = 32;

pub(super) fn print(report: &Report, page: &mut Page) {
    if report.merged.is_empty() {
        return;
    }
    let mut columns = vec![
        Column::left("run"),
        Column::right("began").expendable(3),
        Column::right("time"),
        Column::right("connections"),
        Column::right("max/mean"),
        Column::left("by chance?"),
    ];
    let several_machines = report.merged.windows(2).any(|pair| pair[0].machine != pair[1].machine);
    columns.extend(several_machines.then(|| Column::left("machine").expendable(2)));
    let mut table = Table::new(columns);
    for part in report.merged.iter().take(ROWS_MAX) {
        let mut cells = row(part);
        cells.extend(several_machines.then(|| machine(&part.machine).into()));
        table.row(Style::Plain, cells);
    }
    table.print(page);
    if report.merged.len() > ROWS_MAX {
        let rest = format!("… and {} more", report.merged.len() - ROWS_MAX);
        page.paragraph(2, &[Span::new(Style::Faint, rest)]);
    }
}

fn row(part: &Part) -> Vec<Cell> {
    [
        shortened(&part.file),
        part.started.clone(),
        show_nanos(part.duration_s * 1e9),
        show_count(part.accepted as f64),
        format!("{:.2}", part.max_over_mean),
        part.verdict.unwrap_or(Verdict::NoData).to_string(),
    ]
    .map(Cell::Text)
    .into()
}

fn machine(machine: &Machine) -> String {
    format!("Linux {}, {}", machine.kernel, counted(machine.cpus as u64, "CPU"))
}

/// The end of a long path, which tells more than its beginning.
fn shortened(file: &str) -> String {
    const COLUMNS_MAX: usize = 28;
    let length = file.chars().count();
    match length > COLUMNS_MAX {
        true => "…".to_owned() + &file.chars().skip(length - COLUMNS_MAX + 1).collect::<String>(),
        false => file.to_owned(),
    }
}
