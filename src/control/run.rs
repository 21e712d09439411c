//! A server's life as the main thread sees it: ready, signals and reports, stop, last report.

use std::time::{Duration, SystemTime};

use super::{
    Running, Server, notify,
    output::{Output, say},
};
use crate::{
    accept::Served,
    config::Options,
    measure::{
        AcceptorSnapshot, WorkerSnapshot,
        report::{ListenerInfo, Report, RunInfo, ServiceInfo},
    },
    runtime::service::Service,
    sys::{
        self, Errno, clock,
        epoll::{Epoll, Events, Interest},
        signals::{Signal, Signals},
    },
};

/// How long sessions may go on when `--duration` is over and no `--drain` was given.
const DURATION_DRAIN: Duration = Duration::from_secs(1);

const SIGNALS: u64 = 0;
const ENDED: u64 = 1;

/// What the main thread does beside serving.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The service's name, and what it is.
    pub kind: &'static str,
    /// Stop by itself after this time.
    pub duration: Option<Duration>,
    /// How long sessions may go on after a stop, where it was said.
    pub drain: Option<Duration>,
    /// A report each time this has passed.
    pub report_every: Option<Duration>,
    /// Where reports go.
    pub output: Output,
    /// Say nothing on stderr but the ready lines and what is wrong.
    pub quiet: bool,
    /// Say more.
    pub verbose: bool,
}

/// Why a run ended badly.
#[derive(Debug)]
pub enum Failure {
    /// Nothing was started: exit status 2.
    Start(String),
    /// It failed while running: exit status 1.
    Run(String),
}

/// Binds, serves until it is told to stop, reports.
///
/// # Errors
/// A sentence for people, and whether anything was started.
pub fn run<S: Service>(
    plan: &Plan,
    options: &Options,
    bind: impl FnOnce() -> Result<Server, String>,
    make: impl Fn(usize) -> S + Send + Clone + 'static,
) -> Result<(), Failure> {
    plan.output.check().map_err(Failure::Start)?;
    let refused = |error: Errno| {
        let why = sys::reason(&error.into());
        Failure::Start(format!("cannot wait for signals: {why}; raise `ulimit -n`"))
    };
    // Before any thread starts, so that all inherit the mask; and before anybody can connect, as from then on
    // there may be no descriptor left.
    let signals = Signals::block().map_err(refused)?;
    let epoll = Epoll::new().map_err(refused)?;
    epoll.add(&signals, SIGNALS, Interest::READ).map_err(refused)?;
    let server = bind().map_err(Failure::Start)?;
    let (notes, cores) = (server.notes(), server.topology().cores.clone());
    let workers = server.topology().workers;
    let started = (SystemTime::now(), clock::now_ns());
    let running = server.start(make).map_err(Failure::Start)?;
    let served = running.served().to_vec();
    let mut main =
        Main { plan, options, notes, cores, served, started, running, is_stopping: false, failed: false };
    main.announce(workers);
    main.serve(&epoll, &signals).map_err(Failure::Run)?;
    main.finish()
}

struct Main<'a> {
    plan: &'a Plan,
    options: &'a Options,
    notes: Vec<String>,
    cores: Vec<usize>,
    served: Vec<Served>,
    started: (SystemTime, u64),
    running: Running,
    is_stopping: bool,
    failed: bool,
}

impl Main<'_> {
    fn announce(&self, workers: usize) {
        if !self.plan.quiet {
            self.notes.iter().for_each(|note| say(&format!("note: {note}")));
        }
        for served in &self.served {
            say(&format!(
                "ready: {} on {} · {workers} workers · accept={} trigger={} poll={}",
                self.plan.kind, served.address, served.accept, self.options.trigger, self.options.poll
            ));
        }
        if self.plan.verbose {
            let cores: Vec<String> = self.cores.iter().map(ToString::to_string).collect();
            let pinned = if self.options.pin { "pinned" } else { "not pinned" };
            say(&format!(
                "info: workers on cores {} ({pinned}), process {}",
                cores.join(","),
                std::process::id()
            ));
        }
        notify::ready();
    }

    /// Until every worker has ended.
    fn serve(&mut self, epoll: &Epoll, signals: &Signals) -> Result<(), String> {
        let refused = |error: Errno| {
            format!("the main thread cannot wait: {}; free memory", sys::reason(&error.into()))
        };
        epoll.add(self.running.ended(), ENDED, Interest::READ).map_err(refused)?;
        let mut events = Events::with_capacity(2);
        let mut next_report_ns = self.plan.report_every.map(|every| self.started.1 + nanos(every));
        let end_ns = self.plan.duration.map(|duration| self.started.1 + nanos(duration));
        while !self.running.is_over() {
            let end_ns = end_ns.filter(|_| !self.is_stopping);
            let next_ns = next_report_ns.into_iter().chain(end_ns).min();
            let timeout_ns = next_ns.map(|next| next.saturating_sub(clock::now_ns()));
            epoll.wait(&mut events, timeout_ns).map_err(refused)?;
            while let Some(signal) = signals.next() {
                self.heed(signal);
            }
            self.running.ended().silence();
            self.stop_after_panic();
            let now_ns = clock::now_ns();
            if let (Some(next), Some(every)) =
                (next_report_ns.filter(|next| *next <= now_ns), self.plan.report_every)
            {
                // A report that was late is not made up for: the next is due on the grid.
                let late = (now_ns - next) / nanos(every);
                next_report_ns = Some(next + (late + 1) * nanos(every));
                self.report_now();
            }
            if end_ns.is_some_and(|end| end <= now_ns) {
                self.stop(self.plan.drain.unwrap_or(DURATION_DRAIN));
            }
        }
        Ok(())
    }

    fn heed(&mut self, signal: Signal) {
        match signal {
            Signal::Report => self.report_now(),
            Signal::Upgrade => self.note("there is nothing to upgrade to yet: SIGUSR2 is ignored"),
            Signal::Stop | Signal::Hangup if self.is_stopping => {
                self.note("stopping at once");
                self.stop(Duration::ZERO);
            }
            Signal::Stop | Signal::Hangup => self.stop(self.options.drain),
        }
    }

    fn stop(&mut self, drain: Duration) {
        self.is_stopping = true;
        self.running.stop(drain);
    }

    /// A worker that has ended though nobody told it to has panicked. The others get their time to finish.
    fn stop_after_panic(&mut self) {
        if !self.is_stopping && self.running.has_ended() {
            self.failed = true;
            self.note("a worker has failed: the others finish what they have");
            self.stop(self.options.drain);
        }
    }

    /// That a report can't be written (a full disk, no descriptor left) is told, and no reason to stop serving.
    fn report_now(&self) {
        let (workers, acceptor) = self.running.snapshot();
        if let Err(message) = self.plan.output.interim(&self.report(&workers, acceptor.as_ref())) {
            say(&format!("evenkeel: {message}"));
        }
    }

    fn finish(self) -> Result<(), Failure> {
        let Self { plan, options, notes, cores, served, started, running, failed, .. } = self;
        let duration = Duration::from_nanos(clock::now_ns() - started.1);
        let stopped = running.join();
        let run = run_info(plan, options, &notes, &cores, &served, started.0, duration);
        let report = Report::new(run, &stopped.workers, stopped.acceptor.as_ref());
        plan.output.last(&report).map_err(Failure::Run)?;
        match failed || stopped.panicked > 0 {
            true => Err(Failure::Run(format!(
                "{} of the threads failed; this is a defect",
                stopped.panicked.max(1)
            ))),
            false => Ok(()),
        }
    }

    fn report(&self, workers: &[WorkerSnapshot], acceptor: Option<&AcceptorSnapshot>) -> Report {
        let duration = Duration::from_nanos(clock::now_ns() - self.started.1);
        let Self { plan, options, notes, cores, served, started, .. } = self;
        Report::new(run_info(plan, options, notes, cores, served, started.0, duration), workers, acceptor)
    }

    fn note(&self, text: &str) {
        if !self.plan.quiet {
            say(&format!("note: {text}"));
        }
    }
}

fn run_info<'a>(
    plan: &Plan,
    options: &'a Options,
    notes: &[String],
    cores: &[usize],
    served: &[Served],
    started: SystemTime,
    duration: Duration,
) -> RunInfo<'a> {
    let listeners = served
        .iter()
        .map(|served| ListenerInfo { address: served.address.to_string(), accept: served.accept })
        .collect();
    let service = ServiceInfo { name: plan.kind.into(), kind: plan.kind.into(), listeners, accepted: None };
    RunInfo {
        cores: cores.to_vec(),
        services: vec![service],
        notes: notes.to_vec(),
        ..RunInfo::new(started, duration, options)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
