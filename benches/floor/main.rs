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
use std::process::ExitCode;

use contender::Field;
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
        return instructions::check(&field);
    }
    if options.update_instructions {
        instructions::update(&field)?;
    } else if options.idle {
        idle::print(&field)?;
    } else {
        compare(&field, options)?;
    }
    Ok(true)
}

fn compare(field: &Field, options: &Options) -> Result<(), Box<dyn Error>> {
    let comparison = rounds::compare(field, options)?;
    comparison.print();
    if let Some(path) = &options.json {
        let text = format!("{:#}\n", comparison.to_json());
        fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if !options.no_strace {
        counts::SYSCALLS.print(field)?;
    }
    if !options.no_callgrind {
        counts::INSTRUCTIONS.print(field)?;
    }
    Ok(())
}
