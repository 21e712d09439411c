//! One trial: a fresh server, a fresh client, fresh ports, and what both reported, as they wrote it.
//!
//! ```text
//!   upstreams ─▶ server ─▶ clients beside, settled ─▶ burner ─▶ measured client ─▶ SIGINT to those beside ─▶
//!   SIGTERM to the server ─▶ reports                            │ disturbances, by the clock
//! ```
//! Everything happens on one thread, which waits for whatever comes first: the end of a process, the next
//! disturbance, Ctrl-C. Whatever is returned, no process of the trial is left, stopped or not.

use std::{
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal};

use super::{
    conditions::Watch,
    disturbances::Disturbances,
    interrupts::Interrupts,
    mode::Mode,
    namespace::Network,
    process::{Event, Process, Role, Who},
    results::Conditions,
    scenario::{Beside, Scenario},
    sockets,
};

/// Which question, put to which mode, for the how many-th time.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub scenario: Arc<Scenario>,
    pub mode: Mode,
    /// The baseline once more.
    pub twin: bool,
    /// The value of the flag that is swept.
    pub step: Option<f64>,
    pub round: usize,
    /// Its position in the run.
    pub order: usize,
    /// Seeds the client's schedule and the server's work. The same for all modes of a round, so that they
    /// are given the very same load.
    pub seed: u64,
    /// Cores for pinned workers, in the order in which these register.
    pub cores: Vec<usize>,
}

/// The reports of a trial's processes, as text.
#[derive(Clone, Debug, Default)]
pub struct Reports {
    pub server: String,
    pub client: String,
    /// By name.
    pub beside: Vec<(String, String)>,
}

/// What a trial came to.
#[derive(Debug)]
pub struct Observed {
    pub reports: Reports,
    pub conditions: Conditions,
    /// When it began, in seconds since the run did.
    pub at_s: f64,
    /// Whether the client wrote an interval log.
    pub hlog: bool,
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
const SERVER_PATIENCE: Duration = Duration::from_secs(15);
/// The longest that a client may run beyond its phases: an overloaded server answers late.
const CLIENT_PATIENCE: Duration = Duration::from_secs(60);
/// The longest that the clients beside may take to connect.
const SETTLE_PATIENCE: Duration = Duration::from_secs(30);
/// How long they run before measuring begins, once all are connected.
const SETTLE: Duration = Duration::from_millis(200);
const SETTLE_LOOK: Duration = Duration::from_millis(20);

impl Plan {
    /// What its files are called.
    pub fn file_name(&self) -> String {
        let twin = if self.twin { "-twin" } else { "" };
        format!("{}{twin}-r{}", self.curve_name(), self.round)
    }

    /// What the file of all its rounds is called.
    pub fn curve_name(&self) -> String {
        let mode = self.mode.to_string().replace('/', "-");
        let step = self.step.map(|step| format!("-at{step}")).unwrap_or_default();
        format!("{}-{mode}{step}", self.scenario.name)
    }

    /// Which one it is, for people.
    pub fn title(&self) -> String {
        let step = self.step.map(|step| format!(" at {step}")).unwrap_or_default();
        let twin = if self.twin { " (A/A twin)" } else { "" };
        format!("{} {}{twin}{step} round {}", self.scenario.name, self.mode, self.round + 1)
    }

    /// The baseline's first round.
    #[cfg(test)]
    pub fn first(scenario: Arc<Scenario>) -> Self {
        let mode = scenario.baseline().clone();
        Self { scenario, mode, twin: false, step: None, round: 0, order: 0, seed: 1, cores: Vec::new() }
    }
}

/// Runs a trial. Its processes have ended when this returns, whatever it returns. With `hlog`, the client writes
/// its interval log there.
///
/// # Errors
/// What went wrong, with the last words of the process that failed.
pub fn run(
    plan: &Plan,
    hlog: Option<&Path>,
    interrupts: &Interrupts,
) -> Result<(Reports, Conditions), Failure> {
    let (sender, receiver) = channel();
    interrupts.tell(sender.clone());
    if interrupts.status().is_some() {
        return Err(Failure::Interrupted);
    }
    let watch = Watch::start();
    let mut trial = Trial { plan, sender, receiver, processes: Vec::new() };
    let reports = trial.run(hlog)?;
    drop(trial);
    Ok((reports, watch.finish()))
}

/// A trial in progress.
struct Trial<'a> {
    plan: &'a Plan,
    /// Where the events of its processes, and of no other's, arrive.
    sender: Sender<Event>,
    receiver: Receiver<Event>,
    processes: Vec<Process>,
}

impl Trial<'_> {
    fn run(&mut self, hlog: Option<&Path>) -> Result<Reports, Failure> {
        let (plan, scenario) = (self.plan, &*self.plan.scenario);
        let upstreams = self.upstreams()?;
        let args = scenario.server_args(&plan.mode, plan.seed, &plan.cores, &upstreams);
        let address = self.serve(Who::Server, scenario.server.kind.role(), &args)?;
        self.settle_beside(&address)?;
        self.burn()?;
        let mut reports = Reports { client: self.measure(&address, hlog)?, ..Reports::default() };
        self.take(Who::Burner);
        for (index, beside) in scenario.beside.iter().enumerate() {
            let report = self.end(Who::Beside(index), Signal::INT)?;
            reports.beside.push((beside.name.clone(), report));
        }
        reports.server = self.end(Who::Server, Signal::TERM)?;
        for index in 0..upstreams.len() {
            self.end(Who::Upstream(index), Signal::TERM)?;
        }
        Ok(reports)
    }

    /// Starts a proxy's upstreams, and tells where they listen.
    fn upstreams(&mut self) -> Result<Vec<String>, Failure> {
        let plan = self.plan;
        (0..plan.scenario.server.upstreams)
            .map(|index| {
                // Each with a sequence of its own: servers that are slow all at once are like one.
                let args = plan.scenario.upstream_args(plan.seed + index as u64);
                self.serve(Who::Upstream(index), Role::Server, &args)
            })
            .collect()
    }

    /// Starts a server, and tells where it listens.
    fn serve(&mut self, who: Who, role: Role, args: &[String]) -> Result<String, Failure> {
        self.spawn(who, role, args)?;
        match self.next(Instant::now() + SERVER_PATIENCE)? {
            Some(Event::Ready(ready, address)) if ready == who => Ok(address),
            Some(event) => Err(self.early_end(&event)),
            None => Err(gave_up(&format!("{who} to listen"), SERVER_PATIENCE)),
        }
    }

    /// Starts the clients that are there before the measured one, and waits until all are connected.
    fn settle_beside(&mut self, address: &str) -> Result<(), Failure> {
        let (plan, scenario) = (self.plan, &*self.plan.scenario);
        for (index, beside) in scenario.beside.iter().enumerate() {
            // Each has arrivals and bytes of its own.
            let mut args = vec![address.to_owned()];
            args.extend(scenario.beside_args(beside, plan.seed + 1 + index as u64));
            self.spawn(Who::Beside(index), Role::Client, &args)?;
        }
        let wanted: usize = scenario.beside.iter().map(Beside::connections).sum();
        if wanted == 0 {
            return Ok(());
        }
        let until = Instant::now() + SETTLE_PATIENCE;
        let server = self.server();
        while sockets::established(server, address) < wanted {
            if Instant::now() > until {
                return Err(gave_up(
                    &format!("{wanted} connections beside the measured ones"),
                    SETTLE_PATIENCE,
                ));
            }
            self.stay_quiet(SETTLE_LOOK)?;
        }
        self.stay_quiet(SETTLE)
    }

    fn burn(&mut self) -> Result<(), Failure> {
        let cores: Vec<_> = self.plan.scenario.disturb.burn.iter().map(usize::to_string).collect();
        if cores.is_empty() { Ok(()) } else { self.spawn(Who::Burner, Role::Burner, &cores) }
    }

    /// Runs the measured client to its end, and disturbs the server meanwhile.
    fn measure(&mut self, address: &str, hlog: Option<&Path>) -> Result<String, Failure> {
        let plan = self.plan;
        let mut args = vec![address.to_owned()];
        args.extend(plan.scenario.client_args(&plan.mode, plan.step, plan.seed, hlog));
        self.spawn(Who::Client, plan.scenario.client.kind.role(), &args)?;
        let mut disturbances = Disturbances::new(&plan.scenario.disturb, self.server(), Instant::now());
        let patience = plan.scenario.estimate() * 2 + CLIENT_PATIENCE;
        let until = Instant::now() + patience;
        loop {
            let next = disturbances.next().map_or(until, |next| next.min(until));
            match self.next(next)? {
                Some(Event::Ended(Who::Client, report)) => {
                    // A server that stands still couldn't end.
                    drop(disturbances);
                    self.finish(Who::Client)?;
                    return text(report);
                }
                Some(event) => return Err(self.early_end(&event)),
                None if Instant::now() >= until => return Err(gave_up(&Who::Client.to_string(), patience)),
                None => disturbances.act(Instant::now()).map_err(Failure::Failed)?,
            }
        }
    }

    /// Asks a process to end, and returns what it printed.
    fn end(&mut self, who: Who, signal: Signal) -> Result<String, Failure> {
        self.processes
            .iter()
            .filter(|process| process.who() == who)
            .for_each(|process| process.signal(signal));
        match self.next(Instant::now() + SERVER_PATIENCE)? {
            Some(Event::Ended(ended, report)) if ended == who => {
                self.finish(who)?;
                text(report)
            }
            Some(event) => Err(self.early_end(&event)),
            None => Err(gave_up(&format!("{who} to end"), SERVER_PATIENCE)),
        }
    }

    fn spawn(&mut self, who: Who, role: Role, args: &[String]) -> Result<(), Failure> {
        let network = match self.processes.first() {
            _ if !self.plan.scenario.in_namespace() => Network::Shared,
            None => Network::Fresh,
            Some(first) => Network::Of(first.id()),
        };
        let process = Process::spawn(who, (role, network), args, &self.sender);
        self.processes.push(process.map_err(Failure::Failed)?);
        Ok(())
    }

    fn server(&self) -> Option<Pid> {
        self.processes.iter().find(|process| process.who() == Who::Server).map(Process::id)
    }

    /// The next event until then, if there is one.
    fn next(&mut self, until: Instant) -> Result<Option<Event>, Failure> {
        loop {
            return match self.receiver.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Event::Interrupted) => Err(Failure::Interrupted),
                // The end of one that was killed is no news.
                Ok(Event::Ended(who, _)) if !self.processes.iter().any(|process| process.who() == who) => {
                    continue;
                }
                Ok(event) => Ok(Some(event)),
                // It is never disconnected: `self.sender` is there.
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Ok(None),
            };
        }
    }

    /// Waits for so long, in which nothing is to happen.
    fn stay_quiet(&mut self, time: Duration) -> Result<(), Failure> {
        match self.next(Instant::now() + time)? {
            Some(event) => Err(self.early_end(&event)),
            None => Ok(()),
        }
    }

    fn take(&mut self, who: Who) -> Option<Process> {
        let index = self.processes.iter().position(|process| process.who() == who)?;
        Some(self.processes.remove(index))
    }

    /// Waits for a process that has closed its stdout.
    fn finish(&mut self, who: Who) -> Result<(), Failure> {
        self.take(who).map_or(Ok(()), Process::finish).map_err(Failure::Failed)
    }

    /// A process that ends before it was asked has a reason, which it has told on stderr.
    fn early_end(&mut self, event: &Event) -> Failure {
        match event {
            Event::Ended(who, _) => {
                self.finish(*who).err().unwrap_or_else(|| Failure::Failed(format!("{who} ended too early")))
            }
            Event::Ready(who, _) => Failure::Failed(format!("{who} said twice that it was ready")),
            Event::Interrupted => Failure::Interrupted,
        }
    }
}

fn gave_up(what: &str, patience: Duration) -> Failure {
    Failure::Failed(format!("gave up waiting for {what} after {} s", patience.as_secs()))
}

fn text(report: Vec<u8>) -> Result<String, Failure> {
    String::from_utf8(report).map_err(|_| Failure::Failed("a report is not text".into()))
}
