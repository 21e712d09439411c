//! The lab's child processes: this very executable, playing the server or the load generator.
//!
//! Promises: a child never outlives the lab. It is killed when its [`Process`] is dropped, and the kernel
//! kills it when the lab dies in any other way. What a child prints is read while it runs, so it never
//! blocks on a full pipe, and its end is an event like its ready line: nobody polls.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fmt,
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    process::{Child, ExitCode, ExitStatus, Stdio},
    sync::mpsc::Sender,
    thread::{self, JoinHandle},
};

use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};

use super::namespace::Network;

/// What the lab plays when it executes itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `evenkeel`.
    Server,
    /// `evenkeel-load`.
    Client,
    /// The lab's own server, whose workers leave and join.
    LeaveJoin,
    /// The lab's own client, which hunts for lost wakeups.
    Hunter,
    /// Computes on the cores that it is given, until it is killed.
    Burner,
}

/// Which of a trial's processes something happened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Server,
    Upstream(usize),
    Client,
    Beside(usize),
    Burner,
}

/// What can happen while a trial waits.
#[derive(Debug)]
pub enum Event {
    /// A server listens there.
    Ready(Who, String),
    /// A process closed its stdout, that is, ended; this is all that it had printed.
    Ended(Who, Vec<u8>),
    /// The user wants the lab to end.
    Interrupted,
}

/// Lines of a child's stderr that are kept for the message about its failure.
const LAST_WORDS_MAX: usize = 5;

impl Role {
    const ALL: [Self; 5] = [Self::Server, Self::Client, Self::LeaveJoin, Self::Hunter, Self::Burner];

    /// The hidden first argument that selects it.
    const fn word(self) -> &'static str {
        match self {
            Self::Server => "serve",
            Self::Client => "load",
            Self::LeaveJoin => "leave-join",
            Self::Hunter => "hunt",
            Self::Burner => "burn",
        }
    }

    /// Runs the program that this role is, under its own name.
    fn main(self, args: &[OsString]) -> ExitCode {
        let named = |program: &str| [program.into()].into_iter().chain(args.iter().cloned());
        match self {
            Self::Server => evenkeel::cli::main(named("evenkeel")),
            Self::Client => crate::load::main(named("evenkeel-load")),
            Self::LeaveJoin => crate::peers::leave_join::main(named("leave-join")),
            Self::Hunter => crate::peers::hunt::main(named("hunt")),
            Self::Burner => crate::burner::main(args),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server => f.write_str("the server"),
            Self::Upstream(index) => write!(f, "upstream {index}"),
            Self::Client => f.write_str("the load generator"),
            Self::Beside(index) => write!(f, "client {index} beside it"),
            Self::Burner => f.write_str("the process that burns a core"),
        }
    }
}

/// Plays a child's role, if that is what the first two arguments (a role and the lab's process id) ask for.
pub fn play(args: &[OsString]) -> Option<ExitCode> {
    let [word, parent, rest @ ..] = args else { return None };
    let role = Role::ALL.into_iter().find(|role| word == role.word())?;
    let parent = parent.to_str()?.parse().ok().filter(|&id| id > 0).and_then(Pid::from_raw)?;
    // The kernel kills this process when the thread that started it ends (prctl(2), PR_SET_PDEATHSIG). If
    // the lab died before this line, nobody would: hence the look at the parent afterwards.
    if set_parent_process_death_signal(Some(Signal::KILL)).is_err() || getppid() != Some(parent) {
        return Some(ExitCode::FAILURE);
    }
    Some(role.main(rest))
}

/// A running child. Dropping it kills it, stopped or not.
#[derive(Debug)]
pub struct Process {
    who: Who,
    child: Child,
    last_words: Option<JoinHandle<VecDeque<String>>>,
}

impl Process {
    /// Starts this executable in a role; what happens to it goes to `events`. Call it from the main thread
    /// only: a child is killed with the thread that started it.
    ///
    /// # Errors
    /// A sentence, where no process can be started.
    pub fn spawn(
        who: Who,
        (role, network): (Role, Network),
        args: &[String],
        events: &Sender<Event>,
    ) -> Result<Self, String> {
        let mut child = std::env::current_exe()
            .and_then(|lab| {
                network
                    .command(&lab)
                    // In a process group of its own: Ctrl-C reaches the lab alone. Both programs would end in
                    // good order, and the report of half a trial looks like that of a whole one.
                    .process_group(0)
                    .arg(role.word())
                    .arg(std::process::id().to_string())
                    .args(args)
                    .stdin(Stdio::null())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
            })
            .map_err(|error| format!("cannot start {who}: {error}"))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (output, ready) = (events.clone(), events.clone());
        thread::spawn(move || read_output(who, stdout, &output));
        let last_words = Some(thread::spawn(move || read_log(who, stderr, &ready)));
        Ok(Self { who, child, last_words })
    }

    /// Asks the process to end in good order, by SIGTERM or SIGINT; or to stand still or go on (SIGSTOP, SIGCONT).
    pub fn signal(&self, signal: Signal) {
        // It may have ended by itself; then there is nobody to ask, and its status will tell.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    pub fn who(&self) -> Who {
        self.who
    }

    pub fn id(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Waits for the end of a process that has closed its stdout.
    ///
    /// # Errors
    /// A sentence with its last words, where it failed.
    pub fn finish(mut self) -> Result<(), String> {
        let status = self.child.wait().map_err(|error| format!("cannot wait for {}: {error}", self.who))?;
        if status.success() { Ok(()) } else { Err(self.failure(status)) }
    }

    fn failure(&mut self, status: ExitStatus) -> String {
        let words = self.last_words.take().and_then(|reader| reader.join().ok()).unwrap_or_default();
        let words: Vec<_> = words.into_iter().collect();
        format!("{} failed ({status}): {}", self.who, words.join(" | "))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only where the child has been waited for already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_output(who: Who, stdout: Option<impl Read>, events: &Sender<Event>) {
    let mut output = Vec::new();
    if let Some(mut stdout) = stdout {
        // What could be read before an error is what there is; whoever parses it will say what is missing.
        let _ = stdout.read_to_end(&mut output);
    }
    let _ = events.send(Event::Ended(who, output));
}

fn read_log(who: Who, stderr: Option<impl Read>, events: &Sender<Event>) -> VecDeque<String> {
    let mut last = VecDeque::new();
    let lines = stderr.into_iter().flat_map(|stderr| BufReader::new(stderr).lines().map_while(Result::ok));
    for line in lines {
        if let Some(address) = ready_address(&line) {
            let _ = events.send(Event::Ready(who, address.to_owned()));
            continue;
        }
        if last.len() == LAST_WORDS_MAX {
            last.pop_front();
        }
        last.push_back(line);
    }
    last
}

/// The address in a server's ready line, `ready: KIND on ADDR · N workers · …`.
fn ready_address(line: &str) -> Option<&str> {
    let (_, rest) = line.strip_prefix("ready: ")?.split_once(" on ")?;
    rest.split_once(" · ").map(|(address, _)| address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_tells_the_address() {
        let line = "ready: echo on 127.0.0.1:40123 · 4 workers · accept=private trigger=edge poll=block";
        assert_eq!(ready_address(line), Some("127.0.0.1:40123"));
        assert_eq!(ready_address("warning: 4 workers on 2 cores"), None);
    }

    #[test]
    fn only_a_role_with_the_parents_id_is_played() {
        for args in [&["quick"][..], &["serve"], &["serve", "echo"], &["load", "-1"]] {
            let args: Vec<OsString> = args.iter().map(OsString::from).collect();
            assert!(play(&args).is_none(), "{args:?}");
        }
    }
}
