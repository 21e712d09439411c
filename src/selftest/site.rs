//! A proxy under test: started as a process of its own, watched from outside, stopped, asked what it did.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, ChildStdout, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{
    combination::Combination,
    play::Route,
    wire::{Listener, Place},
};
use crate::sys;

/// A proxy that runs, and the upstream's listener behind it.
pub struct Site {
    child: Child,
    lines: Receiver<String>,
    report: Option<JoinHandle<String>>,
    entrance: Place,
    exit: Listener,
    /// What it had open before any client came.
    sources: Vec<String>,
    _folder: Folder,
    patience: Duration,
}

impl Site {
    /// Starts `program proxy` in this combination, and waits until it is ready.
    ///
    /// # Errors
    /// A sentence, with what it said on stderr.
    pub fn start(program: &Path, combination: &Combination, patience: Duration) -> Result<Self, String> {
        let folder = Folder::new()?;
        let exit = Listener::open(combination.upstream, &folder.0.join("upstream"))
            .map_err(|error| format!("cannot listen: {}", sys::reason(&error)))?;
        let mut command = Command::new(program);
        command.args(combination.arguments(&folder.0.join("entrance"), &exit.place.text()));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|error| format!("cannot start {}: {}", program.display(), sys::reason(&error)))?;
        let lines = lines_of(child.stderr.take());
        let report = Some(text_of(child.stdout.take()));
        let entrance = ready(&lines, patience).inspect_err(|_| {
            // A process that has ended by itself can't be killed, which is fine.
            let _ = child.kill();
            let _ = child.wait();
        })?;
        let sources = Vec::new();
        let mut site = Self { child, lines, report, entrance, exit, sources, _folder: folder, patience };
        site.sources = site.settled_sources();
        Ok(site)
    }

    /// Where clients connect to, and where that comes out.
    pub fn route(&self) -> Route<'_> {
        Route { entrance: &self.entrance, exit: &self.exit }
    }

    /// The process.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Waits until it holds no more than before; says what it still holds if it doesn't come to that.
    pub fn leftovers(&self) -> Option<String> {
        let left = || {
            let now = self.sources();
            let more: Vec<_> = now.iter().filter(|source| !self.sources.contains(source)).cloned().collect();
            (!more.is_empty()).then(|| more.join(", "))
        };
        let start = Instant::now();
        while let Some(more) = left() {
            if start.elapsed() > self.patience {
                return Some(format!("the proxy still holds {more}"));
            }
            thread::sleep(Duration::from_millis(2));
        }
        None
    }

    /// Stops it, and compares its report with what was done; what doesn't fit, in words, and the report.
    pub fn stop(mut self, sessions: u64) -> (Vec<String>, Value) {
        // It may have ended already, which its exit status tells.
        let _ = kill_process(self.pid(), Signal::TERM);
        let mut complaints = Vec::new();
        match self.wait() {
            Some(0) => {}
            Some(status) => complaints.push(format!("the proxy ended with status {status}")),
            None => complaints.push("the proxy didn't end".to_owned()),
        }
        let text = self.report.take().and_then(|report| report.join().ok()).unwrap_or_default();
        let report = serde_json::from_str::<Value>(&text);
        match &report {
            Ok(report) => complaints.extend(misfits(report, sessions)),
            Err(error) => complaints.push(format!("the proxy's report is none: {error}")),
        }
        complaints.extend(self.lines.try_iter().find(|line| line.contains("panic")));
        (complaints, report.unwrap_or_default())
    }

    /// Its exit status.
    fn wait(&mut self) -> Option<i32> {
        let start = Instant::now();
        while start.elapsed() < self.patience {
            match self.child.try_wait() {
                Ok(None) => thread::sleep(Duration::from_millis(1)),
                Ok(Some(status)) => return status.code(),
                Err(_) => return None,
            }
        }
        None
    }

    /// What it has open: sockets, pipes and the like. Files come and go, by the C library's doing.
    fn sources(&self) -> Vec<String> {
        let links = fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        let links = links.into_iter().flatten().flatten();
        let names =
            links.filter_map(|link| fs::read_link(link.path()).ok()?.into_os_string().into_string().ok());
        let mut sources: Vec<String> = names.filter(|name| !name.starts_with('/')).collect();
        sources.sort();
        sources
    }

    /// The same when it no longer changes: the ready line comes before the last descriptor is open.
    fn settled_sources(&self) -> Vec<String> {
        let mut sources = self.sources();
        loop {
            thread::sleep(Duration::from_millis(2));
            let again = self.sources();
            if again == sources {
                return sources;
            }
            sources = again;
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // After a good end both fail, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What in a report doesn't fit this many sessions that have all ended.
fn misfits(report: &Value, sessions: u64) -> Vec<String> {
    let totals = &report["totals"];
    let count = |name: &str| totals[name].as_u64().unwrap_or(0);
    let mut misfits = Vec::new();
    let mut compare = |what: &str, found: u64, expected: u64| {
        if found != expected {
            misfits.push(format!("{what}: {found} in the proxy's report, not {expected}"));
        }
    };
    compare("accepted", count("accepted"), sessions);
    compare("closed", count("closed"), sessions);
    compare("active", count("active"), 0);
    if let Some(connects) = totals["connects"].as_u64() {
        compare("connects", connects, sessions);
    }
    if let Some(ends) = report["ends"].as_object() {
        compare("ends", ends.values().filter_map(Value::as_u64).sum(), sessions);
    }
    if totals["bytes_to_upstream"].is_u64() {
        let read = count("bytes_in") + count("bytes_from_upstream");
        let written = count("bytes_out") + count("bytes_to_upstream");
        compare("bytes read", read, written + count("bytes_undelivered"));
    }
    misfits
}

/// Waits for the ready line; the address in it.
fn ready(lines: &Receiver<String>, patience: Duration) -> Result<Place, String> {
    let mut said = Vec::new();
    while let Ok(line) = lines.recv_timeout(patience) {
        if let Some(rest) = line.strip_prefix("ready: proxy on ") {
            let address = rest.split(" · ").next().unwrap_or(rest);
            return Place::parse(address).ok_or_else(|| format!("no address in '{line}'"));
        }
        said.push(line);
    }
    Err(format!("the proxy doesn't start: {}", said.join("; ")))
}

/// Its lines on stderr, read as they come, so that it never waits for a reader.
fn lines_of(stderr: Option<ChildStderr>) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let lines = stderr.into_iter().flat_map(|stderr| BufReader::new(stderr).lines());
        // It ends with the process, or with whoever wanted to know.
        lines.map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    lines
}

fn text_of(stdout: Option<ChildStdout>) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut text = String::new();
        if let Some(mut stdout) = stdout {
            // What can't be read is no report, and is said to be none.
            let _ = stdout.read_to_string(&mut text);
        }
        text
    })
}

/// A folder for unix sockets, with a short path, removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, String> {
        let path = std::env::temp_dir().join(format!("evenkeel-selftest-{:016x}", fastrand::u64(..)));
        let made = fs::create_dir(&path);
        made.map_err(|error| format!("cannot make {}: {}", path.display(), sys::reason(&error)))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left behind lies in the system's folder for such things.
        let _ = fs::remove_dir_all(&self.0);
    }
}
