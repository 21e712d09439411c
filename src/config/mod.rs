//! What was asked for, validated: modes, units, addresses, and the options of a runtime.
//!
//! Nothing here touches the system, but for names of hosts, which are resolved when they are bound; every
//! module above may read it.

pub mod access;
pub mod address;
pub mod escape;
pub mod fault;
pub mod health;
mod hostname;
pub mod limits;
pub mod listened;
pub mod log;
pub mod modes;
pub mod proxy;
pub mod proxy_protocol;
pub mod routes;
pub mod units;
pub mod upstream;

pub use access::{Access, Cidr};
pub use address::Address;
pub use fault::Fault;
pub use health::HealthOptions;
pub use limits::{Limits, Rate};
pub use listened::Listened;
pub use log::LogTarget;
pub use modes::{
    AcceptMode, Balance, Deal, Forward, LogFormat, Measure, OnDown, OnFdLimit, PollMode, ProxyVersion,
    Trigger,
};
pub use proxy::{ProxyOptions, Timeouts};
pub use proxy_protocol::ProxyProtocol;
pub use routes::{RouteOptions, SniPattern};
pub use upstream::{Place, UpstreamOptions};

use std::{net::SocketAddr, time::Duration};

/// An address to listen on, and how a TCP client that has vanished is noticed there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address.
    pub address: Address,
    /// Keep-alive: idle time before the first probe.
    pub keepalive: Option<Duration>,
    /// TCP_USER_TIMEOUT.
    pub user_timeout: Option<Duration>,
}

impl From<Address> for Listen {
    fn from(address: Address) -> Self {
        Self { address, keepalive: None, user_timeout: None }
    }
}

/// How a runtime is built and how its loops run. Every field has the default of the flag that sets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Number of workers (1 to 1024); `None` is the number of allowed cores, bounded by the cgroup's quota.
    pub workers: Option<usize>,
    /// The cores to use; `None` is every core of the affinity mask.
    pub cores: Option<Vec<usize>>,
    /// Whether each worker stays on its core.
    pub pin: bool,
    /// How connections reach workers.
    pub accept: AcceptMode,
    /// How epoll reports connections.
    pub trigger: Trigger,
    /// How epoll reports listeners.
    pub listen_trigger: Trigger,
    /// How an idle worker waits.
    pub poll: PollMode,
    /// `rotate`: accepts after which a worker goes to the back of the wait queue.
    pub rotate_every: u32,
    /// `dealt`: who gets the next connection.
    pub deal: Deal,
    /// The most accepts in one iteration; `None` is 64, and 1 where a listener is shared.
    pub accept_budget: Option<usize>,
    /// The most bytes that a turn reads.
    pub budget: usize,
    /// The length of each accept queue that is asked for (the kernel bounds it by `net.core.somaxconn`).
    pub backlog: i32,
    /// Whether TCP_NODELAY is set.
    pub nodelay: bool,
    /// Permission bits of a unix listener's path.
    pub unix_mode: u32,
    /// The most sessions of the process, whatever they are for.
    pub max_connections: Option<u64>,
    /// What happens to connections for which there is no descriptor.
    pub on_fd_limit: OnFdLimit,
    /// The DNS server to ask; `None` is those of the system.
    pub resolver: Option<SocketAddr>,
    /// How long sessions may go on after a stop was asked for.
    pub drain: Duration,
    /// How much is recorded.
    pub measure: Measure,
    /// Whether the kernel is asked when it received what clients send.
    pub timestamps: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            workers: None,
            cores: None,
            pin: true,
            accept: AcceptMode::Private,
            trigger: Trigger::Edge,
            listen_trigger: Trigger::Level,
            poll: PollMode::Block,
            rotate_every: 1,
            deal: Deal::RoundRobin,
            accept_budget: None,
            budget: 256 << 10,
            backlog: 4096,
            nodelay: true,
            unix_mode: 0o660,
            max_connections: None,
            on_fd_limit: OnFdLimit::Wait,
            resolver: None,
            drain: Duration::from_secs(10),
            measure: Measure::Full,
            timestamps: false,
        }
    }
}

impl Options {
    /// The most workers that a runtime takes; more is surely a slip of the keyboard.
    pub const WORKERS_MAX: usize = 1024;
    /// Accepts in one iteration where a worker has the listener for itself.
    pub const ACCEPT_BUDGET: usize = 64;

    /// Whether reads are stamped: what comes of it goes into a histogram, so it takes that these are kept.
    pub fn stamps(&self) -> bool {
        self.timestamps && self.measure == Measure::Full
    }

    /// What can't be seen by looking at one field at a time.
    ///
    /// # Errors
    /// A sentence that names the fields and what to do.
    pub fn validate(&self) -> Result<(), String> {
        match self.workers {
            Some(0) => return Err("zero workers would serve nobody: use 1 or more, or auto".into()),
            Some(workers) if workers > Self::WORKERS_MAX => {
                return Err(format!("{workers} workers are too many: use at most {}", Self::WORKERS_MAX));
            }
            _ => {}
        }
        if !self.accept.allows(self.listen_trigger) {
            return Err(format!(
                "accept mode {} cannot have listen trigger oneshot: the kernel refuses EPOLLEXCLUSIVE with \
                 EPOLLONESHOT (EINVAL); use level or edge",
                self.accept
            ));
        }
        for (below_one, what) in [
            (self.rotate_every == 0, "rotate-every"),
            (self.accept_budget == Some(0), "accept-budget"),
            (self.budget == 0, "budget"),
            (self.backlog <= 0, "backlog"),
            (self.max_connections == Some(0), "max-connections"),
        ] {
            if below_one {
                return Err(format!("{what} must be 1 or more: with less, nothing would get through"));
            }
        }
        Ok(())
    }
}
