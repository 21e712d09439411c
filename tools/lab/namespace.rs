//! Trials in a network namespace of their own, for variants that change what is the machine's elsewhere.
//!
//! Where one mode of a scenario needs that (`namespace = true` in its variant), all trials of the scenario have it,
//! each its own, so that modes differ by nothing else. The first process of a trial makes the namespace and sets up its
//! loopback, the others enter it, and it goes with the last of them: nothing is left, however the lab ends. It takes
//! root, unshare(1), nsenter(1) and ip(8); without them such a mode is left out, and the others run as ever.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use rustix::process::Pid;

use super::{
    mode::Mode,
    scenario::{Part, Scenario},
};

/// The network that a process of a trial is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// That of the lab.
    Shared,
    /// A new one, with nothing but a loopback.
    Fresh,
    /// That of another process of the trial.
    Of(Pid),
}

impl Network {
    /// Starts a program in it, under the very process id that is started.
    pub fn command(self, program: &Path) -> Command {
        let mut command = match self {
            Self::Shared => return Command::new(program),
            Self::Fresh => {
                let mut command = Command::new("unshare");
                command.args(["--net", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh"]);
                command
            }
            Self::Of(process) => {
                let mut command = Command::new("nsenter");
                command.arg(format!("--net=/proc/{}/ns/net", process.as_raw_nonzero()));
                command
            }
        };
        command.arg(program);
        command
    }
}

/// Takes out the modes that can't be had here, and tells of each scenario's in a sentence.
///
/// # Errors
/// A sentence, where nothing would be left of a scenario.
pub fn leave_out(parts: &mut [Part]) -> Result<Vec<String>, String> {
    if !parts.iter().any(|part| part.scenario.in_namespace()) || can_be_had() {
        return Ok(Vec::new());
    }
    parts.iter_mut().filter_map(|part| without(&mut part.scenario)).collect()
}

/// `None` where the scenario stays as it is.
fn without(scenario: &mut Scenario) -> Option<Result<String, String>> {
    let (out, left): (Vec<Mode>, Vec<Mode>) =
        scenario.modes.iter().cloned().partition(|mode| scenario.needs_namespace(mode));
    let names: Vec<_> = out.iter().map(Mode::to_string).collect();
    let why = format!(
        "{}: {} needs a network namespace of its own, which takes root, unshare(1), nsenter(1) and ip(8)",
        scenario.name,
        names.join(", ")
    );
    match (out.is_empty(), left.is_empty()) {
        (true, _) => None,
        (_, true) => Some(Err(why)),
        _ => {
            let is_out = |mode: &String| names.contains(mode);
            scenario.claims.retain(|claim| !is_out(&claim.of) && !claim.over.as_ref().is_some_and(is_out));
            scenario.modes = left;
            Some(Ok(format!("{why}: left out")))
        }
    }
}

/// Makes one, which is gone at once.
fn can_be_had() -> bool {
    let mut command = Network::Fresh.command(Path::new("true"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario;

    fn leave_join() -> Scenario {
        let scenario = scenario::all().into_iter().find(|scenario| scenario.in_namespace());
        scenario.expect("leave-join has such a mode")
    }

    #[test]
    fn what_cannot_be_had_is_left_out_with_its_claims() {
        let mut scenario = leave_join();
        let (modes, claims) = (scenario.modes.len(), scenario.claims.len());
        let said = without(&mut scenario).unwrap().unwrap();
        assert!(said.starts_with("leave-join: private/edge+migrate needs a network namespace"), "{said}");
        assert_eq!((scenario.modes.len(), scenario.claims.len()), (modes - 1, claims - 1));
        assert!(!scenario.in_namespace(), "the others run in the lab's");
        assert!(without(&mut scenario).is_none());
    }

    #[test]
    fn a_scenario_of_which_nothing_is_left_is_refused() {
        let mut scenario = leave_join();
        scenario.put_to(&["private/edge+migrate".parse().unwrap()]).unwrap();
        assert!(without(&mut scenario).unwrap().is_err_and(|why| why.ends_with("ip(8)")));
    }

    #[test]
    fn a_process_is_started_where_it_is_to_be() {
        let words = |network: Network| {
            let command = network.command(Path::new("/lab"));
            let words = std::iter::once(command.get_program()).chain(command.get_args());
            words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(words(Network::Shared), "/lab");
        assert!(words(Network::Fresh).starts_with("unshare --net sh -c ip link set lo up && exec"));
        assert_eq!(words(Network::Of(Pid::INIT)), "nsenter --net=/proc/1/ns/net /lab");
    }
}
