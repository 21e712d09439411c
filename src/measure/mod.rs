//! What is measured, and how it is told.
//!
//! Workers record into structs of their own (`counts`, `histograms`); a report is made from copies
//! (`snapshot`) by whoever asked. Nothing here is shared between threads.

pub mod counts;
pub mod histograms;
pub mod recorder;
pub mod snapshot;

pub use counts::Counts;
pub use histograms::Histograms;
pub use snapshot::{AcceptorSnapshot, WorkerSnapshot};
