//! Programs of the lab's own that stand on one side of a trial, where the server and the load generator can't:
//! a server whose workers leave and join, and a client that hunts for lost wakeups.
//!
//! Both speak the protocol of what they replace (ready line, flags, reports), so a trial doesn't know the
//! difference.

pub mod hunt;
pub mod leave_join;

use std::{ffi::OsString, process::ExitCode};

use clap::Parser;
use evenkeel::cli::in_one_line;

/// Parses a peer's command line.
///
/// # Errors
/// The status to end with: the mistake, or the help that was asked for, has been printed.
fn parse<Args: Parser>(program: &str, args: impl IntoIterator<Item = OsString>) -> Result<Args, ExitCode> {
    Args::try_parse_from(args).map_err(|error| {
        if error.use_stderr() {
            return refuse(program, &in_one_line(&error));
        }
        // A closed stdout has seen enough of the help.
        let _ = error.print();
        ExitCode::SUCCESS
    })
}

/// Says why nothing was started.
fn refuse(program: &str, why: &str) -> ExitCode {
    eprintln!("{program}: {why}");
    ExitCode::from(2)
}
