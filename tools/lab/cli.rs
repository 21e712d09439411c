//! The command line of the lab: `quick` and `list`.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Parser, Subcommand};
use evenkeel::{cli::in_one_line, config::units};

use super::{
    mode::Mode,
    run,
    scenario::{self, Settings},
    table,
};

/// Experiments that show what the accept and trigger modes do.
#[derive(Debug, Parser)]
#[command(name = "evenkeel-lab", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compare five accept modes in level and edge: a table, results.json and a page, within a minute.
    Quick(Quick),
    /// List the scenarios and the modes.
    List,
}

/// What `quick` can be told.
#[derive(Clone, Debug, Args)]
pub struct Quick {
    /// The folder for results.json, report.html and the raw reports [default: ./lab-results/TIME].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// What the order of trials, the arrivals and the service times are drawn from.
    #[arg(long, value_name = "N", default_value = "1")]
    pub seed: u64,
    /// Rounds: trials of each mode in each scenario.
    #[arg(long, value_name = "N", default_value = "2", value_parser = rounds)]
    pub trials: usize,
    /// The modes to compare, accept/trigger, the baseline first [default: five accept modes, level and edge].
    #[arg(long, value_name = "MODE,…", value_delimiter = ',')]
    pub modes: Vec<Mode>,
    /// How long messages are measured in each trial with load.
    #[arg(long, value_name = "TIME", default_value = "800ms", value_parser = phase)]
    pub phase_duration: Duration,
}

/// Parses the command line and does what it says.
pub fn main(args: Vec<OsString>) -> ExitCode {
    let command_line = command_line(&args);
    match Cli::try_parse_from(args) {
        Ok(Cli { command: Command::Quick(quick) }) => run::quick(&quick, command_line),
        Ok(Cli { command: Command::List }) => print(&list()),
        Err(error) if error.use_stderr() => {
            eprintln!("evenkeel-lab: {}", one_line(&error));
            ExitCode::from(2)
        }
        Err(help) => print(&help.render().to_string()),
    }
}

/// Prints to stdout; a reader who has closed it has seen enough.
pub fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("evenkeel-lab: cannot print: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

fn list() -> String {
    let mut text = String::from("Scenarios, each put to every mode:\n");
    for scenario in scenario::ALL {
        let indent = "            ";
        text += &table::wrap(scenario.reveals, &format!("  {:<8}  ", scenario.name), indent);
        text += &table::wrap(&scenario.parameters(), indent, indent);
    }
    text += &format!("\nModes of quick, {} workers each (the first is the baseline):\n", Settings::WORKERS);
    for twins in Mode::quick().chunks(2) {
        let names: Vec<_> = twins.iter().map(|mode| format!("{mode:<16}")).collect();
        text += &format!("  {}\n", names.concat().trim_end());
    }
    text + "\nA mode is accept/trigger[/listen-trigger]; --modes takes any that the server has.\n"
}

/// The command as it was typed, with the program's bare name.
fn command_line(args: &[OsString]) -> String {
    let words = args.iter().skip(1).map(|arg| arg.to_string_lossy().into_owned());
    ["evenkeel-lab".to_owned()].into_iter().chain(words).collect::<Vec<_>>().join(" ")
}

fn one_line(error: &clap::Error) -> String {
    format!("{} (see evenkeel-lab --help)", in_one_line(error))
}

fn rounds(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(rounds @ 1..=1000) => Ok(rounds),
        _ => Err("not a number of rounds: use 1 to 1000".to_owned()),
    }
}

fn phase(text: &str) -> Result<Duration, String> {
    match units::duration_above_zero(text)? {
        phase if phase < Duration::from_millis(1) => Err("too short: use at least 1ms".to_owned()),
        phase if phase > Duration::from_secs(3600) => Err("too long: use at most 1h".to_owned()),
        phase => Ok(phase),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_flags_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_is_wrong_is_told_in_one_line() {
        for words in [
            &[][..],
            &["quicker"],
            &["quick", "--trials", "0"],
            &["quick", "--trials", "many"],
            &["quick", "--seed", "-1"],
            &["quick", "--phase-duration", "10"],
            &["quick", "--phase-duration", "0s"],
            &["quick", "--phase-duration", "1us"],
            &["quick", "--modes", "reuseport/edge"],
            &["quick", "--modes", "rotate/edge/oneshot"],
            &["list", "all"],
        ] {
            let error = Cli::try_parse_from(["evenkeel-lab"].iter().chain(words)).unwrap_err();
            let line = one_line(&error);
            assert!(!line.contains('\n') && line.len() > 40, "{words:?}: {line}");
        }
    }

    #[test]
    fn modes_are_a_list() {
        let words = ["evenkeel-lab", "quick", "--modes", "rotate/edge,dealt/oneshot"];
        let Command::Quick(quick) = Cli::try_parse_from(words).unwrap().command else { panic!("not quick") };
        assert_eq!(
            quick.modes.iter().map(Mode::to_string).collect::<Vec<_>>(),
            ["rotate/edge", "dealt/oneshot"]
        );
    }

    #[test]
    fn the_list_names_every_scenario_and_mode() {
        let list = list();
        for name in scenario::ALL
            .iter()
            .map(|scenario| scenario.name.to_owned())
            .chain(Mode::quick().iter().map(Mode::to_string))
        {
            assert!(list.contains(&name), "{name} is not listed");
        }
    }
}
