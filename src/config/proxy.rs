//! What a proxy is asked to do: where to forward to, whom to choose, how bytes cross, how long to wait.

use std::{net::IpAddr, str::FromStr, time::Duration};

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

    /// Reads a weight.
    ///
    /// # Errors
    /// A sentence that quotes the text and shows the right form.
    pub fn parse_weight(text: &str) -> Result<u32, String> {
        let weight = text.parse().ok().filter(|weight| (1..=Self::WEIGHT_MAX).contains(weight));
        weight.ok_or_else(|| format!("'{text}' is not a weight: use 1 to {}", Self::WEIGHT_MAX))
    }
}

impl FromStr for UpstreamOptions {
    type Err = String;

    /// `ADDR` or `ADDR=WEIGHT`. A path may have a `=` of its own: only digits after the last one are a weight.
    fn from_str(text: &str) -> Result<Self, String> {
        let is_path = text.starts_with("unix:");
        let is_weight = |weight: &str| weight.bytes().all(|b| b.is_ascii_digit()) && !weight.is_empty();
        let weighted = text.rsplit_once('=').filter(|(_, weight)| !is_path || is_weight(weight));
        let (address, weight) = weighted.unwrap_or((text, "1"));
        Ok(Self { address: address.parse()?, weight: Self::parse_weight(weight)? })
    }
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
    /// The most upstreams of one service.
    pub const UPSTREAMS_MAX: usize = 1024;

    /// Adds a place to forward to.
    ///
    /// # Errors
    /// A sentence: why it can't be one, or not one more.
    pub fn add_upstream(&mut self, upstream: UpstreamOptions) -> Result<(), String> {
        self.check_upstream(self.upstreams.len(), &upstream)?;
        self.upstreams.push(upstream);
        Ok(())
    }

    /// What can't be seen by looking at one field at a time.
    ///
    /// # Errors
    /// A sentence that names the field and what to do.
    pub fn validate(&self) -> Result<(), String> {
        if self.upstreams.is_empty() {
            return Err("a proxy needs an upstream: name at least one".into());
        }
        for (index, upstream) in self.upstreams.iter().enumerate() {
            self.check_upstream(index, upstream)?;
        }
        self.timeouts.validate()
    }

    /// Whether this upstream can stand at this place of the list.
    fn check_upstream(&self, index: usize, upstream: &UpstreamOptions) -> Result<(), String> {
        let UpstreamOptions { address, weight } = upstream;
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
        if index >= Self::UPSTREAMS_MAX {
            return Err(format!("more than {} upstreams: name fewer", Self::UPSTREAMS_MAX));
        }
        Ok(())
    }
}

impl Timeouts {
    /// What can't be seen by looking at one field at a time.
    ///
    /// # Errors
    /// A sentence that names the field and what to do.
    pub fn validate(&self) -> Result<(), String> {
        if self.connect.is_zero() || self.connect_total.is_zero() {
            return Err("no connection can be made in no time: give connect timeouts above zero".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_may_have_a_weight() {
        for (text, address, weight) in [
            ("127.0.0.1:80", "127.0.0.1:80", 1),
            ("[::1]:80=256", "[::1]:80", 256),
            ("unix:/run/a=b", "unix:/run/a=b", 1),
            ("unix:/run/a=b=3", "unix:/run/a=b", 3),
        ] {
            let upstream: UpstreamOptions = text.parse().expect(text);
            assert_eq!((upstream.address.to_string().as_str(), upstream.weight), (address, weight));
        }
        for (text, why) in [
            ("127.0.0.1:80=0", "'0' is not a weight: use 1 to 256"),
            ("127.0.0.1:80=257", "is not a weight"),
            ("127.0.0.1:80=", "'' is not a weight"),
            ("unix:/run/a=9999", "is not a weight"),
            ("127.0.0.1", "no port"),
        ] {
            let message = text.parse::<UpstreamOptions>().expect_err(text);
            assert!(message.contains(why), "{text}: {message}");
        }
    }

    #[test]
    fn an_upstream_is_a_place_that_is_named_once() {
        let mut proxy = ProxyOptions::default();
        assert!(proxy.validate().is_err_and(|why| why.contains("needs an upstream")));
        for (text, why) in [(":80", "no place to connect to"), ("127.0.0.1:0", "no place to connect to")] {
            let refused = proxy.add_upstream(text.parse().expect(text));
            assert!(refused.is_err_and(|message| message.contains(why)), "{text}");
        }
        let upstream: UpstreamOptions = "127.0.0.1:80".parse().expect("valid");
        proxy.add_upstream(upstream.clone()).expect("the first");
        assert!(proxy.add_upstream(upstream).is_err_and(|why| why.contains("named twice")));
        assert_eq!(proxy.validate(), Ok(()));
    }
}
