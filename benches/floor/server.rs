//! A contender's server process: started on its own core, ready when it says so, stopped for certain.
//!
//! A server binds a port of the kernel's choice and tells it on stderr: `ready: KIND on ADDRESS`, which
//! may be followed by ` · ` and more. One that can't do that has an address of its own, and is ready when
//! that takes connections. The same process may run under a tool that counts what it does.

use std::error::Error;
use std::ffi::OsString;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

const READY_MAX: Duration = Duration::from_secs(20);
const STOP_MAX: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Where servers and the client run.
#[derive(Clone, Copy)]
pub struct Cores {
    /// The servers' core.
    pub server: usize,
    /// The client's, which is the benchmark itself.
    pub client: usize,
}

impl Cores {
    /// The first two cores that this process may use.
    pub fn choose() -> Result<Self, Box<dyn Error>> {
        let allowed = sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        match (cores.next(), cores.next()) {
            (Some(server), Some(client)) => Ok(Self { server, client }),
            _ => Err("two cores are needed, one for the server and one for the client, and only one is \
                      allowed here: widen the affinity mask (taskset) or the cpuset"
                .into()),
        }
    }

    /// Moves this thread to the client's core.
    pub fn pin_client(self) -> Result<(), Box<dyn Error>> {
        Ok(pin(self.client)?)
    }
}

/// What runs a server and writes down what it did.
pub enum Tool {
    /// Nothing: the server by itself.
    None,
    /// `strace -c -f`, its table written to this file.
    Strace(PathBuf),
    /// `valgrind --tool=callgrind`, its profile written to this file.
    Callgrind(PathBuf),
}

/// A running server; killed when dropped.
pub struct Server {
    child: Child,
    /// The server's own process, which is not the child where a tool stands between.
    pub pid: Pid,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Starts `command` under `tool` on the server's core and waits until it is ready: until it takes
    /// connections on `address` or, without that, for its ready line, which goes to the file `log` with the
    /// rest of its stderr.
    pub fn start(
        command: &[OsString],
        address: Option<SocketAddr>,
        tool: &Tool,
        cores: Cores,
        log: &Path,
    ) -> Result<Self, Box<dyn Error>> {
        let words = [tool.words(), command.to_vec()].concat();
        let mut prepared = Command::new(&words[0]);
        prepared.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(log)?);
        // A child inherits the affinity of the thread that starts it.
        pin(cores.server)?;
        let spawned = prepared.spawn();
        pin(cores.client)?;
        let mut child = spawned.map_err(|error| format!("cannot start {}: {error}", words[0].display()))?;
        match wait_until_ready(&mut child, address, log) {
            Ok(address) => Ok(Self { pid: tool.server_pid(&child)?, child, address }),
            Err(error) => {
                // It may have ended already, which is then what the error says.
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// Asks the server to end and waits for it (and for the tool's file). Drop the client first.
    pub fn stop(mut self) -> Result<(), Box<dyn Error>> {
        kill_process(self.pid, Signal::TERM)?;
        let status = wait_until_ended(&mut self.child)?;
        // Without a handler the signal itself is the end, and that is well.
        match status.code() {
            Some(0) | None => Ok(()),
            Some(code) => Err(format!("the server ended with exit status {code} after SIGTERM").into()),
        }
    }
}

impl Drop for Server {
    /// Kills what an error left running; after `stop` there is nothing to kill.
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = kill_process(self.pid, Signal::KILL);
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Tool {
    fn words(&self) -> Vec<OsString> {
        match self {
            Self::None => Vec::new(),
            Self::Strace(file) => {
                ["strace", "-c", "-f", "-o"].map(OsString::from).into_iter().chain([file.into()]).collect()
            }
            Self::Callgrind(file) => {
                let mut out = OsString::from("--callgrind-out-file=");
                out.push(file);
                vec!["valgrind".into(), "-q".into(), "--tool=callgrind".into(), out]
            }
        }
    }

    /// Valgrind becomes the server, strace is its parent.
    fn server_pid(&self, child: &Child) -> Result<Pid, Box<dyn Error>> {
        let Self::Strace(_) = self else { return Ok(Pid::from_child(child)) };
        let id = child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
        let pid =
            children.split_whitespace().next().and_then(|word| word.parse().ok()).and_then(Pid::from_raw);
        pid.ok_or_else(|| "strace has no child process".into())
    }
}

/// The address in the ready line, for example `ready: echo on 127.0.0.1:7000 · 1 workers`.
pub fn address_of(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.strip_prefix("ready: ")?.split_once(" on ")?;
    rest.split_whitespace().next()?.parse().ok()
}

fn wait_until_ready(
    child: &mut Child,
    address: Option<SocketAddr>,
    log: &Path,
) -> Result<SocketAddr, Box<dyn Error>> {
    let deadline = Instant::now() + READY_MAX;
    while Instant::now() < deadline {
        let ended = child.try_wait()?;
        let said = fs::read_to_string(log)?;
        // Only whole lines: the last one may still be on its way.
        let whole = said.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let listening = match address {
            Some(address) => TcpStream::connect(address).is_ok().then_some(address),
            None => whole.lines().find_map(address_of),
        };
        if let Some(status) = ended {
            let reason = said.lines().last().unwrap_or("it said nothing on stderr");
            return Err(format!("ended before it was ready ({status}): {reason}").into());
        }
        if let Some(address) = listening {
            return Ok(address);
        }
        sleep(LOOK_AGAIN);
    }
    Err(format!("not ready within {} s", READY_MAX.as_secs()).into())
}

fn wait_until_ended(child: &mut Child) -> Result<ExitStatus, Box<dyn Error>> {
    let deadline = Instant::now() + STOP_MAX;
    loop {
        match child.try_wait()? {
            Some(status) => return Ok(status),
            None if Instant::now() > deadline => {
                return Err(format!("still running {} s after SIGTERM", STOP_MAX.as_secs()).into());
            }
            None => sleep(LOOK_AGAIN),
        }
    }
}

/// Raises the soft limit of open files, which the servers inherit, to the hard one.
pub fn raise_fd_limit() -> rustix::io::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
}

fn pin(core: usize) -> rustix::io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set)
}
