//! The frame of a chart: margins, ticks and axis titles, the same for all.

use super::{
    scale::tick_text,
    svg::{Anchor, Svg},
};

/// The size of a panel in a row of them. Five fit side by side on a wide screen, one on a phone, and its
/// text is readable in both.
pub const PANEL: (f64, f64) = (264.0, 196.0);
/// The width of a chart that stands alone: as wide as a phone.
pub const WIDE: f64 = 420.0;

const LEFT: f64 = 44.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 38.0;
/// Above the rows and below them, in a chart with a row a name.
pub const MARGINS: f64 = TOP + BOTTOM;
/// What a letter of a tick takes, on average, at the style sheet's size.
const LETTER: f64 = 6.1;

/// A drawing with room for its axes.
#[derive(Debug)]
pub struct Frame {
    /// What the chart's marks are drawn on.
    pub svg: Svg,
    size: (f64, f64),
    left: f64,
}

impl Frame {
    /// A frame whose y axis has numbers.
    pub fn new(size: (f64, f64), title: &str, description: &str) -> Self {
        Self::with_left(LEFT, size, title, description)
    }

    /// A frame whose y axis has these names, each on a row.
    pub fn with_names<'a>(
        names: impl IntoIterator<Item = &'a str>,
        size: (f64, f64),
        title: &str,
        description: &str,
    ) -> Self {
        let longest = names.into_iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let left = (longest as f64 * LETTER + 12.0).clamp(LEFT, size.0 / 2.0);
        Self::with_left(left, size, title, description)
    }

    fn with_left(left: f64, size: (f64, f64), title: &str, description: &str) -> Self {
        Self { svg: Svg::new(size, title, description), size, left }
    }

    /// The left and the right end of the plot.
    pub fn x_range(&self) -> (f64, f64) {
        (self.left, self.size.0 - RIGHT)
    }

    /// The lower and the upper end of the plot: values grow upwards.
    pub fn y_range(&self) -> (f64, f64) {
        (self.bottom(), self.top())
    }

    /// Where the plot begins.
    pub fn top(&self) -> f64 {
        TOP
    }

    /// Where the plot ends.
    pub fn bottom(&self) -> f64 {
        self.size.1 - BOTTOM
    }

    /// A value of the y axis, with a line across the plot.
    pub fn y_tick(&mut self, y: f64, text: &str, class: &str) {
        let (left, right) = self.x_range();
        self.svg.line(class, (left, y), (right, y));
        self.svg.text("tick", (left - 5.0, y + 3.5), Anchor::End, text);
    }

    /// A name on the y axis, without a line.
    pub fn y_name(&mut self, y: f64, text: &str) {
        self.svg.text("tick", (self.left - 5.0, y + 3.5), Anchor::End, text);
    }

    /// Values of the y axis, with grid lines.
    pub fn y_ticks(&mut self, values: &[f64], at: impl Fn(f64) -> f64) {
        let (left, right) = self.x_range();
        let lines: Vec<_> = values.iter().map(|&value| [(left, at(value)), (right, at(value))]).collect();
        self.svg.lines("grid", &lines);
        for &value in values {
            self.y_name(at(value), &tick_text(value));
        }
    }

    /// A value of the x axis.
    pub fn x_tick(&mut self, x: f64, text: &str) {
        self.svg.text("tick", (x, self.bottom() + 13.0), Anchor::Middle, text);
    }

    /// Values of the x axis, with grid lines; those whose text would touch the one before have only the line.
    pub fn x_ticks(&mut self, values: &[f64], at: impl Fn(f64) -> f64) {
        let mut free_from = f64::NEG_INFINITY;
        let lines: Vec<_> =
            values.iter().map(|&it| [(at(it), self.top()), (at(it), self.bottom())]).collect();
        self.svg.lines("grid", &lines);
        for &value in values {
            let (x, text) = (at(value), tick_text(value));
            let half = text.chars().count() as f64 * LETTER / 2.0;
            let fits = x - half >= free_from;
            if fits {
                self.x_tick(x, &text);
                free_from = x + half + 4.0;
            }
        }
    }

    /// What the axes show, with units: x below the middle, y above its axis.
    pub fn titles(&mut self, x: &str, y: &str) {
        let (left, right) = self.x_range();
        // In the middle of the plot, but within the drawing.
        let half = x.chars().count() as f64 * LETTER / 2.0;
        let middle = f64::midpoint(left, right).min(self.size.0 - half).max(half);
        self.svg.text("axis-title", (middle, self.size.1 - 8.0), Anchor::Middle, x);
        if !y.is_empty() {
            self.svg.text("axis-title", (4.0, TOP - 9.0), Anchor::Start, y);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_get_the_room_they_need_but_not_all_of_it() {
        let left = |name: &str| Frame::with_names([name], (WIDE, 100.0), "", "").x_range().0;
        assert_eq!(left("a"), LEFT);
        assert!(left("exclusive/level") > 90.0 && left(&"long".repeat(50)) == WIDE / 2.0);
    }

    #[test]
    fn ticks_that_would_touch_lose_their_text() {
        let mut frame = Frame::new(PANEL, "", "");
        frame.x_ticks(&[1000.0, 1001.0, 1002.0], |value| 50.0 + (value - 1000.0) * 15.0);
        let svg = frame.svg.finish();
        assert!(svg.contains("class=\"grid\" d=\"M50 20v138M65 20v138M80 20v138\""), "{svg}");
        assert!(svg.contains(">1000<") && !svg.contains(">1001<") && svg.contains(">1002<"), "{svg}");
    }
}
