//! `shared`, `exclusive` and `rotate`: one listener in every worker's epoll.
//!
//! One accept queue for all: whoever is free takes the next connection. How many are woken for it is the
//! difference. Plain: all that are idle, and all but one for nothing. EPOLLEXCLUSIVE: one, the first in the
//! wait queue that is idle. `ep_ptable_queue_proc` (fs/eventpoll.c) adds at the tail and nothing rotates, so
//! that is a fixed priority in the order of registration; `rotate` removes and adds its own entry after
//! accepting, which puts it at the tail.

use std::{io, sync::Arc};

use super::Target;
use crate::{
    config::{AcceptMode, Options},
    runtime::intake::{Intake, Share},
    sys::listen::ListenAddress,
};

/// Binds one listener and gives each worker an intake of it.
pub(super) fn bind(
    target: &Target,
    accept: AcceptMode,
    options: &Options,
    intakes: &mut [Vec<Intake>],
) -> io::Result<ListenAddress> {
    let listener = target.listen(options)?;
    let share = match accept {
        AcceptMode::Exclusive => Share::Exclusive,
        AcceptMode::Rotate => Share::Rotate { every: options.rotate_every },
        _ => Share::Herd,
    };
    for intakes in intakes {
        intakes.push(Intake::new(Arc::clone(&listener), intakes.len(), options.listen_trigger, share));
    }
    Ok(listener.address().clone())
}
