//! Tables that fit the page: columns as wide as they must be, bars that share what is left, and, where even
//! that isn't there, fewer columns.

use super::page::{Page, Span, Style, width_of};

/// A column: its head, and how it behaves.
pub(super) struct Column {
    head: &'static str,
    /// A title over neighbouring columns that share it.
    group: &'static str,
    kind: Kind,
    /// Columns that the page has no room for are left out in this order, the largest first; 0 stays.
    expendable: u8,
    width_min: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Left,
    Right,
    Bar,
}

impl Column {
    pub(super) const fn left(head: &'static str) -> Self {
        Self { head, group: "", kind: Kind::Left, expendable: 0, width_min: 0 }
    }

    pub(super) const fn right(head: &'static str) -> Self {
        Self { kind: Kind::Right, ..Self::left(head) }
    }

    pub(super) const fn bar() -> Self {
        Self { kind: Kind::Bar, ..Self::left("") }
    }

    pub(super) const fn under(self, group: &'static str) -> Self {
        Self { group, ..self }
    }

    pub(super) const fn expendable(self, order: u8) -> Self {
        Self { expendable: order, ..self }
    }

    pub(super) const fn at_least(self, width_min: usize) -> Self {
        Self { width_min, ..self }
    }

    /// Blanks before it: a bar is close to the number that it shows.
    fn gap(&self) -> usize {
        if self.kind == Kind::Bar { 1 } else { 2 }
    }
}

/// What stands in a column.
pub(super) enum Cell {
    Text(String),
    /// A part of the whole, 0 to 1.
    Bar(f64),
    Nothing,
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// Columns and rows; every row has a cell for each column.
pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<(Style, Vec<Cell>)>,
}

const BAR_MIN: usize = 4;
const BAR_MAX: usize = 16;

impl Table {
    pub(super) fn new(columns: Vec<Column>) -> Self {
        Self { columns, rows: Vec::new() }
    }

    pub(super) fn row(&mut self, style: Style, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push((style, cells));
    }

    /// Puts the table on the page, less the columns that don't fit.
    pub(super) fn print(&self, page: &mut Page) {
        let layout = self.layout(page.width);
        if layout.iter().any(|&(at, _)| !self.columns[at].group.is_empty()) {
            page.line(&self.groups(&layout));
        }
        let head = |column: &Column| Cell::Text(column.head.to_owned());
        let heads: Vec<Cell> = self.columns.iter().map(head).collect();
        page.line(&self.line(&layout, Style::Faint, &heads));
        for (style, cells) in &self.rows {
            page.line(&self.line(&layout, *style, cells));
        }
    }

    /// The columns that stay, by their index, and the width of each.
    fn layout(&self, page_width: usize) -> Vec<(usize, usize)> {
        let mut layout: Vec<_> =
            self.columns.iter().enumerate().map(|(at, column)| (at, self.width(at, column))).collect();
        loop {
            let gaps: usize = layout.iter().skip(1).map(|&(at, _)| self.columns[at].gap()).sum();
            let needed = gaps + layout.iter().map(|&(_, width)| width).sum::<usize>();
            let last = layout.iter().map(|&(at, _)| self.columns[at].expendable).max().unwrap_or(0);
            if needed <= page_width || last == 0 {
                self.stretch_bars(&mut layout, page_width.saturating_sub(needed));
                return layout;
            }
            layout.retain(|&(at, _)| self.columns[at].expendable != last);
        }
    }

    fn width(&self, at: usize, column: &Column) -> usize {
        let cells = self.rows.iter().map(|(_, cells)| match &cells[at] {
            Cell::Text(text) => width_of(text),
            Cell::Bar(_) => BAR_MIN,
            Cell::Nothing => 0,
        });
        cells.max().unwrap_or(0).max(width_of(column.head)).max(column.width_min)
    }

    fn stretch_bars(&self, layout: &mut [(usize, usize)], room: usize) {
        let is_bar = |at: usize| self.columns[at].kind == Kind::Bar;
        let bars = layout.iter().filter(|&&(at, _)| is_bar(at)).count();
        for (at, width) in layout {
            if is_bar(*at) {
                *width = (*width + room / bars).min(BAR_MAX);
            }
        }
    }

    fn line(&self, layout: &[(usize, usize)], style: Style, cells: &[Cell]) -> Vec<Span> {
        let mut spans = Vec::new();
        for (place, &(at, width)) in layout.iter().enumerate() {
            let column = &self.columns[at];
            if place > 0 {
                spans.push(Span::plain(" ".repeat(column.gap())));
            }
            spans.push(match &cells[at] {
                Cell::Bar(part) => Span::new(Style::Bar, format!("{:<width$}", bar(*part, width))),
                Cell::Text(text) if column.kind == Kind::Right => Span::new(style, format!("{text:>width$}")),
                Cell::Text(text) => Span::new(style, format!("{text:<width$}")),
                Cell::Nothing => Span::plain(" ".repeat(width)),
            });
        }
        spans
    }

    /// The line of titles: each centred over its columns, with rules to both sides.
    fn groups(&self, layout: &[(usize, usize)]) -> Vec<Span> {
        let mut text = String::new();
        let group = |&(at, _): &(usize, usize)| self.columns[at].group;
        let gap = |&(at, _): &(usize, usize)| self.columns[at].gap();
        for columns in layout.chunk_by(|a, b| group(a) == group(b)) {
            let gaps: usize = columns[1..].iter().map(gap).sum();
            let width = gaps + columns.iter().map(|&(_, width)| width).sum::<usize>();
            if !text.is_empty() {
                text.push_str(&" ".repeat(gap(&columns[0])));
            }
            text.push_str(&match group(&columns[0]) {
                "" => " ".repeat(width),
                title => format!("{:─^width$}", format!(" {title} ")),
            });
        }
        vec![Span::new(Style::Faint, text)]
    }
}

/// A bar of eighths; whatever isn't nothing can be seen.
fn bar(part: f64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let part = if part.is_nan() { 0.0 } else { part.clamp(0.0, 1.0) };
    let eighths = (part * width as f64 * 8.0).round() as usize;
    let eighths = if part > 0.0 { eighths.max(1) } else { 0 };
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(table: &Table, width: usize) -> String {
        let mut page = Page::new(width, false);
        table.print(&mut page);
        page.into_text()
    }

    fn table() -> Table {
        let mut table = Table::new(vec![
            Column::left("name"),
            Column::right("n"),
            Column::bar(),
            Column::right("extra").expendable(1).under("more"),
            Column::right("x").expendable(2).under("more"),
        ]);
        let row = |name: &str, n: u32, part| {
            [name.to_owned(), n.to_string()]
                .map(Cell::Text)
                .into_iter()
                .chain([Cell::Bar(part), Cell::Text("0.1".into()), Cell::Text("7".into())])
                .collect()
        };
        table.row(Style::Plain, row("a", 10, 1.0));
        table.row(Style::Plain, row("bc", 5, 0.5));
        table
    }

    #[test]
    fn bars_take_what_is_left() {
        assert_eq!(
            print(&table(), 30),
            "                      ─ more ─\n\
             name   n              extra  x\n\
             a     10 ███████████    0.1  7\n\
             bc     5 █████▌         0.1  7\n"
        );
    }

    #[test]
    fn a_narrow_page_has_fewer_columns() {
        assert_eq!(print(&table(), 13), "name   n\na     10 ████\nbc     5 ██\n");
        assert!(print(&table(), 20).contains("extra") && !print(&table(), 20).contains(" x"));
    }

    #[test]
    fn a_bar_shows_whatever_is_not_nothing() {
        assert_eq!(
            (bar(0.0, 4), bar(1e-9, 4), bar(0.5, 3), bar(1.0, 2)),
            ("".into(), "▏".into(), "█▌".into(), "██".into())
        );
        assert_eq!((bar(f64::NAN, 4), bar(9.0, 2), bar(-1.0, 2)), ("".into(), "██".into(), "".into()));
    }
}
