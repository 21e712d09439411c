//! How much is taken on at a time, exactly, over all workers.
//!
//! ```text
//! rate     how soon the next one may begin       a word a listener           one atomic step an accept
//! quota    how many at once, and who waits       permits, cached by workers  none, mostly; at most one
//! slots    how many at once, nobody waits        a word                      one
//! source   how many at once of one address       a sharded table             one lock, held for a look-up
//! line     who waits, in order                   a worker's own
//! ```
//! Here is what workers share, and what it promises; who is let in when is decided by those who use it: the proxy's
//! admission for its services, the worker for the process. `docs/limits.md` says what each limit means to its user.

pub mod line;
pub mod quota;
pub mod rate;
pub mod slots;
pub mod source;

use std::{ops::Range, time::Duration};

pub use line::{Line, Place};
pub use quota::{Quota, Share};
pub use rate::Pace;
pub use slots::Slots;
pub use source::Sources;

use crate::config;

/// What all workers together keep of one service's limits.
pub struct Limits {
    /// The number of its first listener, among those of all services.
    pub first_listener: usize,
    /// Sessions of the service.
    pub service: Option<Quota>,
    /// Sessions of each of its listeners; empty where that isn't limited.
    pub listeners: Box<[Quota]>,
    /// Sessions of each of its members; empty where that isn't limited.
    pub members: Box<[Quota]>,
    /// How fast each of its listeners may take on more; empty where that isn't limited.
    pub paces: Box<[Pace]>,
    /// Sessions of each source address.
    pub sources: Option<Sources>,
    /// How many may wait.
    pub queue: Slots,
    /// How long they may.
    pub queue_timeout: Duration,
}

impl Limits {
    /// The limits of a service with these listeners and so many places for members, for so many workers; `None` where
    /// nothing is limited.
    pub fn new(
        limits: &config::Limits,
        listeners: Range<usize>,
        members: usize,
        workers: usize,
    ) -> Option<Self> {
        if limits.is_off() {
            return None;
        }
        let each = |count: usize, limit: Option<u64>| -> Box<[Quota]> {
            limit.into_iter().flat_map(|limit| (0..count).map(move |_| Quota::new(limit, workers))).collect()
        };
        let pace = |rate| listeners.clone().map(move |_| Pace::new(rate));
        let source = |limit| Sources::new(limit, limits.source_v6_prefix);
        Some(Self {
            first_listener: listeners.start,
            service: limits.connections.map(|limit| Quota::new(limit, workers)),
            listeners: each(listeners.len(), limits.listener),
            members: each(members, limits.upstream),
            paces: limits.accept_rate.into_iter().flat_map(pace).collect(),
            sources: limits.per_source.map(source),
            queue: Slots::new(limits.queue),
            queue_timeout: limits.queue_timeout,
        })
    }
}
