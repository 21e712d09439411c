//! Keeps an eye on members while the workers serve: checks whether they are well, and asks DNS who they are.
//!
//! It is a thread of its own, started only where something is to be kept an eye on. Workers never wait for it: they get
//! rosters, which never change, by message. `watch` is how it is done. Built with the feature `control` (which a model
//! checker's build is without); without it, what would need a keeper is refused.

#[cfg(not(all(feature = "control", not(loom))))]
mod absent;
#[cfg(all(feature = "control", not(loom)))]
mod watch;

#[cfg(not(all(feature = "control", not(loom))))]
pub use absent::Keeper;
#[cfg(all(feature = "control", not(loom)))]
pub use watch::Keeper;

use std::sync::Arc;

use crate::{config::ProxyOptions, sys::socket::ConnectOptions, upstream::Roster};

/// A service whose members are kept an eye on.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its number.
    pub service: usize,
    /// What people call it.
    pub name: String,
    /// The number of its slot 0 among the upstreams of all services.
    pub first_upstream: usize,
    /// What was asked for.
    pub options: ProxyOptions,
    /// What its workers start with.
    pub roster: Arc<Roster>,
    /// How its workers connect to members, and so how checks do.
    pub connect: ConnectOptions,
}

/// What reports say of a service's members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// What workers have been told last.
    pub roster: Arc<Roster>,
    /// By slot.
    pub checks: Vec<Checks>,
}

/// What was found of one member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    /// Checks that it passed.
    pub passed: u64,
    /// Checks that it failed.
    pub failed: u64,
}

impl Keeper {
    /// Whether such a service needs one.
    pub fn is_needed(options: &ProxyOptions) -> bool {
        options.needs_keeper()
    }
}
