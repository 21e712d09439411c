//! The command line of the lab: what is asked for, and what is to be run for it.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Parser, Subcommand};
use evenkeel::{cli::in_one_line, config::units};

use super::{
    catalogue, compare,
    mode::Mode,
    run::{self, Request},
    scenario::{self, Part, Scenario, Suite},
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
    Quick(Options),
    /// The scenarios that tell most, within ten minutes.
    Small(Options),
    /// Every scenario.
    Full(Options),
    /// Chosen scenarios, or one of your own.
    Run {
        /// Names of scenarios, or files: NAME.toml [default: every scenario].
        #[arg(value_name = "SCENARIO|FILE.toml")]
        scenarios: Vec<String>,
        #[command(flatten)]
        options: Options,
    },
    /// List the scenarios, the suites and the modes.
    List,
    /// Two runs side by side, the second against the first.
    Compare {
        /// The folder of a run.
        #[arg(value_name = "DIR")]
        first: PathBuf,
        /// The folder of another one.
        #[arg(value_name = "DIR")]
        second: PathBuf,
    },
    /// Print the table of a finished run again, and write its page anew.
    Show {
        /// The folder of the run.
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
}

/// What a run can be told.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The folder for results.json, report.html and the raw reports [default: ./lab-results/TIME].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on with a run that was interrupted; everything else has to be said as it was.
    #[arg(long, requires = "out")]
    pub resume: bool,
    /// What the order of trials, the arrivals and the service times are drawn from.
    #[arg(long, value_name = "N", default_value = "1")]
    pub seed: u64,
    /// Rounds: trials of each mode in each scenario [default: as the suite has it].
    #[arg(long, value_name = "N", value_parser = rounds)]
    pub trials: Option<usize>,
    /// The modes to compare, accept/trigger, the baseline first [default: those of the suite or the scenario].
    #[arg(long, value_name = "MODE,…", value_delimiter = ',')]
    pub modes: Vec<Mode>,
    /// How long messages are measured in each trial with load [default: as the scenario has it].
    #[arg(long, value_name = "TIME", value_parser = phase)]
    pub phase_duration: Option<Duration>,
}

/// Parses the command line and does what it says.
pub fn main(args: Vec<OsString>) -> ExitCode {
    let command_line = command_line(&args);
    let command = match Cli::try_parse_from(args) {
        Ok(Cli { command }) => command,
        Err(error) if error.use_stderr() => return refusal(&one_line(&error)),
        Err(help) => return print(&help.render().to_string()),
    };
    let request = match command {
        Command::List => return print(&catalogue::list()),
        Command::Show { dir } => return run::show(dir),
        Command::Compare { first, second } => return told(compare::compare(first, second)),
        Command::Quick(options) => suite(&Suite::QUICK, options),
        Command::Small(options) => suite(&Suite::SMALL, options),
        Command::Full(options) => suite(&Suite::FULL, options),
        Command::Run { scenarios, options } => chosen(&scenarios, options),
    };
    match request {
        Ok(request) => run::run(Request { command: command_line, ..request }),
        Err(message) => refusal(&message),
    }
}

/// Prints to stdout; a reader who has closed it has seen enough.
pub fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => failure(&format!("cannot print: {error}")),
        _ => ExitCode::SUCCESS,
    }
}

/// Says what failed while it ran.
pub fn failure(message: &str) -> ExitCode {
    eprintln!("evenkeel-lab: {message}");
    ExitCode::FAILURE
}

/// Says why nothing was run.
pub fn refusal(message: &str) -> ExitCode {
    eprintln!("evenkeel-lab: {message}");
    ExitCode::from(2)
}

fn told(text: Result<String, String>) -> ExitCode {
    text.map_or_else(|message| refusal(&message), |text| print(&text))
}

fn suite(suite: &Suite, options: Options) -> Result<Request, String> {
    request(suite.name, suite.parts(scenario::all(), options.trials), options)
}

fn chosen(names: &[String], options: Options) -> Result<Request, String> {
    let scenarios = match names {
        [] => scenario::all(),
        names => names.iter().map(|name| named(name)).collect::<Result<_, _>>()?,
    };
    for (index, scenario) in scenarios.iter().enumerate() {
        if scenarios[..index].iter().any(|other| other.name == scenario.name) {
            return Err(format!("{} is named twice: its trials would have the same names", scenario.name));
        }
    }
    let rounds = options.trials.unwrap_or(Suite::SMALL.rounds);
    let parts = scenarios.into_iter().map(|scenario| Part { scenario, rounds }).collect();
    request("run", parts, options)
}

/// A scenario of the lab's own, or one from a file.
fn named(name: &str) -> Result<Scenario, String> {
    if name.ends_with(".toml") || name.contains('/') {
        return scenario::open(Path::new(name));
    }
    let all = scenario::all();
    let names: Vec<String> = all.iter().map(|scenario| scenario.name.clone()).collect();
    let unknown = || {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        match scenario::meant(name, &names) {
            Some(meant) => format!("there is no scenario '{name}': did you mean '{meant}'?"),
            None => format!("there is no scenario '{name}': use {}, or a FILE.toml", names.join(", ")),
        }
    };
    all.into_iter().find(|scenario| scenario.name == name).ok_or_else(unknown)
}

fn request(suite: &str, mut parts: Vec<Part>, options: Options) -> Result<Request, String> {
    for Part { scenario, .. } in &mut parts {
        if !options.modes.is_empty() {
            scenario.put_to(&options.modes)?;
        }
        if let (Some(phase), Some(duration)) = (options.phase_duration, &mut scenario.client.duration) {
            *duration = phase;
        }
    }
    let Options { out, resume, seed, .. } = options;
    let announce = suite != Suite::QUICK.name;
    Ok(Request { command: String::new(), suite: suite.to_owned(), parts, seed, out, resume, announce })
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
            &["run", "trickle", "--resume"],
            &["show"],
            &["compare", "one"],
            &["list", "all"],
        ] {
            let error = Cli::try_parse_from(["evenkeel-lab"].iter().chain(words)).unwrap_err();
            let line = one_line(&error);
            assert!(!line.contains('\n') && line.len() > 40, "{words:?}: {line}");
        }
    }

    fn options(words: &str) -> Options {
        let words = ["evenkeel-lab", "quick"].into_iter().chain(words.split_whitespace());
        let Command::Quick(options) = Cli::try_parse_from(words).unwrap().command else {
            panic!("not quick")
        };
        options
    }

    #[test]
    fn modes_are_a_list() {
        let modes = options("--modes rotate/edge,dealt/oneshot+wide").modes;
        let names: Vec<_> = modes.iter().map(Mode::to_string).collect();
        assert_eq!(names, ["rotate/edge", "dealt/oneshot+wide"]);
    }

    #[test]
    fn what_is_told_changes_every_scenario() {
        let told = options("--modes rotate/edge --trials 3 --phase-duration 70ms --seed 9");
        let request = suite(&Suite::QUICK, told).unwrap();
        assert_eq!((request.seed, request.suite.as_str()), (9, "quick"));
        for part in &request.parts {
            assert_eq!((part.rounds, part.scenario.modes.len()), (3, 1));
            let phase = part.scenario.client.duration;
            assert!(phase.is_none_or(|phase| phase == Duration::from_millis(70)));
        }
    }

    #[test]
    fn scenarios_are_found_or_what_was_meant_is_said() {
        let chosen = |names: &[&str], flags: &str| {
            chosen(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>(), options(flags))
        };
        assert_eq!(chosen(&["busy", "trickle"], "").unwrap().parts.len(), 2);
        assert_eq!(chosen(&[], "").unwrap().parts.len(), scenario::all().len());
        for (names, flags, says) in [
            (&["tricle"][..], "", "did you mean 'trickle'?"),
            (&["nothing-like-it"], "", "there is no scenario 'nothing-like-it': use trickle"),
            (&["busy", "busy"], "", "is named twice"),
            (&["no/such.toml"], "", "cannot read no/such.toml: No such file"),
            (&["busy"], "--modes private/edge+wide", "busy has no variant 'wide'"),
        ] {
            let message = chosen(names, flags).unwrap_err();
            assert!(message.contains(says), "{names:?}: {message}");
        }
    }
}
