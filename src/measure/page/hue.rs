//! How series are told apart: by colour and, for those who don't see it or print the page, by dashes.

use std::fmt;

/// The look of one series: classes of the style sheet, as `c2 d1`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hue {
    colour: u8,
    dash: u8,
}

impl Hue {
    /// Colours there are: those of Okabe and Ito that show on white and on black, told apart with any kind
    /// of colour vision, and a grey.
    pub const COLOURS: usize = 8;
    /// Ways to draw a line: solid, dashed, dotted, dash and dot.
    pub const DASHES: usize = 4;

    /// A colour and a dash by their numbers; what is beyond the last begins again.
    pub fn new(colour: usize, dash: usize) -> Self {
        Self { colour: (colour % Self::COLOURS) as u8, dash: (dash % Self::DASHES) as u8 }
    }

    /// The look of the n-th series, where any will do: neighbours differ in colour and in dash.
    pub fn nth(index: usize) -> Self {
        Self::new(index, index + index / Self::COLOURS)
    }

    /// The same colour with another dash.
    pub fn dashed(self, dash: usize) -> Self {
        Self::new(usize::from(self.colour), dash)
    }

    /// The colour's class alone, for marks that aren't lines.
    pub fn colour(self) -> String {
        format!("c{}", self.colour)
    }

    /// The number of the dash.
    pub fn dash(self) -> usize {
        usize::from(self.dash)
    }
}

impl fmt::Display for Hue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.dash {
            0 => write!(f, "c{}", self.colour),
            dash => write!(f, "c{} d{dash}", self.colour),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_first_series_all_look_different() {
        let looks: BTreeSet<_> =
            (0..Hue::COLOURS * Hue::DASHES).map(|index| Hue::nth(index).to_string()).collect();
        assert_eq!(looks.len(), Hue::COLOURS * Hue::DASHES);
        assert_eq!((Hue::nth(0).to_string(), Hue::nth(1).to_string()), ("c0".into(), "c1 d1".into()));
    }
}
