//! The load generator as a child process, against a server of [`super::Server`].

use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::Server;

/// Runs `evenkeel-load ADDR --json` with more arguments to its end.
pub fn load(server: &Server, arguments: &[&str]) -> Value {
    start(server, arguments).report()
}

/// Starts `evenkeel-load ADDR --json` with more arguments.
pub fn start(server: &Server, arguments: &[&str]) -> Load {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel-load"));
    command.arg(&server.listening()[0]).arg("--json").args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Load(Some(command.spawn().expect("the binary starts")))
}

/// A load that runs.
pub struct Load(Option<Child>);

impl Load {
    /// Has it end now. What it says then.
    pub fn stop(self) -> Value {
        let child = self.0.as_ref().expect("taken only by report");
        kill_process(Pid::from_child(child), Signal::INT).expect("it runs");
        self.report()
    }

    /// What it has to say in the end, which must be a good one: no error of any kind.
    pub fn report(mut self) -> Value {
        let child = self.0.take().expect("taken only here");
        let Output { status, stdout, stderr } = child.wait_with_output().expect("it is our child");
        let stderr = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "{status}: {stderr}");
        let report: Value = serde_json::from_slice(&stdout).expect("one line of JSON");
        let errors = report["errors"].as_object().expect("errors are an object");
        assert!(errors.values().all(|count| count == 0), "{errors:?}: {stderr}");
        report
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // A test that failed leaves nothing behind.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Connections that each of so many workers greeted.
pub fn greeted(report: &Value, workers: usize) -> Vec<u64> {
    let mut connections = vec![0; workers];
    for part in report["by_worker"].as_array().expect("a greeted load tells workers apart") {
        let worker = part["worker"].as_u64().expect("a number") as usize;
        connections[worker] = part["connections"].as_u64().expect("a count");
    }
    connections
}
