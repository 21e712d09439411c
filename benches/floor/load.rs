//! What the contenders are put under, in which unit its cost is told, and what the cost is expected to be.

use crate::client::{PING_PONG, Traffic};
use crate::options::Options;
use crate::statistics::Ratio;

/// A load with its unit and its expectations.
pub struct Load {
    /// What is measured, for headings.
    pub title: &'static str,
    /// Connections at a time.
    pub connections: usize,
    /// What goes over each.
    pub traffic: Traffic,
    /// The cost's unit.
    pub unit: &'static str,
    /// How many of that unit are in a nanosecond a message.
    pub units: f64,
    /// How much heavier a message is than one of the lightest load: turns have as many messages fewer.
    weight: u32,
    /// What is checked in the end.
    pub expectations: &'static [Expectation],
}

/// How a contender's cost should compare with another one's.
pub struct Expectation {
    /// The contender,
    pub contender: &'static str,
    /// the one it is compared with,
    pub base: &'static str,
    /// and what the ratio should be.
    pub bound: Bound,
}

/// What a ratio should be.
pub enum Bound {
    /// A target: the estimate, and the interval's upper end where that is bounded too.
    AtMost(f64, Option<f64>),
    /// The least that can be true, or the base isn't a floor.
    AtLeast(f64),
}

/// The echo servers' load.
pub const ECHO: Load = Load {
    title: "echo, CPU per message",
    connections: 50,
    traffic: PING_PONG,
    unit: "ns/message",
    units: 1.0,
    weight: 1,
    expectations: &[
        Expectation { contender: "mio", base: "floor", bound: Bound::AtLeast(0.97) },
        Expectation { contender: "evenkeel level", base: "floor", bound: NEAR_THE_FLOOR },
        Expectation { contender: "evenkeel edge", base: "floor", bound: NEAR_THE_FLOOR },
    ],
};

/// The proxies' first load: what a small message costs, there and back.
pub const SMALL: Load = Load {
    title: "proxy, CPU per message and its reply",
    connections: 50,
    traffic: PING_PONG,
    unit: "ns/message",
    units: 1.0,
    weight: 2,
    expectations: &[
        Expectation { contender: "evenkeel copy, level", base: "floor", bound: NEAR_THE_FLOOR },
        Expectation { contender: "evenkeel copy, edge", base: "floor", bound: NEAR_THE_FLOOR },
    ],
};

/// The second: what many bytes cost. A message crosses twice, so its bytes count twice.
pub const BULK: Load = Load {
    title: "proxy, CPU per GB forwarded (10⁹ bytes, both ways)",
    connections: 32,
    traffic: Traffic { message_bytes: BULK_BYTES, window: 4, reconnects: false },
    unit: "ms/GB",
    units: 1e3 / (2 * BULK_BYTES) as f64,
    weight: 10,
    expectations: &[Expectation {
        contender: "evenkeel auto",
        base: "nginx",
        bound: Bound::AtMost(0.6, None),
    }],
};

/// The third: what a connection costs that carries one message.
pub const CHURN: Load = Load {
    title: "proxy, CPU per connection of one message",
    connections: 16,
    traffic: Traffic { reconnects: true, ..PING_PONG },
    unit: "ns/conn.",
    units: 1.0,
    weight: 20,
    expectations: &[],
};

const BULK_BYTES: usize = 32 * 1024;
const NEAR_THE_FLOOR: Bound = Bound::AtMost(1.05, Some(1.10));

impl Load {
    /// Messages in a turn.
    pub fn turn_messages(&self, options: &Options) -> usize {
        (options.messages / self.weight).max(1) as usize
    }

    /// Messages before anything is measured.
    pub fn warm_up_messages(&self) -> usize {
        5000 / self.weight as usize
    }

    /// The load in words, for headings.
    pub fn described(&self) -> String {
        let Traffic { message_bytes, window, .. } = self.traffic;
        format!(
            "{}: {} connections, {message_bytes} bytes, {window} under way on each",
            self.title, self.connections
        )
    }
}

impl Expectation {
    /// What is to be said, given the ratio. A yardstick that is as it should be isn't worth a word.
    pub fn verdict(&self, ratio: Ratio) -> Option<String> {
        let Self { contender, base, .. } = self;
        let (estimate_max, upper_max) = match self.bound {
            Bound::AtMost(estimate_max, upper_max) => (estimate_max, upper_max),
            Bound::AtLeast(least) if ratio.estimate < least => {
                return Some(format!("{contender} is below {least}: the {base} is at fault"));
            }
            Bound::AtLeast(_) => return None,
        };
        let Some((_, upper)) = ratio.interval else {
            return Some(format!("{contender}: no verdict, six rounds are the least for an interval"));
        };
        let met = ratio.estimate <= estimate_max && upper_max.is_none_or(|max| upper <= max);
        let word = if met { "meets" } else { "misses" };
        let and_upper = upper_max.map_or(String::new(), |max| format!(", upper end at most {max:.2}"));
        Some(format!("{contender} {word} the target: {ratio} of {base} (at most {estimate_max}{and_upper})"))
    }
}
