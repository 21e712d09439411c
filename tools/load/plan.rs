//! What a run is to do: the command line with its defaults decided and its address resolved.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use clap::ValueEnum;
use evenkeel::config::Address;

use super::{
    args::Args, places::PLACES_MAX, schedule::Arrivals, shape::Shape, slices::SLICES_MAX, socket::Target,
    source::Sources,
};

/// A run, decided.
#[derive(Debug)]
pub struct Plan {
    /// The server, as it was typed.
    pub address: Address,
    /// The server, as it is connected to.
    pub target: Target,
    /// What the connections carry.
    pub load: Load,
    /// When to stop.
    pub end: End,
    /// Open loop: messages that a connection has in flight at most; what is due beyond that waits here.
    pub in_flight_max: u64,
    /// How long the load runs before it is measured.
    pub warmup_ns: u64,
    /// Connections in all.
    pub connections: usize,
    /// How messages are spread over them.
    pub shape: Shape,
    /// Where they come from; `None` leaves it to the kernel.
    pub source: Option<Sources>,
    /// How those that are replaced are closed.
    pub close: Close,
    /// Whether they are held until a signal, where they carry nothing.
    pub hold: bool,
    /// Bytes a second that each reads at most.
    pub read_rate: Option<u64>,
    /// The most bytes of one write.
    pub write_chunk: u64,
    /// Closed loop: how long a user thinks before the next message, on average.
    pub think_ns: Option<u64>,
    /// Bytes of a message.
    pub size: u64,
    /// Messages after which a connection is replaced.
    pub churn: Option<u64>,
    /// Whether each connection starts with 16 bytes from the server.
    pub greet: bool,
    /// From one connection's opening to the next one's, before the load starts.
    pub spacing_ns: u64,
    /// How many share the connections.
    pub threads: usize,
    /// Where threads are pinned, in turn; empty where they aren't.
    pub cores: Vec<usize>,
    /// What bytes and due times are drawn from.
    pub seed: u64,
    /// How long a slice of the run over time is, where that is asked for.
    pub slice_ns: Option<u64>,
    /// Whether connections are told one by one.
    pub per_connection: bool,
    /// Whether the kernel stamps what it receives.
    pub timestamps: bool,
    /// Where the interval log goes.
    pub hlog: Option<PathBuf>,
    /// Whether bytes are compared.
    pub verify: bool,
    /// How the report is printed.
    pub json: bool,
}

/// What the connections carry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Load {
    /// The next message goes when the answer to an earlier one is there.
    Closed {
        /// Messages that a connection keeps in flight.
        pipeline: usize,
    },
    /// Messages go when they are due.
    Open {
        /// In all.
        rate_per_s: f64,
        /// How the gaps are distributed.
        arrivals: Arrivals,
        /// Whether a thread spins before a message is due.
        spin: bool,
    },
    /// Nothing; connections are opened and held.
    ConnectOnly,
}

/// How a connection is closed that was used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Close {
    /// In order.
    Fin,
    /// At once: no TIME_WAIT is left.
    Rst,
}

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// When this much time was measured.
    AfterNs(u64),
    /// When this many measured messages were sent.
    AfterMessages(u64),
}

/// The most messages that a connection keeps in flight.
pub const PIPELINE_MAX: usize = 65_536;

impl Plan {
    /// The largest message. The table of bytes is as long, and socket buffers are far smaller.
    pub const SIZE_MAX: usize = 64 << 20;
    /// The highest rate; far above what a machine does, and far below where gaps round to nothing.
    pub const RATE_MAX_PER_S: f64 = 100_000_000.0;
    /// The longest time that users think on average: a run must not look as if nothing happened any more.
    pub const THINK_MAX: Duration = Duration::from_secs(5);
    /// The longest run.
    pub const DURATION_MAX: Duration = Duration::from_secs(1_000 * 3_600);

    /// Decides what `args` left open.
    ///
    /// # Errors
    /// A sentence, where flags don't fit together or the address has no meaning.
    pub fn new(args: Args) -> Result<Self, String> {
        if args.threads > args.connections {
            return Err(format!(
                "{} threads have too little to do with --connections {}: use at most one thread a connection",
                args.threads, args.connections
            ));
        }
        let warmup = args.warmup.unwrap_or(Duration::from_secs(u64::from(args.messages.is_none())));
        if warmup > Self::DURATION_MAX || args.connect_spacing > Self::DURATION_MAX {
            return Err("a warm-up or a spacing of months is surely a slip: use seconds".to_owned());
        }
        check_slices(&args, warmup)?;
        check_shape(&args)?;
        let target = Target::resolve(&args.address)?;
        check_target(&args, &target)?;
        Ok(Self {
            target,
            address: args.address,
            load: match args.rate {
                _ if args.connect_only => Load::ConnectOnly,
                Some(rate_per_s) => Load::Open { rate_per_s, arrivals: args.arrivals, spin: args.spin },
                None => Load::Closed { pipeline: args.pipeline.unwrap_or(1) },
            },
            end: match args.messages {
                Some(messages) => End::AfterMessages(messages as u64),
                None => End::AfterNs(nanos(args.duration)),
            },
            in_flight_max: match args.rate {
                Some(_) => args.pipeline.map_or(u64::MAX, |pipeline| pipeline as u64),
                None => u64::MAX,
            },
            warmup_ns: nanos(warmup),
            connections: args.connections,
            shape: args.shape,
            source: args.source,
            close: args.close,
            hold: args.hold,
            read_rate: args.read_rate.map(|rate| rate as u64),
            write_chunk: args.write_chunk.map_or(u64::MAX, |chunk| chunk as u64),
            think_ns: args.think.map(nanos),
            size: args.size as u64,
            churn: args.churn.map(|churn| churn as u64),
            greet: args.greet,
            spacing_ns: nanos(args.connect_spacing),
            threads: args.threads,
            cores: args.cores.map(|cores| cores.0).unwrap_or_default(),
            seed: args.seed,
            slice_ns: args.slices.map(nanos),
            timestamps: args.timestamps,
            hlog: args.hlog,
            per_connection: args.per_connection,
            verify: !args.no_verify,
            json: args.json,
        })
    }

    /// What of `total` falls to `thread`; shares differ by one at most.
    pub fn share(&self, total: u64, thread: usize) -> u64 {
        let threads = self.threads as u64;
        total / threads + u64::from((thread as u64) < total % threads)
    }

    /// Whether messages have due times.
    pub fn is_open_loop(&self) -> bool {
        matches!(self.load, Load::Open { .. })
    }

    /// Whether connections pause between what they do, or between their opening.
    pub fn has_pauses(&self) -> bool {
        self.spacing_ns > 0 || self.think_ns.is_some() || self.read_rate.is_some()
    }

    /// The core of a thread, where it has one.
    pub fn core(&self, thread: usize) -> Option<usize> {
        self.cores.get(thread % self.cores.len().max(1)).copied()
    }
}

/// Whether there are as many elephants as asked for, and each thread has its share.
fn check_shape(args: &Args) -> Result<(), String> {
    let (elephants, factor) = (args.shape.elephants(), args.shape.factor());
    if elephants > args.connections {
        return Err(format!("{elephants} of {} connections can't be elephants: use fewer", args.connections));
    }
    if elephants % args.threads != 0 {
        return Err(format!(
            "{elephants} elephants can't be shared evenly among {} threads: use a multiple",
            args.threads
        ));
    }
    let in_flight = args.pipeline.unwrap_or(1) * factor;
    if args.rate.is_none() && in_flight > PIPELINE_MAX {
        return Err(format!(
            "elephants would keep {in_flight} messages in flight and the most is {PIPELINE_MAX}: use a lower FACTOR \
             or --pipeline"
        ));
    }
    Ok(())
}

/// Whether the flags about sockets suit what is connected to.
fn check_target(args: &Args, target: &Target) -> Result<(), String> {
    let to: Option<IpAddr> = match target {
        Target::Tcp(to) => Some(to.ip()),
        Target::Unix(_) => None,
    };
    match (to, args.source) {
        (None, Some(_)) => Err("--source is for TCP: a unix socket has no address to come from".to_owned()),
        (Some(to), Some(source)) if !source.suits(to) => {
            Err(format!("--source {source} and {to} are of different families: use addresses of one"))
        }
        (None, _) if args.timestamps => {
            Err("--timestamps is for TCP: the kernel has no stamps for a unix stream".to_owned())
        }
        _ if to.is_none() && args.close == Close::Rst => {
            Err("--close rst is for TCP: a unix socket has no reset".to_owned())
        }
        _ => Ok(()),
    }
}

/// Whether what is told in detail stays within bounds.
fn check_slices(args: &Args, warmup: Duration) -> Result<(), String> {
    let run = warmup + if args.messages.is_some() { Duration::ZERO } else { args.duration };
    let slices = args.slices.map_or(0, |slice| run.as_nanos() / slice.as_nanos());
    if slices > u128::from(SLICES_MAX) {
        return Err(format!(
            "--slices cuts this run in {slices} and the most is {SLICES_MAX}: use longer slices"
        ));
    }
    if args.per_connection && args.connections > PLACES_MAX {
        return Err(format!(
            "--per-connection tells of {PLACES_MAX} connections at most and {} are asked for: use fewer, or leave \
             it out",
            args.connections
        ));
    }
    Ok(())
}

/// Nanoseconds of a duration that [`Plan::DURATION_MAX`] bounds.
fn nanos(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}
