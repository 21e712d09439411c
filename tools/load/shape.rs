//! Who carries how much: all connections alike (mice), or some of them many times as much as the others
//! (elephants). Whose turn it is follows from the shape alone; there is no I/O here, and no chance.

use std::{
    fmt::{self, Display, Formatter},
    str::FromStr,
};

/// How messages are spread over connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Evenly.
    Mice,
    /// Some get more.
    Elephants {
        /// How many.
        count: usize,
        /// How many times as many messages one gets as another connection does.
        factor: usize,
    },
}

impl Shape {
    /// The most times as much.
    const FACTOR_MAX: usize = 65_536;

    /// How many connections are elephants.
    pub fn elephants(self) -> usize {
        match self {
            Self::Mice => 0,
            Self::Elephants { count, .. } => count,
        }
    }

    /// How many times as much as a mouse an elephant carries.
    pub fn factor(self) -> usize {
        match self {
            Self::Mice => 1,
            Self::Elephants { factor, .. } => factor,
        }
    }
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            let most = Self::FACTOR_MAX;
            format!(
                "'{text}' is no shape: use mice, or elephants:K,FACTOR such as elephants:4,10 (FACTOR up to {most})"
            )
        };
        if text == "mice" {
            return Ok(Self::Mice);
        }
        let (count, factor) =
            text.strip_prefix("elephants:").and_then(|numbers| numbers.split_once(',')).ok_or_else(wrong)?;
        match (count.parse(), factor.parse()) {
            (Ok(count @ 1..), Ok(factor @ 1..=Self::FACTOR_MAX)) => Ok(Self::Elephants { count, factor }),
            _ => Err(wrong()),
        }
    }
}

impl Display for Shape {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mice => f.write_str("mice"),
            Self::Elephants { count, factor } => write!(f, "elephants:{count},{factor}"),
        }
    }
}

/// Whose turn it is, in open loop. The first connections of a thread are its elephants.
#[derive(Debug)]
pub struct Turns {
    connections: usize,
    elephants: usize,
    /// Of `weight` turns, the elephants together have `heavy`, spread as evenly as whole turns allow.
    heavy: usize,
    weight: usize,
    owed: usize,
    next_elephant: usize,
    next_mouse: usize,
}

impl Turns {
    /// The turns of a thread with so many connections, of which so many are elephants.
    pub fn new(connections: usize, elephants: usize, factor: usize) -> Self {
        let (elephants, heavy) = (elephants.min(connections), elephants.min(connections) * factor);
        Self {
            connections,
            elephants,
            heavy,
            weight: heavy + connections - elephants,
            owed: 0,
            next_elephant: 0,
            next_mouse: elephants,
        }
    }

    /// The connection that carries the next message.
    pub fn take(&mut self) -> usize {
        self.owed += self.heavy;
        if self.owed >= self.weight {
            self.owed -= self.weight;
            next(&mut self.next_elephant, 0, self.elephants)
        } else {
            next(&mut self.next_mouse, self.elephants, self.connections)
        }
    }
}

/// What `turn` was, which moves on within `from..until`.
fn next(turn: &mut usize, from: usize, until: usize) -> usize {
    let slot = *turn;
    *turn = if slot + 1 < until { slot + 1 } else { from };
    slot
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(connections: usize, elephants: usize, factor: usize, messages: usize) -> Vec<usize> {
        let mut turns = Turns::new(connections, elephants, factor);
        let mut counts = vec![0; connections];
        (0..messages).for_each(|_| counts[turns.take()] += 1);
        counts
    }

    #[test]
    fn mice_take_turns() {
        let mut turns = Turns::new(3, 0, 1);
        assert_eq!([0; 7].map(|_| turns.take()), [0, 1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn an_elephant_carries_so_many_times_as_much() {
        assert_eq!(counts(4, 1, 7, 1_000), [700, 100, 100, 100]);
        assert_eq!(counts(5, 2, 3, 900), [300, 300, 100, 100, 100]);
        assert_eq!(counts(2, 2, 9, 10), [5, 5]);
        assert_eq!(counts(3, 1, 1, 9), [3, 3, 3]);
    }

    #[test]
    fn an_elephants_turns_are_spread() {
        let mut turns = Turns::new(4, 1, 3);
        assert_eq!([0; 6].map(|_| turns.take()), [1, 0, 2, 0, 3, 0]);
    }

    #[test]
    fn a_shape_is_written_as_it_is_read() {
        for text in ["mice", "elephants:4,10"] {
            assert_eq!(text.parse::<Shape>().map(|shape| shape.to_string()), Ok(text.to_owned()));
        }
        for text in
            ["", "elephants", "elephants:4", "elephants:0,2", "elephants:1,0", "elephants:1,x", "mouse"]
        {
            assert!(text.parse::<Shape>().is_err(), "{text}");
        }
    }
}
