//! How many sessions each upstream has, by worker.
//!
//! Workers share nothing that two of them write: each has a row of its own and stores to it plainly, without a
//! read-modify-write, and who wants to know of all workers adds the rows up. Such a total may be old by the instant
//! that a store takes to reach other cores, and its parts need not be of the same moment: good enough to choose by,
//! never to account by. What is added is removed by the same worker, so that totals are exact once all is quiet.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// Open sessions by worker and upstream. Upstreams are numbered through all services. A clone is the same table.
#[derive(Clone, Debug)]
pub struct Loads {
    lines: Arc<[Line]>,
    lines_per_worker: usize,
}

const CELLS_PER_LINE: usize = 16;

/// A piece of a row. Two cache lines, as the adjacent-line prefetcher fetches pairs: no two workers write to one.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line([AtomicU64; CELLS_PER_LINE]);

impl Loads {
    /// A table for so many workers and upstreams, all at zero.
    pub fn new(workers: usize, upstreams: usize) -> Self {
        let lines_per_worker = upstreams.div_ceil(CELLS_PER_LINE).max(1);
        let lines = (0..workers * lines_per_worker).map(|_| Line::default()).collect();
        Self { lines, lines_per_worker }
    }

    /// One session more. Only the worker itself may call this.
    #[inline]
    pub fn add(&self, worker: usize, upstream: usize) {
        let cell = self.cell(worker, upstream);
        cell.store(cell.load(Relaxed) + 1, Relaxed);
    }

    /// One session less. Only the worker that added it may call this.
    #[inline]
    pub fn remove(&self, worker: usize, upstream: usize) {
        let cell = self.cell(worker, upstream);
        let sessions = cell.load(Relaxed);
        debug_assert!(
            sessions > 0,
            "worker {worker} removes a session of upstream {upstream} that it never added"
        );
        cell.store(sessions.saturating_sub(1), Relaxed);
    }

    /// The sessions of an upstream, of all workers: right but for what is happening at this instant.
    #[inline]
    pub fn total(&self, upstream: usize) -> u64 {
        let rows = self.lines.chunks_exact(self.lines_per_worker);
        rows.map(|row| cell_of(row, upstream).load(Relaxed)).sum()
    }

    #[inline]
    fn cell(&self, worker: usize, upstream: usize) -> &AtomicU64 {
        cell_of(&self.lines[worker * self.lines_per_worker..][..self.lines_per_worker], upstream)
    }
}

#[inline]
fn cell_of(row: &[Line], upstream: usize) -> &AtomicU64 {
    &row[upstream / CELLS_PER_LINE].0[upstream % CELLS_PER_LINE]
}

#[cfg(test)]
mod tests {
    use std::{sync::Barrier, thread};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn two_workers_write_at_once_and_nothing_is_lost() {
        const ROUNDS: u64 = 100_000;
        let (loads, start) = (Loads::new(2, 3), Barrier::new(3));
        let work = |worker| {
            start.wait();
            for round in 0..ROUNDS {
                loads.add(worker, 1);
                loads.add(worker, 2);
                if round % 4 != 0 {
                    loads.remove(worker, 1);
                }
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| work(0));
            scope.spawn(|| work(1));
            start.wait();
            let mut before = 0;
            while before < 2 * ROUNDS {
                // Nothing is taken from upstream 2: what is seen of it only grows.
                let now = loads.total(2);
                assert!((before..=2 * ROUNDS).contains(&now), "{before} then {now}");
                before = now;
            }
        });
        assert_eq!([0, 1, 2].map(|upstream| loads.total(upstream)), [0, 2 * ROUNDS / 4, 2 * ROUNDS]);
    }

    #[test]
    fn rows_are_apart() {
        let loads = Loads::new(3, 17);
        let place = |worker, upstream| std::ptr::from_ref(loads.cell(worker, upstream)).addr();
        assert_eq!(place(0, 0) % 128, 0);
        for worker in 0..2 {
            assert!(place(worker + 1, 0) / 128 > place(worker, 16) / 128);
        }
    }

    proptest! {
        #[test]
        fn totals_are_what_was_added_less_what_was_removed(
            steps in prop::collection::vec((0..4_usize, 0..40_usize, any::<bool>()), 0..400),
        ) {
            let (loads, mut model) = (Loads::new(4, 40), [[0_u64; 40]; 4]);
            for (worker, upstream, more) in steps {
                let sessions = &mut model[worker][upstream];
                if more {
                    loads.add(worker, upstream);
                    *sessions += 1;
                } else if *sessions > 0 {
                    loads.clone().remove(worker, upstream);
                    *sessions -= 1;
                }
            }
            for upstream in 0..40 {
                prop_assert_eq!(loads.total(upstream), model.iter().map(|row| row[upstream]).sum::<u64>());
            }
        }
    }
}
