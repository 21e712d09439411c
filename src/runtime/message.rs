//! What a worker can be told.

use std::{sync::mpsc, time::Duration};

use crate::{measure::WorkerSnapshot, sys::socket::Socket};

/// A message in a worker's mailbox.
pub enum Message {
    /// Open a session for a connection that somebody else accepted.
    Adopt(Socket),
    /// Send a copy of your records.
    Snapshot(mpsc::Sender<WorkerSnapshot>),
    /// Accept what is queued, close the listeners, end the sessions; cut off what is left after this time.
    Stop {
        /// Zero: at once.
        drain: Duration,
    },
}
