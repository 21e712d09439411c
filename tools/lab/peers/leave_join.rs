//! A server of which one worker leaves and joins again and again, while clients keep coming.
//!
//! Each worker is a thread with a listener of its own in one SO_REUSEPORT group, and echoes. Worker 0 closes its
//! listener, stays away, listens anew, and so on, from the first connection on. What waits in the accept queue of
//! a listener that closes is reset by the kernel (`inet_csk_listen_stop`), although the neighbours are well:
//! clients that were established, and may have sent their request, see ECONNRESET. Three ways to leave show what
//! that costs and what helps: at once; with the queue emptied just before; and with `net.ipv4.tcp_migrate_req`,
//! by which the kernel hands the queue to another member of the group.
//!
//! It takes the flags of `evenkeel echo` that a trial uses, and tells what happened in the same words.

use std::{
    ffi::OsString,
    fs,
    io::{self, Write},
    net::SocketAddr,
    process::ExitCode,
    sync::atomic::{
        AtomicBool, AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use clap::{Parser, ValueEnum};
use evenkeel::{
    config::{AcceptMode, Options, Trigger, units},
    measure::{
        counts::Counts,
        histograms::Histograms,
        report::{ListenerInfo, Report, RunInfo, ServiceInfo},
        snapshot::WorkerSnapshot,
    },
    runtime::topology,
    service::Work,
    sys::{
        Errno, clock,
        epoll::{Epoll, Events, Interest},
        listen::{ListenAddress, Listener, TcpOptions},
        signals::Signals,
        socket::{Liveness, Socket},
    },
};
use slab::Slab;

const PROGRAM: &str = "evenkeel-lab leave-join";

/// The sysctl that lets the kernel hand a closing listener's queue to its group.
const MIGRATE_REQ: &str = "/proc/sys/net/ipv4/tcp_migrate_req";

/// The longest that a worker sleeps before it looks whether to leave, to join or to end.
const TICK_NS: u64 = 5_000_000;

/// The token of a worker's listener; those of sessions are their places in the table.
const LISTENER: u64 = u64::MAX;

/// A worker's read buffer.
const SCRATCH_LEN: usize = 64 << 10;

/// Serve echo with workers of which the first leaves and joins.
#[derive(Debug, Parser)]
#[command(name = "leave-join", max_term_width = 100)]
struct Args {
    /// Where to listen.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Number of workers.
    #[arg(long, value_name = "N", default_value = "4", value_parser = clap::value_parser!(u16).range(2..=1024))]
    workers: u16,
    /// How long worker 0 listens before it leaves.
    #[arg(long, value_name = "TIME", default_value = "200ms", value_parser = units::duration_above_zero)]
    here: Duration,
    /// How long it stays away.
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = units::duration_above_zero)]
    away: Duration,
    /// What it does about the connections that wait in its accept queue when it leaves.
    #[arg(long, value_enum, default_value = "at-once")]
    leave: Leave,
    /// Let the kernel hand them to other workers (net.ipv4.tcp_migrate_req), in a network namespace of one's own.
    #[arg(long)]
    migrate: bool,
    /// Service time of each message, as in `evenkeel echo`.
    #[arg(long, value_name = "WORK")]
    work: Option<Work>,
    /// Length of the accept queue that is asked for.
    #[arg(long, value_name = "N", default_value_t = 4096)]
    backlog: i32,
    /// Greet each connection with the worker's number and a sequence number.
    #[arg(long)]
    greet: bool,
    /// The accept mode: leaving has this meaning in `private` alone.
    #[arg(long, value_name = "MODE", default_value = "private", value_parser = private)]
    accept: AcceptMode,
    /// Connections are level-triggered, whatever is said here.
    #[arg(long, value_name = "TRIGGER", default_value = "level")]
    trigger: Trigger,
    /// So are listeners.
    #[arg(long, value_name = "TRIGGER", default_value = "level")]
    listen_trigger: Trigger,
    /// Cores for the workers, in turn.
    #[arg(long, value_name = "LIST", value_parser = cores)]
    cores: Option<Cores>,
    /// Let the scheduler move the workers, as it does without --cores.
    #[arg(long)]
    no_pin: bool,
    /// The form of the report.
    #[arg(long, value_name = "FORM", default_value = "json")]
    report: String,
    /// What service times are drawn from.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// How a worker leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Leave {
    /// It closes its listener.
    AtOnce,
    /// It accepts what waits, then closes its listener.
    Emptied,
}

/// A list of cores; a type of its own because clap takes a `Vec` for a flag that may be repeated.
#[derive(Clone, Debug)]
struct Cores(Vec<usize>);

/// What the workers have in common.
struct Shared<'a> {
    args: &'a Args,
    address: SocketAddr,
    /// When the first connection was accepted; 0 before.
    begun_ns: AtomicU64,
    /// The run is over.
    stop: AtomicBool,
}

/// What a worker leaves behind.
struct Ended {
    counts: Counts,
    active_max: u64,
    queue_max: u64,
    departures: u64,
}

/// Runs the program with these arguments, the first of which is its name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Args = match super::parse(PROGRAM, args) {
        Ok(args) => args,
        Err(answered) => return answered,
    };
    if let Err(why) = set_migration(args.migrate) {
        return super::refuse(PROGRAM, &why);
    }
    match serve(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{PROGRAM}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until a signal comes, then reports.
fn serve(args: &Args) -> io::Result<()> {
    let signals = Signals::block()?;
    let (started, since) = (SystemTime::now(), Instant::now());
    let mut listeners = vec![listen(args.listen, args.backlog)?];
    let address = match listeners[0].address() {
        ListenAddress::Tcp(address) => *address,
        ListenAddress::Unix(_) => args.listen,
    };
    for _ in 1..args.workers {
        listeners.push(listen(address, args.backlog)?);
    }
    eprintln!(
        "ready: echo on {address} · {} workers · accept=private trigger=level poll=block",
        args.workers
    );
    let shared = Shared { args, address, begun_ns: AtomicU64::new(0), stop: AtomicBool::new(false) };
    let ended = thread::scope(|scope| {
        let start = |(number, listener)| {
            let shared = &shared;
            scope.spawn(move || Worker::new(number, listener, shared)?.run())
        };
        let workers: Vec<_> = listeners.into_iter().enumerate().map(start).collect();
        signals.wait_for_end();
        shared.stop.store(true, Release);
        let join = |worker: thread::ScopedJoinHandle<'_, Result<Ended, Errno>>| {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        workers.into_iter().map(join).collect::<Result<Vec<_>, _>>()
    })?;
    print(&report(&shared, started, since.elapsed(), &ended))
}

fn listen(address: SocketAddr, backlog: i32) -> io::Result<Listener> {
    let liveness = Liveness::default();
    Listener::tcp(
        address,
        TcpOptions {
            reuseport: true,
            incoming_cpu: None,
            nodelay: true,
            liveness,
            backlog,
            timestamps: false,
        },
    )
    .map_err(|error| io::Error::other(format!("cannot listen on {address}: {error}")))
}

fn report(shared: &Shared<'_>, started: SystemTime, duration: Duration, ended: &[Ended]) -> String {
    let args = shared.args;
    let options = Options {
        pin: args.cores.is_some(),
        trigger: Trigger::Level,
        listen_trigger: Trigger::Level,
        backlog: args.backlog,
        ..Options::default()
    };
    let listener =
        ListenerInfo { index: 0, address: shared.address.to_string(), accept: AcceptMode::Private };
    let service = ServiceInfo {
        name: "echo".into(),
        kind: "echo".into(),
        listeners: vec![listener],
        ..ServiceInfo::default()
    };
    let departures: u64 = ended.iter().map(|worker| worker.departures).sum();
    let run = RunInfo {
        cores: args.cores.as_ref().map_or_else(Vec::new, |cores| cores.0.clone()),
        services: vec![service],
        notes: vec![format!("worker 0 left {departures} times ({}).", args.how())],
        ..RunInfo::new(started, duration, &options)
    };
    let snapshot = |(number, ended): (usize, &Ended)| WorkerSnapshot {
        worker: number,
        core: args.core(number),
        counts: ended.counts.clone(),
        active_avg: 0.0,
        active_max: ended.active_max,
        accept_queue_max: ended.queue_max,
        accepted_by: Vec::new(),
        ends: Default::default(),
        upstreams: Vec::new(),
        histograms: Histograms::default(),
    };
    let workers: Vec<_> = ended.iter().enumerate().map(snapshot).collect();
    Report::new(run, &workers, None).to_json_line()
}

fn print(line: &str) -> io::Result<()> {
    match writeln!(io::stdout(), "{line}") {
        // Whoever read us has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

impl Args {
    fn core(&self, worker: usize) -> Option<usize> {
        let cores = &self.cores.as_ref().filter(|_| !self.no_pin)?.0;
        Some(cores[worker % cores.len()])
    }

    fn how(&self) -> &'static str {
        match (self.leave, self.migrate) {
            (_, true) => "the kernel migrates its queue",
            (Leave::AtOnce, false) => "its listener is closed at once",
            (Leave::Emptied, false) => "its queue is emptied, then its listener is closed",
        }
    }
}

/// One thread of the server, and all that it owns.
struct Worker<'a> {
    number: usize,
    shared: &'a Shared<'a>,
    epoll: Epoll,
    /// None while it's away.
    listener: Option<Listener>,
    sessions: Slab<Socket>,
    work: Option<Work>,
    scratch: Vec<u8>,
    ended: Ended,
}

impl<'a> Worker<'a> {
    fn new(number: usize, listener: Listener, shared: &'a Shared<'a>) -> Result<Self, Errno> {
        let epoll = Epoll::new()?;
        epoll.add(&listener, LISTENER, Interest::READ)?;
        Ok(Self {
            number,
            shared,
            epoll,
            listener: Some(listener),
            sessions: Slab::new(),
            work: shared.args.work.as_ref().map(|work| work.seeded(shared.args.seed, number)),
            scratch: vec![0; SCRATCH_LEN],
            ended: Ended { counts: Counts::default(), active_max: 0, queue_max: 0, departures: 0 },
        })
    }

    /// Serves until the end. Descriptors that run out end it early: a trial needs few.
    fn run(mut self) -> Result<Ended, Errno> {
        if let Some(core) = self.shared.args.core(self.number) {
            // Where the core isn't ours, the run is still right.
            topology::pin(core);
        }
        let mut events = Events::with_capacity(256);
        while !self.shared.stop.load(Acquire) {
            self.leave_or_join()?;
            self.epoll.wait(&mut events, Some(TICK_NS))?;
            for index in 0..events.len() {
                match events.get(index).0 {
                    LISTENER => {
                        self.accept()?;
                    }
                    session => self.turn(session as usize),
                }
            }
            self.ended.counts.wakeups += u64::from(!events.is_empty());
        }
        self.ended.counts.closed = self.ended.counts.accepted;
        Ok(self.ended)
    }

    /// Worker 0 is away at the end of each period.
    fn leave_or_join(&mut self) -> Result<(), Errno> {
        let begun_ns = self.shared.begun_ns.load(Relaxed);
        if self.number != 0 || begun_ns == 0 {
            return Ok(());
        }
        let (here_ns, away_ns) =
            (self.shared.args.here.as_nanos() as u64, self.shared.args.away.as_nanos() as u64);
        let is_away = clock::now_ns().saturating_sub(begun_ns) % (here_ns + away_ns) >= here_ns;
        match &self.listener {
            Some(_) if is_away => self.leave(),
            None if !is_away => self.join(),
            _ => Ok(()),
        }
    }

    fn leave(&mut self) -> Result<(), Errno> {
        self.ended.queue_max = self.ended.queue_max.max(self.queue_len());
        if self.shared.args.leave == Leave::Emptied {
            while self.accept()? {}
        }
        self.listener = None;
        self.ended.departures += 1;
        Ok(())
    }

    fn join(&mut self) -> Result<(), Errno> {
        let listener = listen(self.shared.address, self.shared.args.backlog)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::ADDRINUSE))?;
        self.epoll.add(&listener, LISTENER, Interest::READ)?;
        self.listener = Some(listener);
        Ok(())
    }

    fn queue_len(&self) -> u64 {
        self.listener.as_ref().and_then(Listener::queue_len).map_or(0, u64::from)
    }

    /// Takes one connection; whether there was one.
    fn accept(&mut self) -> Result<bool, Errno> {
        let Some(listener) = &self.listener else { return Ok(false) };
        let socket = match listener.accept() {
            Ok((socket, _)) => socket,
            Err(Errno::AGAIN) => {
                self.ended.counts.accept_eagain += 1;
                return Ok(false);
            }
            Err(error @ (Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)) => return Err(error),
            Err(_) => {
                self.ended.counts.accept_aborted += 1;
                return Ok(true);
            }
        };
        // Only the first of all stores; whoever comes later finds that it is begun.
        let _ = self.shared.begun_ns.compare_exchange(0, clock::now_ns(), Relaxed, Relaxed);
        if self.shared.args.greet {
            let greeting = [(self.number as u64).to_le_bytes(), self.ended.counts.accepted.to_le_bytes()];
            // A peer that is gone already is found at the first read.
            let _ = socket.write(greeting.as_flattened());
        }
        self.ended.counts.accepted += 1;
        let entry = self.sessions.vacant_entry();
        self.epoll.add(&socket, entry.key() as u64, Interest::READ)?;
        entry.insert(socket);
        self.ended.active_max = self.ended.active_max.max(self.sessions.len() as u64);
        Ok(true)
    }

    /// Echoes what one read brings.
    fn turn(&mut self, key: usize) {
        // An earlier event of the batch may have closed it: it is gone then, or it has a successor in its place,
        // for which the read finds nothing.
        let Some(socket) = self.sessions.get(key) else { return };
        let counts = &mut self.ended.counts;
        let read = socket.read(&mut self.scratch);
        if let (Ok(1..), Some(work)) = (read, &mut self.work) {
            work.perform();
        }
        let is_over = match read {
            Err(Errno::AGAIN) => false,
            Ok(0) => true,
            Err(_) => {
                counts.errors.reset += 1;
                true
            }
            Ok(len) => {
                counts.messages += 1;
                counts.bytes_in += len as u64;
                let written = socket.write(&self.scratch[..len]).unwrap_or(0);
                counts.bytes_out += written as u64;
                // Clients of a trial take what they are owed; who doesn't is cut, and it shows.
                counts.bytes_undelivered += (len - written) as u64;
                written < len
            }
        };
        if is_over {
            self.sessions.remove(key);
        }
    }
}

/// Has the kernel migrate the queues of closing listeners, or not. In a network namespace of one's own only: the
/// machine's setting is not the lab's to change.
///
/// # Errors
/// A sentence, where migration was asked for and can't be had.
fn set_migration(migrate: bool) -> Result<(), String> {
    match (has_only_loopback(), migrate) {
        (true, _) => fs::write(MIGRATE_REQ, if migrate { "1" } else { "0" }).or_else(|error| {
            if migrate { Err(format!("cannot set tcp_migrate_req: {error}")) } else { Ok(()) }
        }),
        (false, false) => Ok(()),
        (false, true) => {
            Err("tcp_migrate_req is set only where there is no interface but loopback: give the variant \
                 namespace = true"
                .to_owned())
        }
    }
}

/// Whether nobody but this machine's own programs can be reached, as in a fresh network namespace.
fn has_only_loopback() -> bool {
    // Two lines of titles, then one an interface. /proc/net is that of the process's own namespace.
    let names = |text: String| -> Vec<String> {
        let lines = text.lines().skip(2).filter_map(|line| line.split_once(':'));
        lines.map(|(name, _)| name.trim().to_owned()).collect()
    };
    fs::read_to_string("/proc/net/dev").map(names).is_ok_and(|names| names == ["lo"])
}

fn private(text: &str) -> Result<AcceptMode, String> {
    match text.parse()? {
        AcceptMode::Private => Ok(AcceptMode::Private),
        other => Err(format!("with {other} no listener leaves a group: use private")),
    }
}

fn cores(text: &str) -> Result<Cores, String> {
    units::cores(text).map(Cores)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use evenkeel::cli::in_one_line;

    use super::*;

    #[test]
    fn the_flags_of_a_trial_are_taken() {
        Args::command().debug_assert();
        let flags = "leave-join --listen 127.0.0.1:0 --workers 4 --accept private --trigger edge --listen-trigger \
                     level --no-pin --greet --report json --seed 7 --work block:fixed:1ms --leave emptied";
        let args = Args::try_parse_from(flags.split_whitespace()).unwrap();
        assert_eq!((args.leave, args.workers, args.core(0)), (Leave::Emptied, 4, None));
    }

    #[test]
    fn leaving_has_a_meaning_in_private_alone() {
        let error = Args::try_parse_from(["leave-join", "--accept", "rotate"]).unwrap_err();
        assert!(in_one_line(&error).contains("no listener leaves a group"), "{error}");
        assert!(Args::try_parse_from(["leave-join", "--workers", "1"]).is_err(), "nobody would be left");
    }
}
