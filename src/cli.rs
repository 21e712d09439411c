//! The command line: what was typed, what it means, and how it ends.
//!
//! `main` is the table of contents. What was typed becomes a validated plan before anything is touched; a
//! mistake costs one line on stderr and exit status 2.

use std::{
    error::Error as _, ffi::OsString, fs, path::PathBuf, process::ExitCode, str::FromStr, time::Duration,
};

use clap::{
    Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::{
    config::{AcceptMode, Address, Deal, Measure, Options, PollMode, Trigger, units},
    control::{
        output::{self, Format, Output},
        run::{self, Failure, Plan},
    },
    measure::report::Report,
    service::Work,
    sys::{self, limits},
};

/// Runs evenkeel: `args` are the program's name and what follows it.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match parse(args) {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let done = match cli.command {
        Command::Echo(echo) => serve_echo(&echo),
        Command::Proxy(proxy) => serve_proxy(&proxy),
        Command::Report(show) => show_report(&show),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Start(message)) => complain(&message, 2),
        Err(Failure::Run(message)) => complain(&message, 1),
    }
}

/// A thread-per-core TCP runtime that shows what each epoll and accept mode does.
#[derive(Parser)]
#[command(name = "evenkeel", version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve: send back what comes in.
    Echo(Box<EchoArgs>),
    /// Serve: forward to an upstream.
    Proxy(Box<ProxyArgs>),
    /// Show a saved report.
    Report(ReportArgs),
}

#[derive(Args)]
struct ProxyArgs {
    #[command(flatten)]
    runtime: RuntimeArgs,
    #[arg(long, required = true)]
    upstream: Vec<String>,
    #[arg(long, default_value_t = crate::config::Balance::P2c)]
    balance: crate::config::Balance,
    #[arg(long, default_value_t = crate::config::Forward::Auto)]
    forward: crate::config::Forward,
    #[arg(long)]
    source: Option<std::net::IpAddr>,
    #[arg(long, default_value_t = 3)]
    retries: u32,
    #[arg(long, default_value = "1s", value_parser = units::duration_above_zero)]
    connect_timeout: Duration,
    #[arg(long, default_value = "10s", value_parser = units::duration_above_zero)]
    connect_total_timeout: Duration,
    #[arg(long, default_value = "1h", value_parser = optional_duration)]
    idle_timeout: Maybe<Duration>,
    #[arg(long, default_value = "30s", value_parser = optional_duration)]
    half_closed_timeout: Maybe<Duration>,
    #[arg(long, default_value = "off", value_parser = optional_duration)]
    session_timeout: Maybe<Duration>,
    #[arg(long, default_value = "1m", value_parser = optional_duration)]
    keepalive_timeout: Maybe<Duration>,
    #[arg(long, default_value = "off", value_parser = optional_duration)]
    user_timeout: Maybe<Duration>,
}

fn serve_proxy(args: &ProxyArgs) -> Result<(), Failure> {
    limits::raise_descriptors();
    let options = args.runtime.options();
    let upstream = |text: &String| {
        let (address, weight) = text.rsplit_once('=').unwrap_or((text, "1"));
        crate::config::UpstreamOptions { address: address.parse().unwrap(), weight: weight.parse().unwrap() }
    };
    let proxy = crate::config::ProxyOptions {
        upstreams: args.upstream.iter().map(upstream).collect(),
        balance: args.balance,
        forward: args.forward,
        source: args.source,
        retries: args.retries,
        timeouts: crate::config::Timeouts {
            connect: args.connect_timeout,
            connect_total: args.connect_total_timeout,
            idle: args.idle_timeout.0,
            half_closed: args.half_closed_timeout.0,
            session: args.session_timeout.0,
            drain: options.drain,
            keepalive: args.keepalive_timeout.0,
            user: args.user_timeout.0,
        },
    };
    let kind = crate::service::Kind::Proxy(proxy);
    let spec = crate::service::Spec { name: "proxy".into(), listen: args.runtime.listen.clone(), kind };
    run::serve(&args.runtime.plan(), &options, &[spec])
}

#[derive(Args)]
struct EchoArgs {
    #[command(flatten)]
    runtime: RuntimeArgs,
    /// Time that each message takes, by computing or by blocking the worker: spin:DIST or block:DIST, with
    /// DIST fixed:50us, exp:50us or bimodal:50us,5ms,0.01.
    #[arg(long, value_name = "WORK|none", default_value = "none", value_parser = optional::<Work>)]
    work: Maybe<Work>,
    /// Seed of the random times of --work.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = seed)]
    seed: u64,
    /// Send 16 bytes on accept: worker, then sequence (two u64, little endian).
    #[arg(long)]
    greet: bool,
    /// Close connections that say nothing for this long.
    #[arg(long, value_name = "DURATION|off", default_value = "off", value_parser = optional_duration)]
    idle_timeout: Maybe<Duration>,
}

/// The flags that every service has.
#[derive(Args)]
struct RuntimeArgs {
    /// HOST:PORT, [V6]:PORT, :PORT or unix:PATH; may be repeated.
    #[arg(long, value_name = "ADDR", required = true)]
    listen: Vec<Address>,
    /// Number of workers; auto is the number of allowed cores, bounded by the cgroup's quota.
    #[arg(long, value_name = "N|auto", default_value = "auto", value_parser = workers)]
    workers: Maybe<usize>,
    /// The cores to use, such as 0-3,6 [default: all allowed ones].
    #[arg(long, value_name = "LIST", value_parser = cores)]
    cores: Option<Maybe<Vec<usize>>>,
    /// Let the scheduler move the workers.
    #[arg(long)]
    no_pin: bool,
    /// How connections reach workers: private, local, shared, exclusive, rotate, dealt.
    #[arg(long, value_name = "MODE", default_value_t = AcceptMode::Private)]
    accept: AcceptMode,
    /// How epoll reports connections: level, edge, oneshot.
    #[arg(long, value_name = "TRIGGER", default_value_t = Trigger::Edge)]
    trigger: Trigger,
    /// How epoll reports listeners: level, edge, oneshot.
    #[arg(long, value_name = "TRIGGER", default_value_t = Trigger::Level)]
    listen_trigger: Trigger,
    /// How an idle worker waits: block, spin, adaptive[:50us].
    #[arg(long, value_name = "MODE", default_value_t = PollMode::Block)]
    poll: PollMode,
    /// rotate: accepts after which a worker goes to the back of the wait queue.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = accepts::<u32>)]
    rotate_every: u32,
    /// dealt: who gets the next connection: round-robin, least-loaded.
    #[arg(long, value_name = "POLICY", default_value_t = Deal::RoundRobin)]
    deal: Deal,
    /// The most accepts in one iteration: N or unlimited [default: 64, and 1 where the listener is shared].
    #[arg(long, value_name = "N|unlimited", value_parser = budget_of_accepts)]
    accept_budget: Option<usize>,
    /// The most bytes that a turn reads: a size or unlimited.
    #[arg(long, value_name = "SIZE|unlimited", default_value = "256k", value_parser = budget_of_bytes)]
    budget: usize,
    /// Length of the accept queue that is asked for.
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = backlog)]
    backlog: i32,
    /// Let the kernel gather small writes (Nagle's algorithm).
    #[arg(long)]
    no_nodelay: bool,
    /// Permissions of a unix socket's file, octal.
    #[arg(long, value_name = "MODE", default_value = "0660", value_parser = unix_mode)]
    unix_mode: u32,
    /// How long sessions may go on after a stop [default: 10s; 1s when --duration is over].
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    drain: Option<Duration>,
    /// What to record: off, counts, full.
    #[arg(long, value_name = "LEVEL", default_value_t = Measure::Full)]
    measure: Measure,
    /// Stop by itself after this time.
    #[arg(long, value_name = "DURATION", value_parser = units::duration_above_zero)]
    duration: Option<Duration>,
    /// The report on stdout: text, json, none.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = ReportFormat::Text)]
    report: ReportFormat,
    /// Write each report to this file too, replacing it in one step (as JSON with --report none).
    #[arg(long, value_name = "PATH")]
    report_file: Option<PathBuf>,
    /// Report each time this has passed; each report counts from the start.
    #[arg(long, value_name = "DURATION", value_parser = units::duration_above_zero)]
    report_every: Option<Duration>,
    #[arg(long)]
    access_log: Option<String>,
    #[arg(long, value_enum, default_value_t = ShowFormat::Text)]
    log_format: ShowFormat,
    /// Say nothing on stderr but the ready lines and what is wrong.
    #[arg(short, long)]
    quiet: bool,
    /// Say more on stderr.
    #[arg(short, long, conflicts_with = "quiet")]
    verbose: bool,
}

#[derive(Args)]
struct ReportArgs {
    /// A report that was saved as JSON, with --report json (and --report-file); - is stdin.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// How to show it: text, json.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = ShowFormat::Text)]
    format: ShowFormat,
}

#[derive(Clone, Copy, ValueEnum)]
enum ReportFormat {
    Text,
    Json,
    None,
}

#[derive(Clone, Copy, ValueEnum)]
enum ShowFormat {
    Text,
    Json,
}

/// A value, or the word that stands for none. (clap gives `Option` and `Vec` meanings of their own.)
#[derive(Clone)]
struct Maybe<T>(Option<T>);

fn serve_echo(args: &EchoArgs) -> Result<(), Failure> {
    limits::raise_descriptors();
    let options = args.runtime.options();
    let EchoArgs { work, seed, greet, idle_timeout, .. } = args;
    let echo = crate::service::EchoOptions {
        work: work.0.clone(),
        seed: *seed,
        greet: *greet,
        idle_timeout: idle_timeout.0,
    };
    let kind = crate::service::Kind::Echo(echo);
    let spec = crate::service::Spec { name: "echo".into(), listen: args.runtime.listen.clone(), kind };
    run::serve(&args.runtime.plan(), &options, &[spec])
}

fn show_report(args: &ReportArgs) -> Result<(), Failure> {
    let (path, text) = match args.file.to_str() {
        Some("-") => ("stdin".into(), std::io::read_to_string(std::io::stdin())),
        _ => (args.file.display().to_string(), fs::read_to_string(&args.file)),
    };
    let text = text.map_err(|error| {
        Failure::Start(format!("cannot read {path}: {}; name a saved report", sys::reason(&error)))
    })?;
    let report = Report::last_of(&text)
        .map_err(|reason| Failure::Start(format!("{path} is not a report: {reason}")))?;
    let format = match args.format {
        ShowFormat::Text => Format::Text,
        ShowFormat::Json => Format::Json,
    };
    output::print(&report, format).map_err(Failure::Run)
}

impl RuntimeArgs {
    fn options(&self) -> Options {
        let defaults = Options::default();
        Options {
            workers: self.workers.0,
            cores: self.cores.as_ref().and_then(|cores| cores.0.clone()),
            pin: !self.no_pin,
            accept: self.accept,
            trigger: self.trigger,
            listen_trigger: self.listen_trigger,
            poll: self.poll,
            rotate_every: self.rotate_every,
            deal: self.deal,
            accept_budget: self.accept_budget,
            budget: self.budget,
            backlog: self.backlog,
            nodelay: !self.no_nodelay,
            unix_mode: self.unix_mode,
            drain: self.drain.unwrap_or(defaults.drain),
            measure: self.measure,
        }
    }

    fn plan(&self) -> Plan {
        let stdout = match self.report {
            ReportFormat::Text => Some(Format::Text),
            ReportFormat::Json => Some(Format::Json),
            ReportFormat::None => None,
        };
        Plan {
            duration: self.duration,
            drain: self.drain,
            report_every: self.report_every,
            access_log: self.access_log.as_ref().map(|path| {
                let target = if path == "-" {
                    crate::control::journal::Target::Stdout
                } else {
                    crate::control::journal::Target::File(path.into())
                };
                (
                    target,
                    if matches!(self.log_format, ShowFormat::Json) { Format::Json } else { Format::Text },
                )
            }),
            output: Output { stdout, file: self.report_file.clone() },
            quiet: self.quiet,
            verbose: self.verbose,
        }
    }
}

fn optional<T: FromStr<Err = String>>(text: &str) -> Result<Maybe<T>, String> {
    if text == "none" { Ok(Maybe(None)) } else { text.parse().map(|value| Maybe(Some(value))) }
}

fn optional_duration(text: &str) -> Result<Maybe<Duration>, String> {
    if text == "off" {
        Ok(Maybe(None))
    } else {
        units::duration_above_zero(text).map(|value| Maybe(Some(value)))
    }
}

fn workers(text: &str) -> Result<Maybe<usize>, String> {
    if text == "auto" {
        return Ok(Maybe(None));
    }
    let workers =
        text.parse().map_err(|_| format!("'{text}' is not a number of workers: write 1 or more, or auto"))?;
    Ok(Maybe(Some(workers)))
}

fn cores(text: &str) -> Result<Maybe<Vec<usize>>, String> {
    units::cores(text).map(|cores| Maybe(Some(cores)))
}

fn budget_of_accepts(text: &str) -> Result<usize, String> {
    if text == "unlimited" {
        return Ok(usize::MAX);
    }
    accepts(text).map_err(|wrong| format!("{wrong}, or unlimited"))
}

fn accepts<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("'{text}' is not a number of accepts: write 1 or more"))
}

fn backlog(text: &str) -> Result<i32, String> {
    let length = text.parse::<u32>().ok().and_then(|length| i32::try_from(length).ok());
    length.ok_or_else(|| format!("'{text}' is not the length of a queue: write 1 or more, such as 4096"))
}

fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("'{text}' is not a seed: write a whole number, 0 or more"))
}

fn budget_of_bytes(text: &str) -> Result<usize, String> {
    if text == "unlimited" { Ok(usize::MAX) } else { units::size(text) }
}

fn unix_mode(text: &str) -> Result<u32, String> {
    let wrong = || format!("'{text}' is not a file mode: write octal digits, such as 0660");
    let mode = u32::from_str_radix(text, 8).map_err(|_| wrong())?;
    if mode <= 0o777 { Ok(mode) } else { Err(wrong()) }
}

/// Parses the command line. A flag with a value takes `-1` for one too: it is the flag's own parser that says
/// what is wrong with it.
fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let takes_any = |arg: clap::Arg| match arg.get_id().as_str() {
        // A path could be anything, so `--report-file --quiet` has to be a value that was forgotten.
        "file" | "report_file" => arg,
        _ if arg.get_action().takes_values() => arg.allow_hyphen_values(true),
        _ => arg,
    };
    let mut command = Cli::command().mut_subcommands(|service| service.mut_args(takes_any));
    let matches = command.try_get_matches_from_mut(args)?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// Help and version as they are; one line for what clap says in several.
fn refuse(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // A closed stdout means that nobody wants to read it.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    complain(&format!("{}; see --help", what_is_wrong(error)), 2)
}

fn what_is_wrong(error: &clap::Error) -> String {
    // `--listen <ADDR>`, but a positional one is `<FILE>`.
    let flag = named(error, ContextKind::InvalidArg);
    let flag = flag.split_once(' ').map_or(flag.as_str(), |(flag, _)| flag);
    let value = named(error, ContextKind::InvalidValue);
    match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => format!("say what to do: {}", commands()),
        ErrorKind::InvalidSubcommand => {
            let typed = named(error, ContextKind::InvalidSubcommand);
            format!("there is no command '{typed}': use {}", commands())
        }
        ErrorKind::MissingRequiredArgument => format!("{} is missing", named(error, ContextKind::InvalidArg)),
        ErrorKind::InvalidValue if value.is_empty() => format!("{flag} needs a value"),
        ErrorKind::InvalidValue => {
            format!("{flag}: '{value}' is none of {}", named(error, ContextKind::ValidValue))
        }
        ErrorKind::ValueValidation => {
            let why = error.source().map_or_else(|| format!("'{value}' will not do"), ToString::to_string);
            format!("{flag}: {why}")
        }
        _ => in_one_line(error),
    }
}

fn named(error: &clap::Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(name)) => name.clone(),
        Some(ContextValue::Strings(names)) => names.join(", "),
        _ => String::new(),
    }
}

fn commands() -> String {
    let command = Cli::command();
    command.get_subcommands().map(clap::Command::get_name).collect::<Vec<_>>().join(" or ")
}

/// What clap says, without its usage block; for the tools' command lines too.
pub fn in_one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines: Vec<&str> = text
        .lines()
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let line = lines.join("; ");
    line.strip_prefix("error: ").unwrap_or(&line).to_owned()
}

/// The one line on stderr. What was typed may be quoted in it, line breaks and all.
fn complain(message: &str, status: u8) -> ExitCode {
    let message = message.replace(char::is_control, "?");
    output::say(&format!("evenkeel: {message}"));
    ExitCode::from(status)
}
