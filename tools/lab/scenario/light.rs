//! Light: a load that one worker alone could just carry.
//!
//! Reveals what packing costs while nothing is short: a mode that gave all connections to one worker keeps
//! up, but its clients queue behind each other while three workers sleep.

use super::{Load, Scenario};

pub const LIGHT: Scenario = Scenario {
    name: "light",
    reveals: "what packing costs the tail at a load that one worker alone can just carry",
    load: Load::Open { rate: 1_600 },
};
