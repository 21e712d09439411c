//! What is done to the server while the measured client runs: it is stopped as a whole, or one of its workers is.
//!
//! The trial asks when the next thing is due and has it done; nothing here waits. When this is dropped, everything
//! runs again.

use std::{fs, time::Instant};

use evenkeel::sys::trace::Stopped;
use rustix::process::{Pid, Signal, kill_process};

use super::scenario::{Disturb, Stall, Stop};

/// The disturbances of one trial.
#[derive(Debug)]
pub struct Disturbances {
    server: Option<Pid>,
    stop: Option<Stop>,
    stall: Option<Stall>,
    /// When the server is to stop, or to go on.
    server_due: Option<Instant>,
    is_stopped: bool,
    /// When the worker is to stop, or to go on.
    worker_due: Option<Instant>,
    worker: Option<Stopped>,
    started: Instant,
    /// How often the worker was stopped.
    stalls: u32,
}

impl Disturbances {
    /// Those that a scenario wants, counted from now.
    pub fn new(disturb: &Disturb, server: Option<Pid>, now: Instant) -> Self {
        Self {
            server,
            stop: disturb.stop,
            stall: disturb.stall,
            server_due: disturb.stop.map(|stop| now + stop.after),
            is_stopped: false,
            worker_due: disturb.stall.map(|stall| now + stall.every),
            worker: None,
            started: now,
            stalls: 0,
        }
    }

    /// When something has to be done.
    pub fn next(&self) -> Option<Instant> {
        self.server_due.into_iter().chain(self.worker_due).min()
    }

    /// Does what is due.
    ///
    /// # Errors
    /// A sentence, where a worker can't be stopped.
    pub fn act(&mut self, now: Instant) -> Result<(), String> {
        if self.server_due.is_some_and(|due| due <= now) {
            self.turn_server();
        }
        if self.worker_due.is_some_and(|due| due <= now) {
            self.turn_worker()?;
        }
        Ok(())
    }

    /// Stops the server, once; the next time, lets it go on.
    fn turn_server(&mut self) {
        let (Some(server), Some(stop)) = (self.server, self.stop) else { return };
        let signal = if self.is_stopped { Signal::CONT } else { Signal::STOP };
        // A server that has ended is found out by who waits for it.
        let _ = kill_process(server, signal);
        self.server_due = (!self.is_stopped).then(|| self.started + stop.after + stop.length);
        self.is_stopped = !self.is_stopped;
    }

    fn turn_worker(&mut self) -> Result<(), String> {
        let (Some(server), Some(stall)) = (self.server, self.stall) else { return Ok(()) };
        if self.worker.take().is_none() {
            self.worker = Some(stop_worker(server, stall.worker)?);
            self.stalls += 1;
        }
        // Counted from the start: what a round was late doesn't add up.
        let rest = if self.worker.is_some() { stall.length } else { stall.every };
        self.worker_due = Some(self.started + stall.every * self.stalls + rest);
        Ok(())
    }
}

impl Drop for Disturbances {
    fn drop(&mut self) {
        self.worker = None;
        if let (true, Some(server)) = (self.is_stopped, self.server) {
            let _ = kill_process(server, Signal::CONT);
        }
    }
}

fn stop_worker(server: Pid, worker: usize) -> Result<Stopped, String> {
    let failed = |why: String| format!("cannot stop worker {worker} of the server: {why}");
    let thread = thread_of(server, worker).ok_or_else(|| failed("there is no such thread".into()))?;
    Stopped::stop(thread).map_err(|error| failed(error.to_string()))
}

/// The id of a worker's thread, by its name.
fn thread_of(server: Pid, worker: usize) -> Option<i32> {
    let name = format!("worker-{worker}");
    let threads = fs::read_dir(format!("/proc/{}/task", server.as_raw_nonzero())).ok()?;
    let named = |path: &std::path::Path| {
        fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim_end() == name)
    };
    let thread = threads.flatten().find(|thread| named(&thread.path()))?;
    thread.file_name().to_str()?.parse().ok()
}
