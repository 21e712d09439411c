//! Ctrl-C as a message.
//!
//! The signals are blocked before the first thread starts and read by one thread from a signalfd, so that a
//! trial waits for them in the same place where it waits for its processes, and nothing has to be polled.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU8, Ordering},
    mpsc::Sender,
};

use evenkeel::sys::signals::Signals;

use super::process::Event;

/// Whether the user wants the lab to end, and whom to tell.
#[derive(Debug, Default)]
pub struct Interrupts {
    /// 0, or the exit status that says which signal came.
    status: AtomicU8,
    waiting: Mutex<Option<Sender<Event>>>,
}

impl Interrupts {
    /// Blocks the signals and starts the thread that reads them.
    ///
    /// # Errors
    /// A sentence, where the system has no descriptor or thread left.
    pub fn install() -> Result<Arc<Self>, String> {
        let failed = |error: String| format!("cannot listen for Ctrl-C: {error}");
        let signals = Signals::block().map_err(|error| failed(error.to_string()))?;
        let interrupts = Arc::new(Self::default());
        let listening = interrupts.clone();
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || listening.listen(&signals))
            .map_err(|error| failed(error.to_string()))?;
        Ok(interrupts)
    }

    /// The exit status to end with, once a signal has come: 128 and its number, as a shell has it.
    pub fn status(&self) -> Option<u8> {
        Some(self.status.load(Ordering::Acquire)).filter(|&status| status != 0)
    }

    /// From now on, a signal is also sent there.
    pub fn tell(&self, events: Sender<Event>) {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(events);
    }

    fn listen(&self, signals: &Signals) {
        loop {
            self.status.store(signals.wait_for_end(), Ordering::Release);
            if let Some(events) = &*self.waiting.lock().unwrap_or_else(PoisonError::into_inner) {
                // A trial that has just ended no longer listens; the next one asks for the status first.
                let _ = events.send(Event::Interrupted);
            }
        }
    }
}
