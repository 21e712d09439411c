//! The report as a page: one file, without scripts, that needs no network and serves light and dark.
//!
//! In the order of the text: what ran and what it did, how the workers shared it beside what chance would do, how
//! long things took, where a proxy forwarded to, what went wrong. Each chart's figures stand in a table too. The report
//! itself is kept in the page, as JSON in the element `results`.

mod bars;
mod spectra;
mod tables;

use super::{Report, text};
use crate::measure::{
    balance::Verdict,
    page::{document, escape},
};

const STYLE: &str = "\
.verdict { font-size: 1.15rem; max-width: 62rem; margin: .8rem 0; }
.verdict strong.better { color: var(--good); } .verdict strong.worse { color: var(--alarm); }
h2 { border-top: 1px solid var(--line); padding-top: 1rem; }
.panels { margin: .6rem 0 1rem; align-items: end; }
table.words :is(td, th):last-child { text-align: left; white-space: normal; }
";

impl Report {
    /// The report as an HTML page, complete in itself.
    pub fn to_html(&self) -> String {
        let sections =
            [runs(self), shares(self), latency(self), forwarding(self), besides(self), settings(self)];
        let body = head(self) + &sections.concat();
        let title = format!("{} – evenkeel report", text::headline::services(self));
        // Within a script element, even as data, a name that holds `<!--` and `<script` would hide the element's end.
        let data = self.to_json_line().replace('<', "\\u003c");
        document(&title, STYLE, &body, Some(&data))
    }
}

fn head(report: &Report) -> String {
    let [subject, conditions, work] = text::headline::lines(report);
    format!(
        "<header>\n<h1>{}</h1>\n<p class=\"what\">{}</p>\n<p>{}</p>\n<p class=\"verdict\">{}</p>\n</header>\n",
        escape(&subject),
        escape(&conditions),
        escape(&work),
        verdict(report),
    )
}

/// The sentence on balance, its verdict in bold.
fn verdict(report: &Report) -> String {
    let (sentence, verdict) = text::balance::told(report);
    let sentence = escape(&sentence);
    let class = match verdict {
        Verdict::BetterThanChance => "better",
        Verdict::WorseThanChance => "worse",
        _ => "",
    };
    // In that of a merged report there are several: of each run, and of all.
    match report.merged.is_empty() {
        true => sentence
            .replace(verdict.name(), &format!("<strong class=\"{class}\">{}</strong>", verdict.name())),
        false => sentence,
    }
}

/// A part of the page; nothing without content.
fn section(title: &str, note: &str, content: &str) -> String {
    if content.is_empty() {
        return String::new();
    }
    let note =
        if note.is_empty() { String::new() } else { format!("<p class=\"note\">{}</p>\n", escape(note)) };
    format!("<section>\n<h2>{title}</h2>\n{note}{content}</section>\n")
}

fn runs(report: &Report) -> String {
    section("The runs", "Counts and histograms below are those of all of them.", &tables::runs(report))
}

fn shares(report: &Report) -> String {
    let note = match (report.workers.len(), report.merged.is_empty()) {
        (2.., true) => {
            "The dashed line is an even share. The grey band is where chance, a fair hash, keeps a worker's \
             connections 19 times in 20. Messages, time and open connections aren't independent of each other, so \
             chance says nothing about them."
        }
        (2.., false) => {
            "The dashed line is an even share. Sums of runs are not held against chance: what one run gives to one \
             worker and the next to another evens out in them."
        }
        _ => "",
    };
    section("How the workers shared", note, &(bars::panels(report) + &tables::workers(report)))
}

fn latency(report: &Report) -> String {
    if !report.histograms.iter().any(|(_, histogram)| histogram.count > 0) {
        let why = "No histograms were recorded (--measure full records them).";
        return section("How long things took", why, " ");
    }
    let note = "How long the slower half took, the slowest tenth, hundredth and so on: bold for all workers together, \
                thin grey for each. A curve ends where fewer than ten samples lie beyond, and so does a row.";
    section("How long things took", note, &(spectra::panels(report) + &tables::latency(report)))
}

fn forwarding(report: &Report) -> String {
    let upstreams = section("Upstreams", "", &tables::upstreams(report));
    upstreams + &section("How proxied sessions ended", "", &tables::endings(report))
}

fn besides(report: &Report) -> String {
    let told = text::oddities::told(report);
    let told = told.iter().map(|(head, told)| format!("<p><strong>{head}</strong> {}</p>\n", escape(told)));
    section("What else", "", &told.collect::<String>())
}

fn settings(report: &Report) -> String {
    format!(
        "<details>\n<summary>Settings, and every counter</summary>\n{}{}</details>\n",
        tables::settings(report),
        tables::counters(report)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::report::samples;

    fn pages() -> Vec<String> {
        let merged = Report::merge(&[("a".into(), samples::private()), ("b".into(), later())]).unwrap();
        [
            samples::private(),
            samples::exclusive(),
            samples::dealt(),
            samples::empty(),
            samples::proxy(),
            Report::default(),
            merged,
        ]
        .iter()
        .map(Report::to_html)
        .collect()
    }

    fn later() -> Report {
        Report { started: "2026-03-01T13:00:00.000Z".into(), ..samples::private() }
    }

    #[test]
    fn a_page_needs_nothing_but_itself_and_closes_what_it_opens() {
        for page in pages() {
            for outside in ["src=", "href=", "url(", "@import", "http:", "https:"] {
                assert!(!page.contains(outside), "{outside}");
            }
            for element in ["section", "figure", "table", "svg", "p", "tr", "main", "details", "strong"] {
                let opened = page.matches(&format!("<{element}>")).count()
                    + page.matches(&format!("<{element} ")).count();
                assert_eq!(opened, page.matches(&format!("</{element}>")).count(), "{element}");
            }
            assert!(!page.contains("NaN") && !page.contains("inf\""));
        }
    }

    #[test]
    fn the_verdict_and_the_figures_are_there() {
        let page = samples::exclusive().to_html();
        assert!(page.contains("<strong class=\"worse\">worse than chance</strong>"));
        assert!(page.contains("by chance, a worker gets"), "the band");
        for name in ["event_delay", "turn", "iteration", "wait", "session_life"] {
            assert!(page.contains(&format!("<figcaption>{name}")), "{name}");
        }
        let from = page.find("id=\"results\">").unwrap() + "id=\"results\">".len();
        let json = &page[from..from + page[from..].find("</script>").unwrap()];
        assert_eq!(Report::from_json(json), Ok(samples::exclusive()), "the report is in the page");
    }

    #[test]
    fn what_a_file_says_cannot_become_markup() {
        let mut report = samples::proxy();
        report.services[0].name = "<b onload=x>".into();
        report.upstreams[0].address = "<!--<script>".into();
        report.notes = vec!["<i>".into()];
        let page = report.to_html();
        assert!(!page.contains("<b onload") && !page.contains("<i>"));
        assert_eq!(page.matches("<script").count(), 1, "that of the data");
    }
}
