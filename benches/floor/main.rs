//! How close evenkeel comes to the least that an echo server and a proxy can cost.
//!
//! The floors are a bare epoll echo and a bare epoll proxy in C; beside them run programs that people use.
//! Each server has one core, the client the other one. What is compared is the server's CPU per message,
//! since throughput on two cores of one machine tells as much about the client. `docs/performance.md` says
//! how to read the figures.
//!
//! ```text
//! cargo bench --bench floor                              both comparisons
//! cargo bench --bench floor -- proxy                     one of them
//! cargo bench --bench floor -- --quick                   a first look
//! cargo bench --bench floor -- --idle                    memory of idle connections
//! cargo bench --bench floor -- --check-instructions      for CI
//! ```
#![deny(unsafe_code)]

mod client;
mod comparison;
mod contender;
mod counts;
mod echo;
mod idle;
mod instructions;
mod load;
mod mio_echo;
mod options;
mod process;
mod proxy;
mod rounds;
mod server;
mod statistics;

use std::error::Error;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::{fmt, fs};

use serde_json::{Value, json};

use contender::Field;
use counts::{INSTRUCTIONS, SYSCALLS};
use load::Load;
use options::Options;
use server::Cores;

fn main() -> ExitCode {
    match run(&Options::read()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) if error.is::<ReaderGone>() => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("floor: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all that was asked for holds.
fn run(options: &Options) -> Result<bool, Box<dyn Error>> {
    if options.serve_mio {
        mio_echo::serve()?;
        return Ok(true);
    }
    // Once: from then on the client is pinned to its own.
    let cores = Cores::choose()?;
    let mut all_within = true;
    let mut comparisons = Vec::new();
    for &kind in &options.kinds {
        let field = Field::gather(kind, cores, options)?;
        if options.check_instructions {
            let (told, within) = instructions::check(&field)?;
            say(&told)?;
            all_within &= within;
        } else if options.update_instructions {
            say(&instructions::update(&field)?)?;
        } else if options.idle {
            say(&format!("{}\n", idle::table(&field)?))?;
        } else {
            comparisons.extend(compare(&field, kind.loads(), options)?);
        }
    }
    if let Some(path) = &options.json {
        let all = json!({ "schema": "evenkeel-floor/2", "comparisons": comparisons });
        fs::write(path, format!("{all:#}\n")).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(all_within)
}

fn compare(field: &Field, loads: &[Load], options: &Options) -> Result<Vec<Value>, Box<dyn Error>> {
    let mut comparisons = Vec::new();
    for load in loads {
        let comparison = rounds::compare(field, load, options)?;
        say(&format!("{comparison}\n"))?;
        comparisons.push(comparison.to_json());
    }
    if !options.no_strace {
        say(&format!("{}\n", SYSCALLS.table(field)?))?;
    }
    if !options.no_callgrind {
        say(&format!("{}\n", INSTRUCTIONS.table(field)?))?;
    }
    Ok(comparisons)
}

/// Prints a result.
fn say(text: &str) -> Result<(), Box<dyn Error>> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(ReaderGone.into()),
        written => written.map_err(|error| format!("cannot write the result: {error}").into()),
    }
}

/// Nobody reads the results any more: no failure, but servers still have to be stopped on the way out.
#[derive(Debug)]
struct ReaderGone;

impl Error for ReaderGone {}

impl fmt::Display for ReaderGone {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("nobody reads the results")
    }
}
