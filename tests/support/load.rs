//! The load generator as a child process, against a server of [`super::Server`].

use std::{
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Server, eventually, total};

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

/// Loads a server of its own for so long, and freezes it meanwhile: for how many nanoseconds, at least as many as
/// `stall` has, and what the load has to say.
pub fn with_a_stall(arguments: &[&str], window_s: f64, stall: Duration) -> (f64, Value) {
    let mut server = Server::start(&["--workers", "2"]);
    let window = format!("{window_s}s");
    let load = start(&server, &[arguments, &["--warmup", "0", "--duration", &window]].concat());
    eventually("the load is on its way", || (total(&server.report_now(), "messages") >= 200).then_some(()));
    server.freeze();
    let frozen = Instant::now();
    thread::sleep(stall);
    let stall_ns = frozen.elapsed().as_nanos() as f64;
    server.thaw();
    let report = load.report();
    server.report();
    (stall_ns, report)
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
