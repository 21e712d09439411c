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
mod intervals;
mod limits;
mod merge;
pub mod pattern;
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
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
    process::ExitCode,
    sync::{atomic::AtomicU64, mpsc},
    thread,
    time::SystemTime,
};

use evenkeel::measure::{hlog::Writer, report::date::rfc3339};

use driver::Driver;
use gate::Gate;
use interrupt::Interrupt;
use intervals::{Collector, Parts};
use pattern::Pattern;
use plan::Plan;
use report::Report;
use tally::Tally;

/// Runs the program with these arguments, the first of which is its name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<_> = args.into_iter().collect();
    if args.get(1).is_some_and(|word| word == "merge") {
        return merge::main(args.into_iter().skip(1));
    }
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
    let now = SystemTime::now();
    let log = match plan.hlog.as_deref().map(|path| create_log(path, now)).transpose() {
        Ok(log) => log,
        Err(message) => return usage_error(&message),
    };
    let (tally, log_failure) = run(&plan, &interrupt, log);
    let report = Report::new(&plan, rfc3339(now), tally);
    // There is nothing left to cut short: the next signal ends the program.
    interrupt.raise();
    if let Err(error) = print(&report, plan.json) {
        eprintln!("evenkeel-load: cannot write the report: {error}");
        return ExitCode::FAILURE;
    }
    for line in report.failures() {
        eprintln!("evenkeel-load: {line}");
    }
    if let (Some(failure), Some(path)) = (&log_failure, &plan.hlog) {
        eprintln!("evenkeel-load: the interval log {} isn't whole: {failure}", path.display());
    }
    if report.failed() || log_failure.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What a thread lets the others see while it runs.
#[derive(Default)]
#[repr(align(128))]
struct Live {
    /// Messages answered so far. On a cache line of its own, so that threads don't slow each other.
    answered: AtomicU64,
}

type Log = Writer<BufWriter<File>>;

fn create_log(path: &Path, start: SystemTime) -> Result<Log, String> {
    let log = File::create(path).and_then(|file| Writer::new(BufWriter::new(file), start));
    log.map_err(|error| format!("cannot write the interval log {}: {error}", path.display()))
}

/// Runs every thread to its end and adds up what they saw; also why the log isn't whole, if it isn't.
fn run(plan: &Plan, interrupt: &Interrupt, log: Option<Log>) -> (Tally, Option<String>) {
    let pattern = Pattern::new(plan.seed, plan.size as usize);
    let gate = Gate::new(plan.threads);
    let live: Vec<_> = (0..plan.threads).map(|_| Live::default()).collect();
    let (out, parts) = mpsc::channel();
    thread::scope(|scope| {
        let drivers: Vec<_> = (0..plan.threads)
            .map(|thread| {
                let (pattern, gate, live) = (&pattern, &gate, &live[thread]);
                let parts = Parts::new(out.clone(), thread, gate.made_ns(), plan.hlog.is_some());
                let run =
                    move || Driver::new(plan, pattern, gate, interrupt, live, thread, parts).map(Driver::run);
                scope.spawn(run)
            })
            .collect();
        drop(out);
        let total = Tally::new(plan, gate.made_ns(), 0);
        let mut collector = Collector::new(total, plan.threads, gate.made_ns(), log);
        progress::show_until(plan, &gate, &live, || {
            parts.try_iter().for_each(|part| collector.take(part));
            drivers.iter().all(|driver| driver.is_finished())
        });
        // Until each thread has handed out its last one.
        parts.iter().for_each(|part| collector.take(part));
        let (mut total, log_failure) = collector.end();
        for driver in drivers {
            match driver.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => total.note(|| format!("cannot create an epoll instance: {error}")),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        (total, log_failure)
    })
}

fn print(report: &Report, as_json: bool) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    let printed = if as_json {
        serde_json::to_string(report).map_err(io::Error::from).and_then(|json| writeln!(stdout, "{json}"))
    } else {
        write!(stdout, "{}", text::Text(report))
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
