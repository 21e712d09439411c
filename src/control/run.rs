//! A server's life as the main thread sees it: ready, signals and reports, stop, last report.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};

use super::{
    Log, Running, Server, Setup,
    intervals::{self, IntervalLog},
    journal::Journal,
    keeper::{Keeper, View},
    notify::Notifier,
    output::{Output, say},
    printer::Printer,
    site::Site,
};
use crate::{
    accept::{self, Served},
    config::{LogFormat, LogTarget, Options},
    measure::{
        AcceptorSnapshot, WorkerSnapshot,
        ledger::Entry,
        report::{Report, RunInfo},
    },
    runtime::mailbox::Sender,
    service::{Kind, Spec},
    sys::{
        self, Errno, clock,
        epoll::{Epoll, Events, Interest},
        signals::{Signal, Signals},
    },
    upstream::loads::Loads,
};

/// How long sessions may go on when `--duration` is over and no `--drain` was given.
const DURATION_DRAIN: Duration = Duration::from_secs(1);

/// How long the last report may still take once a further signal has come, in nanoseconds.
const GIVE_UP_NS: u64 = 1_000_000_000;

const SIGNALS: u64 = 0;
const ENDED: u64 = 1;
const PRINTED: u64 = 2;

/// What the main thread does beside serving.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Stop by itself after this time.
    pub duration: Option<Duration>,
    /// How long sessions may go on after a stop, where it was said.
    pub drain: Option<Duration>,
    /// A report each time this has passed.
    pub report_every: Option<Duration>,
    /// Where reports go.
    pub output: Output,
    /// Where histograms over time go.
    pub hlog: Option<PathBuf>,
    /// Where the close ledger goes.
    pub access_log: Option<LogTarget>,
    /// How its lines, and those on stderr, are written.
    pub log_format: LogFormat,
    /// It came from a configuration file: SIGHUP asks for it to be read again.
    pub has_file: bool,
    /// Say nothing on stderr but the ready lines and what is wrong.
    pub quiet: bool,
    /// Say more.
    pub verbose: bool,
}

impl Plan {
    /// How this run speaks.
    pub fn log(&self) -> Log {
        Log { format: self.log_format, quiet: self.quiet, verbose: self.verbose }
    }
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
pub fn serve(setup: &Setup) -> Result<(), Failure> {
    let Setup { options, plan, services } = setup;
    let site = Site::resolve(services, options).map_err(Failure::Start)?;
    plan.output.check().map_err(Failure::Start)?;
    let refused = |error: Errno| {
        let why = sys::reason(&error.into());
        Failure::Start(format!("cannot wait for signals: {why}; raise `ulimit -n`"))
    };
    // Before any thread starts, so that all inherit the mask; and before anybody can connect, as from then on
    // there may be no descriptor left.
    let signals = Signals::block().map_err(refused)?;
    let printer = Printer::new(&plan.output, plan.log()).map_err(refused)?;
    let epoll = Epoll::new().map_err(refused)?;
    epoll.add(&signals, SIGNALS, Interest::READ).map_err(refused)?;
    epoll.add(printer.bell(), PRINTED, Interest::READ).map_err(refused)?;
    let systemd = Notifier::from_environment();
    let server = Server::bind_all(options.clone(), &site.listens()).map_err(Failure::Start)?;
    let served = server.served().to_vec();
    // What is bound but never started leaves nothing behind.
    let refuse = |message: String| {
        accept::unlink(&served);
        Failure::Start(message)
    };
    // From here on a port that the kernel chose is known too.
    site.check(&served).map_err(refuse)?;
    let (notes, cores) = (server.notes(), server.topology().cores.clone());
    let workers = server.topology().workers;
    let (started, started_ns) = (SystemTime::now(), clock::now_ns());
    let journal = plan.access_log.clone();
    let journal = journal.map(|target| Journal::start(target, plan.log_format, site.names(&served)));
    let (journal, ledger) = journal.transpose().map_err(refuse)?.unzip();
    let intervals = plan.hlog.as_ref();
    let intervals = intervals.map(|path| IntervalLog::start(path, workers, started, started_ns, plan.log()));
    let intervals = intervals.transpose().map_err(refuse)?;
    let loads = site.loads(workers);
    let running = start(server, &site, workers, &loads, ledger).map_err(Failure::Start)?;
    let kept = Some(site.kept()).filter(|kept| !kept.is_empty());
    let keeper = kept.map(|kept| Keeper::start(kept, options, running.mailboxes(), loads, plan.log()));
    let keeper = keeper.transpose().map_err(Failure::Start)?;
    let about = About { plan, options, site, notes, cores, workers, served, started, started_ns };
    let mut main = Main {
        about,
        keeper,
        epoll,
        signals,
        printer,
        journal,
        intervals,
        is_stopping: false,
        failed: false,
    };
    main.announce();
    systemd.ready();
    main.live(running)
}

/// Starts the workers, each with what this process serves: a lone service needs no choice for each turn.
fn start(
    server: Server,
    site: &Site,
    workers: usize,
    loads: &Loads,
    ledger: Option<Sender<Entry>>,
) -> Result<Running, String> {
    if let Some(make) = site.lone_echo() {
        return server.start(make);
    }
    match site.lone_proxy(workers, loads, ledger.clone()) {
        Some(make) => server.start(make),
        None => server.start(site.several(workers, loads, ledger)),
    }
}

/// What every report says of the run.
struct About<'a> {
    plan: &'a Plan,
    options: &'a Options,
    site: Site,
    notes: Vec<String>,
    cores: Vec<usize>,
    workers: usize,
    served: Vec<Served>,
    started: SystemTime,
    started_ns: u64,
}

struct Main<'a> {
    about: About<'a>,
    /// Looks after members, where some have to be looked after.
    keeper: Option<Keeper>,
    epoll: Epoll,
    signals: Signals,
    printer: Printer,
    journal: Option<Journal>,
    intervals: Option<IntervalLog>,
    is_stopping: bool,
    failed: bool,
}

impl Main<'_> {
    fn announce(&self) {
        let About { plan, options, site, notes, cores, workers, served, .. } = &self.about;
        notes.iter().for_each(|note| self.note(note));
        for (index, served) in served.iter().enumerate() {
            let spec = site.describe(index);
            say(&format!(
                "ready: {} on {} · {workers} workers · accept={} trigger={} poll={}{}",
                spec.kind.name(),
                served.address,
                served.accept,
                options.trigger,
                options.poll,
                details(spec),
            ));
        }
        for (index, served) in served.iter().enumerate() {
            plan.log().event("ready", self.about.ready(index, served));
        }
        if plan.verbose {
            let cores: Vec<String> = cores.iter().map(ToString::to_string).collect();
            let pinned = if options.pin { "pinned" } else { "not pinned" };
            let process = std::process::id();
            let cores = cores.join(",");
            plan.log().info(&format!("workers on cores {cores} ({pinned}), process {process}"));
        }
    }

    /// Serves until every worker has ended, then reports.
    fn live(&mut self, mut running: Running) -> Result<(), Failure> {
        self.serve(&mut running).map_err(Failure::Run)?;
        let stopped = running.join();
        // Every session has ended, so every line has been sent.
        if let Some(dropped) = self.journal.take().map(Journal::finish).filter(|dropped| *dropped > 0) {
            self.note(&format!("{dropped} lines of the ledger could not be written"));
        }
        if let Some(Err(message)) = self.intervals.take().map(|log| log.finish(&stopped.workers)) {
            self.about.plan.log().error(&message);
        }
        let report = self.report(&stopped.workers, stopped.acceptor.as_ref());
        self.failed |= self.keeper.take().is_some_and(|keeper| !keeper.stop());
        self.print_last(report).map_err(Failure::Run)?;
        match self.failed || stopped.panicked > 0 {
            true => Err(Failure::Run(format!(
                "{} of the threads failed; this is a defect",
                stopped.panicked.max(1)
            ))),
            false => Ok(()),
        }
    }

    fn serve(&mut self, running: &mut Running) -> Result<(), String> {
        self.epoll.add(running.ended(), ENDED, Interest::READ).map_err(cannot_wait)?;
        let plan = self.about.plan;
        let started_ns = self.about.started_ns;
        let mut reports = plan.report_every.map(|every| Beat::new(started_ns, every));
        let mut rows = self.intervals.as_ref().map(|_| Beat::new(started_ns, intervals::EVERY));
        let end_ns = plan.duration.map(|duration| started_ns.saturating_add(nanos(duration)));
        while !running.is_over() {
            let end_ns = end_ns.filter(|_| !self.is_stopping);
            let beats = [&reports, &rows].into_iter().flatten().map(|beat| beat.next_ns);
            self.wait(beats.chain(end_ns).min())?;
            while let Some(signal) = self.signals.next() {
                self.heed(signal, running);
            }
            running.ended().silence();
            self.printer.go_on();
            self.stop_after_panic(running);
            let now_ns = clock::now_ns();
            if reports.as_mut().is_some_and(|beat| beat.is_due(now_ns)) {
                self.report_now(running);
            }
            if let Some(log) = &self.intervals
                && rows.as_mut().is_some_and(|beat| beat.is_due(now_ns))
            {
                running.ask(log.reply());
            }
            if end_ns.is_some_and(|end| end <= now_ns) {
                self.stop(running, plan.drain.unwrap_or(DURATION_DRAIN));
            }
        }
        Ok(())
    }

    /// Until a signal, the end of a thread, or this time.
    fn wait(&self, until_ns: Option<u64>) -> Result<(), String> {
        let timeout_ns = until_ns.map(|until| until.saturating_sub(clock::now_ns()));
        let mut events = Events::with_capacity(4);
        self.epoll.wait(&mut events, timeout_ns).map_err(cannot_wait)?;
        Ok(())
    }

    fn heed(&mut self, signal: Signal, running: &mut Running) {
        match signal {
            Signal::Report => self.report_now(running),
            Signal::Upgrade => self.note("there is nothing to upgrade to yet: SIGUSR2 is ignored"),
            Signal::Hangup if self.about.plan.has_file => {
                self.note("the configuration file is not read again while it runs: SIGHUP is ignored");
            }
            Signal::Stop | Signal::Hangup if self.is_stopping => {
                self.note("stopping at once");
                self.stop(running, Duration::ZERO);
            }
            Signal::Stop | Signal::Hangup => self.stop(running, self.about.options.drain),
        }
    }

    fn stop(&mut self, running: &mut Running, drain: Duration) {
        self.is_stopping = true;
        running.stop(drain);
    }

    /// A worker that has ended though nobody told it to has panicked. The others get their time to finish.
    fn stop_after_panic(&mut self, running: &mut Running) {
        if !self.is_stopping && running.has_ended() {
            self.failed = true;
            self.note("a worker has failed: the others finish what they have");
            self.stop(running, self.about.options.drain);
        }
    }

    fn report_now(&mut self, running: &mut Running) {
        let (workers, acceptor) = running.snapshot();
        let report = self.report(&workers, acceptor.as_ref());
        self.printer.interim(report);
    }

    fn report(&self, workers: &[WorkerSnapshot], acceptor: Option<&AcceptorSnapshot>) -> Report {
        let view = |service| self.keeper.as_ref().and_then(|keeper| keeper.view(service));
        self.about.report(view, workers, acceptor)
    }

    fn print_last(&mut self, report: Report) -> Result<(), String> {
        // Those that were asked for before come first.
        self.wait_for_printer(|printer| printer.is_idle().then_some(()))?;
        self.printer.last(report)?;
        self.wait_for_printer(Printer::result)?
    }

    /// For as long as it takes; once a signal says that the reader will not read on, not much longer.
    fn wait_for_printer<T>(&mut self, done: impl Fn(&mut Printer) -> Option<T>) -> Result<T, String> {
        let mut until_ns = None;
        loop {
            if let Some(done) = done(&mut self.printer) {
                return Ok(done);
            }
            if until_ns.is_some_and(|until| until <= clock::now_ns()) {
                return Err("the report was not read to its end: nobody reads it".into());
            }
            self.wait(until_ns)?;
            while let Some(signal) = self.signals.next() {
                if matches!(signal, Signal::Stop | Signal::Hangup) && until_ns.is_none() {
                    until_ns = Some(clock::now_ns() + GIVE_UP_NS);
                }
            }
        }
    }

    fn note(&self, text: &str) {
        self.about.plan.log().note(text);
    }
}

impl About<'_> {
    /// A ready line, for programs.
    fn ready(&self, index: usize, served: &Served) -> Value {
        let spec = self.site.describe(index);
        json!({
            "service": spec.name,
            "kind": spec.kind.name(),
            "address": served.address.to_string(),
            "workers": self.workers,
            "accept": served.accept.name(),
            "trigger": self.options.trigger.name(),
            "poll": self.options.poll.to_string(),
        })
    }

    fn report(
        &self,
        view: impl Fn(usize) -> Option<View>,
        workers: &[WorkerSnapshot],
        acceptor: Option<&AcceptorSnapshot>,
    ) -> Report {
        let duration = Duration::from_nanos(clock::now_ns() - self.started_ns);
        let silent = (0..self.workers).filter(|worker| workers.iter().all(|known| known.worker != *worker));
        let missing = silent
            .map(|worker| format!("worker {worker} did not answer in time: it is left out of this report"));
        let run = RunInfo {
            cores: self.cores.clone(),
            workers: self.workers,
            services: self.site.services(&self.served),
            upstreams: self.site.upstreams(view),
            notes: self.notes.iter().cloned().chain(missing).collect(),
            ..RunInfo::new(self.started, duration, self.options)
        };
        Report::new(run, workers, acceptor)
    }
}

/// What comes again and again, on a grid: what was late is not made up for.
struct Beat {
    next_ns: u64,
    every_ns: u64,
}

impl Beat {
    fn new(started_ns: u64, every: Duration) -> Self {
        let every_ns = nanos(every);
        Self { next_ns: started_ns.saturating_add(every_ns), every_ns }
    }

    /// Whether it is time; then the next time is the first on the grid that is still to come.
    fn is_due(&mut self, now_ns: u64) -> bool {
        let Some(late_ns) = now_ns.checked_sub(self.next_ns) else { return false };
        self.next_ns =
            self.next_ns.saturating_add((late_ns / self.every_ns + 1).saturating_mul(self.every_ns));
        true
    }
}

/// What a ready line says at its end: a name that was given, how bytes cross, and where to.
fn details(spec: &Spec) -> String {
    let name = if spec.name == spec.kind.name() { String::new() } else { format!(" · {}", spec.name) };
    let Kind::Proxy(proxy) = &spec.kind else { return name };
    let upstreams: Vec<String> = proxy.members().map(|upstream| upstream.place.to_string()).collect();
    format!(" · forward={}{name} · to {}", proxy.forward, upstreams.join(", "))
}

fn cannot_wait(error: Errno) -> String {
    format!("the main thread cannot wait: {}; free memory", sys::reason(&error.into()))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
