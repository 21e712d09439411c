//! `report.html`: one file, no network, no script; light and dark by the reader's preference.
//!
//! Its order is that of a reader's questions: what was found, who gets the connections, is the difference real;
//! then each scenario with all that its trials showed; then under which circumstances. Everything is drawn from
//! [`Results`], and a chart that would have nothing to show isn't there. A page is at most [`BYTES_MAX`] long: of a
//! large run, what matters least is left out until it is.

mod bars;
mod connections;
pub mod figures;
mod forest;
mod head;
mod honesty;
mod html;
mod spectrum;
mod sweep;
mod syscalls;
mod tables;
mod time;
mod trials;
pub mod view;

use evenkeel::measure::page::{document, escape};

use super::{results::Results, verdict};
use head::Shown;
use view::View;

const STYLE: &str = include_str!("style.css");

/// What a page may take: a mail, a review tool and a slow line all carry it.
pub const BYTES_MAX: usize = 500_000;

/// So many scenarios are open; where there are more, each is folded up and the page has a table of contents.
const OPEN_MAX: usize = 3;

/// How much is drawn. What is left out is in `results.json` and in the raw reports beside the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// All, and the results as JSON.
    All,
    /// No JSON.
    Drawn,
    /// Of the charts that show a single trial, those of the first mode of each column.
    Less,
    /// None of those.
    Least,
    /// No more than who gets the connections, who waits, and whether that is real.
    Bare,
}

/// The page of a run.
pub fn render(results: &Results) -> String {
    let details = [Detail::All, Detail::Drawn, Detail::Less, Detail::Least, Detail::Bare];
    let mut pages = details.into_iter().map(|detail| drawn(results, detail));
    // The last one is what is left where nothing is short enough.
    pages.find(|page| page.len() <= BYTES_MAX).unwrap_or_else(|| drawn(results, Detail::Bare))
}

fn drawn(results: &Results, detail: Detail) -> String {
    let title = format!("evenkeel-lab {} · {}", results.suite, results.started);
    let agreement = verdict::agreement(results);
    let mut warnings = results.warnings();
    warnings.extend(agreement.as_ref().err().map(|warning| ("COUNTS DISAGREE", warning.clone())));
    let views: Vec<View> = results.scenarios.iter().map(|note| View::new(results, note, detail)).collect();
    let views: Vec<View> = views.into_iter().filter(|view| !view.columns.is_empty()).collect();
    let folded = views.len() > OPEN_MAX;
    let mut body = head::header(results, &warnings);
    let (glance, shown) = head::glance(&views, results);
    body += &glance;
    if folded {
        body += &head::contents(&views, results);
    }
    for view in &views {
        body += &scenario(view, results, &shown, folded);
    }
    body += &honesty::section(results, &agreement.unwrap_or_else(|warning| warning));
    if detail >= Detail::Less {
        body += "<p class=\"note\">To keep this page short, some charts are left out, those of single trials first; \
                 what they would show is in raw/ beside it.</p>\n";
    }
    let data = (detail == Detail::All).then(|| serde_json::to_string(results).ok()).flatten();
    document(&title, STYLE, &body, data.as_deref())
}

/// All that the trials of a scenario showed.
fn scenario(view: &View, results: &Results, shown: &Shown, folded: bool) -> String {
    let name = &*view.note.name;
    let bars = (shown.bars.as_deref() != Some(name)).then(|| bars::connections(view)).flatten();
    let plots = forest::plots(view, &results.comparisons);
    let is_shown = |plot: &forest::Plot| shown.plots.contains(&(plot.scenario.clone(), plot.figure.clone()));
    let plots = plots.into_iter().filter(|plot| !is_shown(plot)).map(|plot| plot.html);
    let forest = html::charts("Is the difference real?", forest::NOTE, plots);
    let swept = view.note.sweep.is_some();
    let charts = [
        bars,
        forest,
        sweep::panels(view),
        // Percentiles of all steps together would mean nothing.
        (!swept).then(|| spectrum::panels(view)).flatten(),
        bars::busy(view),
        syscalls::chart(view),
        time::imbalance(view),
        time::workers(view),
        (!swept).then(|| time::latency(view)).flatten(),
        (!swept).then(|| connections::panels(view)).flatten(),
        trials::panels(view),
        tables::figures(view).map(|table| html::details("The figures of each mode", &table)),
        forest::numbers(view, &results.comparisons).map(|table| html::details("The comparisons", &table)),
    ];
    let charts: String = charts.into_iter().flatten().collect();
    let heading = &view.note.heading;
    let heading = if heading.starts_with(name) { heading.clone() } else { format!("{name}: {heading}") };
    let claims = head::claims(results.claims.iter().filter(|claim| claim.scenario == name));
    let said = head::said(results, name);
    let about = format!(
        "<p>{}</p>\n<p class=\"note\">{}</p>\n<p class=\"note\">{}</p>\n{claims}{said}",
        escape(&sentence(&view.note.reveals)),
        escape(&sentence(&view.note.parameters)),
        escape(&source(&view.note.source)),
    );
    let id = escape(name);
    let heading = escape(&heading);
    if !folded {
        return format!("<section id=\"{id}\">\n<h2>{heading}</h2>\n{about}{charts}</section>\n");
    }
    let tallied =
        head::tallied(results, name).map(|(text, kind)| html::badge(&text, kind)).unwrap_or_default();
    format!(
        "<section id=\"{id}\">\n<details class=\"scenario\"><summary><h2>{heading} {tallied}</h2></summary>\n\
         {about}{charts}</details>\n</section>\n"
    )
}

fn source(source: &str) -> String {
    if source.is_empty() { String::new() } else { format!("After {}", sentence(source)) }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().collect::<String>()).unwrap_or_default();
    let end = if text.is_empty() || text.ends_with('.') { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}
