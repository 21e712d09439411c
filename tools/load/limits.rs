//! What the machine must allow before a run can start: file descriptors and cores.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

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
    let allowed = core_affinity::get_core_ids().unwrap_or_default();
    match plan.cores.iter().find(|&&core| allowed.iter().all(|id| id.id != core)) {
        None => Ok(()),
        Some(core) => {
            let allowed: Vec<_> = allowed.iter().map(|id| id.id.to_string()).collect();
            Err(format!(
                "core {core} is not among those that this process may use: choose from {}",
                allowed.join(",")
            ))
        }
    }
}

/// Raises the soft limit on open files to the hard one; the limit that then holds.
fn raise_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let effective = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        // Some sandboxes forbid it; the soft limit then decides.
        Err(_) => limit.current,
    };
    effective.unwrap_or(u64::MAX)
}
