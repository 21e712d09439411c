//! The command line: what was typed, checked flag by flag. What it means is in `plan`.

use std::{ffi::OsString, path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use evenkeel::{
    cli::in_one_line,
    config::{Address, units},
};

use super::{
    plan::{Close, PIPELINE_MAX, Plan},
    schedule::Arrivals,
    shape::Shape,
    source::Sources,
    usage_error,
};

/// Drive an echo server, check every byte that comes back, and tell how long each message took.
///
/// `evenkeel-load merge FILE…` adds the reports of several runs up (see merge --help).
#[derive(Debug, Parser)]
#[command(name = "evenkeel-load", version, max_term_width = 100)]
pub struct Args {
    /// Where the server listens: HOST:PORT, \[V6\]:PORT, :PORT (this machine) or unix:PATH.
    #[arg(value_name = "ADDR")]
    pub address: Address,
    /// Connections to open, shared among the threads.
    #[arg(long, value_name = "N", default_value = "64", value_parser = count::<1_000_000>)]
    pub connections: usize,
    /// Bytes of a message.
    #[arg(long, value_name = "BYTES", default_value = "64", value_parser = message_size)]
    pub size: usize,
    /// Messages in flight on each connection: closed loop, so many [default: 1]; open loop, at most so many.
    #[arg(long, value_name = "N", value_parser = count::<PIPELINE_MAX>)]
    pub pipeline: Option<usize>,
    /// How long to measure.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = run_time)]
    pub duration: Duration,
    /// How long the load runs before it is measured [default: 1s; 0 with --messages].
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    pub warmup: Option<Duration>,
    /// Stop after this many measured messages in all, instead of after --duration.
    #[arg(long, value_name = "N", value_parser = count::<1_000_000_000_000>, conflicts_with = "duration")]
    pub messages: Option<usize>,
    /// Open loop: messages a second, in all, whatever the server does.
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    pub rate: Option<f64>,
    /// Open loop: the gaps between messages: poisson, uniform, or burst:K (so many at once).
    #[arg(long, default_value = "poisson", requires = "rate")]
    pub arrivals: Arrivals,
    /// Who carries how much: mice (all alike), or elephants:K,FACTOR (K connections, FACTOR times as much).
    #[arg(long, default_value = "mice")]
    pub shape: Shape,
    /// Closed loop: pause between an answer and the next message, exponential with this mean.
    #[arg(long, value_name = "TIME", value_parser = think_time, conflicts_with = "rate")]
    pub think: Option<Duration>,
    /// Read at most so many bytes a second on each connection.
    #[arg(long, value_name = "BYTES", value_parser = bytes_above_zero)]
    pub read_rate: Option<usize>,
    /// Write at most so many bytes a call.
    #[arg(long, value_name = "BYTES", value_parser = bytes_above_zero)]
    pub write_chunk: Option<usize>,
    /// Open loop: spin for the last 100 µs before a message is due; for a thread with a core of its own.
    #[arg(long, requires = "rate")]
    pub spin: bool,
    /// Replace each connection by a new one after this many messages.
    #[arg(long, value_name = "MESSAGES", value_parser = count::<1_000_000_000>)]
    pub churn: Option<usize>,
    /// With --churn: close in order, or by a reset.
    #[arg(long, value_enum, default_value = "fin", requires = "churn")]
    pub close: Close,
    /// Connect from the addresses of this network in turn, such as 127.0.0.0/8.
    #[arg(long, value_name = "CIDR")]
    pub source: Option<Sources>,
    /// The server greets (`evenkeel echo --greet`): group what is seen by worker.
    #[arg(long)]
    pub greet: bool,
    /// Open connections one by one, this far apart, before the load starts.
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = units::duration)]
    pub connect_spacing: Duration,
    /// Open the connections, hold them until all are open, report, and send nothing.
    #[arg(long, conflicts_with_all = ["rate", "messages", "churn", "duration", "warmup", "pipeline", "think"])]
    pub connect_only: bool,
    /// With --connect-only: hold the connections until a signal, then report.
    #[arg(long, requires = "connect_only")]
    pub hold: bool,
    /// Threads, each with its share of the connections.
    #[arg(long, value_name = "N", default_value = "1", value_parser = count::<1_024>)]
    pub threads: usize,
    /// Cores to pin the threads to, in turn, such as 0-3,6.
    #[arg(long, value_name = "LIST", value_parser = cores)]
    pub cores: Option<Cores>,
    /// What the messages' bytes and due times are drawn from.
    #[arg(long, value_name = "N", default_value = "1")]
    pub seed: u64,
    /// Don't compare the bytes that come back, only count them.
    #[arg(long)]
    pub no_verify: bool,
    /// Also tell what was due, answered and open in each slice of the run, such as 100ms.
    #[arg(long, value_name = "TIME", value_parser = units::duration_above_zero)]
    pub slices: Option<Duration>,
    /// Also tell of each connection: its worker, its messages, how long they took.
    #[arg(long)]
    pub per_connection: bool,
    /// Also tell how long what came back lay in the kernel before it was read, by its receive stamps.
    #[arg(long)]
    pub timestamps: bool,
    /// Write an HdrHistogram interval log, a row a second of each of resp, svc, lag, connect (and resp.w0 …).
    #[arg(long, value_name = "PATH")]
    pub hlog: Option<PathBuf>,
    /// Print the report as one line of JSON.
    #[arg(long)]
    pub json: bool,
}

/// A list of cores; a type of its own because clap takes a `Vec` for a flag that may be repeated.
#[derive(Clone, Debug)]
pub struct Cores(pub Vec<usize>);

/// What became of the command line.
pub enum Parsed {
    /// It says what to do.
    Plan(Box<Plan>),
    /// It asked for help, or was wrong; that has been printed.
    Answered(ExitCode),
}

/// Parses the command line, and answers it where there is nothing to run.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Parsed {
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(error) if error.use_stderr() => return Parsed::Answered(usage_error(&one_line(&error))),
        Err(help) => {
            // A closed stdout has seen enough of the help.
            let _ = help.print();
            return Parsed::Answered(ExitCode::SUCCESS);
        }
    };
    match Plan::new(args) {
        Ok(plan) => Parsed::Plan(Box::new(plan)),
        Err(message) => Parsed::Answered(usage_error(&message)),
    }
}

fn one_line(error: &clap::Error) -> String {
    format!("{} (see --help)", in_one_line(error))
}

/// A whole number from 1 to `MAX`.
fn count<const MAX: usize>(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("zero would do nothing: use 1 or more".to_owned()),
        Ok(number) if number <= MAX => Ok(number),
        Ok(_) => Err(format!("too many: use at most {MAX}")),
        Err(_) => Err(format!("not a whole number: use 1 to {MAX}")),
    }
}

fn message_size(text: &str) -> Result<usize, String> {
    match units::size(text)? {
        0 => Err("a message has at least 1 byte: use 1 or more".to_owned()),
        size if size <= Plan::SIZE_MAX => Ok(size),
        _ => Err(format!("too large: use at most {}M", Plan::SIZE_MAX >> 20)),
    }
}

fn bytes_above_zero(text: &str) -> Result<usize, String> {
    match units::size(text)? {
        0 => Err("zero bytes would do nothing: use 1 or more".to_owned()),
        bytes => Ok(bytes),
    }
}

fn think_time(text: &str) -> Result<Duration, String> {
    match units::duration_above_zero(text)? {
        think if think <= Plan::THINK_MAX => Ok(think),
        _ => Err(format!("too long: use at most {}s", Plan::THINK_MAX.as_secs())),
    }
}

fn run_time(text: &str) -> Result<Duration, String> {
    match units::duration_above_zero(text)? {
        duration if duration <= Plan::DURATION_MAX => Ok(duration),
        _ => Err(format!("too long: use at most {}h", Plan::DURATION_MAX.as_secs() / 3_600)),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= Plan::RATE_MAX_PER_S => Ok(rate),
        _ => Err(format!(
            "not a rate: use messages a second, above 0 and at most {}, such as 20000",
            Plan::RATE_MAX_PER_S
        )),
    }
}

fn cores(text: &str) -> Result<Cores, String> {
    units::cores(text).map(Cores)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parsed(flags: &str) -> Result<Args, String> {
        let words = ["evenkeel-load", "127.0.0.1:7000"].into_iter().chain(flags.split_whitespace());
        Args::try_parse_from(words).map_err(|error| one_line(&error))
    }

    #[test]
    fn the_flags_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn values_that_cannot_be_are_refused_in_one_line() {
        for flags in [
            "--connections 0",
            "--connections 9999999",
            "--size 0",
            "--size 1T",
            "--pipeline 0",
            "--pipeline -1",
            "--duration 0",
            "--duration 10",
            "--duration 99999h",
            "--warmup soon",
            "--rate 0",
            "--rate NaN",
            "--rate inf",
            "--rate -5",
            "--rate 1e12",
            "--rate 5 --arrivals sometimes",
            "--arrivals uniform",
            "--churn 0",
            "--messages 5 --duration 1s",
            "--connect-only --rate 5",
            "--threads 0",
            "--cores 3-1",
            "--seed x",
            "--shape lions",
            "--rate 5 --arrivals burst:0",
            "--rate 5 --think 1ms",
            "--think 0",
            "--think 1m",
            "--read-rate 0",
            "--write-chunk 0",
            "--close rst",
            "--churn 5 --close soon",
            "--source 127.0.0.1/40",
            "--hold",
            "--slices 0",
            "--hlog",
            "7000",
        ] {
            let message = parsed(flags).unwrap_err();
            assert!(!message.contains('\n') && message.len() > 20, "{flags}: {message}");
        }
    }

    #[test]
    fn every_flag_of_the_contract_is_taken() {
        let closed = "--connections 2 --size 1k --pipeline 4 --duration 1.5s --warmup 0 --churn 9 --greet";
        assert_eq!(parsed(closed).unwrap().size, 1_024);
        let shaped =
            "--shape elephants:2,10 --think 5ms --read-rate 64k --write-chunk 1 --churn 3 --close rst";
        assert_eq!(parsed(shaped).unwrap().write_chunk, Some(1));
        let held = "--connect-only --hold --source 127.0.0.0/8 --slices 100ms --per-connection";
        assert!(parsed(held).unwrap().hold);
        let open = "--rate 2e3 --arrivals uniform --threads 2 --cores 0-1 --seed 9 --no-verify --json";
        assert_eq!(parsed(open).unwrap().rate, Some(2_000.0));
    }
}
