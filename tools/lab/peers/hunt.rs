//! A client that hunts for lost wakeups: it does to an echo server whatever has made servers miss one, over many
//! connections, and notices where the server falls asleep although it owes something.
//!
//! The server is stalled where a connection makes no progress for a second while it is owed bytes, its greeting or
//! the end of the stream, and is ready to take them. The detector's clock counts no more than a
//! twentieth of a second between two looks, so that a client that the scheduler kept from looking blames nobody.
//! Every byte is checked. What it prints has the shape of the load generator's report, and `stalls`.
//!
//! ```text
//!   hunt      the loop: events, a turn for each line, the detector, the report
//!   line      one connection: what it does, and what it is owed
//!   stream    the bytes that it carries
//! ```

mod line;
mod stream;

use std::{
    ffi::OsString,
    io::{self, Write},
    net::SocketAddr,
    process::ExitCode,
    time::{Duration, SystemTime},
};

use clap::Parser;
use evenkeel::{
    config::units,
    measure::report::{HistogramJson, date::rfc3339},
    sys::clock::now_ns,
};
use hdrhistogram::Histogram;
use rustix::{
    event::epoll::{self, EventData, EventFlags},
    fd::OwnedFd,
    time::{ClockId, Timespec, clock_gettime},
};
use serde_json::{Value, json};

use line::{Failure, Line, Turn};

const PROGRAM: &str = "evenkeel-lab hunt";

/// The most that the detector's clock counts between two looks.
const LOOK_MAX_NS: u64 = 50_000_000;

/// The longest sleep: the detector looks this often.
const NAP_MAX_NS: u64 = 10_000_000;

/// A run in which nothing was answered for this long is over, whatever it was to send.
const SILENCE_MAX_NS: u64 = 20_000_000_000;

/// How many connections may fail before a run is given up.
const FAILURES_MAX: u64 = 100;

/// How long to wait after a connection that failed at once, say for want of a local port.
const RETRY_NS: u64 = 10_000_000;

const EVENTS_MAX: usize = 256;

const SCRATCH_LEN: usize = 64 << 10;

/// Hunt for lost wakeups in an echo server.
#[derive(Debug, Parser)]
#[command(name = "hunt", max_term_width = 100)]
struct Args {
    /// Where the server listens.
    #[arg(value_name = "HOST:PORT")]
    address: SocketAddr,
    /// Connections at a time.
    #[arg(long, value_name = "N", default_value = "64", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// End when so many messages were answered.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    messages: u64,
    /// How long a connection may be owed something without progress.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = units::duration_above_zero)]
    stall_after: Duration,
    /// The server doesn't greet, so connections can't be told by worker.
    #[arg(long, conflicts_with = "greet")]
    no_greet: bool,
    /// What everything is drawn from.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The server greets, as it does unless told otherwise.
    #[arg(long)]
    greet: bool,
    /// The report is JSON, whether this is said or not.
    #[arg(long)]
    json: bool,
    /// Taken for the load generator's sake: there are no slices here.
    #[arg(long, value_name = "TIME")]
    slices: Option<String>,
    /// Likewise.
    #[arg(long)]
    per_connection: bool,
    /// Likewise.
    #[arg(long, value_name = "PATH")]
    hlog: Option<String>,
}

/// Runs the program with these arguments, the first of which is its name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Args = match super::parse(PROGRAM, args) {
        Ok(args) => args,
        Err(answered) => return answered,
    };
    let started = rfc3339(SystemTime::now());
    let tally = match Hunt::new(&args).and_then(Hunt::run) {
        Ok(tally) => tally,
        Err(error) => {
            eprintln!("{PROGRAM}: {error}");
            return ExitCode::FAILURE;
        }
    };
    if let Some(failure) = &tally.first_failure {
        eprintln!("{PROGRAM}: {failure}");
    }
    match writeln!(io::stdout(), "{}", tally.report(&args, &started)) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ if tally.mismatch > 0 || tally.connections == 0 => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

/// The hunt under way.
struct Hunt<'a> {
    args: &'a Args,
    epoll: OwnedFd,
    places: Vec<Place>,
    /// Connections begun so far.
    serial: u64,
    scratch: Vec<u8>,
    tally: Tally,
    now_ns: u64,
    /// The detector's clock.
    looked_ns: u64,
}

/// A place for a connection; they come and go in it.
struct Place {
    line: Option<Line>,
    /// Which connection it is: an event for an earlier one finds nobody.
    serial: u64,
    /// When it last made progress, or was owed nothing, by the detector's clock.
    progress_ns: u64,
    /// When to connect again.
    retry_ns: u64,
    is_counted: bool,
}

/// What was seen.
struct Tally {
    begun_ns: u64,
    ended_ns: u64,
    messages: u64,
    bytes: u64,
    /// Established.
    connections: u64,
    by_worker: Vec<u64>,
    stalls: u64,
    connect: u64,
    reset: u64,
    mismatch: u64,
    short: u64,
    latency: Histogram<u64>,
    first_failure: Option<String>,
}

impl Place {
    /// Whether it has a connection that isn't counted yet: the server may have counted it, and both must agree.
    fn is_awaited(&self) -> bool {
        self.line.is_some() && !self.is_counted
    }
}

impl<'a> Hunt<'a> {
    fn new(args: &'a Args) -> io::Result<Self> {
        let place = || Place { line: None, serial: 0, progress_ns: 0, retry_ns: 0, is_counted: false };
        let now_ns = now_ns();
        Ok(Self {
            args,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            places: std::iter::repeat_with(place).take(args.connections as usize).collect(),
            serial: 0,
            scratch: vec![0; SCRATCH_LEN],
            tally: Tally::new(now_ns),
            now_ns,
            looked_ns: 0,
        })
    }

    fn run(mut self) -> io::Result<Tally> {
        let mut events = Vec::with_capacity(EVENTS_MAX);
        let (mut answered, mut answered_ns) = (0, self.now_ns);
        while !self.is_enough() || self.places.iter().any(Place::is_awaited) {
            let is_moving = self.turns()?;
            self.tick();
            self.look();
            if answered != self.tally.messages {
                (answered, answered_ns) = (self.tally.messages, self.now_ns);
            } else if self.now_ns - answered_ns > SILENCE_MAX_NS {
                break;
            }
            self.wait(&mut events, if is_moving { 0 } else { self.nap_ns() })?;
        }
        self.tally.ended_ns = self.now_ns;
        Ok(self.tally)
    }

    fn is_enough(&self) -> bool {
        self.tally.messages >= self.args.messages || self.tally.failures() >= FAILURES_MAX
    }

    /// A turn for each line, and a new line for each that is over. Whether any made progress.
    fn turns(&mut self) -> io::Result<bool> {
        let mut is_moving = false;
        for index in 0..self.places.len() {
            is_moving |= match self.places[index].line {
                None => self.open(index)?,
                Some(_) => self.turn(index),
            };
        }
        Ok(is_moving)
    }

    fn open(&mut self, index: usize) -> io::Result<bool> {
        if self.now_ns < self.places[index].retry_ns || self.is_enough() {
            return Ok(false);
        }
        self.serial += 1;
        let line = match Line::connect(self.args.address, self.args.seed, self.serial, !self.args.no_greet) {
            Ok(line) => line,
            Err(error) => {
                self.fail(index, Failure::Connect(error));
                return Ok(false);
            }
        };
        let data = EventData::new_u64((self.serial << 16) | index as u64);
        epoll::add(&self.epoll, &line, data, EventFlags::IN | EventFlags::OUT | EventFlags::ET)?;
        let (serial, progress_ns) = (self.serial, self.looked_ns);
        self.places[index] = Place { line: Some(line), serial, progress_ns, retry_ns: 0, is_counted: false };
        Ok(true)
    }

    fn turn(&mut self, index: usize) -> bool {
        let place = &mut self.places[index];
        let Some(line) = &mut place.line else { return false };
        let (tally, now_ns) = (&mut self.tally, self.now_ns);
        let turn = line.turn(now_ns, &mut self.scratch, |begun_ns| {
            tally.messages += 1;
            tally.latency.saturating_record(now_ns.saturating_sub(begun_ns));
        });
        if !place.is_counted && (line.worker().is_some() || (self.args.no_greet && line.is_established())) {
            place.is_counted = true;
            self.tally.count_connection(line.worker());
        }
        if turn != Turn::Idle || !line.is_owed(now_ns) {
            place.progress_ns = self.looked_ns;
        }
        match turn {
            Turn::Progress => true,
            Turn::Idle => false,
            Turn::Over => {
                self.tally.bytes += line.received();
                place.line = None;
                true
            }
            Turn::Failed(failure) => {
                self.fail(index, failure);
                true
            }
        }
    }

    fn fail(&mut self, index: usize, failure: Failure) {
        let place = &mut self.places[index];
        self.tally.fail(failure, place.line.as_ref());
        place.line = None;
        place.retry_ns = self.now_ns + RETRY_NS;
    }

    fn tick(&mut self) {
        let now_ns = now_ns();
        self.looked_ns += (now_ns - self.now_ns).min(LOOK_MAX_NS);
        self.now_ns = now_ns;
    }

    /// The detector: who is owed something and got nothing for too long is counted, and given up.
    fn look(&mut self) {
        let patience_ns = self.args.stall_after.as_nanos() as u64;
        for place in &mut self.places {
            let Some(line) = place.line.as_ref().filter(|line| line.is_owed(self.now_ns)) else { continue };
            if self.looked_ns - place.progress_ns >= patience_ns {
                self.tally.stalls += 1;
                self.tally.note(|| format!("a connection is stalled: {}", line.describe()));
                line.reset();
                place.line = None;
            }
        }
    }

    /// Until a pause ends, or the next look of the detector.
    fn nap_ns(&self) -> u64 {
        let resumes = |place: &Place| match &place.line {
            Some(line) => line.resumes_ns(self.now_ns),
            None => Some(place.retry_ns),
        };
        let next_ns = self.places.iter().filter_map(resumes).min().unwrap_or(u64::MAX);
        next_ns.saturating_sub(self.now_ns).min(NAP_MAX_NS)
    }

    /// Waits for events and remembers what they say.
    fn wait(&mut self, events: &mut Vec<epoll::Event>, timeout_ns: u64) -> io::Result<()> {
        let timeout = Timespec { tv_sec: 0, tv_nsec: timeout_ns as i64 };
        events.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(events), Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &*events {
            let (data, flags) = (event.data.u64(), event.flags);
            let place = &mut self.places[(data & 0xffff) as usize];
            let Some(line) = place.line.as_mut().filter(|_| place.serial == data >> 16) else { continue };
            let failed = flags.intersects(EventFlags::ERR | EventFlags::HUP);
            line.is_readable |= failed || flags.contains(EventFlags::IN);
            line.is_writable |= failed || flags.contains(EventFlags::OUT);
        }
        self.tick();
        Ok(())
    }
}

impl Tally {
    fn new(begun_ns: u64) -> Self {
        Self {
            begun_ns,
            ended_ns: begun_ns,
            messages: 0,
            bytes: 0,
            connections: 0,
            by_worker: Vec::new(),
            stalls: 0,
            connect: 0,
            reset: 0,
            mismatch: 0,
            short: 0,
            latency: evenkeel::measure::histograms::histogram(),
            first_failure: None,
        }
    }

    fn failures(&self) -> u64 {
        self.stalls + self.connect + self.reset + self.mismatch + self.short
    }

    fn count_connection(&mut self, worker: Option<u64>) {
        self.connections += 1;
        // A greeting may name any worker; what is no greeting must not fill memory.
        let Some(worker) = worker.filter(|&worker| worker < 1 << 16) else { return };
        let worker = worker as usize;
        self.by_worker.resize(self.by_worker.len().max(worker + 1), 0);
        self.by_worker[worker] += 1;
    }

    fn fail(&mut self, failure: Failure, line: Option<&Line>) {
        let (count, what) = match failure {
            Failure::Connect(error) => (&mut self.connect, format!("a connection failed: {error}")),
            Failure::Reset(error) => (&mut self.reset, format!("a connection broke: {error}")),
            Failure::Mismatch => (&mut self.mismatch, "a wrong byte came, or one too many".to_owned()),
            Failure::Short => {
                (&mut self.short, "the server ended a connection that it owed bytes".to_owned())
            }
        };
        *count += 1;
        self.note(|| format!("{what}: {}", line.map_or_else(String::new, Line::describe)));
    }

    fn note(&mut self, failure: impl FnOnce() -> String) {
        self.first_failure.get_or_insert_with(failure);
    }

    /// In the shape of the load generator's.
    fn report(&self, args: &Args, started: &str) -> Value {
        let duration_s = (self.ended_ns - self.begun_ns) as f64 / 1e9;
        let nothing = HistogramJson::new("ns", &evenkeel::measure::histograms::histogram());
        let latency = HistogramJson::new("ns", &self.latency);
        let worker = |(worker, connections): (usize, &u64)| {
            let latency = &nothing;
            json!({"worker": worker, "connections": connections, "messages": 0, "latency": latency})
        };
        json!({
            "schema": "evenkeel-load/1",
            "version": env!("CARGO_PKG_VERSION"),
            "started": started,
            "duration_s": duration_s,
            "interrupted": false,
            "config": {"address": args.address.to_string(), "loop": "hunt", "connections": args.connections,
                       "messages": args.messages, "greet": !args.no_greet, "seed": args.seed, "verify": true},
            "messages": self.messages,
            "sent": self.messages,
            "lost": 0,
            "rate_per_s": if duration_s > 0.0 { self.messages as f64 / duration_s } else { 0.0 },
            "bytes": self.bytes,
            "connections": self.connections,
            "errors": {"connect": self.connect, "reset": self.reset, "timeout": 0, "mismatch": self.mismatch,
                       "short": self.short},
            "stalls": self.stalls,
            "latency": latency,
            "service_latency": latency,
            "connect_latency": nothing,
            "send_lag": nothing,
            "by_worker": self.by_worker.iter().enumerate().map(worker).collect::<Vec<_>>(),
            "cpu_s": cpu_s(),
            "first_failure": self.first_failure,
        })
    }
}

/// CPU time of the process so far, in seconds.
fn cpu_s() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

#[cfg(test)]
mod tests;
