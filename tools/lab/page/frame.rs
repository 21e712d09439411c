//! The frame of a chart: margins, ticks and axis titles, the same for all.

use super::svg::{Anchor, Svg};

/// The size of a panel in the page's matrix. Five fit side by side on a wide screen, one on a phone, and
/// its text is readable in both.
pub const PANEL: (f64, f64) = (264.0, 196.0);

const LEFT: f64 = 44.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 38.0;

/// A drawing with room for its axes.
#[derive(Debug)]
pub struct Frame {
    pub svg: Svg,
    size: (f64, f64),
    left: f64,
}

impl Frame {
    pub fn new(label: &str, size: (f64, f64)) -> Self {
        Self::with_left(label, size, LEFT)
    }

    /// A frame whose y axis has long names.
    pub fn with_left(label: &str, size: (f64, f64), left: f64) -> Self {
        Self { svg: Svg::new(size.0, size.1, label), size, left }
    }

    /// The left and the right end of the plot.
    pub fn x_range(&self) -> (f64, f64) {
        (self.left, self.size.0 - RIGHT)
    }

    /// The lower and the upper end of the plot: values grow upwards.
    pub fn y_range(&self) -> (f64, f64) {
        (self.bottom(), self.top())
    }

    pub fn top(&self) -> f64 {
        TOP
    }

    pub fn bottom(&self) -> f64 {
        self.size.1 - BOTTOM
    }

    /// A value of the y axis, with a line across the plot.
    pub fn y_tick(&mut self, y: f64, text: &str, class: &str) {
        let (left, right) = self.x_range();
        self.svg.line(class, (left, y), (right, y));
        self.svg.text("tick", (left - 5.0, y + 3.5), Anchor::End, text);
    }

    /// A value of the x axis.
    pub fn x_tick(&mut self, x: f64, text: &str) {
        self.svg.text("tick", (x, self.bottom() + 13.0), Anchor::Middle, text);
    }

    /// A value of the x axis, with a line up the plot.
    pub fn x_grid(&mut self, x: f64, text: &str) {
        self.svg.line("grid", (x, self.top()), (x, self.bottom()));
        self.x_tick(x, text);
    }

    /// What the axes show, with units: x below the middle, y above its axis.
    pub fn titles(&mut self, x: &str, y: &str) {
        let (left, right) = self.x_range();
        self.svg.text("axis-title", (f64::midpoint(left, right), self.size.1 - 8.0), Anchor::Middle, x);
        self.svg.text("axis-title", (4.0, TOP - 9.0), Anchor::Start, y);
    }
}
