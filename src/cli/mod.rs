//! The command line and the configuration file: what is asked for, what it means, and how it ends.
//!
//! `main` is the table of contents. What was asked for becomes one validated [`Setup`] before anything is touched; a
//! mistake costs one line on stderr, or a few that show the place in a file, and exit status 2.

pub mod args;
pub mod check;
pub mod draft;
pub mod file;
pub mod flags;
pub mod pages;
pub mod settings;
pub mod show;
pub mod usage;
pub mod write;

pub use usage::in_one_line;

use std::{ffi::OsString, path::Path, process::ExitCode};

use args::Request;
use usage::Refusal;

use crate::{
    config::LogFormat,
    control::{
        Log, Setup,
        output::{print_text, say},
        run::{self, Failure},
    },
    selftest,
    sys::limits,
};

/// Runs evenkeel: `args` are the program's name and what follows it.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    args::parse(args).and_then(carry_out).unwrap_or_else(|refusal| refuse(&refusal))
}

fn carry_out(request: Request) -> Result<ExitCode, Refusal> {
    match request {
        Request::Selftest(args) => return Ok(selftest::main(&args)),
        Request::Serve(setup) => serve(&setup),
        Request::Run(setup, path) => serve(&setup).map_err(|refusal| located(refusal, &path)),
        Request::Check(path) => print("the summary", &check::check(&path)?),
        Request::Config(None) => print("the configuration", &write::defaults()),
        Request::Config(Some(path)) => print("the configuration", &write::effective(&file::setup(&path)?)),
        Request::Report(shown) => show::show(&shown),
        Request::Completions(shell) => print("the completions", &pages::completions(shell)),
        Request::Manual => print("the manual page", &pages::manual()),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn serve(setup: &Setup) -> Result<(), Refusal> {
    limits::raise_descriptors();
    run::serve(setup).map_err(|failure| Refusal::Failed(failure, setup.plan.log()))
}

/// What could not be started for people who read its file, at the place in it.
fn located(refusal: Refusal, path: &Path) -> Refusal {
    match refusal {
        Refusal::Failed(Failure::Start(why), log) if log.format == LogFormat::Text => {
            match file::located(path, &why) {
                Some(lines) => Refusal::File(lines),
                None => Refusal::Failed(Failure::Start(why), log),
            }
        }
        other => other,
    }
}

fn print(what: &str, text: &str) -> Result<(), Refusal> {
    Ok(print_text(what, text).map_err(Failure::Run)?)
}

/// Says why, and how bad it is.
fn refuse(refusal: &Refusal) -> ExitCode {
    let (failure, log) = match refusal {
        Refusal::Help(help) => {
            // A closed stdout means that nobody wants to read it.
            let _ = help.print();
            return ExitCode::SUCCESS;
        }
        Refusal::File(lines) => {
            say(lines);
            return ExitCode::from(2);
        }
        Refusal::Usage(why) => (&Failure::Start(format!("{why}; see --help")), Log::default()),
        Refusal::Failed(failure, log) => (failure, *log),
    };
    let (message, status) = match failure {
        Failure::Start(message) => (message, 2),
        Failure::Run(message) => (message, 1),
    };
    log.error(message);
    ExitCode::from(status)
}
