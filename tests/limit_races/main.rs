//! Limits over all workers: never one too many, nobody waits beside a free slot, and all sums are exact.
//!
//! The upstream that the test plays counts what it serves at once, eager clients come again and again.

mod crowd;
mod limits;
mod process;
mod race;
#[path = "../support/mod.rs"]
mod support;
mod upstream;
