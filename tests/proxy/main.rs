//! What a proxy promises beyond the stream itself: the ledger's word for each end, shares, retries, stops, costs.
//!
//! Against the real binary, with both ends of each session in the test's hands.

mod balancing;
mod calls;
mod codes;
mod crowd;
mod killed;
mod patience;
mod preread;
mod routes;
mod standing;
mod stopping;
#[path = "../support/mod.rs"]
mod support;
