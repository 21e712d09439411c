//! What a message costs in things that can be counted: syscalls (strace), user-space instructions
//! (callgrind). Counts don't mind a noisy machine.

use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Pid;

use crate::client::{Client, PING_PONG};
use crate::contender::{Contender, Field};
use crate::server::Tool;

/// Messages before anything is counted: enough to have everything set up.
const FEW: usize = 1000;
const COUNTED: usize = 10_000;

/// A way to count.
pub struct Counter {
    what: &'static str,
    program: &'static str,
    per_message: PerMessage,
}

/// Counts what a message costs a contender when this many connections are busy.
type PerMessage = fn(&Field, &Contender, usize) -> Result<f64, Box<dyn Error>>;

/// Syscalls of all threads.
pub const SYSCALLS: Counter = Counter { what: "syscalls", program: "strace", per_message: syscalls };

/// Instructions in user space, of all threads.
pub const INSTRUCTIONS: Counter =
    Counter { what: "user-space instructions", program: "valgrind", per_message: instructions };

impl Counter {
    /// A table of all contenders worth counting, or why there is none. One connection in ping-pong
    /// pays a whole iteration of the loop for each message; many connections share iterations.
    pub fn table(&self, field: &Field) -> Result<String, Box<dyn Error>> {
        if !self.is_installed() {
            return Ok(format!(
                "{} per message: not counted, {} is not installed\n",
                self.what, self.program
            ));
        }
        let mut table = format!("{} per message ({}, {COUNTED} messages)\n", self.what, self.program);
        writeln!(table, "  {:<28}{:>14}{:>16}", "", "1 connection", "50 connections")?;
        for contender in field.counted() {
            let [alone, busy] = [1, 50].map(|connections| self.per_message(field, contender, connections));
            writeln!(table, "  {:<28}{:>14.2}{:>16.2}", contender.name, alone?, busy?)?;
        }
        Ok(table)
    }

    /// What a message costs when this many connections are busy.
    pub fn per_message(
        &self,
        field: &Field,
        contender: &Contender,
        connections: usize,
    ) -> Result<f64, Box<dyn Error>> {
        let counted = (self.per_message)(field, contender, connections);
        counted.map_err(|error| format!("{} under {}: {error}", contender.name, self.program).into())
    }

    /// Whether the tool can be run at all.
    pub fn is_installed(&self) -> bool {
        let mut question = Command::new(self.program);
        question.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        question.status().is_ok_and(|status| status.success())
    }
}

/// strace counts a process's whole life, so the server lives twice, with few messages and with more: the
/// difference is what the additional messages cost, without start, connects and end.
fn syscalls(field: &Field, contender: &Contender, connections: usize) -> Result<f64, Box<dyn Error>> {
    let few = syscalls_of_a_life(field, contender, connections, FEW)?;
    let more = syscalls_of_a_life(field, contender, connections, FEW + COUNTED)?;
    Ok((more as f64 - few as f64) / COUNTED as f64)
}

fn syscalls_of_a_life(
    field: &Field,
    contender: &Contender,
    connections: usize,
    messages: usize,
) -> Result<u64, Box<dyn Error>> {
    let file = field.directory.join(format!("{}.strace", contender.file_name()));
    let server = field.start(contender, &Tool::Strace(file.clone()))?;
    let mut client = Client::connect(server.address, connections, PING_PONG)?;
    client.exchange(messages)?;
    drop(client);
    server.stop()?;
    read_total(&file, strace_total)
}

/// Callgrind can be told, from outside, to forget what it counted and to write it down, so only the
/// messages between are counted. (A difference of two lives would not do: what writing the final report
/// costs depends on the times that were recorded.)
fn instructions(field: &Field, contender: &Contender, connections: usize) -> Result<f64, Box<dyn Error>> {
    let file = field.directory.join(format!("{}.callgrind", contender.file_name()));
    let server = field.start(contender, &Tool::Callgrind(file.clone()))?;
    let mut client = Client::connect(server.address, connections, PING_PONG)?;
    client.exchange(FEW)?;
    tell_callgrind(server.pid, "zero")?;
    client.exchange(COUNTED)?;
    tell_callgrind(server.pid, "dump")?;
    drop(client);
    server.stop()?;
    let first_dump = field.directory.join(format!("{}.callgrind.1", contender.file_name()));
    Ok(read_total(&first_dump, callgrind_total)? as f64 / COUNTED as f64)
}

fn tell_callgrind(pid: Pid, what: &str) -> Result<(), Box<dyn Error>> {
    let asked = Command::new("vgdb").arg(format!("--pid={}", pid.as_raw_nonzero())).arg(what).output();
    let output = asked.map_err(|error| format!("vgdb, which belongs to valgrind, did not start: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("vgdb {what} failed ({}): {}", output.status, said.trim_end()).into());
    }
    Ok(())
}

fn read_total(file: &Path, total: fn(&str) -> Option<u64>) -> Result<u64, Box<dyn Error>> {
    let written = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    total(&written).ok_or_else(|| format!("no total in {}: an unknown version?", file.display()).into())
}

/// The calls in strace's last line: `100.00    0.008452           8      1043       121 total`.
fn strace_total(table: &str) -> Option<u64> {
    let line = table.lines().rfind(|line| line.ends_with(" total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

/// Callgrind's `totals: 123456`.
fn callgrind_total(profile: &str) -> Option<u64> {
    profile.lines().find_map(|line| line.strip_prefix("totals: "))?.trim().parse().ok()
}
