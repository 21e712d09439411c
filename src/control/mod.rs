//! The main thread: starts the workers, listens to signals, makes the reports, stops.
//!
//! It never touches a connection, and speaks to the workers by messages alone.

pub mod intervals;
pub mod journal;
pub mod keeper;
pub mod log;
pub mod notify;
pub mod output;
pub(crate) mod printer;
pub mod run;
pub mod server;
pub mod setup;
pub mod site;
pub(crate) mod thread;

pub use log::Log;
pub use server::{Running, Server};
pub use setup::Setup;
