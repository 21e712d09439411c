//! The board: what each worker lets the others see of itself, one cache line each.
//!
//! Only its owner writes a line, with plain stores at the end of an iteration; anyone may read. What is
//! read may be old by an iteration, and the words of a line need not be of the same moment: good enough to
//! choose by, never to account by.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// One line a worker.
#[derive(Clone, Debug)]
pub struct Board(Arc<[Line]>);

/// What one worker publishes. Two cache lines apart, as the adjacent-line prefetcher fetches pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Line {
    active: AtomicU64,
    closed: AtomicU64,
    runnable: AtomicU64,
    busy_ns: AtomicU64,
    running_since_ns: AtomicU64,
}

impl Board {
    /// A board for so many workers.
    pub fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| Line::default()).collect())
    }

    /// One worker's line.
    pub fn line(&self, worker: usize) -> &Line {
        &self.0[worker]
    }
}

impl Line {
    /// The owner woke up and is running.
    #[inline]
    pub fn running(&self, now_ns: u64) {
        self.running_since_ns.store(now_ns, Relaxed);
    }

    /// The owner goes into epoll_wait: an idle worker can't be stalled, so it needs no wakeup to look alive.
    #[inline]
    pub fn waiting(&self) {
        self.running_since_ns.store(0, Relaxed);
    }

    /// The owner's state at the end of an iteration.
    #[inline]
    pub fn publish(&self, active: u64, closed: u64, runnable: u64, busy_ns: u64) {
        self.active.store(active, Relaxed);
        self.closed.store(closed, Relaxed);
        self.runnable.store(runnable, Relaxed);
        self.busy_ns.store(busy_ns, Relaxed);
    }

    /// Open sessions.
    pub fn active(&self) -> u64 {
        self.active.load(Relaxed)
    }

    /// Sessions that have ended since the start.
    pub fn closed(&self) -> u64 {
        self.closed.load(Relaxed)
    }

    /// Sessions that had work at the end of the last iteration.
    pub fn runnable(&self) -> u64 {
        self.runnable.load(Relaxed)
    }

    /// Time spent outside epoll_wait since the start, in nanoseconds (0 unless `--measure full`).
    pub fn busy_ns(&self) -> u64 {
        self.busy_ns.load(Relaxed)
    }

    /// Whether the owner has been running for longer than `limit` at `now_ns`.
    pub fn is_stalled(&self, now_ns: u64, limit: Duration) -> bool {
        let since = self.running_since_ns.load(Relaxed);
        since != 0 && u128::from(now_ns.saturating_sub(since)) > limit.as_nanos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiting_worker_is_never_stalled() {
        let board = Board::new(1);
        let limit = Duration::from_nanos(10);
        board.line(0).running(5);
        assert!(!board.line(0).is_stalled(15, limit));
        assert!(board.line(0).is_stalled(16, limit));
        board.line(0).waiting();
        assert!(!board.line(0).is_stalled(u64::MAX, limit));
    }
}
