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
    let folder = TempDir::new();
    let file = folder.file("counts");
    let mut command = Command::new("strace");
    // -D: the process that we start, and signal, is the server; strace watches from the side.
    command.args(["-D", "-f", "-c", "-o", &file, env!("CARGO_BIN_EXE_evenkeel")]);
    run(command);
    let text = eventually("strace has written its table", || {
        fs::read_to_string(&file).ok().filter(|text| text.lines().any(|line| line.ends_with(" total")))
    });
    parse(&text)
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
