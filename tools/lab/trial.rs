//! One trial: a fresh server, a fresh client, fresh ports; what both reported, as they wrote it.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    time::{Duration, Instant},
};

use super::{
    interrupts::Interrupts,
    mode::Mode,
    process::{Event, Process, Role},
    scenario::{Scenario, Settings},
};

/// Which question, put to which mode, for the how many-th time.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub scenario: &'static Scenario,
    pub mode: Mode,
    pub round: usize,
    /// Seeds the client's schedule and the server's work. The same for all modes of a round, so that they
    /// are given the very same load.
    pub seed: u64,
}

/// The reports of both processes, as text.
#[derive(Debug)]
pub struct Reports {
    pub server: String,
    pub client: String,
}

/// Why a trial has no reports.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// The user wanted the lab to end.
    Interrupted,
    /// A sentence.
    Failed(String),
}

/// The longest that a server may take to listen, and to end once asked.
const SERVER_PATIENCE: Duration = Duration::from_secs(10);
/// The longest that a client may run beyond its phases: an overloaded server answers late.
const CLIENT_PATIENCE: Duration = Duration::from_secs(30);

/// Runs a trial. Its processes have ended when this returns, whatever it returns.
///
/// # Errors
/// What went wrong, with the last words of the process that failed.
pub fn run(plan: &Plan, settings: &Settings, interrupts: &Interrupts) -> Result<Reports, Failure> {
    let (sender, receiver) = channel();
    interrupts.tell(sender.clone());
    if interrupts.status().is_some() {
        return Err(Failure::Interrupted);
    }
    let mut trial = Trial { sender, receiver };
    let server = trial.spawn(Role::Server, &server_args(plan, settings))?;
    let address = match trial.next("the server to listen", SERVER_PATIENCE)? {
        Event::Ready(address) => address,
        _ => return Err(trial.early_end(server)),
    };

    let client = trial.spawn(Role::Client, &client_args(plan, settings, address))?;
    let client_report = match trial.next("the load generator", settings.phase + CLIENT_PATIENCE)? {
        Event::Ended(Role::Client, report) => report,
        _ => return Err(trial.early_end(server)),
    };
    client.finish().map_err(Failure::Failed)?;

    server.stop();
    let Event::Ended(_, server_report) = trial.next("the server to end", SERVER_PATIENCE)? else {
        return Err(Failure::Failed("the server said twice that it was ready".into()));
    };
    server.finish().map_err(Failure::Failed)?;
    Ok(Reports { server: text(server_report)?, client: text(client_report)? })
}

fn server_args(plan: &Plan, settings: &Settings) -> Vec<String> {
    let mut args: Vec<String> = ["echo", "--listen", "127.0.0.1:0"].map(str::to_owned).to_vec();
    args.extend(plan.mode.server_args());
    args.extend(plan.scenario.server_args(settings, plan.seed));
    args
}

fn client_args(plan: &Plan, settings: &Settings, address: String) -> Vec<String> {
    let mut args = vec![address];
    args.extend(plan.scenario.client_args(settings, plan.seed));
    args
}

fn text(report: Vec<u8>) -> Result<String, Failure> {
    String::from_utf8(report).map_err(|_| Failure::Failed("a report is not text".into()))
}

/// Where the events of one trial's processes, and of no other's, arrive.
struct Trial {
    sender: Sender<Event>,
    receiver: Receiver<Event>,
}

impl Trial {
    fn spawn(&self, role: Role, args: &[String]) -> Result<Process, Failure> {
        Process::spawn(role, args, &self.sender).map_err(Failure::Failed)
    }

    fn next(&mut self, what: &str, patience: Duration) -> Result<Event, Failure> {
        let started = Instant::now();
        match self.receiver.recv_timeout(patience) {
            Ok(Event::Interrupted) => Err(Failure::Interrupted),
            Ok(event) => Ok(event),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Err(Failure::Failed(format!(
                "gave up waiting for {what} after {:.0} s",
                started.elapsed().as_secs_f64()
            ))),
        }
    }

    /// A server that ends before it was asked has a reason, which it has told on stderr.
    fn early_end(&self, server: Process) -> Failure {
        server.stop();
        Failure::Failed(server.finish().err().unwrap_or_else(|| "the server ended too early".into()))
    }
}
