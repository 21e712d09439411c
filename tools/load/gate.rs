//! Where threads wait for each other between opening their connections and loading them.

use std::sync::{
    Barrier,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use super::clock;

/// The gate of one run; each thread passes it once.
pub struct Gate {
    made_ns: u64,
    barrier: Barrier,
    opened: AtomicU64,
    start_ns: AtomicU64,
}

impl Gate {
    /// A gate for this many threads.
    pub fn new(threads: usize) -> Self {
        Self {
            made_ns: clock::now_ns(),
            barrier: Barrier::new(threads),
            opened: AtomicU64::new(0),
            start_ns: AtomicU64::new(0),
        }
    }

    /// When the gate was made, before the first connect: the first moment of the run, the same for all threads.
    pub fn made_ns(&self) -> u64 {
        self.made_ns
    }

    /// Waits for all threads. Then says when the load starts, the same moment for each; `None` if no
    /// thread could open a connection.
    pub fn pass(&self, opened: u64) -> Option<u64> {
        self.opened.fetch_add(opened, Relaxed);
        // The barrier orders these: whoever leaves it sees what was stored before it was entered.
        self.start_ns.fetch_max(clock::now_ns(), Relaxed);
        self.barrier.wait();
        (self.opened.load(Relaxed) > 0).then(|| self.start_ns.load(Relaxed))
    }

    /// When the load started; 0 until then.
    pub fn started_ns(&self) -> u64 {
        self.start_ns.load(Relaxed)
    }
}
