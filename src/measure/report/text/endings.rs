//! How proxied sessions ended, the most frequent way first, in letters and in words.

use super::{
    page::{Page, Span, Style, held},
    percent,
};
use crate::{config::units::show_count, measure::Report};

/// There are fewer codes than this, but a file may say anything.
const ROWS_MAX: usize = 40;

/// The columns before the words.
const INDENT: usize = 24;

pub(super) fn print(report: &Report, page: &mut Page) {
    let ends = report.ends.by_count();
    if ends.is_empty() {
        return;
    }
    page.line(&[Span::new(Style::Faint, row("ending", "sessions", "share") + "what happened")]);
    let total = report.ends.total() as f64;
    for (letters, code, count) in ends.iter().take(ROWS_MAX) {
        let meaning =
            code.map_or_else(|| "a code that this version doesn't know".to_owned(), |code| code.meaning());
        let share = percent(*count as f64, total);
        let figures = held(row(letters, &show_count(*count as f64), &share));
        page.paragraph(INDENT, &[Span::plain(figures + &meaning)]);
    }
}

fn row(ending: &str, sessions: &str, share: &str) -> String {
    format!("{ending:<6}{sessions:>10}{share:>6}  ")
}
