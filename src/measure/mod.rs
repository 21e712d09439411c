//! What is measured, and how it is told.
//!
//! Workers record into structs of their own (`counts`, `tally`); a report is made from copies
//! (`snapshot`) by whoever asked, and says how evenly work was spread (`balance`) beside what chance would
//! have done (`chance`; `arrivals` is about the gaps between messages). Pages with charts are drawn with `page`.
//! The close ledger tells of each proxied session how it ended (`ledger`). Nothing here is shared between threads.

pub mod arrivals;
pub mod balance;
pub mod chance;
pub mod counts;
pub mod hgrm;
pub mod histograms;
pub mod hlog;
pub mod ledger;
pub mod page;
pub mod recorder;
pub mod report;
pub mod snapshot;
pub mod tally;

pub use counts::{Counts, UpstreamCounts};
pub use histograms::Histograms;
pub use report::Report;
pub use snapshot::{AcceptorSnapshot, WorkerSnapshot};
