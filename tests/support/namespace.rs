//! A network namespace of a test's own: its own ports, routes, limits and faults. Needs root.

use std::{
    fs::{self, File},
    os::fd::AsFd,
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use rustix::{
    process::geteuid,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use super::skip;

/// A namespace with a loopback that is up, removed when it is dropped.
pub struct Namespace {
    pub name: String,
}

impl Namespace {
    /// `None`, and said why, where this user may not have one or there is no ip(8).
    pub fn new() -> Option<Self> {
        static SERIAL: AtomicUsize = AtomicUsize::new(0);
        if !geteuid().is_root() {
            skip("a network namespace needs root");
            return None;
        }
        let name = format!("evenkeel-{}-{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed));
        if !ip(&["netns", "add", &name]) {
            skip("`ip netns add` fails: no iproute2, or no namespaces here");
            return None;
        }
        let namespace = Self { name };
        assert!(namespace.ip(&["link", "set", "lo", "up"]), "the loopback can be set up");
        Some(namespace)
    }

    /// The same with small buffers for all sockets in it, the proxy's own too, that else grow to megabytes each.
    pub fn narrow() -> Option<Self> {
        let namespace = Self::new()?;
        namespace.set("ipv4/tcp_rmem", "4096 65536 65536");
        namespace.set("ipv4/tcp_wmem", "4096 16384 65536");
        Some(namespace)
    }

    /// Runs ip(8) on it; whether it succeeded.
    pub fn ip(&self, arguments: &[&str]) -> bool {
        ip(&[&["-n", &self.name], arguments].concat())
    }

    /// A command that runs the binary in it, under the process id that is started.
    pub fn evenkeel(&self) -> Command {
        let mut command = super::heeding_hangups("ip");
        command.args(["netns", "exec", &self.name, env!("CARGO_BIN_EXE_evenkeel")]);
        command
    }

    /// Does something in it: what is opened then stays in it.
    pub fn enter<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let file = File::open(format!("/run/netns/{}", self.name)).expect("ip(8) put it there");
        thread::scope(|scope| {
            let inside = scope.spawn(move || {
                let kind = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(file.as_fd(), kind).expect("root may enter");
                act()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Sets a limit below /proc/sys/net.
    pub fn set(&self, name: &str, value: &str) {
        let path = format!("/proc/sys/net/{name}");
        self.enter(|| fs::write(&path, value).unwrap_or_else(|error| panic!("{path} = {value}: {error}")));
    }
}

/// Does something in a namespace, if there is one.
pub fn within<T: Send>(namespace: Option<&Namespace>, act: impl FnOnce() -> T + Send) -> T {
    match namespace {
        Some(namespace) => namespace.enter(act),
        None => act(),
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        ip(&["netns", "del", &self.name]);
    }
}

/// Runs ip(8); whether it succeeded.
fn ip(arguments: &[&str]) -> bool {
    let mut command = Command::new("ip");
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
