//! System calls of the binary, counted by strace.

use std::{
    collections::BTreeMap,
    fs,
    process::{Command, Stdio},
};

use super::{TempDir, eventually};

/// strace may be missing, or forbidden (a container without CAP_SYS_PTRACE).
pub fn can_trace() -> bool {
    let mut command = Command::new("strace");
    command.args(["-f", "-c", "-o", "/dev/null", "true"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Hands out a command that runs the binary under strace; its calls, by name, when what was run has ended.
pub fn counts(run: impl FnOnce(Command)) -> BTreeMap<String, u64> {
    let ((), table) = traced(&["-c"], run, |text| text.lines().any(|line| line.ends_with(" total")));
    parse(&table)
}

/// The same, with each call of these names, in their order, and what `run` returns.
pub fn calls<T>(names: &str, run: impl FnOnce(Command) -> T) -> (T, Calls) {
    // The first line is that of the process itself, and its last one is the last of all.
    let has_ended = |text: &str| {
        let first = text.split_whitespace().next().unwrap_or("none");
        text.lines().any(|line| line.starts_with(first) && line.contains("+++ exited with"))
    };
    let (result, text) = traced(&["-e", &format!("trace=execve,{names}")], run, has_ended);
    let line = |line: &str| {
        let (tid, call) = line.split_once(' ')?;
        Some((tid.to_owned(), call.trim_start().to_owned()))
    };
    (result, Calls(text.lines().filter_map(line).collect()))
}

/// The lines of a log, each with the thread that made the call.
pub struct Calls(Vec<(String, String)>);

impl Calls {
    /// How many begin so, such as `recvfrom(`: one that another thread's call has cut in two is counted once.
    pub fn begin(&self, start: &str) -> u64 {
        self.0.iter().filter(|(_, call)| call.starts_with(start)).count() as u64
    }

    /// How many of this name have ended with this error.
    pub fn failed(&self, name: &str, error: &str) -> u64 {
        let (whole, resumed) = (format!("{name}("), format!("<... {name} resumed>"));
        let is_it = |call: &str| call.starts_with(&whole) || call.starts_with(&resumed);
        self.0.iter().filter(|(_, call)| is_it(call) && call.contains(&format!(" {error} "))).count() as u64
    }

    /// The first argument of the first call that begins so and was made by a thread that also makes calls of `name`.
    pub fn first_argument(&self, start: &str, name: &str) -> String {
        let makes = |tid: &str| self.0.iter().any(|(by, call)| by == tid && call.starts_with(name));
        let call = self.0.iter().find(|(tid, call)| call.starts_with(start) && makes(tid));
        let arguments = call.and_then(|(_, call)| call.split_once('(')).expect("there is such a call").1;
        arguments.split(',').next().expect("split gives at least one part").to_owned()
    }
}

fn traced<T>(
    options: &[&str],
    run: impl FnOnce(Command) -> T,
    is_whole: impl Fn(&str) -> bool,
) -> (T, String) {
    let folder = TempDir::new();
    let file = folder.file("trace");
    let mut command = Command::new("strace");
    // -D: the process that we start, and signal, is the server; strace watches from the side.
    command.args(["-D", "-f", "-o", &file]).args(options).arg(env!("CARGO_BIN_EXE_evenkeel"));
    let result = run(command);
    let text = eventually("strace has written its file", || {
        fs::read_to_string(&file).ok().filter(|text| is_whole(text))
    });
    (result, text)
}

/// The table of `strace -c`: a line `% time, seconds, usecs/call, calls, [errors,] name` for each call.
fn parse(table: &str) -> BTreeMap<String, u64> {
    let line = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let name = fields.last().filter(|name| **name != "total")?;
        Some(((*name).to_owned(), fields.get(3)?.parse().ok()?))
    };
    table.lines().filter_map(line).collect()
}
