//! What a proxy is asked to do: where to forward to, whom to choose, how bytes cross, how long to wait.

use std::{net::IpAddr, time::Duration};

use super::{Address, Balance, Forward};

/// One place to forward to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamOptions {
    /// As it was typed; a name is resolved when the server starts.
    pub address: Address,
    /// Its share, against the others' (1 to [`UpstreamOptions::WEIGHT_MAX`]).
    pub weight: u32,
}

impl UpstreamOptions {
    /// The largest weight.
    pub const WEIGHT_MAX: u32 = 256;
}

/// How a proxy forwards. Every field has the default of the flag that sets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyOptions {
    /// Where to; at least one.
    pub upstreams: Vec<UpstreamOptions>,
    /// Who is chosen.
    pub balance: Balance,
    /// How bytes cross.
    pub forward: Forward,
    /// The address that upstream connections come from; `None` leaves it to the kernel.
    pub source: Option<IpAddr>,
    /// How often a failed connect is tried again; each other upstream is tried once, even if that is more.
    pub retries: u32,
    /// How long to wait.
    pub timeouts: Timeouts,
}

/// How long a proxied session may take for what; `None` is for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// One attempt to connect.
    pub connect: Duration,
    /// All attempts, and the pauses between them.
    pub connect_total: Duration,
    /// No byte either way.
    pub idle: Option<Duration>,
    /// No byte, after one side has ended its stream.
    pub half_closed: Option<Duration>,
    /// The whole session.
    pub session: Option<Duration>,
    /// After a stop was asked for.
    pub drain: Duration,
    /// TCP keep-alive on both sides: idle time before the first of four probes, a quarter of it apart.
    pub keepalive: Option<Duration>,
    /// TCP_USER_TIMEOUT on both sides. Off, because it also ends a peer that merely doesn't read.
    pub user: Option<Duration>,
}

impl Default for ProxyOptions {
    fn default() -> Self {
        Self {
            upstreams: Vec::new(),
            balance: Balance::P2c,
            forward: Forward::Auto,
            source: None,
            retries: 3,
            timeouts: Timeouts::default(),
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            connect_total: Duration::from_secs(10),
            idle: Some(Duration::from_secs(3600)),
            half_closed: Some(Duration::from_secs(30)),
            session: None,
            drain: Duration::from_secs(10),
            keepalive: Some(Duration::from_secs(60)),
            user: None,
        }
    }
}

impl ProxyOptions {
    /// What can't be seen by looking at one field at a time.
    ///
    /// # Errors
    /// A sentence that names the field and what to do.
    pub fn validate(&self) -> Result<(), String> {
        if self.upstreams.is_empty() {
            return Err("a proxy needs an upstream: name at least one".into());
        }
        for (index, UpstreamOptions { address, weight }) in self.upstreams.iter().enumerate() {
            if matches!(address, Address::Any { .. }) || address.has_any_port() {
                return Err(format!(
                    "upstream {address} is no place to connect to: write HOST:PORT or unix:PATH"
                ));
            }
            if !(1..=UpstreamOptions::WEIGHT_MAX).contains(weight) {
                let most = UpstreamOptions::WEIGHT_MAX;
                return Err(format!("upstream {address} has weight {weight}: use 1 to {most}"));
            }
            if self.upstreams[..index].iter().any(|other| other.address == *address) {
                return Err(format!("upstream {address} is named twice: name it once, with a weight"));
            }
        }
        if self.timeouts.connect.is_zero() || self.timeouts.connect_total.is_zero() {
            return Err("no connection can be made in no time: give connect timeouts above zero".into());
        }
        Ok(())
    }
}
