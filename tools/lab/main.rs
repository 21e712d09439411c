//! evenkeel-lab: experiments that show what the accept and trigger modes do.
//!
//! ```text
//!   cli ──▶ run ──▶ trial (a server and a client, this executable again) ──▶ reports ──▶ results
//!            │ scenario   what is asked of a mode        │ store     the folder that is left behind
//!            │ mode       what is compared               │ summary   rounds taken together
//!            └ schedule   in which order                 └ verdict · table · page: what is shown
//! ```
//!
//! The executable contains the server and the load generator, so that one build is enough and what is
//! measured is what was built. Scenarios are data, a trial is one observation, and every sentence and
//! picture is derived from `results.json` and the raw reports beside it.
#![deny(unsafe_code)]

mod burner;
mod catalogue;
mod claims;
mod cli;
mod compare;
mod comparison;
mod conditions;
mod disturbances;
mod figures;
#[cfg(test)]
mod fixture;
mod interrupts;
#[path = "../load/mod.rs"]
mod load;
mod machine;
mod mode;
mod namespace;
mod observe;
mod page;
mod peers;
mod process;
mod progress;
mod raw;
mod reports;
mod results;
mod run;
#[cfg(test)]
mod sample;
mod scenario;
mod schedule;
mod sockets;
mod statistics;
mod store;
mod summary;
mod table;
mod tail;
mod trial;
mod verdict;

use std::{ffi::OsString, process::ExitCode};

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    process::play(&args[1.min(args.len())..]).unwrap_or_else(|| cli::main(args))
}
