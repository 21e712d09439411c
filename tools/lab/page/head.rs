//! The top of the page: what was found, in sentences with badges, and at a glance.

use std::fmt::Write as _;

use evenkeel::measure::page::escape;

use super::{
    bars,
    figures::three_digits,
    file_name,
    forest::{self, Plot},
    html::{badge, charts},
    view::View,
};
use crate::results::{ClaimResult, Results, Verdict};

/// What a sentence is about that stands at the end of the page.
pub const CONDITIONS: &str = "conditions";

/// Charts of comparisons in the first screen.
const PLOTS_MAX: usize = 3;

/// Title, warnings, sentences.
pub fn header(results: &Results, warnings: &[(&str, String)]) -> String {
    let mut html = String::from("<header>\n<h1>Who gets the connections, and who waits</h1>\n");
    let what = format!("evenkeel-lab {} · {}", results.suite, results.headline());
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(html, "<p class=\"what\">{}</p>", escape(&what));
    for (word, what) in warnings {
        let _ = writeln!(html, "<p>{} {}</p>", badge(word, "alarm"), escape(what));
    }
    let of_scenario = |about: &str| results.scenarios.iter().any(|note| note.name == about);
    let is_general = |verdict: &&Verdict| verdict.about != CONDITIONS && !of_scenario(&verdict.about);
    html + &sentences(results.verdicts.iter().filter(is_general)) + "</header>\n"
}

/// What is said about one scenario, but for its claims, which stand in a list of their own.
pub fn said(results: &Results, scenario: &str) -> String {
    let is_claim = |verdict: &Verdict| {
        results.claims.iter().any(|claim| verdict.text.contains(claim.says.trim_end_matches('.')))
    };
    let is_of = |verdict: &&Verdict| verdict.about == scenario && !is_claim(verdict);
    let items = results.verdicts.iter().filter(is_of).map(|it| format!("<li>{}</li>\n", escape(&it.text)));
    listed(items.collect())
}

fn sentences<'a>(verdicts: impl Iterator<Item = &'a Verdict>) -> String {
    let item = |verdict: &Verdict| {
        let (word, kind) = word(&verdict.about);
        // What the badge says needn't be said again.
        let text = match verdict.text.split_once(": ") {
            Some((lead, text)) if lead.eq_ignore_ascii_case(&verdict.about) => text,
            _ => &verdict.text,
        };
        format!("<li>{} {}</li>\n", badge(&word, kind), escape(text))
    };
    listed(verdicts.map(item).collect())
}

fn listed(items: String) -> String {
    if items.is_empty() { items } else { format!("<ul class=\"verdicts\">\n{items}</ul>\n") }
}

/// What is shown in the first screen, and needn't be again further down.
#[derive(Debug, Default)]
pub struct Shown {
    /// The scenario whose connections are.
    pub bars: Option<String>,
    /// Scenarios and figures.
    pub plots: Vec<(String, String)>,
}

/// Who gets the connections, and which differences are real.
pub fn glance(views: &[View], results: &Results) -> (String, Shown) {
    let spread = views.iter().find_map(|view| Some((view, bars::connections(view)?)));
    let mut plots: Vec<Plot> =
        views.iter().flat_map(|view| forest::plots(view, &results.comparisons)).collect();
    // The tail first, then the spread; the rest stands with its scenario.
    let rank = |figure: &str| ["p99_ns", "dispersion", "max_over_mean"].iter().position(|it| *it == figure);
    plots.sort_by_key(|plot| rank(&plot.figure).unwrap_or(usize::MAX));
    plots.truncate(PLOTS_MAX);
    let shown = Shown {
        bars: spread.as_ref().map(|(view, _)| view.note.name.to_string()),
        plots: plots.iter().map(|plot| (plot.scenario.clone(), plot.figure.clone())).collect(),
    };
    let mut html = String::new();
    if let Some((view, bars)) = spread {
        let heading = format!("Who gets the connections: {}", view.note.heading);
        html += &bars.replacen("Connections per worker", &escape(&heading), 1);
    }
    let plots = charts("Is the difference real?", forest::NOTE, plots.into_iter().map(|plot| plot.html));
    html += &plots.unwrap_or_default();
    if html.is_empty() {
        return (html, shown);
    }
    (format!("<section id=\"glance\">\n{html}</section>\n"), shown)
}

/// Claims with their verdicts.
pub fn claims<'a>(claims: impl Iterator<Item = &'a ClaimResult>) -> String {
    let item = |claim: &ClaimResult| {
        let (word, kind) = judged(claim);
        let test = escape(&test(claim));
        format!("<li>{} {} <small>{test}</small></li>\n", badge(word, kind), escape(&claim.says))
    };
    listed(claims.map(item).collect())
}

/// The scenarios of a long run, each with how its claims fared, as links to their sections.
pub fn contents(views: &[View], results: &Results, linked: bool) -> String {
    let entry = |view: &View| {
        let name = escape(&view.note.name);
        let badge = tallied(results, &view.note.name).map(|(text, kind)| badge(&text, kind) + " ");
        format!(
            "<li><a href=\"#{name}\">{name}</a> {}{}{}</li>\n",
            badge.unwrap_or_default(),
            escape(&view.note.reveals),
            if linked {
                format!(" <a href=\"{}\">All its charts</a>", file_name(&name))
            } else {
                String::new()
            }
        )
    };
    let entries: String = views.iter().map(entry).collect();
    format!(
        "<nav aria-labelledby=\"contents\">\n<h2 id=\"contents\">Scenarios</h2>\n<ul>\n{entries}</ul>\n</nav>\n"
    )
}

/// `3 of 3 CLAIMS HOLD` of one scenario, and the badge's kind.
pub fn tallied(results: &Results, scenario: &str) -> Option<(String, &'static str)> {
    let of = || results.claims.iter().filter(|claim| claim.scenario == scenario);
    let (all, holding) = (of().count(), of().filter(|claim| claim.holds == Some(true)).count());
    let failing = of().any(|claim| claim.holds == Some(false));
    let kind = match (failing, holding == all) {
        (true, _) => "alarm",
        (false, true) => "good",
        (false, false) => "",
    };
    let claims = if all == 1 { "CLAIM HOLDS" } else { "CLAIMS HOLD" };
    (all > 0).then(|| (format!("{holding} of {all} {claims}"), kind))
}

/// The badge of a sentence, by what it is about.
fn word(about: &str) -> (String, &'static str) {
    let kind = match about {
        "packed" => "alarm",
        "even" => "good",
        _ => "",
    };
    let word = if about == "chance" { "as chance" } else { about };
    (word.to_uppercase(), kind)
}

fn judged(claim: &ClaimResult) -> (&'static str, &'static str) {
    match claim.holds {
        Some(true) => ("HOLDS", "good"),
        Some(false) => ("DOES NOT HOLD", "alarm"),
        None => ("NOT TESTED", ""),
    }
}

/// `max_over_mean of exclusive/edge over private/edge: 3.95 (at least 2.5)`.
fn test(claim: &ClaimResult) -> String {
    let over = claim.over.as_ref().map(|over| format!(" over {over}")).unwrap_or_default();
    let value = claim.value.map(|value| format!(": {}", three_digits(value))).unwrap_or_default();
    let bounds = [("at least", claim.at_least), ("at most", claim.at_most)];
    let bounds: Vec<_> =
        bounds.into_iter().filter_map(|(word, bound)| Some(format!("{word} {}", bound?))).collect();
    format!("{} of {}{over}{value} ({})", claim.figure, claim.of, bounds.join(", "))
}
