//! The command line: its commands and flags, and what was typed, as a [`Request`].
//!
//! Flags come from the tables in [`super::settings`]. clap splits what was typed and writes the help; it is the
//! setting itself that says what is wrong with a value.

use std::{ffi::OsString, path::PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};
use clap_complete::Shell;

use super::{
    draft::Draft,
    file,
    settings::{
        Setting, Takes,
        report::{REPORT, Reporting},
        runtime::RUNTIME,
        service::{DRAIN, ECHO, PROXY, TIMEOUTS},
    },
    show::{Form, Shown},
    usage::Refusal,
};
use crate::{
    config::{Options, ProxyOptions, Timeouts},
    control::{Setup, output::Format, run::Failure},
    selftest::SelftestArgs,
    service::{EchoOptions, Kind, Spec},
};

/// What somebody wants.
pub enum Request {
    /// `echo`, `proxy`, `run`
    Serve(Box<Setup>),
    /// `check`
    Check(PathBuf),
    /// `config`, and the file of which the effective one is wanted.
    Config(Option<PathBuf>),
    /// `report`
    Report(Shown),
    /// `selftest`
    Selftest(SelftestArgs),
    /// `completions`
    Completions(Shell),
    /// `man`
    Manual,
}

/// What was typed: the program's name, and what follows it.
///
/// # Errors
/// What is wrong with it, or with the file that it names; or help, which somebody asked for.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Request, Refusal> {
    let matches = command().try_get_matches_from(args)?;
    let (name, matches) = matches.subcommand().unwrap_or(("", &matches));
    let path = || matches.get_one::<PathBuf>("file").cloned();
    let needed = || path().ok_or_else(|| Refusal::Usage("<FILE> is missing".into()));
    Ok(match name {
        "echo" => serve(echo(matches)?, matches)?,
        "proxy" => serve(proxy(matches)?, matches)?,
        "run" => serve(Draft { has_file: true, ..file::read(&needed()?)? }, matches)?,
        "check" => Request::Check(needed()?),
        "config" => Request::Config(path()),
        "report" => Request::Report(report(matches)),
        "selftest" => Request::Selftest(SelftestArgs::from_arg_matches(matches)?),
        "completions" => Request::Completions(*matches.get_one("shell").unwrap_or(&Shell::Bash)),
        _ => Request::Manual,
    })
}

/// Every command, in the order of help.
pub fn command() -> Command {
    let text = Reporting::new(Some(Format::Text));
    let echo = Command::new("echo").about("Serve: send back what comes in").arg(listen());
    let proxy =
        Command::new("proxy").about("Serve: forward to an upstream, and back").args([listen(), upstream()]);
    let proxy = with_flags(proxy, PROXY, Some(&ProxyOptions::default()));
    let drain = flag(&DRAIN, Some(&Timeouts::default()));
    let run = Command::new("run").about("Serve what a configuration file says; flags win over the file");
    let run = run.arg(file("A configuration file; `evenkeel config` prints one to begin with"));
    Command::new("evenkeel")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A thread-per-core TCP runtime that shows what each epoll and accept mode does")
        .max_term_width(110)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(serving(with_flags(echo, ECHO, Some(&EchoOptions::default())), Some(&text)).arg(drain))
        .subcommand(serving(with_flags(proxy, TIMEOUTS, Some(&Timeouts::default())), Some(&text)))
        .subcommand(serving(run, None).arg(flag(&DRAIN, None)))
        .subcommand(
            Command::new("check")
                .about("Say whether a configuration file would do; names are resolved, nothing is bound")
                .arg(file("A configuration file")),
        )
        .subcommand(
            Command::new("config")
                .about("Print a configuration file with every setting and its default")
                .arg(
                    file("Print what is in force with this configuration file instead")
                        .required(false)
                        .long("effective"),
                ),
        )
        .subcommand(
            Command::new("report")
                .about("Show a saved report, several added up, or two side by side")
                .arg(
                    file(
                        "Reports that were saved as JSON, with --report json (and --report-file); - is stdin",
                    )
                    .num_args(1..)
                    .action(ArgAction::Append),
                )
                .arg(format())
                .arg(Arg::new("diff").long("diff").action(ArgAction::SetTrue).help(
                    "Show two reports side by side, with the ratio of each figure, instead of adding them up",
                )),
        )
        .subcommand(
            SelftestArgs::augment_args(Command::new("selftest"))
                .about("Play scripted streams directly and through the proxy, and say where they differ"),
        )
        .subcommand(
            Command::new("completions")
                .about("Print what completes commands and flags in a shell")
                .arg(Arg::new("shell").value_name("SHELL").required(true).value_parser(value_parser!(Shell))),
        )
        .subcommand(Command::new("man").about("Print the manual page, in roff"))
}

/// The flags of every command that serves; without defaults where a file has its own.
fn serving(command: Command, reporting: Option<&Reporting>) -> Command {
    let options = Options::default();
    let command = with_flags(command, RUNTIME, reporting.map(|_| &options));
    with_flags(command, REPORT, reporting)
        .arg(switch("quiet", 'q', "Say nothing on stderr but the ready lines and what is wrong"))
        .arg(switch("verbose", 'v', "Say more on stderr").conflicts_with("quiet"))
}

fn with_flags<T>(command: Command, settings: &[Setting<T>], defaults: Option<&T>) -> Command {
    command.args(settings.iter().map(|setting| flag(setting, defaults)))
}

fn flag<T>(setting: &Setting<T>, defaults: Option<&T>) -> Arg {
    let arg = Arg::new(setting.flag).long(setting.flag);
    let default =
        defaults.map_or_else(String::new, |defaults| format!(" [default: {}]", (setting.show)(defaults)));
    let with_value = |name| arg.clone().value_name(name).help(format!("{}{default}", setting.help));
    match setting.takes {
        Takes::Nothing => arg.action(ArgAction::SetTrue).help(setting.help),
        // `-1` is a value: the setting says what is wrong with it.
        Takes::Number(name) | Takes::Octal(name) | Takes::Text(name) => {
            with_value(name).allow_hyphen_values(true)
        }
        // A path could be anything, so `--report-file --quiet` has to be a value that was forgotten.
        Takes::Path(name) => with_value(name),
    }
}

fn listen() -> Arg {
    repeated("listen", "ADDR").help("HOST:PORT, [V6]:PORT, :PORT or unix:PATH; may be repeated")
}

fn upstream() -> Arg {
    repeated("upstream", "ADDR[=WEIGHT]").help(
        "Where to forward to: HOST:PORT, [V6]:PORT or unix:PATH, with a weight from 1 to 256; may be repeated",
    )
}

fn repeated(flag: &'static str, value: &'static str) -> Arg {
    let arg = Arg::new(flag).long(flag).value_name(value).required(true);
    arg.action(ArgAction::Append).allow_hyphen_values(true)
}

fn switch(name: &'static str, short: char, help: &'static str) -> Arg {
    Arg::new(name).long(name).short(short).action(ArgAction::SetTrue).help(help)
}

fn file(help: &'static str) -> Arg {
    Arg::new("file").value_name("FILE").required(true).value_parser(value_parser!(PathBuf)).help(help)
}

fn format() -> Arg {
    let arg = Arg::new("format").long("format").value_name("FORMAT").allow_hyphen_values(true);
    arg.value_parser(["text", "json", "html"])
        .default_value("text")
        .help("How to show it; html is a page with charts, in one file")
}

fn report(matches: &ArgMatches) -> Shown {
    let form = match text(matches, "format") {
        Some("json") => Form::Json,
        Some("html") => Form::Html,
        _ => Form::Text,
    };
    let files = matches.get_many::<PathBuf>("file").into_iter().flatten().cloned().collect();
    Shown { files, form, diff: matches.get_flag("diff") }
}

/// What a command that serves adds to what it serves.
fn serve(mut draft: Draft, matches: &ArgMatches) -> Result<Request, Refusal> {
    apply(RUNTIME, matches, &mut draft.options)?;
    apply(REPORT, matches, &mut draft.reporting)?;
    let mut timeouts = Timeouts::default();
    apply(&[DRAIN], matches, &mut timeouts)?;
    draft.drain = text(matches, DRAIN.flag).map(|_| timeouts.drain);
    draft.quiet = matches.get_flag("quiet");
    draft.verbose = matches.get_flag("verbose");
    let setup = draft.finish().map_err(Failure::Start)?;
    Ok(Request::Serve(Box::new(setup)))
}

fn echo(matches: &ArgMatches) -> Result<Draft, Refusal> {
    let mut echo = EchoOptions::default();
    apply(ECHO, matches, &mut echo)?;
    one_service(Kind::Echo(echo), matches)
}

fn proxy(matches: &ArgMatches) -> Result<Draft, Refusal> {
    let mut proxy = ProxyOptions { upstreams: list(matches, "upstream")?, ..ProxyOptions::default() };
    apply(PROXY, matches, &mut proxy)?;
    apply(TIMEOUTS, matches, &mut proxy.timeouts)?;
    one_service(Kind::Proxy(proxy), matches)
}

fn one_service(kind: Kind, matches: &ArgMatches) -> Result<Draft, Refusal> {
    let service = Spec { name: kind.name().into(), listen: list(matches, "listen")?, kind };
    Ok(Draft::new(Reporting::new(Some(Format::Text)), vec![service]))
}

/// Sets what was typed, and leaves the rest as it is.
fn apply<T>(settings: &[Setting<T>], matches: &ArgMatches, into: &mut T) -> Result<(), Refusal> {
    for Setting { flag, takes, set, .. } in settings {
        let typed = match takes {
            Takes::Nothing => matches.get_flag(flag).then_some("true"),
            _ => text(matches, flag),
        };
        typed
            .map_or(Ok(()), |typed| set(into, typed))
            .map_err(|why| Refusal::Usage(format!("--{flag}: {why}")))?;
    }
    Ok(())
}

fn text<'a>(matches: &'a ArgMatches, flag: &str) -> Option<&'a str> {
    matches.get_one::<String>(flag).map(String::as_str)
}

fn list<T: std::str::FromStr<Err = String>>(matches: &ArgMatches, flag: &str) -> Result<Vec<T>, Refusal> {
    let typed = matches.get_many::<String>(flag).into_iter().flatten();
    let parsed = typed.map(|typed| typed.parse().map_err(|why| Refusal::Usage(format!("--{flag}: {why}"))));
    parsed.collect()
}
