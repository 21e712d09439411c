//! The load generator: drives an echo server over many connections, checks every byte that comes back, and
//! tells how long each message took.
//!
//! ```text
//!   args ──▶ plan ──▶ driver (one a thread, nothing shared) ──▶ tally ──▶ report ──▶ JSON or text
//!                       │ schedule   when messages are due (open loop), shape whose turn it is
//!                       │ exchange   the messages of one connection: due, sent, answered
//!                       │ pattern    the bytes, and the check
//!                       │ reading    how fast a slow reader reads
//!                       ├ waiter     events, and a timer
//!                       └ socket     connect, send, receive
//! ```
//!
//! Each thread owns its connections and one epoll instance, and adds up in a tally of its own; tallies are
//! merged when all is over. A signal puts that moment forward (`interrupt`). `schedule`, `shape`, `exchange`,
//! `reading`, `pattern`, `timeline` and what tallies are made of neither do I/O nor read a clock.
//!
//! The folder is a module, so that the lab can carry the generator inside itself: both programs say
//! `#[path = "…/load/mod.rs"] mod load;` and call [`main`].

mod args;
mod buckets;
mod clock;
mod connection;
mod driver;
mod exchange;
mod gate;
mod interrupt;
mod limits;
mod pattern;
mod places;
mod plan;
mod progress;
mod reading;
mod report;
mod schedule;
mod shape;
mod slices;
mod socket;
mod source;
mod tally;
mod text;
mod timeline;
mod traffic;
mod waiter;

use std::{
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
    sync::atomic::AtomicU64,
    thread,
    time::SystemTime,
};

use evenkeel::measure::report::date::rfc3339;

use driver::Driver;
use gate::Gate;
use interrupt::Interrupt;
use pattern::Pattern;
use plan::Plan;
use report::Report;
use tally::Tally;

/// Runs the program with these arguments, the first of which is its name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let plan = match args::parse(args) {
        args::Parsed::Plan(plan) => plan,
        args::Parsed::Answered(code) => return code,
    };
    if let Err(message) = limits::allow(&plan) {
        return usage_error(&message);
    }
    let interrupt = match Interrupt::listen() {
        Ok(interrupt) => interrupt,
        Err(message) => return usage_error(&message),
    };
    let started = rfc3339(SystemTime::now());
    let report = Report::new(&plan, started, run(&plan, &interrupt));
    // There is nothing left to cut short: the next signal ends the program.
    interrupt.raise();
    if let Err(error) = print(&plan, &report) {
        eprintln!("evenkeel-load: cannot write the report: {error}");
        return ExitCode::FAILURE;
    }
    for line in report.failures(&plan) {
        eprintln!("evenkeel-load: {line}");
    }
    if report.failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What a thread lets the others see while it runs.
#[derive(Default)]
#[repr(align(128))]
struct Live {
    /// Messages answered so far. On a cache line of its own, so that threads don't slow each other.
    answered: AtomicU64,
}

/// Runs every thread to its end and adds up what they saw.
fn run(plan: &Plan, interrupt: &Interrupt) -> Tally {
    let pattern = Pattern::new(plan.seed, plan.size as usize);
    let gate = Gate::new(plan.threads);
    let live: Vec<_> = (0..plan.threads).map(|_| Live::default()).collect();
    thread::scope(|scope| {
        let drivers: Vec<_> = (0..plan.threads)
            .map(|thread| {
                let (pattern, gate, live) = (&pattern, &gate, &live[thread]);
                scope
                    .spawn(move || Driver::new(plan, pattern, gate, interrupt, live, thread).map(Driver::run))
            })
            .collect();
        progress::show_until(plan, &gate, &live, || drivers.iter().all(|driver| driver.is_finished()));
        let mut total = Tally::new(plan, gate.made_ns(), 0);
        for driver in drivers {
            match driver.join() {
                Ok(Ok(tally)) => total.add(tally),
                Ok(Err(error)) => total.note(|| format!("cannot create an epoll instance: {error}")),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        total
    })
}

fn print(plan: &Plan, report: &Report) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    let printed = if plan.json {
        serde_json::to_string(report).map_err(io::Error::from).and_then(|json| writeln!(stdout, "{json}"))
    } else {
        write!(stdout, "{}", text::Text { plan, report })
    };
    match printed.and_then(|()| stdout.flush()) {
        // Whoever read us has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

fn usage_error(message: &str) -> ExitCode {
    eprintln!("evenkeel-load: {message}");
    ExitCode::from(2)
}
