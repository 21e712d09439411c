//! Settings as flags: how each is declared to clap, and how what was typed is taken over.

use std::str::FromStr;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{
    settings::{Setting, Takes, proxy::FORWARDING_HEADING},
    usage::Refusal,
};

/// Adds flags for these settings under a heading, each with what it is by default.
pub fn with_flags<T>(
    command: Command,
    heading: &'static str,
    settings: &[Setting<T>],
    defaults: &T,
) -> Command {
    command.args(settings.iter().map(|setting| flag(setting, defaults).help_heading(heading)))
}

/// A flag for this setting.
pub fn flag<T>(setting: &Setting<T>, defaults: &T) -> Arg {
    let arg = Arg::new(setting.flag).long(setting.flag);
    let with_value = |name| {
        let several = if matches!(setting.takes, Takes::List(_)) { "; may be repeated" } else { "" };
        let default = (setting.show)(defaults);
        arg.clone().value_name(name).help(format!("{}{several} [default: {default}]", setting.help))
    };
    match setting.takes {
        Takes::Nothing => arg.action(ArgAction::SetTrue).help(setting.help),
        // `-1` is a value: the setting says what is wrong with it.
        Takes::Number(name) | Takes::Octal(name) | Takes::Text(name) => {
            with_value(name).allow_hyphen_values(true)
        }
        Takes::List(name) => with_value(name).action(ArgAction::Append).allow_hyphen_values(true),
        // A path could be anything, so `--report-file --quiet` has to be a value that was forgotten.
        Takes::Path(name) => with_value(name),
    }
}

/// `--listen`
pub fn listen() -> Arg {
    repeated("listen", "ADDR")
        .required(true)
        .help("HOST:PORT, [V6]:PORT, :PORT or unix:PATH; may be repeated")
}

/// `--upstream`
pub fn upstream() -> Arg {
    let arg = repeated("upstream", "ADDR[=WEIGHT]").required(true).help_heading(FORWARDING_HEADING);
    arg.help(
        "Where to forward to, with a weight from 1 to 256: HOST:PORT, [V6]:PORT, unix:PATH, dns:HOST:PORT (each \
         address of a name, asked for again by its TTL) or srv:NAME (its records); may be repeated",
    )
}

/// `--backup`
pub fn backup() -> Arg {
    let arg = repeated("backup", "ADDR[=WEIGHT]").help_heading(FORWARDING_HEADING);
    arg.help("The same, but used only while no --upstream is usable; may be repeated")
}

fn repeated(flag: &'static str, value: &'static str) -> Arg {
    let arg = Arg::new(flag).long(flag).value_name(value);
    arg.action(ArgAction::Append).allow_hyphen_values(true)
}

/// A flag without a value.
pub fn switch(name: &'static str, short: char, help: &'static str) -> Arg {
    Arg::new(name).long(name).short(short).action(ArgAction::SetTrue).help(help)
}

/// Sets what was typed, and leaves the rest as it is.
///
/// # Errors
/// The flag, and what is wrong with its value.
pub fn apply<T>(settings: &[Setting<T>], matches: &ArgMatches, into: &mut T) -> Result<(), Refusal> {
    for Setting { flag, takes, set, .. } in settings {
        let typed = match takes {
            Takes::Nothing => matches.get_flag(flag).then(|| "true".to_owned()),
            Takes::List(_) => matches.get_many::<String>(flag).map(joined),
            _ => text(matches, flag).map(str::to_owned),
        };
        typed
            .map_or(Ok(()), |typed| set(into, &typed))
            .map_err(|why| Refusal::Usage(format!("--{flag}: {why}")))?;
    }
    Ok(())
}

fn joined<'a>(items: impl Iterator<Item = &'a String>) -> String {
    items.map(String::as_str).collect::<Vec<_>>().join(",")
}

/// The value of a flag, where it was typed.
pub fn text<'a>(matches: &'a ArgMatches, flag: &str) -> Option<&'a str> {
    matches.get_one::<String>(flag).map(String::as_str)
}

/// The values of a flag that may be repeated.
///
/// # Errors
/// The flag, and what is wrong with one of them.
pub fn list<T: FromStr<Err = String>>(matches: &ArgMatches, flag: &str) -> Result<Vec<T>, Refusal> {
    let typed = matches.get_many::<String>(flag).into_iter().flatten();
    let parsed = typed.map(|typed| typed.parse().map_err(|why| Refusal::Usage(format!("--{flag}: {why}"))));
    parsed.collect()
}
