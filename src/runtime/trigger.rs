//! The difference between level, edge and oneshot: what epoll is asked for, and when again.
//!
//! The loop, the turns and the services are the same for all three.

use super::link::{Half, Registration};
use crate::{
    config::Trigger,
    sys::epoll::{Interest, Readiness},
};

/// What epoll should be asked for, for a socket that waits to read, to write, or both.
///
/// - Level: just that. While paused or after EOF that is nothing, lest the loop spin.
/// - Edge: everything, once; room to write joins at the first short write and stays. Asked for at once it
///   would cost each fresh connection a wakeup for nothing.
/// - Oneshot: as level, for one report.
#[inline]
pub fn interest(trigger: Trigger, half: &Half, reads: bool, writes: bool) -> Interest {
    let wanted = match (reads, writes) {
        (false, false) => Interest::NONE,
        (true, false) => Interest::READ,
        (false, true) => Interest::WRITE,
        (true, true) => Interest::READ.with(Interest::WRITE),
    };
    match trigger {
        Trigger::Level => wanted,
        Trigger::Edge if half.was_blocked => Interest::EDGE.with(Interest::WRITE),
        Trigger::Edge => Interest::EDGE,
        Trigger::Oneshot => wanted.once(),
    }
}

/// What an event does to the registration. `true`: the socket must be taken out of epoll now, as its error
/// or hang-up can't be masked, and would be reported for ever (level) or at each re-arming (oneshot).
#[inline]
pub fn reported(trigger: Trigger, half: &mut Half, readiness: Readiness) -> bool {
    match trigger {
        Trigger::Edge => false,
        Trigger::Level | Trigger::Oneshot if readiness.unmaskable() => {
            half.registration = Registration::Left;
            true
        }
        Trigger::Level => false,
        Trigger::Oneshot => {
            half.registration = Registration::Disarmed;
            false
        }
    }
}
