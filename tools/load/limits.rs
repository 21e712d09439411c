//! What the machine must allow before a run can start: file descriptors and cores.

use evenkeel::{runtime::topology::Allowed, sys::limits::raise_descriptors};

use super::plan::Plan;

/// Descriptors besides connections: the standard three, one epoll instance a thread, and what libraries hold.
const DESCRIPTORS_SPARE: u64 = 32;

/// Raises the limit on open files as far as it goes, and checks that the run fits.
///
/// # Errors
/// A sentence that says what is missing and what to do.
pub fn allow(plan: &Plan) -> Result<(), String> {
    let needed = (plan.connections + plan.threads) as u64 + DESCRIPTORS_SPARE;
    let allowed = raise_descriptors();
    if allowed < needed {
        return Err(format!(
            "{} connections need {needed} file descriptors and this process may have {allowed}: raise the hard \
             limit (ulimit -Hn), or use at most {} connections",
            plan.connections,
            allowed.saturating_sub(plan.threads as u64 + DESCRIPTORS_SPARE).max(1),
        ));
    }
    Allowed::read().require(&plan.cores)
}
