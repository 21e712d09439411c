//! What a worker can be told, beside to stop.

use std::{
    any::Any,
    sync::{Arc, mpsc},
};

use super::intake::Arrival;
use crate::{measure::WorkerSnapshot, sys::socket::Socket};

/// A message in a worker's mailbox.
pub enum Message {
    /// Open a session for a connection that somebody else accepted.
    Adopt(Socket, Arrival),
    /// Send a copy of your records.
    Snapshot(mpsc::Sender<WorkerSnapshot>),
    /// Something for your service to know ([`super::service::Service::heed`]).
    News(Arc<dyn Any + Send + Sync>),
}
