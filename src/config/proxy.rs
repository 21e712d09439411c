//! What a proxy is asked to do: where to forward to, whom to choose, how bytes cross, how long to wait.

use std::{iter, net::IpAddr, time::Duration};

use super::{
    Access, Balance, Fault, Forward, HealthOptions, Limits, ProxyProtocol, RouteOptions, UpstreamOptions,
};

/// How a proxy forwards. Every field has the default of the flag that sets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyOptions {
    /// Where to; at least one, or a route.
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
    /// Whether members are well, and what comes of it.
    pub health: HealthOptions,
    /// How much is taken on at a time.
    pub limits: Limits,
    /// Who is served.
    pub access: Access,
    /// Where clients really come from.
    pub proxy_protocol: ProxyProtocol,
    /// Groups of their own for some TLS connections; what matches none goes to `upstreams`.
    pub routes: Vec<RouteOptions>,
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
    /// A PROXY header and a ClientHello, where they are read.
    pub header: Duration,
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
            health: HealthOptions::default(),
            limits: Limits::default(),
            access: Access::default(),
            proxy_protocol: ProxyProtocol::default(),
            routes: Vec::new(),
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
            header: Duration::from_secs(3),
            session: None,
            drain: Duration::from_secs(10),
            keepalive: Some(Duration::from_secs(60)),
            user: None,
        }
    }
}

impl ProxyOptions {
    /// The most upstreams of one service, those of its routes included.
    pub const UPSTREAMS_MAX: usize = 1024;

    /// The groups of members that a session can be for: `upstreams`, then one a route.
    pub fn groups(&self) -> impl Iterator<Item = &[UpstreamOptions]> {
        iter::once(&self.upstreams[..]).chain(self.routes.iter().map(|route| &route.upstreams[..]))
    }

    /// All upstreams, group by group.
    pub fn members(&self) -> impl Iterator<Item = &UpstreamOptions> {
        self.groups().flatten()
    }

    /// Whether somebody has to look after its members while it runs: to check them, or to ask for their names.
    pub fn needs_keeper(&self) -> bool {
        self.health.interval.is_some() || self.members().any(|upstream| upstream.place.is_name())
    }

    /// Adds a place to forward to.
    ///
    /// # Errors
    /// A sentence: why it can't be one, or not one more.
    pub fn add_upstream(&mut self, upstream: UpstreamOptions) -> Result<(), String> {
        upstream.check(&self.upstreams)?;
        self.check_count(1)?;
        self.upstreams.push(upstream);
        Ok(())
    }

    /// Adds a route.
    ///
    /// # Errors
    /// A sentence: why it can't be one, or not with so many members.
    pub fn add_route(&mut self, route: RouteOptions) -> Result<(), String> {
        route.check(&self.routes)?;
        self.check_count(route.upstreams.len())?;
        self.routes.push(route);
        Ok(())
    }

    /// What can't be seen by looking at one field at a time.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub fn validate(&self) -> Result<(), String> {
        self.check().map_err(|fault| fault.why)
    }

    /// The same, and which key is to be changed.
    ///
    /// # Errors
    /// The key, and a sentence that says what to do.
    pub fn check(&self) -> Result<(), Fault> {
        let of = |key| move |why: String| Fault::new(key, why);
        if self.upstreams.is_empty() && self.routes.is_empty() {
            return Err(Fault::new("upstream", "a proxy needs an upstream: name at least one"));
        }
        for (index, upstream) in self.upstreams.iter().enumerate() {
            upstream.check(&self.upstreams[..index]).map_err(of("upstream"))?;
        }
        if !self.upstreams.is_empty() && self.upstreams.iter().all(|upstream| upstream.backup) {
            let why = "no member but backups: name one that is used while all is well";
            return Err(Fault::new("upstream", why));
        }
        for (index, route) in self.routes.iter().enumerate() {
            route.check(&self.routes[..index]).map_err(of("route"))?;
        }
        self.check_count(0).map_err(of("upstream"))?;
        self.timeouts.validate().map_err(of("timeout"))?;
        self.health.check(self.members())?;
        self.limits.check()?;
        self.access.check()
    }

    /// Whether there is room for this many more.
    fn check_count(&self, more: usize) -> Result<(), String> {
        if self.members().count() + more > Self::UPSTREAMS_MAX {
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
        if self.header.is_zero() {
            return Err("no header can be there in no time: give a header timeout above zero".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(text: &str) -> UpstreamOptions {
        text.parse().expect("an upstream")
    }

    fn route(sni: &str, upstreams: &[&str]) -> RouteOptions {
        let upstreams = upstreams.iter().map(|text| upstream(text)).collect();
        RouteOptions { sni: vec![sni.parse().expect("a pattern")], alpn: Vec::new(), upstreams }
    }

    #[test]
    fn a_proxy_needs_somewhere_to_forward_to() {
        let mut proxy = ProxyOptions::default();
        assert!(proxy.validate().is_err_and(|why| why.contains("needs an upstream")));
        for (text, why) in [(":80", "no place to connect to"), ("127.0.0.1:0", "no place to connect to")] {
            assert!(proxy.add_upstream(upstream(text)).is_err_and(|message| message.contains(why)), "{text}");
        }
        proxy.add_upstream(upstream("127.0.0.1:80")).expect("the first");
        let again = proxy.add_upstream(upstream("127.0.0.1:80=2"));
        assert!(again.is_err_and(|why| why.contains("named twice")));
        assert_eq!(proxy.validate(), Ok(()));
        let mut by_name = ProxyOptions::default();
        by_name.add_route(route("a.example", &["127.0.0.1:80"])).expect("a route");
        assert_eq!(by_name.validate(), Ok(()), "routes alone will do");
    }

    #[test]
    fn backups_stand_behind_somebody() {
        let mut proxy = ProxyOptions::default();
        proxy.add_upstream(UpstreamOptions { backup: true, ..upstream("127.0.0.1:80") }).expect("the first");
        let fault = proxy.check().expect_err("nobody but a backup");
        assert!(fault.key == "upstream" && fault.why.contains("no member but backups"), "{fault:?}");
        proxy.add_upstream(upstream("127.0.0.1:81")).expect("the second");
        assert_eq!(proxy.check(), Ok(()));
    }

    #[test]
    fn groups_are_the_upstreams_then_the_routes() {
        let mut proxy = ProxyOptions::default();
        proxy.add_route(route("a.example", &["10.0.0.1:1", "10.0.0.2:1"])).expect("a route");
        proxy.add_route(route("b.example", &["10.0.0.1:1"])).expect("another");
        assert_eq!(proxy.groups().map(<[_]>::len).collect::<Vec<_>>(), [0, 2, 1]);
        proxy.add_upstream(upstream("10.0.0.1:1")).expect("the same place, in another group");
        assert_eq!(proxy.groups().map(<[_]>::len).collect::<Vec<_>>(), [1, 2, 1]);
        assert!(!proxy.needs_keeper());
        proxy.add_route(route("c.example", &["dns:web:80"])).expect("a third");
        assert!(proxy.needs_keeper());
    }

    #[test]
    fn a_fault_names_its_key() {
        let proxy = ProxyOptions { upstreams: vec![upstream("10.0.0.1:1")], ..ProxyOptions::default() };
        let health = HealthOptions { expect: Some(b"x".into()), ..HealthOptions::default() };
        let limits = Limits { queue: 1, ..Limits::default() };
        let timeouts = Timeouts { header: Duration::ZERO, ..Timeouts::default() };
        for (proxy, key) in [
            (ProxyOptions { health, ..proxy.clone() }, "health.expect"),
            (ProxyOptions { limits, ..proxy.clone() }, "limit.queue"),
            (ProxyOptions { timeouts, ..proxy.clone() }, "timeout"),
            (ProxyOptions { routes: vec![RouteOptions::default()], ..proxy }, "route"),
        ] {
            assert_eq!(proxy.check().expect_err(key).key, key);
        }
    }
}
