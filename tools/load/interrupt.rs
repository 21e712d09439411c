//! Ctrl-C as a moment: the run ends there, and what was measured until then is reported.
//!
//! One thread reads the signals, which are blocked in all others, for as long as the program lives: while the
//! report is written to a pipe that nobody reads, too, a signal must be able to end it.

use std::{
    process,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
};

use evenkeel::sys::signals::Signals;

use super::clock;

/// Whether the run is to end early. The threads look at it each time when they wake.
#[derive(Debug)]
pub struct Interrupt {
    at_ns: AtomicU64,
}

impl Interrupt {
    const NEVER_NS: u64 = u64::MAX;

    /// Blocks the signals in this thread, and so in each that it starts later, and starts the one that reads
    /// them. The first signal ends the run, the second one the program.
    ///
    /// # Errors
    /// A sentence, where the system has no descriptor or thread left.
    pub fn listen() -> Result<Arc<Self>, String> {
        let failed = |error: &dyn std::fmt::Display| format!("cannot listen for Ctrl-C: {error}");
        let signals = Signals::block().map_err(|error| failed(&error))?;
        let interrupt = Arc::new(Self { at_ns: AtomicU64::new(Self::NEVER_NS) });
        let raised = Arc::clone(&interrupt);
        let listen = move || {
            loop {
                let status = signals.wait_for_end();
                if !raised.raise() {
                    process::exit(status.into());
                }
            }
        };
        thread::Builder::new().name("signals".into()).spawn(listen).map_err(|error| failed(&error))?;
        Ok(interrupt)
    }

    /// When the run was interrupted, if it was.
    pub fn at_ns(&self) -> Option<u64> {
        Some(self.at_ns.load(Relaxed)).filter(|&at_ns| at_ns != Self::NEVER_NS)
    }

    /// The run ends now. Whether it hadn't been told so before.
    pub fn raise(&self) -> bool {
        self.at_ns.compare_exchange(Self::NEVER_NS, clock::now_ns(), Relaxed, Relaxed).is_ok()
    }
}
