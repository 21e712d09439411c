//! The parts of the page around its drawings.

use evenkeel::measure::page::escape;

/// A word in a frame; its kind is a class: `alarm`, `good` or none.
pub fn badge(word: &str, kind: &str) -> String {
    let kind = if kind.is_empty() { String::new() } else { format!(" {kind}") };
    format!("<span class=\"badge{kind}\">{}</span>", escape(word))
}

/// A drawing under its name, with a badge, if there is one, and a few words about it.
pub fn figure(name: &str, badges: &str, note: &str, svg: &str) -> String {
    let badges = if badges.is_empty() { String::new() } else { format!(" {badges}") };
    let note = if note.is_empty() { String::new() } else { format!(" <small>{}</small>", escape(note)) };
    format!("<figure><figcaption>{}{badges}{note}</figcaption>{svg}</figure>\n", escape(name))
}

/// A row of small panels under a heading. `None` without any.
pub fn row(heading: &str, note: &str, panels: impl IntoIterator<Item = String>) -> Option<String> {
    grid("panels", heading, note, panels)
}

/// The same for charts as wide as a phone.
pub fn charts(heading: &str, note: &str, charts: impl IntoIterator<Item = String>) -> Option<String> {
    grid("charts", heading, note, charts)
}

fn grid(class: &str, heading: &str, note: &str, figures: impl IntoIterator<Item = String>) -> Option<String> {
    let figures: String = figures.into_iter().collect();
    (!figures.is_empty()).then(|| {
        format!(
            "<h3>{}</h3>\n<p class=\"note\">{}</p>\n<div class=\"{class}\">\n{figures}</div>\n",
            escape(heading),
            escape(note)
        )
    })
}

/// What colours and dashes mean: a class and a name each.
pub fn key(entries: impl IntoIterator<Item = (String, String)>) -> String {
    let entry = |(class, name): (String, String)| {
        // A box is filled; all else is a piece of the line.
        let mark = match class.strip_prefix("box ") {
            Some(class) => format!("<rect class=\"{class}\" width=\"26\" height=\"10\"/>"),
            None => format!("<path class=\"curve {class}\" d=\"M0 5h26\"/>"),
        };
        format!(
            "<span><svg viewBox=\"0 0 26 10\" aria-hidden=\"true\">{mark}</svg>{}</span>\n",
            escape(&name)
        )
    };
    let entries: String = entries.into_iter().map(entry).collect();
    format!("<p class=\"keys\">{entries}</p>\n")
}

/// A table that scrolls sideways where it must: `rows` begin with their name.
pub fn table(headings: &[String], rows: &[Vec<String>]) -> String {
    let headings: String =
        headings.iter().map(|heading| format!("<th scope=\"col\">{}</th>", escape(heading))).collect();
    let row = |cells: &Vec<String>| {
        let cells = cells.iter().enumerate().map(|(at, cell)| match at {
            0 => format!("<th scope=\"row\">{}</th>", escape(cell)),
            _ => format!("<td>{}</td>", escape(cell)),
        });
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    let rows: String = rows.iter().map(row).collect();
    format!(
        "<div class=\"wide\" tabindex=\"0\">\n<table>\n<thead><tr>{headings}</tr></thead>\n<tbody>\n{rows}</tbody>\n\
         </table>\n</div>\n"
    )
}

/// What is read on demand.
pub fn details(summary: &str, body: &str) -> String {
    format!("<details><summary>{}</summary>\n{body}</details>\n", escape(summary))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_drawn_around_nothing() {
        assert_eq!(row("heading", "note", []), None);
        assert!(
            charts("a < b", "", ["<x/>".to_owned()]).is_some_and(|html| html.contains("<h3>a &lt; b</h3>"))
        );
        assert_eq!(badge("A", "") + &badge("B", "alarm"), {
            "<span class=\"badge\">A</span><span class=\"badge alarm\">B</span>"
        });
    }

    #[test]
    fn a_table_says_what_its_cells_are() {
        let html = table(&["mode".into(), "p99".into()], &[vec!["a/b".into(), "<1".into()]]);
        assert!(html.contains("<th scope=\"row\">a/b</th><td>&lt;1</td>"), "{html}");
    }
}
