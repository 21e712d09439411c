//! Faults that real layer-4 proxies had: each test is named after one, and shows that this proxy hasn't got it.
//!
//! Each runs over every forwarder and trigger, against the real binary; a failure says with which.

mod connecting;
mod descriptors;
mod endings;
mod events;
mod memory;
mod patience;
mod split_header;
#[path = "../support/mod.rs"]
mod support;
