//! Where connections were forwarded to: each upstream's share, what failed, and how its sessions ended.

use super::{
    headline::show_bytes,
    page::{Page, Span, Style},
    table::{Cell, Column, Table},
};
use crate::{
    config::units::show_count,
    measure::{
        Report, UpstreamCounts,
        ledger::Ends,
        report::{Service, Upstream},
    },
};

/// More rows than this hide what the page is about; the rest is counted in a line.
const ROWS_MAX: usize = 32;

/// Longer addresses would leave no room for figures.
const ADDRESS_COLUMNS_MAX: usize = 32;

/// So many ways to end are told of each upstream, the most frequent ones.
const ENDS_MAX: usize = 3;

pub(super) fn print(report: &Report, page: &mut Page) {
    if report.upstreams.is_empty() {
        return;
    }
    let shown = Shown::of(report);
    let mut table = Table::new(shown.columns());
    let most = report.upstreams.iter().map(|upstream| upstream.counts.connected).max().unwrap_or(0) as f64;
    for upstream in report.upstreams.iter().take(ROWS_MAX) {
        let head = [
            shortened(&upstream.address),
            upstream.service.clone(),
            upstream.weight.to_string(),
            shortened(&upstream.state),
        ];
        table.row(
            Style::Plain,
            shown.row(head, &upstream.counts, Cell::Bar(upstream.counts.connected as f64 / most)),
        );
    }
    if report.upstreams.len() > 1 {
        let head = ["all".to_owned(), String::new(), String::new(), String::new()];
        table.row(Style::Strong, shown.row(head, &sum(&report.upstreams), Cell::Nothing));
    }
    table.print(page);
    if report.upstreams.len() > ROWS_MAX {
        let rest =
            format!("… and {} more; all of them are in the JSON report", report.upstreams.len() - ROWS_MAX);
        page.paragraph(2, &[Span::new(Style::Faint, rest)]);
    }
}

/// Columns that say the same in every row are left out.
struct Shown {
    services: bool,
    weights: bool,
    states: bool,
}

impl Shown {
    fn of(report: &Report) -> Self {
        let forwards = |service: &&Service| !service.forward.is_empty();
        let weights = report.upstreams.windows(2).any(|pair| pair[0].weight != pair[1].weight);
        // Reports of old don't tell.
        let states = report.upstreams.iter().any(|upstream| !matches!(&*upstream.state, "" | "up"));
        Self { services: report.services.iter().filter(forwards).count() > 1, weights, states }
    }

    fn columns(&self) -> Vec<Column> {
        let mut columns = vec![Column::left("upstream")];
        columns.extend(self.services.then(|| Column::left("service").expendable(4)));
        columns.extend(self.weights.then(|| Column::right("weight").expendable(3)));
        columns.extend(self.states.then(|| Column::left("state")));
        columns.extend([
            Column::right("connected"),
            Column::bar(),
            Column::right("active").expendable(1),
            Column::right("failed"),
            Column::right("to").expendable(2),
            Column::right("from").expendable(2),
            Column::left("endings").expendable(5),
        ]);
        columns
    }

    fn row(
        &self,
        [address, service, weight, state]: [String; 4],
        counts: &UpstreamCounts,
        bar: Cell,
    ) -> Vec<Cell> {
        let mut cells = vec![Cell::Text(address)];
        cells.extend(self.services.then_some(Cell::Text(service)));
        cells.extend(self.weights.then_some(Cell::Text(weight)));
        cells.extend(self.states.then_some(Cell::Text(state)));
        cells.extend([
            show_count(counts.connected as f64).into(),
            bar,
            show_count(counts.active as f64).into(),
            show_count(counts.failed as f64).into(),
            show_bytes(counts.bytes_to).into(),
            show_bytes(counts.bytes_from).into(),
            most_frequent(&counts.ends).into(),
        ]);
        cells
    }
}

/// The end of an address tells more than its beginning.
fn shortened(address: &str) -> String {
    let over = address.chars().count().saturating_sub(ADDRESS_COLUMNS_MAX);
    if over == 0 {
        address.to_owned()
    } else {
        "…".to_owned() + &address.chars().skip(over + 1).collect::<String>()
    }
}

/// Saturating, because a file that was read may say anything.
fn sum(upstreams: &[Upstream]) -> UpstreamCounts {
    let of = |value: fn(&UpstreamCounts) -> u64| {
        upstreams.iter().fold(0_u64, |sum, upstream| sum.saturating_add(value(&upstream.counts)))
    };
    UpstreamCounts {
        active: of(|counts| counts.active),
        connected: of(|counts| counts.connected),
        failed: of(|counts| counts.failed),
        ejections: of(|counts| counts.ejections),
        bytes_to: of(|counts| counts.bytes_to),
        bytes_from: of(|counts| counts.bytes_from),
        // All endings have a section of their own.
        ends: Ends::default(),
    }
}

/// `CD 341, UD 40, uD 1, 2 more`.
fn most_frequent(ends: &Ends) -> String {
    let ends = ends.by_count();
    let mut parts: Vec<String> = ends
        .iter()
        .take(ENDS_MAX)
        .map(|(letters, _, count)| format!("{letters} {}", show_count(*count as f64)))
        .collect();
    if ends.len() > ENDS_MAX {
        parts.push(format!("{} more", ends.len() - ENDS_MAX));
    }
    parts.join(", ")
}
