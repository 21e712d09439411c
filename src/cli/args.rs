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
    flags::{apply, backup, flag, list, listen, switch, text, upstream, with_flags},
    settings::{
        echo::ECHO,
        proxy::{DRAIN, PARTS, TIMEOUTS_HEADING},
        report::{REPORT, Reporting},
        runtime::RUNTIME,
    },
    show::{Form, Shown},
    usage::Refusal,
};
use crate::{
    config::{Fault, Options, ProxyOptions, UpstreamOptions},
    control::{Setup, output::Format, run::Failure},
    selftest::SelftestArgs,
    service::{EchoOptions, Kind, Spec},
};

/// What somebody wants.
pub enum Request {
    /// `echo`, `proxy`
    Serve(Box<Setup>),
    /// `run`, and the file.
    Run(Box<Setup>, PathBuf),
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
        "echo" => Request::Serve(serve(echo(matches)?, matches)?),
        "proxy" => Request::Serve(serve(proxy(matches)?, matches)?),
        "run" => {
            let path = needed()?;
            Request::Run(serve(Draft { has_file: true, ..file::read(&path)? }, matches)?, path)
        }
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
    let echo = with_flags(echo, "Echo", ECHO, &EchoOptions::default());
    let run = Command::new("run")
        .about(
            "Serve what a configuration file says; flags win over it, and defaults are for what neither says",
        )
        .arg(file("A configuration file; `evenkeel config` prints one to begin with"));
    Command::new("evenkeel")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A thread-per-core TCP runtime that shows what each epoll and accept mode does")
        .max_term_width(110)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(serving(echo.arg(drain()), &text))
        .subcommand(serving(proxy_command(), &text))
        .subcommand(serving(run.arg(drain()), &Reporting::new(None)))
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

fn proxy_command() -> Command {
    let proxy = Command::new("proxy").about("Serve: forward to an upstream, and back");
    let (proxy, defaults) = (proxy.args([listen(), upstream(), backup()]), ProxyOptions::default());
    PARTS.iter().fold(proxy, |proxy, part| with_flags(proxy, part.heading, part.settings, &defaults))
}

/// The flags of every command that serves.
fn serving(command: Command, reporting: &Reporting) -> Command {
    let command = with_flags(command, "Runtime", RUNTIME, &Options::default());
    with_flags(command, "Reports", REPORT, reporting)
        .arg(switch("quiet", 'q', "Say nothing on stderr but the ready lines and what is wrong"))
        .arg(switch("verbose", 'v', "Say more on stderr").conflicts_with("quiet"))
}

fn drain() -> Arg {
    flag(&DRAIN, &ProxyOptions::default()).help_heading(TIMEOUTS_HEADING)
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
fn serve(mut draft: Draft, matches: &ArgMatches) -> Result<Box<Setup>, Refusal> {
    apply(RUNTIME, matches, &mut draft.options)?;
    apply(REPORT, matches, &mut draft.reporting)?;
    let mut proxy = ProxyOptions::default();
    apply(&[DRAIN], matches, &mut proxy)?;
    draft.drain = text(matches, DRAIN.flag).map(|_| proxy.timeouts.drain);
    draft.quiet = matches.get_flag("quiet");
    draft.verbose = matches.get_flag("verbose");
    Ok(Box::new(draft.finish().map_err(Failure::Start)?))
}

fn echo(matches: &ArgMatches) -> Result<Draft, Refusal> {
    let mut echo = EchoOptions::default();
    apply(ECHO, matches, &mut echo)?;
    one_service(Kind::Echo(echo), matches)
}

fn proxy(matches: &ArgMatches) -> Result<Draft, Refusal> {
    let mut proxy = ProxyOptions { upstreams: list(matches, "upstream")?, ..ProxyOptions::default() };
    let backups: Vec<UpstreamOptions> = list(matches, "backup")?;
    proxy.upstreams.extend(backups.into_iter().map(|backup| UpstreamOptions { backup: true, ..backup }));
    PARTS.iter().try_for_each(|part| apply(part.settings, matches, &mut proxy))?;
    let wrong = |fault: Fault| Refusal::Usage(format!("--{}: {}", fault.flag(), fault.why));
    proxy.check().map_err(wrong)?;
    one_service(Kind::Proxy(proxy), matches)
}

fn one_service(kind: Kind, matches: &ArgMatches) -> Result<Draft, Refusal> {
    let service = Spec { name: kind.name().into(), listen: list(matches, "listen")?, kind };
    Ok(Draft::new(Reporting::new(Some(Format::Text)), vec![service]))
}
