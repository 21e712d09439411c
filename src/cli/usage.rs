//! What is wrong with what was typed, in one line.

use std::error::Error as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::{
    args,
    settings::{echo::ECHO, proxy::PARTS},
};
use crate::control::{Log, run::Failure};

/// Why a request is not carried out to its end.
#[derive(Debug)]
pub enum Refusal {
    /// Help or the version was asked for instead.
    Help(Box<clap::Error>),
    /// What was typed makes no sense: one line.
    Usage(String),
    /// What is in a file makes no sense: a few lines, fit to be shown.
    File(String),
    /// It can't be done, or failed: one line, and how to say it.
    Failed(Failure, Log),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure, Log::default())
    }
}

impl From<clap::Error> for Refusal {
    fn from(error: clap::Error) -> Self {
        if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
            return Self::Help(Box::new(error));
        }
        Self::Usage(what_is_wrong(&error))
    }
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
        ErrorKind::UnknownArgument => elsewhere(flag).unwrap_or_else(|| in_one_line(error)),
        _ => in_one_line(error),
    }
}

/// What to do with a flag that only other commands have.
fn elsewhere(typed: &str) -> Option<String> {
    let flag = typed.strip_prefix("--")?;
    let has = |command: &&clap::Command| command.get_arguments().any(|arg| arg.get_long() == Some(flag));
    let command = args::command();
    let owners: Vec<_> = command.get_subcommands().filter(has).map(clap::Command::get_name).collect();
    if owners.is_empty() {
        return None;
    }
    let keys = keys_of(flag);
    let file = match keys.is_empty() {
        true => String::new(),
        false => format!("; a file has it as {} of a [[service]]", keys.join(" or ")),
    };
    Some(format!("unexpected argument '{typed}': it is a flag of {}{file}", owners.join(" and ")))
}

/// What a `[[service]]` has instead of a flag.
fn keys_of(flag: &str) -> Vec<String> {
    let echo = ECHO.iter().filter(|setting| setting.flag == flag).map(|setting| setting.key.to_owned());
    let proxy = PARTS.iter().flat_map(|part| {
        let settings = part.settings.iter().filter(move |setting| setting.flag == flag);
        settings.map(move |setting| {
            part.table.map_or(setting.key.into(), |table| format!("{table}.{}", setting.key))
        })
    });
    let lists = ["listen", "upstream"].into_iter().filter(|list| *list == flag).map(str::to_owned);
    echo.chain(proxy).chain(lists).collect()
}

fn named(error: &clap::Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(name)) => name.clone(),
        Some(ContextValue::Strings(names)) => names.join(", "),
        _ => String::new(),
    }
}

/// `echo, proxy, … or man`.
fn commands() -> String {
    let command = args::command();
    let names: Vec<_> = command.get_subcommands().map(clap::Command::get_name).collect();
    names.split_last().map_or_else(String::new, |(last, others)| format!("{} or {last}", others.join(", ")))
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
