//! Pages with charts: what the lab's page and a report's page are drawn with.
//!
//! A page is one file that needs no network and no script. Nothing here knows what is measured: a caller gives
//! values and names, and gets HTML. Three rules hold for all charts. Shapes carry class names, never colours:
//! one style sheet decides, so that a drawing serves light and dark. No drawing is wider than a phone, so that
//! its text can be read on one; wide screens show several side by side. And nothing is told by colour alone:
//! curves differ in dashes too, marks in shape, and what is drawn stands in a table as well.
//!
//! Order of use: a [`Scale`](scale::Scale) for each axis, a [`Frame`](frame::Frame) with its ticks and titles, the
//! marks on the frame's [`Svg`](svg::Svg), then [`figure`] around each drawing and [`document`] around all.

pub mod frame;
pub mod heat;
pub mod hue;
pub mod scale;
pub mod spectrum;
pub mod svg;

pub use hue::Hue;
pub use svg::escape;

const STYLE: &str = include_str!("style.css");

/// A whole page: `body` stands in `<main>`, `style` behind the common style sheet, and `data`, if any, is kept
/// in the page as JSON under the id `results`.
pub fn document(title: &str, style: &str, body: &str, data: Option<&str>) -> String {
    let data = data.map(|json| {
        // JSON within a page must not end its element; a slash may be escaped anywhere in a string.
        let json = json.replace("</", "<\\/");
        format!("<script type=\"application/json\" id=\"results\">{json}</script>\n")
    });
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{}</title>\n<style>\n{STYLE}{style}</style>\n</head>\n<body>\n\
         <main>\n{body}</main>\n{}</body>\n</html>\n",
        escape(title),
        data.unwrap_or_default()
    )
}

/// A drawing under its name and a few words about it.
pub fn figure(name: &str, note: &str, svg: &str) -> String {
    let note = if note.is_empty() { String::new() } else { format!(" <small>{}</small>", escape(note)) };
    format!("<figure><figcaption>{}{note}</figcaption>{svg}</figure>\n", escape(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_closed_in_itself() {
        let page = document("a < b", ".x{}", "<p>body</p>\n", Some("\"</script>\""));
        assert!(page.contains("<title>a &lt; b</title>") && page.contains(".x{}</style>"));
        assert!(page.contains("\"<\\/script>\"</script>"), "data can't end its element");
        for outside in ["src=", "href=", "url(", "@import", "http"] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn a_figure_without_a_note_has_no_empty_element() {
        assert_eq!(figure("a&b", "", "<svg/>"), "<figure><figcaption>a&amp;b</figcaption><svg/></figure>\n");
        assert!(figure("a", "why", "").contains("<small>why</small>"));
    }
}
