//! The run over time: what was due, answered and open in each slice of it, and how long messages took.
//!
//! Slices run from the first connect to the end, so that connecting and the warm-up are seen too; the measured
//! window starts on a slice's boundary. A message's latency belongs to the slice in which it was due: a
//! stall shows in the slices that it harmed, and the slices' counts are those of the schedule. No clock is read
//! here.

use serde::{Deserialize, Serialize};

use super::buckets::Buckets;

/// The most slices of a run: of one thread, about 35 MB.
pub const SLICES_MAX: u64 = 20_000;

/// Sixteen buckets to a doubling: a slice's p99 is right to 3 %.
const FINE: u32 = 4;

/// Four to a doubling in the heat map.
const HEAT: u32 = 2;

/// What a thread saw, slice by slice.
#[derive(Debug)]
pub struct Slices {
    slice_ns: u64,
    origin_ns: u64,
    due: Vec<u64>,
    answered: Vec<u64>,
    latencies: Vec<Buckets<FINE>>,
    /// By the worker's number.
    workers: Vec<Worker>,
}

#[derive(Clone, Debug, Default)]
struct Worker {
    /// By how many its open connections grew within each slice.
    growth: Vec<i64>,
    answered: Vec<u64>,
}

impl Slices {
    /// Slices of this length, the first of which starts at `origin_ns`.
    pub fn new(slice_ns: u64, origin_ns: u64) -> Self {
        Self {
            slice_ns,
            origin_ns,
            due: Vec::new(),
            answered: Vec::new(),
            latencies: Vec::new(),
            workers: Vec::new(),
        }
    }

    /// The first boundary between slices that isn't before `at_ns`.
    pub fn boundary_from(&self, at_ns: u64) -> u64 {
        self.origin_ns + at_ns.saturating_sub(self.origin_ns).next_multiple_of(self.slice_ns)
    }

    /// A message was due.
    pub fn due(&mut self, due_ns: u64) {
        let index = self.index(due_ns);
        *cell(&mut self.due, index) += 1;
    }

    /// A message was answered, or given up, after this time.
    pub fn took(&mut self, due_ns: u64, latency_ns: u64) {
        let index = self.index(due_ns);
        cell(&mut self.latencies, index).record(latency_ns);
    }

    /// An answer came, on a connection of this worker if that is known.
    pub fn answered(&mut self, now_ns: u64, worker: Option<u64>) {
        let index = self.index(now_ns);
        *cell(&mut self.answered, index) += 1;
        if let Some(worker) = worker {
            *cell(&mut cell(&mut self.workers, worker as usize).answered, index) += 1;
        }
    }

    /// A connection of this worker was opened (1) or closed (-1).
    pub fn grew(&mut self, now_ns: u64, worker: u64, by: i64) {
        let index = self.index(now_ns);
        *cell(&mut cell(&mut self.workers, worker as usize).growth, index) += by;
    }

    /// Adds another thread's.
    pub fn add(&mut self, other: &Self) {
        add(&mut self.due, &other.due);
        add(&mut self.answered, &other.answered);
        for (index, other) in other.latencies.iter().enumerate() {
            cell(&mut self.latencies, index).add(other);
        }
        for (index, other) in other.workers.iter().enumerate() {
            let own = cell(&mut self.workers, index);
            add(&mut own.growth, &other.growth);
            add(&mut own.answered, &other.answered);
        }
    }

    /// What came later than the last slice is in that one.
    fn index(&self, at_ns: u64) -> usize {
        (at_ns.saturating_sub(self.origin_ns) / self.slice_ns).min(SLICES_MAX - 1) as usize
    }
}

/// The slices as the report has them: a column each, but for `heat.counts`, which has a row each.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SlicesJson {
    slice_ns: u64,
    /// The first slice of the measured window.
    measured_from: u64,
    /// The first one that isn't wholly in it any more.
    measured_until: u64,
    due: Vec<u64>,
    answered: Vec<u64>,
    p99_ns: Vec<Option<u64>>,
    open_by_worker: Vec<Vec<i64>>,
    answered_by_worker: Vec<Vec<u64>>,
    heat: Heat,
}

/// How many messages that were due in a slice took how long.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Heat {
    /// The least latency of each bucket.
    bounds_ns: Vec<u64>,
    counts: Vec<Vec<u64>>,
}

impl SlicesJson {
    /// Sums up a run whose measured window is `window_ns` and which ended at `end_ns`.
    pub fn new(slices: &Slices, window_ns: (u64, u64), end_ns: u64) -> Self {
        let count = slices.index(end_ns) + 1;
        let padded = |column: &[u64]| padded(column, count);
        let whole = |at_ns: u64| (at_ns.saturating_sub(slices.origin_ns) / slices.slice_ns).min(count as u64);
        Self {
            slice_ns: slices.slice_ns,
            measured_from: whole(window_ns.0),
            measured_until: whole(window_ns.1),
            due: padded(&slices.due),
            answered: padded(&slices.answered),
            p99_ns: (0..count)
                .map(|index| slices.latencies.get(index).and_then(|slice| slice.value_at_quantile(0.99)))
                .collect(),
            open_by_worker: slices.workers.iter().map(|worker| open(&worker.growth, count)).collect(),
            answered_by_worker: slices.workers.iter().map(|worker| padded(&worker.answered)).collect(),
            heat: Heat::new(&slices.latencies, count),
        }
    }
}

impl Heat {
    /// Only the buckets between the least and the largest latency, so that a row is no longer than it must be.
    fn new(latencies: &[Buckets<FINE>], count: usize) -> Self {
        let rows: Vec<_> = latencies.iter().map(Buckets::coarser::<HEAT>).collect();
        let until = rows.iter().map(Vec::len).max().unwrap_or(0);
        let is_empty = |bucket: &usize| rows.iter().all(|row| row.get(*bucket).is_none_or(|&n| n == 0));
        let from = (0..until).take_while(is_empty).count();
        let row = |index: usize| padded(rows.get(index).map_or(&[], Vec::as_slice), until).split_off(from);
        Self {
            bounds_ns: (from..until).map(Buckets::<HEAT>::lower_ns).collect(),
            counts: (0..count).map(row).collect(),
        }
    }
}

/// How many were open at the end of each slice.
fn open(growth: &[i64], count: usize) -> Vec<i64> {
    let mut open = 0;
    (0..count)
        .map(|index| {
            open += growth.get(index).copied().unwrap_or(0);
            open
        })
        .collect()
}

fn padded(column: &[u64], count: usize) -> Vec<u64> {
    column.iter().copied().chain(std::iter::repeat(0)).take(count).collect()
}

/// The place of `index`, which is made if it isn't there.
fn cell<T: Clone + Default>(column: &mut Vec<T>, index: usize) -> &mut T {
    if index >= column.len() {
        column.resize(index + 1, T::default());
    }
    &mut column[index]
}

fn add<T: Copy + Default + std::ops::AddAssign>(own: &mut Vec<T>, other: &[T]) {
    for (index, &other) in other.iter().enumerate() {
        *cell(own, index) += other;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN_NS: u64 = 1_000;

    /// Slices of 100 ns from 1,000 on; two workers, of which the second one's connection is closed.
    fn slices() -> Slices {
        let mut slices = Slices::new(100, ORIGIN_NS);
        slices.grew(1_010, 0, 1);
        slices.grew(1_120, 2, 1);
        slices.grew(1_340, 2, -1);
        for due_ns in [1_200, 1_299, 1_300] {
            slices.due(due_ns);
            slices.took(due_ns, 2_000);
        }
        slices.answered(1_310, Some(2));
        slices.answered(1_410, None);
        slices
    }

    #[test]
    fn each_moment_is_in_its_slice() {
        let json = SlicesJson::new(&slices(), (1_200, 1_450), 1_499);
        assert_eq!((json.measured_from, json.measured_until), (2, 4), "the last one isn't measured whole");
        assert_eq!(json.due, [0, 0, 2, 1, 0]);
        assert_eq!(json.answered, [0, 0, 0, 1, 1]);
        assert_eq!(json.open_by_worker, [[1, 1, 1, 1, 1], [0; 5], [0, 1, 1, 0, 0]]);
        assert_eq!(json.answered_by_worker, [vec![], vec![], vec![0, 0, 0, 1, 0]].map(|row| padded(&row, 5)));
        assert_eq!(
            json.p99_ns.iter().map(Option::is_some).collect::<Vec<_>>(),
            [false, false, true, true, false]
        );
        assert_eq!(json.heat.bounds_ns, [1_792]);
        assert_eq!(json.heat.counts, [[0], [0], [2], [1], [0]]);
    }

    #[test]
    fn threads_add_up() {
        let mut both = Slices::new(100, ORIGIN_NS);
        both.add(&slices());
        both.add(&slices());
        let json = SlicesJson::new(&both, (1_200, 1_400), 1_499);
        assert_eq!((json.due, json.answered), (vec![0, 0, 4, 2, 0], vec![0, 0, 0, 2, 2]));
        assert_eq!(json.open_by_worker[2], [0, 2, 2, 0, 0]);
        assert_eq!(json.heat.counts[2], [4]);
    }

    #[test]
    fn a_boundary_is_where_a_slice_begins() {
        let slices = slices();
        assert_eq!(
            [900, 1_000, 1_001, 1_100].map(|at_ns| slices.boundary_from(at_ns)),
            [1_000, 1_000, 1_100, 1_100]
        );
    }

    #[test]
    fn a_run_that_goes_on_for_ever_stays_bounded() {
        let mut slices = Slices::new(1, 0);
        slices.due(u64::MAX);
        assert_eq!(slices.due.len() as u64, SLICES_MAX);
    }
}
