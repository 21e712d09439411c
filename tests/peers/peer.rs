//! Other people's programs: where they are, servers as child processes, clients that have to end well.

use std::{
    env, fs,
    io::Read,
    iter,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::eventually;

/// Seconds that a client may take, many times what it needs: only a hang is longer.
const CLIENT_PATIENCE_S: &str = "180";

/// A server of somebody else's. Dropping it stops it.
pub struct Peer {
    child: Child,
    stop: Signal,
}

impl Peer {
    /// Starts a server that stays in the foreground, and waits until its log says that it is ready.
    pub fn start(command: Command, log: &Path, ready: &str, stop: Signal) -> Self {
        Self::start_until(command, log, stop, |text| text.contains(ready))
    }

    /// The same for one that is ready by another sign. It is given the log.
    pub fn start_until(
        mut command: Command,
        log: &Path,
        stop: Signal,
        is_ready: impl Fn(&str) -> bool,
    ) -> Self {
        let file = fs::File::create(log).expect("the log is in a folder of ours");
        let also = file.try_clone().expect("a descriptor is left");
        command.stdin(Stdio::null()).stdout(file).stderr(also);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?} doesn't start: {error}"));
        let mut peer = Self { child, stop };
        eventually("a peer is ready", || {
            let text = fs::read_to_string(log).unwrap_or_default();
            let ended = peer.child.try_wait().expect("it is our child");
            assert!(ended.is_none(), "{command:?} ended with {ended:?}:\n{text}");
            is_ready(&text).then_some(())
        });
        peer
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Ends it without asking it.
    pub fn kill(mut self) {
        self.stop = Signal::KILL;
    }

    /// Its process, and those that it has begun.
    pub fn family(&self) -> Vec<Pid> {
        let id = self.child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        let others = children.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?));
        iter::once(Pid::from_child(&self.child)).chain(others).collect()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // One that has ended by itself was seen by whoever talked to it.
        let _ = kill_process(Pid::from_child(&self.child), self.stop);
        // Whoever was stopped, as by Ctrl-Z, heeds nothing else until it goes on.
        for pid in self.family() {
            let _ = kill_process(pid, Signal::CONT);
        }
        let _ = self.child.wait();
    }
}

/// Where a program is; system administrators' folders count too.
pub fn program(name: &str, package: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let usual = env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = usual.chain(postgres_folders()).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is missing: install {package}"))
}

/// Debian keeps PostgreSQL's server programs by version, the newest last.
fn postgres_folders() -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort();
    folders.into_iter().rev().collect()
}

/// A client, which ends in time or is killed.
pub fn client(name: &str, package: &str) -> Command {
    let mut command = Command::new("timeout");
    // --foreground: a signal for it comes to it once, not to its group too.
    command
        .args(["--foreground", "--kill-after=5", CLIENT_PATIENCE_S])
        .arg(program(name, package))
        .stdin(Stdio::null());
    command
}

/// Runs a client that has to end well. What it said on both streams.
pub fn said(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} doesn't start: {error}"));
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    text
}

/// Compares what comes with a file, piece by piece.
pub fn assert_same(mut stream: impl Read, file: &Path) {
    let mut expected = fs::File::open(file).expect("the file was written");
    let (mut came, mut due) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut offset = 0;
    loop {
        let len = stream.read(&mut came).expect("the stream can be read");
        if len == 0 {
            break;
        }
        let due = &mut due[..len];
        expected.read_exact(due).unwrap_or_else(|_| panic!("more than the file came, after byte {offset}"));
        assert!(*due == came[..len], "wrong bytes between {offset} and {}", offset + len);
        offset += len;
    }
    let size = expected.metadata().expect("an open file").len();
    assert_eq!(offset as u64, size, "the stream is cut");
}

/// A free address on loopback for a server that can't choose one.
pub fn free_address() -> String {
    format!("127.0.0.1:{}", free_port(&["127.0.0.1"]))
}

/// A port that is free at each of these addresses. Below the ports that the kernel gives to clients (32768 and
/// above), so that none of them takes it first.
pub fn free_port(hosts: &[&str]) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    // Another run of the tests probably begins elsewhere.
    let start = (std::process::id() % u32::from(COUNT)) as u16;
    loop {
        let port = FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        if hosts.iter().all(|host| TcpListener::bind((*host, port)).is_ok()) {
            return port;
        }
    }
}

/// Whether somebody listens at a TCP port, as the kernel's table has it: asking by a connection would be one.
pub fn is_listened_at(port: u16) -> bool {
    const LISTEN: &str = "0A";
    let port = format!(":{port:04X}");
    let tables =
        ["tcp", "tcp6"].map(|name| fs::read_to_string(format!("/proc/net/{name}")).unwrap_or_default());
    let is_it = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let local = fields.next().unwrap_or_default();
        local.ends_with(&port) && fields.nth(1) == Some(LISTEN)
    };
    tables.iter().any(|table| table.lines().any(is_it))
}

/// The port of an address, as an argument.
pub fn port(address: &str) -> &str {
    address.rsplit_once(':').expect("HOST:PORT").1
}
