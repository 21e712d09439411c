//! What a message costs in things that can be counted: syscalls (strace), user-space instructions
//! (callgrind). Counts don't mind a noisy machine.
//!
//! Both tools count a process's whole life. A server is therefore run twice, with few messages and with
//! many: the difference of the totals divided by the difference of the messages is what one more message
//! costs, without start, connects and end.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::client::Client;
use crate::contender::{Contender, Field};
use crate::server::Tool;

const FEW: usize = 1000;
const MANY: usize = 11_000;

/// The loads: ping-pong, where each message pays a whole iteration of the loop, and a busy server, where
/// iterations are shared.
const CONNECTIONS: [usize; 2] = [1, 50];

/// A tool and how to read the total that it wrote.
pub struct Counter {
    what: &'static str,
    program: &'static str,
    tool: fn(PathBuf) -> Tool,
    total: fn(&str) -> Option<u64>,
}

/// Syscalls of all threads.
pub const SYSCALLS: Counter =
    Counter { what: "syscalls", program: "strace", tool: Tool::Strace, total: strace_total };

/// Instructions in user space, of all threads.
pub const INSTRUCTIONS: Counter = Counter {
    what: "user-space instructions",
    program: "valgrind",
    tool: Tool::Callgrind,
    total: callgrind_total,
};

impl Counter {
    /// Prints a table of all contenders worth counting, or why there is none.
    pub fn print(&self, field: &Field) -> Result<(), Box<dyn Error>> {
        let (what, program) = (self.what, self.program);
        if !self.is_installed() {
            println!("{what} per message: not counted, {program} is not installed\n");
            return Ok(());
        }
        println!("{what} per message ({program}; {MANY} messages less {FEW})");
        println!("  {:<28}{:>14}{:>16}", "", "1 connection", "50 connections");
        for contender in field.contenders.iter().filter(|contender| contender.is_counted) {
            let [alone, busy] =
                CONNECTIONS.map(|connections| self.per_message(field, contender, connections));
            println!("  {:<28}{:>14.2}{:>16.2}", contender.name, alone?, busy?);
        }
        println!();
        Ok(())
    }

    /// What one more message costs.
    pub fn per_message(
        &self,
        field: &Field,
        contender: &Contender,
        connections: usize,
    ) -> Result<f64, Box<dyn Error>> {
        let few = self.total(field, contender, connections, FEW)?;
        let many = self.total(field, contender, connections, MANY)?;
        Ok((many as f64 - few as f64) / (MANY - FEW) as f64)
    }

    /// Whether the tool can be run at all.
    pub fn is_installed(&self) -> bool {
        let mut question = Command::new(self.program);
        question.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        question.status().is_ok_and(|status| status.success())
    }

    fn total(
        &self,
        field: &Field,
        contender: &Contender,
        connections: usize,
        messages: usize,
    ) -> Result<u64, Box<dyn Error>> {
        let file = field.directory.join(format!("{}.{}", contender.file_name(), self.program));
        let server = field.start(contender, &(self.tool)(file.clone()))?;
        let mut client = Client::connect(server.address, connections)?;
        client.exchange(messages)?;
        drop(client);
        server.stop()?;
        self.read(&file)
    }

    fn read(&self, file: &Path) -> Result<u64, Box<dyn Error>> {
        let written = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        (self.total)(&written).ok_or_else(|| {
            format!("{} wrote no total to {}: is it another version?", self.program, file.display()).into()
        })
    }
}

/// The calls in strace's last line: `100.00    0.008452           8      1043       121 total`.
pub fn strace_total(table: &str) -> Option<u64> {
    let line = table.lines().rfind(|line| line.ends_with(" total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

/// Callgrind's `totals: 123456`.
pub fn callgrind_total(profile: &str) -> Option<u64> {
    profile.lines().find_map(|line| line.strip_prefix("totals: "))?.trim().parse().ok()
}
