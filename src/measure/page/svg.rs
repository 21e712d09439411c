//! A small SVG writer: what a chart is drawn with, and nothing that knows what it shows.
//!
//! Coordinates are written with one decimal place, which is finer than any screen, and paths as steps from
//! point to point: a page holds many curves, and half of a curve's text would be digits that repeat.

use std::fmt::Write as _;

/// A drawing of a fixed size that scales with its container.
#[derive(Debug)]
pub struct Svg {
    width: f64,
    height: f64,
    title: String,
    description: String,
    body: String,
}

/// Where a text stands relative to its point.
#[derive(Clone, Copy, Debug)]
pub enum Anchor {
    /// It begins there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

impl Svg {
    /// An empty drawing. A screen reader says its title and, on demand, the description: what one sees in it.
    pub fn new((width, height): (f64, f64), title: &str, description: &str) -> Self {
        Self { width, height, title: escape(title), description: escape(description), body: String::new() }
    }

    /// A rectangle. A pointer that rests on it is told `tip`, if that isn't empty; so with all shapes.
    pub fn rect(&mut self, class: &str, (x, y): (f64, f64), (width, height): (f64, f64), tip: &str) {
        let [x, y, width, height] = [x, y, width, height].map(number);
        self.shape("rect", class, &format!("x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\""), tip);
    }

    /// A straight line.
    pub fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        let [x1, y1, x2, y2] = [x1, y1, x2, y2].map(number);
        self.shape("line", class, &format!("x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\""), "");
    }

    /// Straight lines, all of one class, in one element.
    pub fn lines(&mut self, class: &str, lines: &[[(f64, f64); 2]]) {
        if !lines.is_empty() {
            let data: String = lines.iter().map(|ends| steps(ends)).collect();
            self.shape("path", class, &format!("d=\"{data}\""), "");
        }
    }

    /// A circle.
    pub fn circle(&mut self, class: &str, (x, y): (f64, f64), radius: f64, tip: &str) {
        let [x, y, radius] = [x, y, radius].map(number);
        self.shape("circle", class, &format!("cx=\"{x}\" cy=\"{y}\" r=\"{radius}\""), tip);
    }

    /// A square that stands on a corner: a mark beside the circle's.
    pub fn diamond(&mut self, class: &str, (x, y): (f64, f64), radius: f64, tip: &str) {
        let corners = [(x, y - radius), (x + radius, y), (x, y + radius), (x - radius, y)];
        self.shape("path", class, &format!("d=\"{}z\"", steps(&corners)), tip);
    }

    /// Two strokes that cross: a third mark.
    pub fn cross(&mut self, class: &str, (x, y): (f64, f64), radius: f64, tip: &str) {
        let stroke = |rise: f64| steps(&[(x - radius, y - rise), (x + radius, y + rise)]);
        self.shape("path", class, &format!("d=\"{}{}\"", stroke(radius), stroke(-radius)), tip);
    }

    /// A line through points; nothing for fewer than two.
    pub fn path(&mut self, class: &str, points: &[(f64, f64)], tip: &str) {
        if points.len() > 1 {
            self.shape("path", class, &format!("d=\"{}\"", steps(points)), tip);
        }
    }

    /// The area between two lines that run side by side; nothing for fewer than two points.
    pub fn ribbon(&mut self, class: &str, low: &[(f64, f64)], high: &[(f64, f64)], tip: &str) {
        if low.len() > 1 && high.len() > 1 {
            let outline: Vec<_> = low.iter().chain(high.iter().rev()).copied().collect();
            self.shape("path", class, &format!("d=\"{}z\"", steps(&outline)), tip);
        }
    }

    /// Begins what can be drawn again under this name; [`end`](Self::end) ends it.
    pub fn begin(&mut self, id: &str) {
        let _ = write!(self.body, "<g id=\"{}\">", escape(id));
    }

    /// Ends what was begun last.
    pub fn end(&mut self) {
        self.body += "</g>";
    }

    /// What was drawn under a name, here or in another drawing of the page.
    pub fn again(&mut self, id: &str) {
        let _ = write!(self.body, "<use href=\"#{}\"/>", escape(id));
    }

    /// Dots without tips, all of one class: one element, however many there are.
    pub fn dots(&mut self, class: &str, points: &[(f64, f64)]) {
        if !points.is_empty() {
            let data: String =
                points.iter().map(|&(x, y)| format!("M{} {}h0", number(x), number(y))).collect();
            self.shape("path", class, &format!("d=\"{data}\""), "");
        }
    }

    /// Upright strokes from `bottom`: where each stands, and how far it goes (less than nothing is up).
    pub fn strokes(&mut self, class: &str, bottom: f64, strokes: &[(f64, f64)], width: f64) {
        if !strokes.is_empty() {
            let stroke =
                |&(x, rise): &(f64, f64)| format!("M{} {}v{}", number(x), number(bottom), number(rise));
            let data: String = strokes.iter().map(stroke).collect();
            self.shape("path", class, &format!("stroke-width=\"{}\" d=\"{data}\"", number(width)), "");
        }
    }

    /// A path whose data the caller wrote, in units that `place`, a transformation, puts in their place.
    pub fn placed(&mut self, class: &str, place: &str, data: &str) {
        if !data.is_empty() {
            self.shape("path", class, &format!("transform=\"{place}\" d=\"{data}\""), "");
        }
    }

    /// A text on one line.
    pub fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " m",
            Anchor::End => " e",
        };
        // Writing to a string cannot fail, here and below.
        let _ = write!(
            self.body,
            "<text class=\"{class}{anchor}\" x=\"{}\" y=\"{}\">{}</text>",
            number(x),
            number(y),
            escape(text)
        );
    }

    /// The drawing as an element of an HTML page.
    pub fn finish(self) -> String {
        let Self { width, height, title, description, body } = self;
        let description =
            if description.is_empty() { description } else { format!("<desc>{description}</desc>") };
        // Not much larger: its text would shout beside the page's.
        format!(
            "<svg viewBox=\"0 0 {width:.0} {height:.0}\" style=\"max-width:{:.0}px\" role=\"img\">\
             <title>{title}</title>{description}{body}</svg>",
            width * 1.4
        )
    }

    fn shape(&mut self, element: &str, class: &str, attributes: &str, tip: &str) {
        let _ = if tip.is_empty() {
            write!(self.body, "<{element} class=\"{class}\" {attributes}/>")
        } else {
            let tip = escape(tip);
            write!(self.body, "<{element} class=\"{class}\" {attributes}><title>{tip}</title></{element}>")
        };
    }
}

/// Text as it may stand in HTML and SVG, in attributes too.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The data of a path through points: the first place, then steps.
fn steps(points: &[(f64, f64)]) -> String {
    let mut data = String::new();
    let corners = corners(points);
    for (index, &(x, y)) in corners.iter().enumerate() {
        let (from_x, from_y) = corners[index.saturating_sub(1)];
        match (index, x - from_x, y - from_y) {
            (0, ..) => data += &format!("M{}{}", text_of(x), beside(y)),
            (_, dx, 0) => data += &format!("h{}", text_of(dx)),
            (_, 0, dy) => data += &format!("v{}", text_of(dy)),
            (_, dx, dy) => data += &format!("l{}{}", text_of(dx), beside(dy)),
        }
    }
    data
}

/// The points in tenths, without those in the middle of a straight line.
fn corners(points: &[(f64, f64)]) -> Vec<(i64, i64)> {
    let mut corners: Vec<(i64, i64)> = Vec::with_capacity(points.len());
    for &(x, y) in points {
        let next = (tenths(x), tenths(y));
        if let [.., one, two] = corners[..] {
            let (step, more) = ((two.0 - one.0, two.1 - one.1), (next.0 - two.0, next.1 - two.1));
            let is_straight = step.0 * more.1 == step.1 * more.0 && step.0 * more.0 + step.1 * more.1 >= 0;
            if is_straight {
                corners.pop();
            }
        }
        if corners.last() != Some(&next) || corners.is_empty() {
            corners.push(next);
        }
    }
    corners
}

fn number(value: f64) -> String {
    text_of(tenths(value))
}

fn tenths(value: f64) -> i64 {
    (value * 10.0).round() as i64
}

/// `12.3`, `12`, `.5`: as short as SVG allows.
fn text_of(tenths: i64) -> String {
    let sign = if tenths < 0 { "-" } else { "" };
    match (tenths.abs() / 10, tenths.abs() % 10) {
        (whole, 0) => format!("{sign}{whole}"),
        (0, tenth) => format!("{sign}.{tenth}"),
        (whole, tenth) => format!("{sign}{whole}.{tenth}"),
    }
}

/// The second of two numbers: a minus sign separates as well as a space.
fn beside(tenths: i64) -> String {
    let text = text_of(tenths);
    if tenths < 0 { text } else { format!(" {text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_is_what_was_drawn() {
        let mut svg = Svg::new((100.0, 50.0), "a <chart>", "what it shows");
        svg.rect("bar", (1.0, 2.0), (3.25, 4.0), "5 & more");
        svg.line("axis", (0.0, 0.0), (10.0, 0.04));
        svg.path("curve", &[(0.0, 1.0), (2.0, 3.0), (2.0, 2.5), (1.5, 2.5), (1.0, 1.0)], "");
        svg.path("curve", &[(0.0, 1.0)], "");
        svg.ribbon("ribbon", &[(0.0, 0.0), (1.0, 0.0)], &[(0.0, 1.0), (1.0, 1.0)], "");
        svg.circle("dot", (1.0, 1.0), 2.0, "");
        svg.dots("dots", &[(1.0, 1.0), (2.0, 2.5)]);
        svg.text("tick", (5.0, 6.0), Anchor::End, "<10");
        assert_eq!(
            svg.finish(),
            "<svg viewBox=\"0 0 100 50\" style=\"max-width:140px\" role=\"img\">\
             <title>a &lt;chart&gt;</title><desc>what it shows</desc>\
             <rect class=\"bar\" x=\"1\" y=\"2\" width=\"3.3\" height=\"4\"><title>5 &amp; more</title></rect>\
             <line class=\"axis\" x1=\"0\" y1=\"0\" x2=\"10\" y2=\"0\"/>\
             <path class=\"curve\" d=\"M0 1l2 2v-.5h-.5l-.5-1.5\"/>\
             <path class=\"ribbon\" d=\"M0 0h1v1h-1z\"/>\
             <circle class=\"dot\" cx=\"1\" cy=\"1\" r=\"2\"/>\
             <path class=\"dots\" d=\"M1 1h0M2 2.5h0\"/>\
             <text class=\"tick e\" x=\"5\" y=\"6\">&lt;10</text></svg>"
        );
    }

    #[test]
    fn numbers_are_as_short_as_they_can_be() {
        assert_eq!(
            [0.0, 0.04, -0.5, 12.0, 12.34, -3.06].map(number),
            ["0", "0", "-.5", "12", "12.3", "-3.1"]
        );
    }

    #[test]
    fn a_straight_line_is_one_step() {
        assert_eq!(steps(&[(0.0, 0.0), (1.0, 0.0), (2.0, 0.0), (2.0, 1.0), (2.0, 0.0)]), "M0 0h2v1v-1");
        assert_eq!(steps(&[(1.0, 1.0), (1.0, 1.0)]), "M1 1");
    }

    #[test]
    fn what_has_a_name_can_be_drawn_again() {
        let mut svg = Svg::new((1.0, 1.0), "", "");
        svg.begin("a");
        svg.dots("dots", &[(0.0, 0.0)]);
        svg.end();
        svg.again("a");
        assert!(
            svg.finish().contains("<g id=\"a\"><path class=\"dots\" d=\"M0 0h0\"/></g><use href=\"#a\"/>")
        );
    }

    #[test]
    fn steps_add_up_to_where_the_points_are() {
        let points: Vec<_> = (0..100).map(|i| (f64::from(i) / 3.0, f64::from(i % 2))).collect();
        let data = steps(&points).replace('-', " -");
        let step = |step: &str| step.split(' ').next()?.parse::<f64>().ok();
        let end: f64 = data["M0 0l".len()..].split('l').filter_map(step).sum();
        assert!((end - 33.0).abs() < 1e-6, "rounding doesn't pile up: {end}");
    }
}
