//! The evenkeel server. What it does is in [`evenkeel::cli::main`]: parse, build, run, report.

use std::process::ExitCode;

fn main() -> ExitCode {
    evenkeel::cli::main(std::env::args_os())
}
