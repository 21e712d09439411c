//! Real peers: Redis, PostgreSQL, nginx and iperf3 behind the proxy, with the clients that people use; and Java's
//! HdrHistogram, which reads what is logged.
//!
//! What forwards exactly in tests of our own making may still fail those who pipeline, cancel, reset at their end
//! or compare what they got. Each test starts its own servers on free ports, in a folder of its own, and ends
//! with what the ledger says: nothing but the peers' own endings, and each byte delivered.
//!
//! They need other people's programs, so plain `cargo test` leaves them out:
//! `cargo test --test peers -- --ignored --test-threads 1`. A program that is missing is a failure that names its
//! package.

mod discovery;
mod examples;
mod failover;
mod front;
mod hdrhistogram;
mod iperf;
mod limits;
mod nginx;
mod peer;
mod postgres;
mod proxy_protocol;
mod redis;
#[path = "../support/mod.rs"]
mod support;
mod tls;
