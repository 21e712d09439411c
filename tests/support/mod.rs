//! The real binary as a child process: start it, talk to it, stop it, read its report.
//!
//! Every test binary uses part of this.
#![allow(dead_code)]

pub mod client;
pub mod load;
pub mod namespace;
pub mod preamble;
pub mod proxy;
pub mod strace;
pub mod upstreams;

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long anything may take that should happen at once: only a hang is longer, on the slowest machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running `evenkeel echo` or `evenkeel proxy`.
pub struct Server {
    child: Child,
    stderr: BufReader<ChildStderr>,
    /// The ready lines, one a `--listen`.
    pub ready: Vec<String>,
    /// Everything that came on stderr before the last ready line and isn't one.
    pub notes: Vec<String>,
}

/// What is left of a server that has ended.
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Server {
    /// Starts `evenkeel echo --listen 127.0.0.1:0 --report json` with more arguments.
    pub fn start(arguments: &[&str]) -> Self {
        let mut all = vec!["echo", "--listen", "127.0.0.1:0", "--report", "json"];
        all.extend(arguments);
        Self::start_with(evenkeel(), &all)
    }

    /// Starts `evenkeel proxy --listen 127.0.0.1:0 --report json` to these upstreams with more arguments.
    pub fn proxy(upstreams: &[impl AsRef<str>], arguments: &[&str]) -> Self {
        let mut all = vec!["proxy", "--listen", "127.0.0.1:0", "--report", "json"];
        all.extend(upstreams.iter().flat_map(|upstream| ["--upstream", upstream.as_ref()]));
        all.extend(arguments);
        Self::start_with(evenkeel(), &all)
    }

    /// Starts a command that runs evenkeel in the end, and waits until each `--listen` has its ready line.
    pub fn start_with(command: Command, arguments: &[&str]) -> Self {
        let expected = arguments.iter().filter(|argument| **argument == "--listen").count();
        Self::start_for(command, arguments, expected)
    }

    /// The same, and waits for as many ready lines as are expected.
    pub fn start_for(mut command: Command, arguments: &[&str], expected: usize) -> Self {
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let stderr = BufReader::new(child.stderr.take().expect("stderr is a pipe"));
        let mut server = Self { child, stderr, ready: Vec::new(), notes: Vec::new() };
        while server.ready.len() < expected {
            let mut line = String::new();
            let len = server.stderr.read_line(&mut line).expect("stderr is text");
            assert!(len > 0, "no ready line, but: {:?}", server.notes);
            let kind = if line.starts_with("ready: ") { &mut server.ready } else { &mut server.notes };
            kind.push(line.trim_end().to_owned());
        }
        server
    }

    /// The address of the first `--listen`.
    pub fn address(&self) -> SocketAddr {
        self.listening()[0].parse().expect("the first address is TCP")
    }

    /// The addresses as the ready lines have them.
    pub fn listening(&self) -> Vec<String> {
        let address = |line: &String| {
            let (_, rest) = line.split_once(" on ").expect("a ready line is: KIND on ADDR");
            rest.split(" · ").next().expect("split gives at least one part").to_owned()
        };
        self.ready.iter().map(address).collect()
    }

    /// A connection, with [`PATIENCE`] for reads and writes.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a positive timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a positive timeout");
        stream.set_nodelay(true).expect("a TCP socket");
        stream
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the server runs");
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("the server runs").count()
    }

    /// What its open descriptors are, such as `socket:[4711]`, in order. Files are left out: the C library
    /// opens some of /proc in passing, when it gives memory back.
    pub fn open_sources(&self) -> Vec<String> {
        let links = fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("the server runs").flatten();
        let names =
            links.filter_map(|link| fs::read_link(link.path()).ok()?.into_os_string().into_string().ok());
        let mut sources: Vec<String> = names.filter(|name| !name.starts_with('/')).collect();
        sources.sort();
        sources
    }

    /// Its sockets among them, in order.
    pub fn open_sockets(&self) -> Vec<String> {
        self.open_sources().into_iter().filter(|source| source.starts_with("socket:")).collect()
    }

    /// Its sockets other than these: which, and what the kernel's table of TCP connections has of them. That has
    /// none that was reset and not closed.
    pub fn sockets_left(&self, known: &[String]) -> String {
        let mut left = self.open_sockets();
        left.retain(|socket| !known.contains(socket));
        let is_left = |line: &&str| {
            let inode = line.split_whitespace().nth(9).unwrap_or_default();
            left.contains(&format!("socket:[{inode}]"))
        };
        let table = self.proc("net/tcp").lines().filter(is_left).collect::<Vec<_>>().join("\n");
        format!("{left:?}\n{table}")
    }

    /// How many pipes it has, by their inodes: each has two descriptors.
    pub fn open_pipes(&self) -> usize {
        let mut pipes = self.open_sources();
        pipes.retain(|source| source.starts_with("pipe:"));
        pipes.dedup();
        pipes.len()
    }

    /// A whole file of /proc/PID.
    pub fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).expect("the server runs")
    }

    /// CPU time of the whole process so far, in clock ticks (10 ms).
    pub fn cpu_ticks(&self) -> u64 {
        let stat = self.proc("stat");
        let fields: Vec<&str> =
            stat.rsplit(')').next().expect("a name in brackets").split_whitespace().collect();
        fields[11..13].iter().map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
    }

    /// Stops every thread of it, as Ctrl-Z does; connections go on to be queued by the kernel.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
        let is_stopped = |status: &String| status.lines().any(|line| line.starts_with("State:\tT"));
        eventually("every thread is stopped", || self.thread_statuses().iter().all(is_stopped).then_some(()));
    }

    /// Lets a frozen server go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Waits until all its threads sleep: it has nothing to do, and its workers are in the kernel's wait queues.
    pub fn settle(&self) {
        let sleeps = |status: &String| status.lines().any(|line| line.starts_with("State:\tS"));
        eventually("every thread sleeps", || self.thread_statuses().iter().all(sleeps).then_some(()));
    }

    /// How often its threads have gone to sleep so far, all together.
    pub fn sleeps(&self) -> u64 {
        let of = |status: &String| {
            let mut lines = status.lines();
            let count = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            count.expect("the kernel counts it").trim().parse::<u64>().expect("a number")
        };
        self.thread_statuses().iter().map(of).sum()
    }

    /// Memory of its own, without that of mapped files, in bytes.
    pub fn memory(&self) -> u64 {
        let rollup = self.proc("smaps_rollup");
        let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).expect("a size in kB");
        kib.trim().parse::<u64>().expect("a number") << 10
    }

    /// /proc/PID/task/TID/status of each thread.
    fn thread_statuses(&self) -> Vec<String> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("the server runs");
        let status = |task: io::Result<fs::DirEntry>| {
            fs::read_to_string(task.expect("a task").path().join("status")).expect("its threads stay")
        };
        tasks.map(status).collect()
    }

    /// A report of the time until now, which must add up, by SIGUSR1 (where reports are JSON, on stdout).
    pub fn report_now(&mut self) -> Value {
        self.signal(Signal::USR1);
        let report = serde_json::from_str(&self.next_stdout_line()).expect("a line of JSON");
        assert_adds_up(&report);
        report
    }

    /// The next line that it writes to stderr, after the ready lines. Blocks until there is one.
    pub fn next_stderr_line(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).expect("stderr is text");
        line.trim_end().to_owned()
    }

    /// The next line that it writes to stdout. Blocks until there is one.
    pub fn next_stdout_line(&mut self) -> String {
        let mut line = Vec::new();
        let stdout = self.child.stdout.as_mut().expect("stdout is a pipe");
        let mut byte = [0];
        while stdout.read(&mut byte).expect("stdout can be read") == 1 && byte[0] != b'\n' {
            line.push(byte[0]);
        }
        String::from_utf8(line).expect("reports are UTF-8")
    }

    /// SIGTERM, then [`Self::wait`].
    pub fn stop(self) -> Ended {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// SIGTERM; the report, which must add up, of a server that must end well.
    pub fn report(self) -> Value {
        self.stop().report()
    }

    /// Waits for the end, with [`PATIENCE`].
    pub fn wait(mut self) -> Ended {
        let mut stdout = String::new();
        let mut stderr = String::new();
        let pipe = self.child.stdout.as_mut().expect("stdout is a pipe");
        pipe.read_to_string(&mut stdout).expect("stdout is text");
        self.stderr.read_to_string(&mut stderr).expect("stderr is text");
        let status = eventually("the server ends", || self.child.try_wait().expect("it is our child"));
        Ended { status, stdout, stderr }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A test that failed leaves nothing behind; after a good end both calls fail, which is fine.
        let _ = self.child.kill();
        let status = self.child.wait();
        if std::thread::panicking() {
            let mut stderr = String::new();
            let _ = self.stderr.read_to_string(&mut stderr);
            eprintln!("{:?}, {status:?}, then said: {stderr}", self.ready);
        }
    }
}

impl Ended {
    /// The one line of JSON, checked: exit status 0, sums are exact, accepted = closed + active.
    pub fn report(&self) -> Value {
        assert_eq!(self.status.code(), Some(0), "stderr: {}", self.stderr);
        assert_eq!(self.stdout.lines().count(), 1, "one line of JSON, not {:?}", self.stdout);
        let report = serde_json::from_str(&self.stdout).expect("a line of JSON");
        assert_adds_up(&report);
        report
    }
}

/// Totals are exact sums of the workers' fields, and accepted = closed + active everywhere.
pub fn assert_adds_up(report: &Value) {
    let workers = report["workers"].as_array().expect("workers are an array");
    let numbers = |object: &Value| -> Vec<(String, u64)> {
        let fields = object.as_object().expect("an object").iter();
        fields.filter_map(|(name, value)| value.as_u64().map(|value| (name.clone(), value))).collect()
    };
    for (path, totals) in [("", &report["totals"]), ("errors", &report["totals"]["errors"])] {
        for (name, total) in numbers(totals) {
            let of = |worker: &Value| {
                if path.is_empty() { worker[&name].clone() } else { worker[path][&name].clone() }
            };
            let values =
                workers.iter().map(|worker| of(worker).as_u64().unwrap_or_else(|| panic!("no {name}")));
            assert_eq!(values.sum::<u64>(), total, "workers' {path} {name} don't add up");
        }
    }
    for part in workers.iter().chain([&report["totals"]]) {
        let field = |name: &str| part[name].as_u64().expect("a count");
        assert_eq!(field("accepted"), field("closed") + field("active"), "{part}");
    }
}

/// A count of the totals.
pub fn total(report: &Value, name: &str) -> u64 {
    report["totals"][name].as_u64().unwrap_or_else(|| panic!("totals have no {name}"))
}

/// Says that something wasn't tried, and why, at the start of a line: libtest may have begun one. Not by
/// `eprintln!`, which libtest hides while a test passes.
pub fn skip(reason: &str) {
    let _ = io::stderr().write_all(format!("\nskipped: {reason}\n").as_bytes());
}

/// A folder of this test's own, with a short path, removed when it is dropped.
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new() -> Self {
        static SERIAL: AtomicUsize = AtomicUsize::new(0);
        let name = format!("evenkeel-{}-{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path of a file in it, as an argument.
    pub fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("a temporary folder's path is UTF-8").to_owned()
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // What is left behind lies in the system's folder for such things.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The binary that cargo built for this test.
pub fn evenkeel() -> Command {
    heeding_hangups(env!("CARGO_BIN_EXE_evenkeel"))
}

/// A program that heeds SIGHUP, even where whoever runs the tests has it ignored (nohup).
pub fn heeding_hangups(program: &str) -> Command {
    let mut command = Command::new("env");
    command.args(["--default-signal=HUP", program]);
    command
}

/// Runs the binary to its end.
pub fn run(arguments: &[&str]) -> Output {
    evenkeel().args(arguments).stdin(Stdio::null()).output().expect("the binary starts")
}

/// One message there and back.
pub fn say_hello(client: &mut TcpStream) {
    client.set_read_timeout(Some(PATIENCE)).expect("a positive timeout");
    client.write_all(b"hello").expect("a live connection");
    let mut answer = [0; 5];
    client.read_exact(&mut answer).expect("the echo");
    assert_eq!(&answer, b"hello");
}

/// Waits for a condition, with [`PATIENCE`].
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
