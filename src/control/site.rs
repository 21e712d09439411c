//! All services of a process, resolved: what they listen on, where they lead, and how a worker's are made.
//!
//! Listeners and upstreams are numbered through all services, as workers count them.

use std::{net::UdpSocket, sync::Arc};

use crate::{
    accept::Served,
    config::{Listen, Options, ProxyOptions, Timeouts},
    measure::{
        ledger::{Entry, Names},
        report::{ListenerInfo, ServiceInfo, UpstreamInfo},
    },
    runtime::mailbox::Sender,
    service::{
        Echo, EchoOptions, Kind, Proxy, Spec,
        proxy::Route,
        several::{One, Several},
    },
    sys::{
        self,
        socket::{ConnectOptions, Liveness},
    },
    upstream::{
        Pool, Target,
        loads::Loads,
        loops::{self, Node},
    },
};

/// The services, in the order in which they were named.
#[derive(Clone, Debug)]
pub struct Site {
    services: Vec<Service>,
    by_listener: Arc<[usize]>,
}

#[derive(Clone, Debug)]
struct Service {
    spec: Spec,
    work: Work,
}

/// What a worker needs to make its own.
#[derive(Clone, Debug)]
enum Work {
    Echo(EchoOptions),
    Proxy(Arc<Route>),
}

impl Site {
    /// Resolves the upstreams' names. Nothing is bound or connected.
    ///
    /// # Errors
    /// A sentence, where a name doesn't resolve or the services lead in a circle.
    pub fn resolve(specs: &[Spec], options: &Options) -> Result<Self, String> {
        let of = |spec: &Spec| match &spec.kind {
            Kind::Echo(_) => 0,
            Kind::Proxy(proxy) => proxy.upstreams.len(),
        };
        let upstreams = specs.iter().map(of).sum();
        let mut first_upstream = 0;
        let mut services = Vec::with_capacity(specs.len());
        for (service, spec) in specs.iter().enumerate() {
            let work = match &spec.kind {
                Kind::Echo(echo) => Work::Echo(echo.clone()),
                Kind::Proxy(proxy) => Work::Proxy(Arc::new(Route {
                    service,
                    pool: resolve(proxy)?,
                    first_upstream,
                    upstreams,
                    options: proxy.clone(),
                    connect: connect_options(spec, options),
                })),
            };
            first_upstream += of(spec);
            services.push(Service { spec: spec.clone(), work });
        }
        let listeners = specs.iter().enumerate();
        let by_listener = listeners.flat_map(|(service, spec)| vec![service; spec.listen.len()]).collect();
        let site = Self { services, by_listener };
        let listen = |spec: &Spec| spec.listen.iter().map(Target::to_listen_on).collect();
        site.refuse_loops(specs.iter().map(listen).collect::<Result<_, _>>()?)?;
        Ok(site)
    }

    /// Refuses services that lead in a circle, now that each address has its real port.
    ///
    /// # Errors
    /// A sentence: by what way, and what to do.
    pub fn check(&self, served: &[Served]) -> Result<(), String> {
        let mut bound = served.iter();
        let mut listen = Vec::with_capacity(self.services.len());
        for Service { spec, .. } in &self.services {
            let pairs = spec.listen.iter().zip(bound.by_ref());
            listen.push(
                pairs
                    .map(|(address, served)| Target::listened_on(address, &served.address))
                    .collect::<Result<_, _>>()?,
            );
        }
        self.refuse_loops(listen)
    }

    fn refuse_loops(&self, listen: Vec<Vec<Target>>) -> Result<(), String> {
        let nodes: Vec<Node<'_>> =
            self.services.iter().zip(listen).map(|(service, listen)| service.node(listen)).collect();
        loops::find(&nodes).map_or(Ok(()), Err)
    }

    /// What to listen on, service by service.
    pub fn listens(&self) -> Vec<Listen> {
        self.services.iter().flat_map(Service::listens).collect()
    }

    /// The service of a listener: its name, its kind, and where it leads.
    pub fn describe(&self, listener: usize) -> (&Spec, Option<&Pool>) {
        let Service { spec, work } = &self.services[self.by_listener[listener]];
        (spec, work.route().map(|route| &route.pool))
    }

    /// What reports say of the services.
    pub fn services(&self, served: &[Served]) -> Vec<ServiceInfo> {
        let info = |(index, service): (usize, &Service)| service.info(self.listeners_of(index, served));
        self.services.iter().enumerate().map(info).collect()
    }

    /// What reports say of the upstreams.
    pub fn upstreams(&self) -> Vec<UpstreamInfo> {
        self.services.iter().flat_map(Service::upstreams).collect()
    }

    /// What the ledger calls services, listeners and upstreams.
    pub fn names(&self, served: &[Served]) -> Names {
        Names {
            services: self.services.iter().map(|service| service.spec.name.clone()).collect(),
            listeners: served.iter().map(|served| served.address.to_string()).collect(),
            upstreams: self.upstreams().into_iter().map(|upstream| upstream.address).collect(),
        }
    }

    /// What one worker does, where all it does is echo.
    pub fn lone_echo(&self) -> Option<impl Fn(usize) -> Echo + Send + Clone + 'static> {
        let [Service { work: Work::Echo(echo), .. }] = &self.services[..] else { return None };
        let echo = echo.clone();
        Some(move |worker| make_echo(&echo, worker))
    }

    /// What one worker does, where all it does is forward for one service.
    pub fn lone_proxy(
        &self,
        workers: usize,
        ledger: Option<Sender<Entry>>,
    ) -> Option<impl Fn(usize) -> Proxy + Send + Clone + 'static> {
        let [Service { work: Work::Proxy(route), .. }] = &self.services[..] else { return None };
        let (route, loads) = (Arc::clone(route), Loads::new(workers, route.upstreams));
        Some(move |worker| Proxy::new(Arc::clone(&route), worker, loads.clone(), ledger.clone()))
    }

    /// What one worker does.
    pub fn several(
        &self,
        workers: usize,
        ledger: Option<Sender<Entry>>,
    ) -> impl Fn(usize) -> Several + Send + Clone + 'static {
        let works: Vec<Work> = self.services.iter().map(|service| service.work.clone()).collect();
        let by_listener = Arc::clone(&self.by_listener);
        let loads = Loads::new(workers, self.upstreams().len());
        move |worker| {
            let make = |work: &Work| match work {
                Work::Echo(echo) => One::Echo(make_echo(echo, worker)),
                Work::Proxy(route) => {
                    One::Proxy(Proxy::new(Arc::clone(route), worker, loads.clone(), ledger.clone()))
                }
            };
            Several::new(works.iter().map(make).collect(), Arc::clone(&by_listener))
        }
    }

    fn listeners_of(&self, service: usize, served: &[Served]) -> Vec<ListenerInfo> {
        let own = served.iter().enumerate().filter(|(index, _)| self.by_listener[*index] == service);
        let info = |(index, served): (usize, &Served)| ListenerInfo {
            index,
            address: served.address.to_string(),
            accept: served.accept,
        };
        own.map(info).collect()
    }
}

impl Service {
    fn node(&self, listen: Vec<Target>) -> Node<'_> {
        Node { service: &self.spec.name, listen, pool: self.work.route().map(|route| &route.pool) }
    }

    fn listens(&self) -> impl Iterator<Item = Listen> {
        let (keepalive, user_timeout) = match &self.spec.kind {
            Kind::Echo(_) => (None, None),
            Kind::Proxy(proxy) => (proxy.timeouts.keepalive, proxy.timeouts.user),
        };
        self.spec.listen.iter().cloned().map(move |address| Listen { address, keepalive, user_timeout })
    }

    fn info(&self, listeners: Vec<ListenerInfo>) -> ServiceInfo {
        let proxy = self.work.route().map(|route| &route.options);
        ServiceInfo {
            name: self.spec.name.clone(),
            kind: self.spec.kind.name().into(),
            listeners,
            balance: proxy.map(|proxy| proxy.balance),
            forward: proxy.map(|proxy| proxy.forward),
        }
    }

    fn upstreams(&self) -> impl Iterator<Item = UpstreamInfo> {
        let upstreams = self.work.route().map(|route| &route.pool.upstreams);
        upstreams.into_iter().flatten().map(|upstream| UpstreamInfo {
            service: self.spec.name.clone(),
            address: upstream.name.clone(),
            weight: upstream.weight,
        })
    }
}

impl Work {
    fn route(&self) -> Option<&Arc<Route>> {
        match self {
            Self::Echo(_) => None,
            Self::Proxy(route) => Some(route),
        }
    }
}

/// The upstreams, and whether the source address can reach them.
fn resolve(proxy: &ProxyOptions) -> Result<Pool, String> {
    let pool = Pool::resolve(&proxy.upstreams)?;
    let Some(source) = proxy.source else { return Ok(pool) };
    // Bound to a port of its own choosing, and given back at once.
    UdpSocket::bind((source, 0)).map_err(|error| {
        let why = sys::reason(&error);
        format!("cannot connect from {source}: {why}; name an address of this machine as the source")
    })?;
    let targets = pool.upstreams.iter().flat_map(|upstream| &upstream.targets);
    for target in targets {
        if let Target::Tcp(address) = target
            && address.is_ipv4() != source.is_ipv4()
        {
            return Err(format!(
                "cannot connect from {source} to {address}: one is IPv4, the other IPv6; leave the source out or \
                 use one of the same kind"
            ));
        }
    }
    Ok(pool)
}

fn connect_options(spec: &Spec, options: &Options) -> ConnectOptions {
    let (source, liveness) = match &spec.kind {
        Kind::Echo(_) => (None, Liveness::default()),
        Kind::Proxy(proxy) => {
            let Timeouts { keepalive, user, .. } = proxy.timeouts;
            (proxy.source, Liveness { keepalive, user_timeout: user })
        }
    };
    ConnectOptions { nodelay: options.nodelay, source, liveness }
}

fn make_echo(echo: &EchoOptions, worker: usize) -> Echo {
    let work = echo.work.as_ref().map(|work| work.seeded(echo.seed, worker));
    Echo::new(work, echo.greet, echo.idle_timeout)
}
