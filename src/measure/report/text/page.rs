//! A page of so many columns: whatever is put on it, no line is longer, and no character is wider than one.
//!
//! Both are kept here, once, and not by each section: a report may come from a file that anyone wrote, and a
//! name in it may be long, contain escape sequences or letters that take two columns.

/// How a piece of text looks where there is colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Strong,
    Faint,
    Bar,
    Good,
    Bad,
}

impl Style {
    /// The parameters of "Select Graphic Rendition" (ECMA-48, 8.3.117), in the terminal's own palette.
    const fn sgr(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Strong => Some("1"),
            Self::Faint => Some("2"),
            Self::Bar => Some("36"),
            Self::Good => Some("32"),
            Self::Bad => Some("1;31"),
        }
    }
}

/// A piece of text in one style.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub style: Style,
    pub text: String,
}

impl Span {
    pub(super) fn new(style: Style, text: impl Into<String>) -> Self {
        Self { style, text: text.into() }
    }

    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self::new(Style::Plain, text)
    }
}

/// Lines of text, none longer than `width`.
pub(super) struct Page {
    pub width: usize,
    colour: bool,
    text: String,
}

impl Page {
    pub(super) fn new(width: usize, colour: bool) -> Self {
        Self { width, colour, text: String::new() }
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// An empty line, unless it would be the first or follow another.
    pub(super) fn gap(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// One line; what doesn't fit is cut, and an ellipsis says so.
    pub(super) fn line(&mut self, spans: &[Span]) {
        let spans = trailing_blanks_cut(spans);
        let length: usize = spans.iter().map(|span| width_of(&span.text)).sum();
        let fits = length <= self.width;
        let mut room = if fits { length } else { self.width.saturating_sub(1) };
        for span in &spans {
            let text: String = span.text.chars().take(room).collect();
            room -= width_of(&text);
            self.write(span.style, &text);
        }
        if !fits {
            self.text.push('…');
        }
        self.text.push('\n');
    }

    /// Sentences, broken between words but never at [`held`] blanks; every line but the first begins with
    /// `indent` blanks. A word that is longer than a line is cut as [`Page::line`] does.
    pub(super) fn paragraph(&mut self, indent: usize, spans: &[Span]) {
        let mut line: Vec<Span> = Vec::new();
        let mut length = 0;
        for (style, word) in words(spans) {
            if length > 0 && length + 1 + width_of(word) > self.width {
                self.line(&line);
                line = vec![Span::plain(" ".repeat(indent))];
                length = indent;
            } else if length > 0 {
                line.push(Span::plain(" "));
                length += 1;
            }
            line.push(Span::new(style, word));
            length += width_of(word);
        }
        if !line.is_empty() {
            self.line(&line);
        }
    }

    fn write(&mut self, style: Style, text: &str) {
        let sgr = style.sgr().filter(|_| self.colour && !text.is_empty());
        if let Some(sgr) = sgr {
            self.text.push_str(&format!("\x1b[{sgr}m"));
        }
        self.text.extend(text.chars().map(printable));
        if sgr.is_some() {
            self.text.push_str("\x1b[0m");
        }
    }
}

/// The same text, to be kept on one line: `76.8 MB` isn't broken before its unit.
pub(super) fn held(text: impl AsRef<str>) -> String {
    text.as_ref().replace(' ', NO_BREAK)
}

/// The no-break space; on the page it's a blank.
pub(super) const NO_BREAK: &str = "\u{a0}";

/// The columns that a text takes, after [`printable`] has seen each of its characters.
pub(super) fn width_of(text: &str) -> usize {
    text.chars().count()
}

/// The character itself where it's known to take one column and do nothing else; else a question mark.
///
/// ASCII, Latin, Greek and Cyrillic letters, dashes and quotes, arrows and mathematical signs, lines and blocks.
fn printable(c: char) -> char {
    match c {
        '\u{a0}' => ' ',
        '\u{ad}' | '\u{483}'..='\u{489}' => '?',
        ' '..='~' | '\u{a1}'..='\u{2ff}' | '\u{370}'..='\u{52f}' => c,
        '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{205e}' | '\u{2190}'..='\u{22ff}' => c,
        '\u{2500}'..='\u{25a0}' => c,
        _ => '?',
    }
}

fn words(spans: &[Span]) -> impl Iterator<Item = (Style, &str)> {
    spans.iter().flat_map(|span| span.text.split_ascii_whitespace().map(|word| (span.style, word)))
}

fn trailing_blanks_cut(spans: &[Span]) -> Vec<Span> {
    let mut spans = spans.to_vec();
    while let Some(last) = spans.last_mut() {
        last.text.truncate(last.text.trim_end_matches(' ').len());
        if !last.text.is_empty() {
            break;
        }
        spans.pop();
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(width: usize, colour: bool, fill: impl FnOnce(&mut Page)) -> String {
        let mut page = Page::new(width, colour);
        fill(&mut page);
        page.into_text()
    }

    #[test]
    fn a_line_is_cut_where_the_page_ends() {
        let cut = |width| page(width, false, |page| page.line(&[Span::plain("four"), Span::plain("teen  ")]));
        assert_eq!((cut(8), cut(7), cut(1)), ("fourteen\n".into(), "fourte…\n".into(), "…\n".into()));
    }

    #[test]
    fn a_paragraph_breaks_between_words() {
        let text = page(12, false, |page| page.paragraph(2, &[Span::plain("one two three four five")]));
        assert_eq!(text, "one two\n  three four\n  five\n");
        let held =
            page(12, false, |page| page.paragraph(2, &[Span::plain(format!("in all {}", held("7.8 MB")))]));
        assert_eq!(held, "in all\n  7.8 MB\n");
        let long = page(6, false, |page| page.paragraph(2, &[Span::plain("a incomprehensible b")]));
        assert_eq!(long, "a\n  inc…\n  b\n");
    }

    #[test]
    fn gaps_do_not_add_up() {
        let text = page(9, false, |page| {
            page.gap();
            page.line(&[Span::plain("a")]);
            page.gap();
            page.gap();
            page.line(&[Span::plain("b")]);
        });
        assert_eq!(text, "a\n\nb\n");
    }

    #[test]
    fn colour_is_there_only_where_it_was_asked_for() {
        let line = [Span::new(Style::Strong, "x"), Span::plain("y")];
        assert_eq!(page(9, true, |page| page.line(&line)), "\x1b[1mx\x1b[0my\n");
        assert_eq!(page(9, false, |page| page.line(&line)), "xy\n");
    }

    #[test]
    fn what_would_move_the_cursor_or_take_two_columns_is_replaced() {
        let foreign = [Span::plain("a\x1b[2J\r\u{200b}漢🦀é→█")];
        assert_eq!(page(40, false, |page| page.line(&foreign)), "a?[2J????é→█\n");
    }
}
