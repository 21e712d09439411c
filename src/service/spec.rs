//! What is to be served: one entry a service, as the command line or a configuration file has it.

use std::time::Duration;

use super::Work;
use crate::config::{Address, ProxyOptions};

/// One service.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// Its name, in reports and ledgers: its kind, where none was given.
    pub name: String,
    /// Where it listens; at least one address.
    pub listen: Vec<Address>,
    /// What it does.
    pub kind: Kind,
}

/// What a service does.
#[expect(clippy::large_enum_variant, reason = "there are as many as services, and nothing moves them about")]
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Sends back what comes in.
    Echo(EchoOptions),
    /// Forwards to an upstream and back.
    Proxy(ProxyOptions),
}

/// How an echo service behaves.
#[derive(Clone, Debug, PartialEq)]
pub struct EchoOptions {
    /// Time that each message takes.
    pub work: Option<Work>,
    /// Seed of the random times of `work`.
    pub seed: u64,
    /// Whether the first 16 bytes on a connection tell the worker and its sequence number.
    pub greet: bool,
    /// Connections that say nothing for this long are closed.
    pub idle_timeout: Option<Duration>,
}

impl Default for EchoOptions {
    fn default() -> Self {
        Self { work: None, seed: 1, greet: false, idle_timeout: None }
    }
}

impl Kind {
    /// Its name: `echo`, `proxy`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Echo(_) => "echo",
            Self::Proxy(_) => "proxy",
        }
    }
}
