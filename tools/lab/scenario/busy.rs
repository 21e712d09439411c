//! Busy: a load that keeps all four workers busy for more than half of their time.
//!
//! Reveals what luck costs: where the hash gave one worker half as many connections again, that worker is
//! near its limit and its clients wait, while its neighbours have time. A mode that packs is overloaded.

use super::{Load, Scenario};

pub const BUSY: Scenario = Scenario {
    name: "busy",
    reveals: "what an uneven share costs when the workers together are more than half busy",
    load: Load::Open { rate: 5_000 },
};
