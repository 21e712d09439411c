//! A small SVG writer: what a chart is drawn with, and nothing that knows what it shows.
//!
//! Shapes carry class names, never colours: the page's style sheet decides, so that one drawing serves light
//! and dark. Coordinates are written with one decimal place, which is finer than any screen.

use std::fmt::Write as _;

/// A drawing of a fixed size that scales with its container.
#[derive(Debug)]
pub struct Svg {
    width: f64,
    height: f64,
    label: String,
    body: String,
}

/// Where a text stands relative to its point.
#[derive(Clone, Copy, Debug)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    /// An empty drawing; `label` is what a screen reader says.
    pub fn new(width: f64, height: f64, label: &str) -> Self {
        Self { width, height, label: escape(label), body: String::new() }
    }

    /// A rectangle. A pointer that rests on it is told `tip`, if that isn't empty.
    pub fn rect(&mut self, class: &str, (x, y): (f64, f64), (width, height): (f64, f64), tip: &str) {
        self.shape(
            &format!(
                "rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\""
            ),
            tip,
        );
    }

    /// A straight line.
    pub fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.shape(
            &format!("line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\""),
            "",
        );
    }

    /// A circle.
    pub fn circle(&mut self, class: &str, (x, y): (f64, f64), radius: f64, tip: &str) {
        self.shape(&format!("circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\""), tip);
    }

    /// A line through points; nothing for fewer than two.
    pub fn path(&mut self, class: &str, points: &[(f64, f64)], tip: &str) {
        if points.len() < 2 {
            return;
        }
        let mut data = String::new();
        for (index, (x, y)) in points.iter().enumerate() {
            // Writing to a string cannot fail, here and below.
            let _ = write!(data, "{}{x:.1} {y:.1}", if index == 0 { "M" } else { "L" });
        }
        self.shape(&format!("path class=\"{class}\" d=\"{data}\""), tip);
    }

    /// A text on one line.
    pub fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escape(text);
        let _ = write!(
            self.body,
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
        );
    }

    /// The drawing as an element of an HTML page.
    pub fn finish(self) -> String {
        let Self { width, height, label, body } = self;
        format!(
            "<svg viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\"{label}\">{body}</svg>"
        )
    }

    fn shape(&mut self, shape: &str, tip: &str) {
        let _ = if tip.is_empty() {
            write!(self.body, "<{shape}/>")
        } else {
            let element = shape.split(' ').next().unwrap_or_default();
            write!(self.body, "<{shape}><title>{}</title></{element}>", escape(tip))
        };
    }
}

/// Text as it may stand in HTML and SVG, in attributes too.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// From values to coordinates, along a straight or a logarithmic axis.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    domain: (f64, f64),
    range: (f64, f64),
    logarithmic: bool,
}

impl Scale {
    pub fn linear(domain: (f64, f64), range: (f64, f64)) -> Self {
        Self { domain, range, logarithmic: false }
    }

    /// The domain must lie above zero.
    pub fn logarithmic((low, high): (f64, f64), range: (f64, f64)) -> Self {
        Self { domain: (low.log10(), high.log10()), range, logarithmic: true }
    }

    /// Where a value lies; what is outside of the domain lies on its edge.
    pub fn at(&self, value: f64) -> f64 {
        let value = if self.logarithmic { value.max(f64::MIN_POSITIVE).log10() } else { value };
        let (low, high) = self.domain;
        let share = if high > low { ((value - low) / (high - low)).clamp(0.0, 1.0) } else { 0.0 };
        self.range.0 + share * (self.range.1 - self.range.0)
    }
}

/// The powers of ten that enclose a range of positive values: the domain of a logarithmic axis.
pub fn decades((low, high): (f64, f64)) -> (f64, f64) {
    let low = 10f64.powf(low.log10().floor());
    (low, 10f64.powf(high.log10().ceil()).max(low * 10.0))
}

/// The ticks of a domain made by [`decades`]: its powers of ten, with 2 and 5 between them where there is room.
pub fn decade_ticks((low, high): (f64, f64)) -> Vec<f64> {
    let (first, last) = (low.log10().round() as i32, high.log10().round() as i32);
    let between: &[f64] = if last - first <= 2 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let decade = |exponent| between.iter().map(move |tick| tick * 10f64.powi(exponent));
    (first..last).flat_map(decade).chain([10f64.powi(last)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_is_what_was_drawn() {
        let mut svg = Svg::new(100.0, 50.0, "a <chart>");
        svg.rect("bar", (1.0, 2.0), (3.25, 4.0), "5 & more");
        svg.line("axis", (0.0, 0.0), (10.0, 0.04));
        svg.path("curve", &[(0.0, 1.0), (2.0, 3.0)], "");
        svg.path("curve", &[(0.0, 1.0)], "");
        svg.circle("dot", (1.0, 1.0), 2.0, "");
        svg.text("tick", (5.0, 6.0), Anchor::End, "<10");
        assert_eq!(
            svg.finish(),
            "<svg viewBox=\"0 0 100 50\" role=\"img\" aria-label=\"a &lt;chart&gt;\">\
             <rect class=\"bar\" x=\"1.0\" y=\"2.0\" width=\"3.2\" height=\"4.0\"><title>5 &amp; more</title></rect>\
             <line class=\"axis\" x1=\"0.0\" y1=\"0.0\" x2=\"10.0\" y2=\"0.0\"/>\
             <path class=\"curve\" d=\"M0.0 1.0L2.0 3.0\"/>\
             <circle class=\"dot\" cx=\"1.0\" cy=\"1.0\" r=\"2.0\"/>\
             <text class=\"tick\" x=\"5.0\" y=\"6.0\" text-anchor=\"end\">&lt;10</text></svg>"
        );
    }

    #[test]
    fn scales_hit_their_ends_and_never_leave_them() {
        let linear = Scale::linear((0.0, 400.0), (100.0, 0.0));
        assert_eq!([0.0, 100.0, 400.0, 500.0].map(|value| linear.at(value)), [100.0, 75.0, 0.0, 0.0]);
        let log = Scale::logarithmic((0.1, 1000.0), (0.0, 40.0));
        assert_eq!([0.1, 1.0, 100.0, 0.0].map(|value| log.at(value).round()), [0.0, 10.0, 30.0, 0.0]);
        assert_eq!(Scale::linear((3.0, 3.0), (7.0, 9.0)).at(3.0), 7.0, "an empty domain");
    }

    #[test]
    fn decades_enclose() {
        assert_eq!(decades((0.4, 30.0)), (0.1, 100.0));
        assert_eq!(decades((1.0, 1.0)), (1.0, 10.0));
        assert_eq!(decade_ticks((0.1, 100.0)), [0.1, 1.0, 10.0, 100.0]);
        assert_eq!(decade_ticks((1.0, 10.0)), [1.0, 2.0, 5.0, 10.0]);
    }
}
