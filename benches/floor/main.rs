//! How close evenkeel comes to the least that an echo server can cost.
//!
//! The floor is a bare epoll echo in C; beside it runs mio's own. Each server has one core, the client the
//! other one. What is compared is the server's CPU per message, since throughput on two cores of one
//! machine tells as much about the client. `docs/performance.md` says how to read the figures.
//!
//! ```text
//! cargo bench --bench floor                              the comparison
//! cargo bench --bench floor -- --quick                   a first look
//! cargo bench --bench floor -- --idle                    memory of idle connections
//! cargo bench --bench floor -- --check-instructions      for CI
//! ```
#![deny(unsafe_code)]

mod client;
mod contender;
mod counts;
mod idle;
mod instructions;
mod mio_echo;
mod options;
mod process;
mod rounds;
mod server;
mod statistics;

use std::error::Error;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::process::{ExitCode, exit};

use contender::Field;
use counts::{INSTRUCTIONS, SYSCALLS};
use options::Options;

fn main() -> ExitCode {
    match run(&Options::read()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
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
    let field = Field::gather(options)?;
    if options.check_instructions {
        let (told, all_within) = instructions::check(&field)?;
        say(&told)?;
        return Ok(all_within);
    }
    if options.update_instructions {
        say(&instructions::update(&field)?)?;
    } else if options.idle {
        say(&idle::table(&field)?)?;
    } else {
        compare(&field, options)?;
    }
    Ok(true)
}

fn compare(field: &Field, options: &Options) -> Result<(), Box<dyn Error>> {
    let comparison = rounds::compare(field, options)?;
    if let Some(path) = &options.json {
        let text = format!("{:#}\n", comparison.to_json());
        fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    say(&format!("{comparison}\n"))?;
    if !options.no_strace {
        say(&format!("{}\n", SYSCALLS.table(field)?))?;
    }
    if !options.no_callgrind {
        say(&INSTRUCTIONS.table(field)?)?;
    }
    Ok(())
}

/// Prints a result. Nothing runs meanwhile, so that a reader who has gone may end the benchmark quietly.
fn say(text: &str) -> Result<(), Box<dyn Error>> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => exit(0),
        written => written.map_err(|error| format!("cannot write the result: {error}").into()),
    }
}
