//! What the machine must allow before a run can start: file descriptors, cores, and the address to come from.

use std::net::TcpListener;

use evenkeel::{runtime::topology::Allowed, sys::limits::raise_descriptors};

use super::plan::Plan;

/// Descriptors besides connections: the standard three, and what libraries hold.
const DESCRIPTORS_SPARE: u64 = 32;

/// An epoll instance and a timer.
const DESCRIPTORS_PER_THREAD: u64 = 2;

/// Raises the limit on open files as far as it goes, and checks that the run fits.
///
/// # Errors
/// A sentence that says what is missing and what to do.
pub fn allow(plan: &Plan) -> Result<(), String> {
    let own = plan.threads as u64 * DESCRIPTORS_PER_THREAD + DESCRIPTORS_SPARE;
    let needed = plan.connections as u64 + own;
    let allowed = raise_descriptors();
    if allowed < needed {
        return Err(format!(
            "{} connections need {needed} file descriptors and this process may have {allowed}: raise the hard \
             limit (ulimit -Hn), or use at most {} connections",
            plan.connections,
            allowed.saturating_sub(own).max(1),
        ));
    }
    if let Some(source) = plan.source {
        let first = source.nth(0);
        TcpListener::bind((first, 0)).map_err(|error| {
            format!("--source {source}: {first} is no address to connect from here: {error}")
        })?;
    }
    Allowed::read().require(&plan.cores)
}
