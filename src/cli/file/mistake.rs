//! A mistake in a file, and how it is shown: where it is, what is wrong, the line itself, and perhaps what was meant.
//!
//! ```text
//! evenkeel: proxy.toml:7:12: 'p3c' is not a way to balance: use round-robin, least-connections, p2c, random, maglev
//!   7 | balance = "p3c"
//!     |           ^^^^^
//! help: …
//! ```
//! Never more than one screen, whatever is in the file, and nothing that would move a terminal's cursor.

use std::ops::Range;

/// The most that is shown of a message, in characters: what it quotes may be long.
const MESSAGE_MAX: usize = 400;
/// The most that is shown of a line.
const EXCERPT_MAX: usize = 100;
/// How much of that comes before the place, where a line is longer.
const EXCERPT_BEFORE: usize = 40;

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    message: String,
    /// Bytes of the file; `None` where it is no place, but something that is missing.
    at: Option<Range<usize>>,
    help: Option<String>,
}

impl Mistake {
    /// A mistake at these bytes of the file.
    pub fn at(at: Range<usize>, message: impl Into<String>) -> Self {
        Self { message: message.into(), at: Some(at), help: None }
    }

    /// The same, with a suggestion.
    #[must_use]
    pub fn with_help(self, help: impl Into<Option<String>>) -> Self {
        Self { help: help.into(), ..self }
    }

    /// A file that isn't TOML.
    pub fn of_syntax(error: &toml::de::Error) -> Self {
        let message = format!("this is not TOML: {}", error.message());
        Self { message, at: error.span(), help: None }
    }

    /// A file without a service.
    pub fn nothing_to_serve(text: &str) -> Self {
        let what = if text.trim().is_empty() { "the file is empty" } else { "there is no [[service]]" };
        let message =
            format!("{what}: nothing would be served; `evenkeel config` prints a file to begin with");
        Self { message, at: None, help: None }
    }

    /// What is shown of it, without a line break at the end.
    pub fn show(&self, file: &str, text: &str) -> String {
        let (file, message) = (printable(file), shortened(&printable(&self.message)));
        let Some(at) = &self.at else { return format!("evenkeel: {file}: {message}") };
        let place = Place::find(text, at);
        let excerpt = place.excerpt();
        let help = self.help.as_ref().map_or_else(String::new, |help| format!("\nhelp: {}", printable(help)));
        format!("evenkeel: {file}:{}:{}: {message}\n{excerpt}{help}", place.line, place.column)
    }
}

/// A part of one line.
struct Place<'a> {
    /// From 1.
    line: usize,
    /// In characters, from 1.
    column: usize,
    /// How many characters of the line it spans; at least 1.
    len: usize,
    text: &'a str,
}

impl<'a> Place<'a> {
    fn find(text: &'a str, at: &Range<usize>) -> Self {
        let start = character_at(text, at.start);
        let end = character_at(text, at.end).max(start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        Self {
            line: text[..line_start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            len: text[start..end.min(line_end)].trim_end().chars().count().max(1),
            text: text[line_start..line_end].trim_end(),
        }
    }

    /// The line with its number, and a mark below the place.
    fn excerpt(&self) -> String {
        let chars = printable(self.text).chars().collect::<Vec<_>>();
        let before = self.column - 1;
        let first = if chars.len() > EXCERPT_MAX { before.saturating_sub(EXCERPT_BEFORE) } else { 0 };
        let last = chars.len().min(first + EXCERPT_MAX);
        let shown: String = chars[first.min(last)..last].iter().collect();
        let (cut_before, cut_after) = (mark(first > 0), mark(last < chars.len()));
        let blanks = " ".repeat(before - first + cut_before.chars().count());
        let marks = "^".repeat(self.len.min(last.saturating_sub(before).max(1)));
        let line = self.line.to_string();
        let margin = " ".repeat(line.len());
        format!("  {line} | {cut_before}{shown}{cut_after}\n  {margin} | {blanks}{marks}")
    }
}

/// The beginning of the character that this byte belongs to, or the end of the text.
fn character_at(text: &str, byte: usize) -> usize {
    let byte = byte.min(text.len());
    (0..=byte).rev().find(|byte| text.is_char_boundary(*byte)).unwrap_or(0)
}

fn mark(is_cut: bool) -> &'static str {
    if is_cut { "…" } else { "" }
}

/// The beginning and the end of a message, which says at its end what to do.
fn shortened(message: &str) -> String {
    let chars: Vec<char> = message.chars().collect();
    if chars.len() <= MESSAGE_MAX {
        return message.to_owned();
    }
    let (head, tail) = (&chars[..MESSAGE_MAX / 4], &chars[chars.len() - MESSAGE_MAX / 2..]);
    head.iter().chain(&['…']).chain(tail).collect()
}

/// Without what moves a cursor or turns the direction of writing; as many characters as before.
fn printable(text: &str) -> String {
    let is_format = |c: char| match c {
        '\u{ad}' | '\u{feff}' => true,
        _ => matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'),
    };
    let shown = |c: char| match c {
        '\t' => ' ',
        c if c.is_control() || is_format(c) => '?',
        c => c,
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str, at: Range<usize>) -> String {
        Mistake::at(at, "wrong").show("f", text)
    }

    #[test]
    fn the_place_is_marked() {
        assert_eq!(show("a\n\tb = 1\r\n", 3..4), "evenkeel: f:2:2: wrong\n  2 |  b = 1\n    |  ^");
        assert_eq!(show("ä = \"ö\"", 5..9), "evenkeel: f:1:5: wrong\n  1 | ä = \"ö\"\n    |     ^^^");
    }

    #[test]
    fn a_place_over_several_lines_is_marked_on_the_first() {
        assert_eq!(show("a = [\n1,\n]", 4..10), "evenkeel: f:1:5: wrong\n  1 | a = [\n    |     ^");
    }

    #[test]
    fn the_end_of_the_file_is_a_place() {
        assert_eq!(show("a =", 3..3), "evenkeel: f:1:4: wrong\n  1 | a =\n    |    ^");
        assert_eq!(show("a\n", 2..9), "evenkeel: f:2:1: wrong\n  2 | \n    | ^");
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let line = format!("{}HERE{}", "a".repeat(500), "b".repeat(500));
        let shown = show(&line, 500..504);
        let lines: Vec<_> = shown.lines().collect();
        assert_eq!(lines[1], format!("  1 | …{}HERE{}…", "a".repeat(40), "b".repeat(56)));
        assert_eq!(lines[2], format!("    | {}^^^^", " ".repeat(41)));
    }

    #[test]
    fn nothing_moves_the_cursor() {
        let shown = Mistake::at(0..1, "\x1b[2J\u{202e}").show("\x07f", "\x1b]0;x\u{9b}1m\u{200f}");
        assert!(
            shown.chars().all(|c| c == '\n' || (!c.is_control() && c != '\u{202e}' && c != '\u{200f}')),
            "{shown}"
        );
        let long = Mistake::at(0..1, format!("'{}' use this", "x".repeat(1 << 20))).show("f", "x");
        assert!(long.len() < 1_000 && long.contains("use this"), "{long}");
    }
}
