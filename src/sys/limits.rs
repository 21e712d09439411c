//! The limit of open descriptors.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of open descriptors to the hard one, never beyond, and returns what is in force
/// (`u64::MAX` where there is no limit).
pub fn raise_descriptors() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    let in_force = if setrlimit(Resource::Nofile, raised).is_ok() { maximum } else { current };
    in_force.unwrap_or(u64::MAX)
}
