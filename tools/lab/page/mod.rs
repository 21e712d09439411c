//! `report.html`: one file, no network, no script; light and dark by the reader's preference.
//!
//! Its order is that of a reader's questions: what was found, who gets the connections, who waits, is the
//! difference real, the figures, and under which circumstances. Everything is drawn from [`Results`].

mod bars;
mod frame;
mod spectrum;
mod strip;
mod svg;

use std::fmt::Write as _;

use super::{
    results::{Results, ScenarioNote},
    summary::Summary,
    table::{NOTHING, against_chance, millis},
    verdict,
};
use spectrum::Spectra;
use svg::escape;

const STYLE: &str = include_str!("style.css");

/// A chart with its name, and what there is to say about it in a few words.
struct Panel {
    name: String,
    note: String,
    svg: String,
}

/// The page of a run.
pub fn render(results: &Results) -> String {
    let title = format!("evenkeel-lab quick · {}", results.started);
    let data = serde_json::to_string(results).unwrap_or_default().replace("</", "<\\/");
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{}{}{}{}{}</main>\n\
         <script type=\"application/json\" id=\"results\">{data}</script>\n</body>\n</html>\n",
        escape(&title),
        header(results),
        charts(results),
        strips(results),
        table(results),
        circumstances(results)
    )
}

fn header(results: &Results) -> String {
    let mut html = String::from("<header>\n<h1>Who gets the connections, and who waits</h1>\n");
    let _ = writeln!(html, "<p class=\"what\">evenkeel-lab quick · {}</p>", escape(&results.headline()));
    let mut warnings = results.warnings();
    warnings.extend(verdict::agreement(results).err().map(|warning| ("COUNTS DISAGREE", warning)));
    for (word, what) in warnings {
        let _ = writeln!(html, "<p><span class=\"badge\">{word}</span> {}</p>", escape(&what));
    }
    html.push_str("<ul class=\"verdicts\">\n");
    for verdict in &results.verdicts {
        // The sentence opens with what it is about, up to its first colon.
        let (about, text) = verdict.text.split_once(':').unwrap_or(("", &verdict.text));
        let _ = writeln!(html, "<li><b>{}:</b>{}</li>", escape(about), escape(text));
    }
    html + "</ul>\n</header>\n"
}

/// The matrix: a column an accept mode; rows of connections, then of latency.
fn charts(results: &Results) -> String {
    let mut html = String::new();
    for scenario in &results.scenarios {
        let row = if scenario.has_load { spectra(results, scenario) } else { spreads(results, scenario) };
        html += &row;
    }
    html
}

fn spreads(results: &Results, scenario: &ScenarioNote) -> String {
    let note = format!(
        "Each connection comes while all workers are idle. A bar is one worker in one of {} rounds, workers in the \
         order of registration; the grey band is where chance keeps 95 % of them; the dashed line is an even share.",
        results.rounds
    );
    // Triggers one below the other, so that each accept mode is a column.
    let mut modes: Vec<&String> = results.modes.iter().collect();
    modes.sort_by_key(|mode| mode.split('/').nth(1) != Some("level"));
    let panels = modes.into_iter().filter_map(|mode| bars::panel(results, &scenario.name, mode));
    section(&format!("Who gets the connections: {}", scenario.heading), &note, panels)
}

fn spectra(results: &Results, scenario: &ScenarioNote) -> String {
    let Some(spectra) = Spectra::new(results, &scenario.name, scenario.heading.clone()) else {
        return String::new();
    };
    let note = "Response time from the moment when a message was due, all rounds merged. Solid: level; dashed: edge; \
                grey: the other modes. A curve ends where fewer than ten samples lie beyond.";
    let mut accepts: Vec<&str> = results.modes.iter().map(|mode| bars::accept(mode)).collect();
    accepts.dedup();
    let panels = accepts.into_iter().filter_map(|accept| spectra.panel(accept));
    let heading = format!("Who waits: {}", scenario.heading);
    section(&heading, &format!("{}. {note}", sentence(&scenario.parameters)), panels)
}

fn section(heading: &str, note: &str, panels: impl Iterator<Item = Panel>) -> String {
    let figure = |Panel { name, note, svg }: Panel| {
        format!(
            "<figure><figcaption>{} <small>{}</small></figcaption>{svg}</figure>\n",
            escape(&name),
            escape(&note)
        )
    };
    let figures: String = panels.map(figure).collect();
    if figures.is_empty() {
        return String::new();
    }
    format!(
        "<section>\n<h2>{}</h2>\n<p class=\"note\">{}</p>\n<div class=\"panels\">\n{figures}</div>\n</section>\n",
        escape(heading),
        escape(note)
    )
}

fn strips(results: &Results) -> String {
    let charts: String = results
        .scenarios
        .iter()
        .filter_map(|scenario| {
            let svg = strip::chart(results, &scenario.name, &scenario.heading)?;
            Some(format!("<figure><figcaption>{}</figcaption>{svg}</figure>\n", escape(&scenario.heading)))
        })
        .collect();
    if charts.is_empty() {
        return String::new();
    }
    format!(
        "<section>\n<h2>Is the difference real: every trial</h2>\n<p class=\"note\">One dot is one trial: a fresh \
         server and a fresh client. Hollow: overloaded, or the client itself was late by a tenth of the p99. A \
         mode differs from another only where all its dots lie beyond all of the other's.</p>\n\
         <div class=\"strips\">\n{charts}</div>\n</section>\n"
    )
}

fn table(results: &Results) -> String {
    let mut html = String::from(
        "<section>\n<h2>The figures</h2>\n<div class=\"wide\" tabindex=\"0\">\n<table>\n<thead><tr>",
    );
    let loads: Vec<&ScenarioNote> = results.scenarios.iter().filter(|scenario| scenario.has_load).collect();
    let spaced = results.scenarios.iter().find(|scenario| !scenario.has_load);
    let spaced = spaced.map_or("", |scenario| &scenario.name);
    let mut headings: Vec<String> =
        ["mode", "connections per worker", "dispersion", "than chance", "switches per accept"]
            .map(str::to_owned)
            .to_vec();
    for scenario in &loads {
        for figure in ["p50, ms", "p99, ms", "answered of offered", "CPU per message, µs"] {
            headings.push(format!("{}: {figure}", scenario.name));
        }
    }
    for heading in &headings {
        let _ = write!(html, "<th scope=\"col\">{}</th>", escape(heading));
    }
    html += "</tr></thead>\n<tbody>\n";
    for mode in &results.modes {
        let mut cells = balance_cells(&Summary::of(results, spaced, |name| name == mode));
        for scenario in &loads {
            cells.extend(load_cells(&Summary::of(results, &scenario.name, |name| name == mode)));
        }
        let _ = write!(html, "<tr><th scope=\"row\"><i class=\"key {}\"></i>{mode}</th>", bars::accept(mode));
        for cell in cells {
            let _ = write!(html, "<td>{}</td>", escape(&cell));
        }
        html += "</tr>\n";
    }
    html + "</tbody>\n</table>\n</div>\n</section>\n"
}

fn balance_cells(summary: &Summary) -> Vec<String> {
    let Some(balance) = summary.balance() else { return vec![NOTHING.to_owned(); 4] };
    let counts: Vec<_> = balance.per_worker.iter().map(u64::to_string).collect();
    vec![
        counts.join(" · "),
        format!("{:.2}", balance.dispersion),
        balance.verdict.map_or(NOTHING, against_chance).to_owned(),
        summary.switches_per_accept().map_or_else(|| NOTHING.to_owned(), |switches| format!("{switches:.2}")),
    ]
}

fn load_cells(summary: &Summary) -> Vec<String> {
    let (achieved, offered) =
        summary.loads().fold((0.0, 0.0), |(a, o), load| (a + load.achieved_per_s, o + load.offered_per_s));
    let answered = match summary.overload() {
        Some(worst) => format!("OVERLOADED, at worst {:.0} %", worst * 100.0),
        None if offered > 0.0 => format!("{:.0} %", achieved / offered * 100.0),
        None => NOTHING.to_owned(),
    };
    let cpu_us = summary.cpu_ns_per_message().map(|cpu_ns| format!("{:.1}", cpu_ns / 1e3));
    vec![
        millis(summary.quantile_ns(0.5)),
        millis(summary.quantile_ns(0.99)),
        answered,
        cpu_us.unwrap_or_else(|| NOTHING.to_owned()),
    ]
}

/// Settings, machine, disturbances: what a reader needs before he believes any of it.
fn circumstances(results: &Results) -> String {
    let machine = &results.machine;
    let lags: Vec<u64> = results
        .trials
        .iter()
        .filter_map(|trial| trial.load.as_ref())
        .map(|load| load.send_lag_p99_ns)
        .collect();
    let mut rows = vec![
        ("command", results.command.clone()),
        ("started", results.started.clone()),
        ("seed", results.seed.to_string()),
        (
            "trials",
            format!("{} of {}, shuffled within each round", results.trials.len(), results.trials_planned),
        ),
        ("machine", format!("{} cores, {}", machine.cpus, machine.cpu_model)),
        ("kernel", machine.kernel.clone()),
        ("clocksource, governor", format!("{}, {}", machine.clocksource, machine.governor)),
        ("net.core.somaxconn", machine.somaxconn.clone()),
        ("stolen by the hypervisor", format!("{} % of the CPU time", machine.steal_percent)),
        ("used by other processes", format!("{} % of the CPU time", machine.others_percent)),
        ("accept queue overflows", machine.listen_overflows.to_string()),
        (
            "client's own lateness",
            format!("p99 {} ms in the worst trial", millis(lags.iter().copied().max())),
        ),
        ("clients and server", verdict::agreement(results).unwrap_or_else(|warning| warning)),
    ];
    rows.extend(results.scenarios.iter().map(|scenario| (&*scenario.name, scenario.parameters.clone())));
    let rows: String = rows
        .iter()
        .map(|(name, value)| format!("<dt>{}</dt><dd>{}</dd>\n", escape(name), escape(value)))
        .collect();
    format!("<section>\n<h2>Circumstances</h2>\n<dl>\n{rows}</dl>\n</section>\n")
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn the_page_needs_nobody_else_and_shows_everything() {
        let mut results = fixture::results();
        results.verdicts = verdict::all(&results);
        let page = render(&results);
        for outside in ["src=", "href=", "url(", "@import", "http"] {
            assert!(!page.contains(outside), "{outside}");
        }
        // 10 panels of bars, 5 of spectra, a strip.
        assert_eq!(page.matches("<svg").count(), 16);
        assert_eq!(page.matches("<li>").count(), results.verdicts.len());
        assert!(page.contains("quick --seed 7 &lt;&amp;&gt;"), "text is escaped");
        assert!(page.len() < 500_000, "{} bytes", page.len());
    }

    #[test]
    fn every_element_that_is_opened_is_closed() {
        let page = render(&fixture::results());
        for element in [
            "main", "section", "figure", "svg", "title", "table", "tr", "td", "th", "dl", "div", "ul", "text",
        ] {
            let opened =
                page.matches(&format!("<{element}>")).count() + page.matches(&format!("<{element} ")).count();
            assert_eq!(opened, page.matches(&format!("</{element}>")).count(), "{element}");
        }
    }

    #[test]
    fn a_run_that_was_interrupted_early_has_a_page_too() {
        let mut results = fixture::results();
        results.trials.truncate(1);
        results.interrupted = true;
        assert!(render(&results).contains("INTERRUPTED"));
        results.trials.clear();
        assert!(render(&results).contains("Circumstances"));
    }
}
