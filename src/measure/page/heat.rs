//! Heat maps: values in cells, quantised to eight levels of colour.
//!
//! A level is one path, and neighbours of one level are one stroke of it: a map of thousands of cells takes a
//! few kilobytes.

use std::fmt::Write as _;

use super::{
    frame::Frame,
    svg::{Anchor, Svg},
};

/// How many colours there are.
pub const LEVELS: usize = 8;

/// Which level a value has.
#[derive(Clone, Copy, Debug)]
pub struct Levels {
    most: f64,
    logarithmic: bool,
}

impl Levels {
    /// Equal steps up to the largest value.
    pub fn linear(most: f64) -> Self {
        Self { most, logarithmic: false }
    }

    /// Equal ratios from 1 up to the largest value: for counts of which one is worth seeing.
    pub fn logarithmic(most: f64) -> Self {
        Self { most, logarithmic: true }
    }

    /// The level of a value; `None`, which isn't drawn, for nothing.
    pub fn of(&self, value: f64) -> Option<usize> {
        let share = if self.logarithmic { value.ln() / self.most.max(2.0).ln() } else { value / self.most };
        (value > 0.0 && self.most > 0.0).then(|| {
            ((share * LEVELS as f64 - 1e-9).ceil() as isize - 1).clamp(0, LEVELS as isize - 1) as usize
        })
    }

    /// The largest value of a level.
    fn top(&self, level: usize) -> f64 {
        let share = (level + 1) as f64 / LEVELS as f64;
        if self.logarithmic { self.most.max(2.0).powf(share) } else { self.most * share }
    }

    /// What the colours mean, as a drawing of one line: `text` and its unit, then the colours and their bounds.
    pub fn key(&self, text: &str) -> String {
        const CELL: f64 = 28.0;
        let left = text.chars().count() as f64 * 6.1 + 10.0;
        let mut svg = Svg::new((left + CELL * LEVELS as f64 + 12.0, 30.0), text, "The key of the colours.");
        svg.text("tick", (left - 8.0, 11.0), Anchor::End, text);
        for level in 0..LEVELS {
            let x = left + level as f64 * CELL;
            svg.rect(&format!("l{level}"), (x, 2.0), (CELL, 11.0), "");
            svg.text("tick", (x + CELL, 26.0), Anchor::Middle, &short(self.top(level)));
        }
        format!("<div class=\"key\">{}</div>", svg.finish())
    }
}

/// Cells by row and column; the first row is at the bottom.
#[derive(Debug)]
pub struct Cells {
    /// A level, or nothing, a cell; rows may differ in length.
    pub rows: Vec<Vec<Option<usize>>>,
}

impl Cells {
    /// Fills the plot of a frame, `columns` wide.
    pub fn draw(&self, frame: &mut Frame, columns: usize) {
        let ((left, right), (bottom, top)) = (frame.x_range(), frame.y_range());
        let (width, height) =
            ((right - left) / columns.max(1) as f64, (bottom - top) / self.rows.len().max(1) as f64);
        for level in 0..LEVELS {
            let place = format!("translate({left:.1} {top:.1})scale({width:.3} {height:.3})");
            frame.svg.placed(&format!("l{level}"), &place, &self.data(level));
        }
    }

    /// Of each row, the stretches of one level, in units of cells.
    fn data(&self, level: usize) -> String {
        let mut data = String::new();
        for (at, row) in self.rows.iter().rev().enumerate() {
            let mut column = 0;
            for stretch in row.chunk_by(|one, next| one == next) {
                let length = stretch.len();
                if stretch[0] == Some(level) {
                    // Writing to a string cannot fail.
                    let _ = write!(data, "M{column} {at}h{length}v1h-{length}z");
                }
                column += length;
            }
        }
        data
    }
}

/// Two digits: a key has no room for more.
fn short(value: f64) -> String {
    match value {
        v if v < 0.995 => format!("{v:.1}"),
        v if v < 9.95 => format!("{}", (v * 10.0).round() / 10.0),
        v if v < 9_950.0 => format!("{v:.0}"),
        v if v < 999_500.0 => format!("{:.0}k", v / 1e3),
        v => format!("{:.0}M", v / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_run_from_little_to_all_and_nothing_has_none() {
        let linear = Levels::linear(80.0);
        assert_eq!([0.0, 1.0, 10.0, 11.0, 80.0, 99.0].map(|v| linear.of(v)), {
            [None, Some(0), Some(0), Some(1), Some(7), Some(7)]
        });
        let log = Levels::logarithmic(256.0);
        assert_eq!(
            [0.0, 1.0, 2.0, 3.0, 256.0].map(|v| log.of(v)),
            [None, Some(0), Some(0), Some(1), Some(7)]
        );
        assert_eq!(Levels::linear(0.0).of(0.0), None);
        assert_eq!(Levels::logarithmic(1.0).of(1.0), Some(0), "ones alone");
    }

    #[test]
    fn a_level_is_one_path_of_stretches() {
        let (one, two) = (Some(0), Some(1));
        let cells = Cells { rows: vec![vec![one, one, two], vec![None, one]] };
        assert_eq!(cells.data(0), "M1 0h1v1h-1zM0 1h2v1h-2z");
        assert_eq!(cells.data(1), "M2 1h1v1h-1z");
        let mut frame = Frame::new((104.0, 98.0), "", "");
        cells.draw(&mut frame, 2);
        let svg = frame.svg.finish();
        assert_eq!(svg.matches("<path").count(), 2);
        assert!(svg.contains("transform=\"translate(44.0 20.0)scale(23.000 20.000)\""), "{svg}");
    }

    #[test]
    fn the_key_names_each_bound() {
        let key = Levels::linear(80.0).key("connections");
        assert!(key.contains(">10<") && key.contains(">80<") && key.contains(">connections<"));
    }
}
