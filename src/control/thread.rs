//! A thread whose end can be waited for beside signals: its last act is to say so and to ring a bell.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{Builder, JoinHandle},
};

use crate::sys::eventfd::EventFd;

/// A thread that was started.
pub struct Thread<T> {
    handle: Option<JoinHandle<T>>,
    result: Option<T>,
    has_ended: Arc<AtomicBool>,
}

impl<T: Send + 'static> Thread<T> {
    /// Starts one. `bell` rings when it ends, by a panic too.
    ///
    /// # Errors
    /// EAGAIN, where the limit of processes is reached; ENOMEM.
    pub fn start(
        name: String,
        bell: &Arc<EventFd>,
        run: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<Self> {
        let has_ended = Arc::new(AtomicBool::new(false));
        let farewell = Farewell { has_ended: Arc::clone(&has_ended), bell: Arc::clone(bell) };
        let body = move || {
            let _farewell = farewell;
            run()
        };
        let handle = Some(Builder::new().name(name).spawn(body)?);
        Ok(Self { handle, result: None, has_ended })
    }
}

impl<T> Thread<T> {
    /// Whether it has ended. True once the bell has rung, which `JoinHandle::is_finished` need not be.
    pub fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    /// What it has returned, once it has ended; `None` where it panicked.
    pub fn result(&mut self) -> Option<&T> {
        if self.has_ended()
            && let Some(handle) = self.handle.take()
        {
            self.result = handle.join().ok();
        }
        self.result.as_ref()
    }

    /// Waits for its end. `None` where it panicked, or was joined before.
    pub fn join(&mut self) -> Option<T> {
        match self.handle.take() {
            Some(handle) => handle.join().ok(),
            None => self.result.take(),
        }
    }
}

struct Farewell {
    has_ended: Arc<AtomicBool>,
    bell: Arc<EventFd>,
}

impl Drop for Farewell {
    fn drop(&mut self) {
        self.has_ended.store(true, Ordering::Release);
        self.bell.ring();
    }
}
