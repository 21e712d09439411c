//! `report.html`: one file, no network, no script; light and dark by the reader's preference.
//!
//! Its order is that of a reader's questions: what was found, who gets the connections, is the difference real;
//! then each scenario with all that its trials showed; then under which circumstances. Everything is drawn from
//! [`Results`], and a chart that would have nothing to show isn't there. A page is at most [`BYTES_MAX`] long: of a
//! large run, what matters least is left out until it is, and each scenario has a page of its own beside the first.

mod bars;
mod connections;
mod evenness;
pub mod figures;
mod forest;
mod head;
mod honesty;
mod html;
#[cfg(test)]
mod sample;
mod spectrum;
mod sweep;
mod syscalls;
mod tables;
mod time;
mod trials;
pub mod view;

use evenkeel::measure::page::{document, escape};

use super::{
    results::{Results, ScenarioNote},
    verdict,
};
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
    /// No more than who gets the connections, who waits, and whether that is real; no single rounds.
    Bare,
    /// Below the first screen, figures alone.
    Words,
}

/// A file of the report.
#[derive(Debug)]
pub struct Page {
    pub name: String,
    pub html: String,
}

/// The page of a run; of one with many scenarios, a page of each besides, with all that doesn't fit in the first.
pub fn pages(results: &Results) -> Vec<Page> {
    let ran = |name: &str| results.trials.iter().any(|trial| trial.scenario == name);
    let notes: Vec<_> = results.scenarios.iter().filter(|note| ran(&note.name)).collect();
    if notes.len() <= OPEN_MAX {
        return vec![Page { name: "report.html".to_owned(), html: render(results) }];
    }
    let own = |note: &&ScenarioNote| Page { name: file_name(&note.name), html: page_of(results, note) };
    let first = fitting(|detail, most| drawn(results, detail, true, most));
    std::iter::once(Page { name: "report.html".to_owned(), html: first })
        .chain(notes.iter().map(own))
        .collect()
}

/// The page of a run, without links to others.
pub fn render(results: &Results) -> String {
    fitting(|detail, most| drawn(results, detail, false, most))
}

/// Where the page of a scenario is, beside the first one.
fn file_name(scenario: &str) -> String {
    format!("report-{scenario}.html")
}

/// As much as fits. What is drawn may end as soon as it is longer than it is told: it won't be shown.
fn fitting(draw: impl Fn(Detail, usize) -> String) -> String {
    let details = [Detail::All, Detail::Drawn, Detail::Less, Detail::Least, Detail::Bare];
    let mut pages = details.into_iter().map(|detail| draw(detail, BYTES_MAX));
    pages.find(|page| page.len() <= BYTES_MAX).unwrap_or_else(|| draw(Detail::Words, usize::MAX))
}

/// The page of one scenario.
fn page_of(results: &Results, note: &ScenarioNote) -> String {
    fitting(|detail, _| {
        let view = View::new(results, note, detail);
        let back = "<p><a href=\"report.html\">All scenarios of this run</a></p>\n";
        let section = scenario(&view, results, &Shown::default(), false);
        let title = format!("evenkeel-lab {} · {} · {}", results.suite, note.name, results.started);
        document(&title, STYLE, &format!("{back}{section}{}", left_out(detail)), None)
    })
}

fn left_out(detail: Detail) -> &'static str {
    if detail < Detail::Less {
        return "";
    }
    "<p class=\"note\">To keep this page short, some charts are left out, those of single trials first; what they \
     would show is in raw/ beside it.</p>\n"
}

fn drawn(results: &Results, detail: Detail, linked: bool, most: usize) -> String {
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
        body += &head::contents(&views, results, linked);
    }
    for view in &views {
        if body.len() <= most {
            body += &scenario(view, results, &shown, folded);
        }
    }
    body += &honesty::section(results, &agreement.unwrap_or_else(|warning| warning));
    body += left_out(detail);
    let data = (detail == Detail::All).then(|| serde_json::to_string(results).ok()).flatten();
    document(&title, STYLE, &body, data.as_deref())
}

/// All that the trials of a scenario showed.
fn scenario(view: &View, results: &Results, shown: &Shown, folded: bool) -> String {
    let name = &*view.note.name;
    let evenness =
        evenness::measures(view).map(|table| format!("<p class=\"note\">{}</p>\n{table}", evenness::NOTE));
    let tables = [
        evenness.map(|table| html::details("Each measure of balance, beside chance", &table)),
        tables::figures(view).map(|table| html::details("The figures of each mode", &table)),
        forest::numbers(view, &results.comparisons).map(|table| html::details("The comparisons", &table)),
    ];
    let charts: String = tables.into_iter().flatten().collect();
    let charts =
        if view.detail < Detail::Words { self::charts(view, results, shown) + &charts } else { charts };
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

fn charts(view: &View, results: &Results, shown: &Shown) -> String {
    let is_shown = |plot: &forest::Plot| shown.plots.contains(&(plot.scenario.clone(), plot.figure.clone()));
    let plots = forest::plots(view, &results.comparisons).into_iter();
    let plots = plots.filter(|plot| !is_shown(plot)).map(|plot| plot.html);
    let swept = view.note.sweep.is_some();
    let charts = [
        (shown.bars.as_ref() != Some(&view.note.name)).then(|| bars::connections(view)).flatten(),
        html::charts("Is the difference real?", forest::NOTE, plots),
        sweep::panels(view),
        // Percentiles of all steps together would mean nothing, and so would what happened at one of them.
        (!swept).then(|| spectrum::panels(view)).flatten(),
        bars::busy(view),
        syscalls::chart(view),
        time::imbalance(view),
        time::workers(view),
        (!swept).then(|| time::latency(view)).flatten(),
        (!swept).then(|| connections::panels(view)).flatten(),
        trials::panels(view),
    ];
    charts.into_iter().flatten().collect()
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The charts of the sample, as they were when somebody last looked at them. `UPDATE_GOLDEN=1` writes them anew.
    #[test]
    fn charts_are_as_they_were_when_they_were_looked_at() {
        let results = sample::results();
        let views: Vec<_> =
            results.scenarios.iter().map(|note| View::new(&results, note, Detail::All)).collect();
        let mut drawn = head::glance(&views, &results).0;
        drawn += &scenario(&views[1], &results, &Shown::default(), false);
        drawn += &sweep::panels(&views[2]).unwrap();
        // An element a line, so that a difference can be read.
        let drawn = drawn.replace("><", ">\n<");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/lab/page/golden.html");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &drawn).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap();
        let differs = golden.lines().zip(drawn.lines()).find(|(golden, drawn)| golden != drawn);
        assert!(golden == drawn, "look at the page, then run with UPDATE_GOLDEN=1: {differs:#?}");
    }

    #[test]
    fn the_page_is_one_file_with_every_chart() {
        let page = render(&sample::results());
        for outside in ["src=", "url(", "@import", "http"] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert_eq!(
            page.matches("href=").count(),
            page.matches("href=\"#").count(),
            "links stay within the page"
        );
        for heading in [
            "Who gets the connections",
            "Is the difference real?",
            "Who waits",
            "How busy each worker was",
            "What a message costs",
            "Imbalance over time",
            "Who holds the connections",
            "When answers were slow",
            "latency its worker",
            "Every trial",
            "The sweep",
            "Each measure of balance, beside chance",
            "The figures of each mode",
            "The comparisons",
            "Disturbances",
            "Settings",
        ] {
            assert!(page.contains(heading), "{heading} is missing");
        }
        assert!(page.contains("--seed 7 &lt;&amp;&gt;"), "text is escaped");
        assert!(page.len() < BYTES_MAX, "{} bytes", page.len());
    }

    #[test]
    fn every_element_that_is_opened_is_closed() {
        let page = render(&sample::results());
        for element in [
            "main", "section", "figure", "svg", "title", "desc", "table", "tr", "td", "th", "dl", "div",
            "ul", "li", "text", "details", "g", "h2", "h3", "p", "span",
        ] {
            let opened =
                page.matches(&format!("<{element}>")).count() + page.matches(&format!("<{element} ")).count();
            assert_eq!(opened, page.matches(&format!("</{element}>")).count(), "{element}");
        }
    }

    #[test]
    fn names_within_the_page_are_there_once() {
        let page = render(&sample::results());
        let ids: Vec<_> = page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        for id in &ids {
            assert_eq!(ids.iter().filter(|other| *other == id).count(), 1, "{id}");
        }
        for target in page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(ids.contains(&target), "{target} leads nowhere");
        }
    }

    #[test]
    fn every_drawing_has_a_title_and_every_axis_of_time_a_unit() {
        let page = render(&sample::results());
        for drawing in page.split("<svg ").skip(1).filter(|drawing| drawing.contains("role=\"img\"")) {
            let title = drawing.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next());
            assert!(title.is_some_and(|title| title.len() > 5), "{}", &drawing[..200.min(drawing.len())]);
        }
        for text in page.split("class=\"axis-title").skip(1).filter_map(|rest| rest.split(&['>', '<']).nth(1))
        {
            let needs_unit =
                text.starts_with("time ") || ["p99", "response"].iter().any(|it| text.contains(it));
            let has_unit = [", s", ", ms", "times the baseline's"].iter().any(|unit| text.ends_with(unit));
            assert!(!needs_unit || has_unit, "{text}");
        }
    }

    #[test]
    fn a_long_page_leaves_out_what_matters_least() {
        let mut results = sample::results();
        let (notes, trials) = (results.scenarios.clone(), results.trials.clone());
        for copy in 0..6 {
            let name = |name: &str| format!("{name}-{copy}");
            let note = notes
                .iter()
                .map(|note| crate::results::ScenarioNote { name: name(&note.name), ..note.clone() });
            results.scenarios.extend(note);
            let trial =
                trials.iter().map(|it| crate::results::Trial { scenario: name(&it.scenario), ..it.clone() });
            results.trials.extend(trial);
        }
        let details = [Detail::All, Detail::Drawn, Detail::Less, Detail::Least, Detail::Bare, Detail::Words];
        let lengths = details.map(|detail| drawn(&results, detail, false, usize::MAX).len());
        assert!(lengths.windows(2).all(|pair| pair[0] > pair[1]), "{lengths:?}");
        let page = render(&results);
        assert!(page.len() <= BYTES_MAX && page.contains("left out"), "{} bytes", page.len());

        let pages = pages(&results);
        assert_eq!(pages.len(), 1 + results.scenarios.len());
        assert!(pages.iter().all(|page| page.html.len() <= BYTES_MAX));
        for Page { name, .. } in &pages[1..] {
            assert!(pages[0].html.contains(&format!("href=\"{name}\"")), "{name} is not linked");
        }
        assert!(pages[1].html.contains("When answers were slow"), "what the first page leaves out is there");
    }

    #[test]
    fn a_short_run_has_one_page() {
        let pages = pages(&sample::results());
        assert_eq!(pages.iter().map(|page| &*page.name).collect::<Vec<_>>(), ["report.html"]);
    }

    #[test]
    fn a_run_that_was_interrupted_early_has_a_page_too() {
        let mut results = sample::results();
        results.trials.truncate(1);
        results.interrupted = true;
        assert!(render(&results).contains("INTERRUPTED"));
        results.trials.clear();
        assert!(render(&results).contains("Circumstances"));
    }
}
