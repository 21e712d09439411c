//! Trickle: connections that come one by one while every worker is idle.
//!
//! Reveals whom a mode gives a connection when nothing forces its hand: a fixed first (`exclusive`), each in
//! turn (`rotate`, `dealt`), or whoever the hash points at (`private`). Most servers spend most of their
//! time like this, and keep the connections for hours. After Cloudflare's "Why does one NGINX worker take
//! all the load?" (2017).

use super::{Load, Scenario};

pub const TRICKLE: Scenario = Scenario {
    name: "trickle",
    reveals: "who gets a connection while all workers are idle: packed, even, or by chance",
    load: Load::ConnectOnly { connections: 400 },
};
