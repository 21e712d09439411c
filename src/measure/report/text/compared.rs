//! Two reports side by side, for human eyes.

use super::{
    page::{Page, Span, Style, held},
    table::{Column, Table},
};
use crate::{
    config::units::{show_count, show_nanos},
    measure::{
        Report,
        report::{
            compare::{Diff, Figure, Side, plain},
            round::to_digits,
        },
    },
};

impl Diff {
    /// The comparison as text, no line of which is longer than `width` characters; with `colour`, in ANSI colours.
    pub fn to_text(&self, width: usize, colour: bool) -> String {
        let widths = Report::TEXT_WIDTHS;
        let mut page = Page::new(width.clamp(*widths.start(), *widths.end()), colour);
        side("A", &self.a, &mut page);
        side("B", &self.b, &mut page);
        page.gap();
        settings(self, &mut page);
        page.gap();
        let mut table = Table::new(vec![
            Column::left("figure"),
            Column::right("A"),
            Column::right("B"),
            Column::right("B/A"),
        ]);
        for figure in &self.figures {
            let ratio = figure.ratio.map_or_else(|| "–".into(), times);
            let cells = [figure.name.clone(), value(figure, figure.a), value(figure, figure.b), ratio];
            table.row(Style::Plain, cells.map(Into::into).into());
        }
        table.print(&mut page);
        page.gap();
        page.paragraph(2, &[Span::new(Style::Strong, "No verdict:"), Span::plain(self.note.clone())]);
        page.into_text()
    }
}

fn side(name: &str, side: &Side, page: &mut Page) {
    let Side { file, version, started, duration_s, machine, config } = side;
    let length = held(show_nanos(duration_s * 1e9));
    let (workers, cpus) =
        (held(format!("{} workers", config.workers)), held(format!("{} CPUs", machine.cpus)));
    let told =
        format!("{file} · {started} · {length} · {workers} · Linux {}, {cpus} · {version}", machine.kernel);
    page.paragraph(2, &[Span::new(Style::Strong, name), Span::plain(told)]);
}

fn settings(diff: &Diff, page: &mut Page) {
    let unlike: Vec<String> = diff
        .differs
        .iter()
        .map(|it| format!("{} ({} and {})", it.setting, plain(&it.a), plain(&it.b)))
        .collect();
    page.paragraph(
        2,
        &[Span::plain(match unlike.is_empty() {
            true => "Their settings are the same.".to_owned(),
            false => format!("They differ in {}.", unlike.join(", ")),
        })],
    );
}

fn value(figure: &Figure, value: Option<f64>) -> String {
    match (value, figure.unit.as_str()) {
        (None, _) => "–".to_owned(),
        (Some(ns), "ns") => show_nanos(ns),
        (Some(count), _) if count >= 1_000.0 || count.fract() == 0.0 => show_count(count),
        (Some(number), _) => to_digits(number, 3).to_string(),
    }
}

fn times(ratio: f64) -> String {
    match ratio {
        r if r >= 1_000.0 => format!("×{}", show_count(r)),
        r if r >= 99.95 => format!("×{r:.0}"),
        r if r >= 9.995 => format!("×{r:.1}"),
        r if r >= 0.0995 => format!("×{r:.2}"),
        r => format!("×{}", to_digits(r, 2)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::report::samples;

    #[test]
    fn each_figure_has_a_line_and_no_verdict() {
        let (a, b) = (samples::private(), samples::exclusive());
        let text = Diff::new(("a.json", &a), ("b.json", &b)).to_text(80, false);
        for line in [
            "A a.json · 2026-03-01T12:00:00.000Z · 10.0 s · 4 workers · ",
            "They differ in accept (private and exclusive)",
            "figure  ",
            "balance.accepted.max_over_mean",
            "  1.07        3.9  ×3.64",
            "No verdict: Two runs cannot tell",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(!text.to_lowercase().contains("significant") && !text.contains("better"), "{text}");
    }

    #[test]
    fn ratios_have_the_digits_that_matter() {
        let shown = [0.0, 0.001_23, 0.5, 1.0, 12.34, 123_456.0].map(times);
        assert_eq!(shown, ["×0", "×0.0012", "×0.50", "×1.00", "×12.3", "×123 k"]);
    }
}
