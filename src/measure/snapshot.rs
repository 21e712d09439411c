//! What a worker hands out when it is asked for a report: a copy, so that it can go on at once.

use serde::{Deserialize, Serialize};

use super::{
    counts::{Counts, UpstreamCounts},
    histograms::Histograms,
    ledger::Ends,
};

/// The state of one worker's records at one moment.
#[derive(Clone, Debug)]
pub struct WorkerSnapshot {
    /// Its number, from 0.
    pub worker: usize,
    /// The core it is pinned to, if it is.
    pub core: Option<usize>,
    /// What it counted.
    pub counts: Counts,
    /// Open sessions, averaged over the time since the start.
    pub active_avg: f64,
    /// The most sessions that were open at once.
    pub active_max: u64,
    /// The longest accept queue that it found when it came to accept (`tcpi_unacked` of the listener);
    /// 0 where it has no TCP listener or measures nothing.
    pub accept_queue_max: u64,
    /// Connections that it accepted, by listener; empty where it wasn't told how many there are.
    pub accepted_by: Vec<u64>,
    /// How its sessions ended.
    pub ends: Ends,
    /// What it had to do with each upstream.
    pub upstreams: Vec<UpstreamCounts>,
    /// What it recorded.
    pub histograms: Histograms,
}

/// What the acceptor thread of accept mode `dealt` counted; none of it is in the workers' totals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AcceptorSnapshot {
    /// Connections that it accepted.
    pub accepted: u64,
    /// Of these, how many no worker had opened yet.
    pub queued: u64,
    /// Returns from epoll_wait.
    pub wakeups: u64,
    /// accept4 calls that found an empty queue.
    pub accept_eagain: u64,
    /// Connections that were gone when accept4 came for them.
    pub accept_aborted: u64,
    /// Connections that were closed at the stop, because no worker had room for them.
    pub cut: u64,
    /// Times that accepting paused because descriptors or memory ran out.
    pub fd_limit: u64,
    /// Connections that were accepted to be reset, because no descriptor was left for them.
    pub shed: u64,
    /// Times that all mailboxes it might have used were full.
    pub mailbox_full: u64,
    /// Context switches of its thread, voluntary and not.
    pub context_switches: u64,
}
