//! Health checks and discovery: who is checked how, what follows from it, and who is behind a name.
//!
//! Against the real binary, with upstreams and a DNS server that the test plays.

mod checks;
mod discovery;
mod dns;
mod graph;
mod played;
mod pool;
mod turning;

#[path = "../support/mod.rs"]
mod support;
