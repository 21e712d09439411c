//! All services of a process, resolved: what they listen on, where they lead, and how a worker's are made.
//!
//! Listeners and upstreams are numbered through all services, as workers count them.

use std::{net::UdpSocket, sync::Arc};

use super::keeper::{Keeper, Kept, View};
use crate::{
    accept::Served,
    config::{Listen, Options, ProxyOptions, Timeouts},
    limit::Limits,
    measure::{
        ledger::{Entry, Names},
        report::{ListenerInfo, ServiceInfo, UpstreamInfo},
    },
    runtime::mailbox::Sender,
    service::{
        Echo, EchoOptions, Kind, Proxy, Spec,
        proxy::{Route, preread::Routes},
        several::{One, Several},
    },
    sys::{
        self,
        socket::{ConnectOptions, Liveness},
    },
    upstream::{
        Member, Roster, Standing, Target,
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
    /// Of one that forwards: where that leads at the start.
    way: Option<Way>,
}

#[derive(Clone, Debug)]
struct Way {
    roster: Arc<Roster>,
    /// The number of its first slot, among those of all services.
    first_upstream: usize,
    connect: ConnectOptions,
}

/// What a worker needs to make its own.
#[derive(Clone)]
enum Work {
    Echo(EchoOptions),
    Proxy(Arc<Route>),
}

impl Site {
    /// Resolves the upstreams' names. Nothing is bound or connected.
    ///
    /// # Errors
    /// A sentence, where a name doesn't resolve, the services lead in a circle, or this build lacks what one needs.
    pub fn resolve(specs: &[Spec], options: &Options) -> Result<Self, String> {
        let mut first_upstream = 0;
        let mut services = Vec::with_capacity(specs.len());
        for spec in specs {
            let way = match &spec.kind {
                Kind::Echo(_) => None,
                Kind::Proxy(proxy) => {
                    Keeper::refuse(proxy)?;
                    let roster = Arc::new(resolve(proxy)?);
                    Some(Way { roster, first_upstream, connect: connect_options(proxy, options) })
                }
            };
            first_upstream += way.as_ref().map_or(0, |way| way.roster.members.len());
            services.push(Service { spec: spec.clone(), way });
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

    /// The service of a listener.
    pub fn describe(&self, listener: usize) -> &Spec {
        &self.services[self.by_listener[listener]].spec
    }

    /// What reports say of the services.
    pub fn services(&self, served: &[Served]) -> Vec<ServiceInfo> {
        let info = |(index, service): (usize, &Service)| service.info(self.listeners_of(index, served));
        self.services.iter().enumerate().map(info).collect()
    }

    /// What reports say of the upstreams: as the keeper knows them, else as they were at the start.
    pub fn upstreams(&self, view: impl Fn(usize) -> Option<View>) -> Vec<UpstreamInfo> {
        let of = |(index, service): (usize, &Service)| service.upstreams(view(index).as_ref());
        self.services.iter().enumerate().flat_map(of).collect()
    }

    /// What the ledger calls services, listeners and upstreams.
    pub fn names(&self, served: &[Served]) -> Names {
        // Whoever has the slot of a name is called by its address, which each session knows.
        let name =
            |it: &Member| if it.standing == Standing::Vacant { String::new() } else { it.name.to_string() };
        Names {
            services: self.services.iter().map(|service| service.spec.name.clone()).collect(),
            listeners: served.iter().map(|served| served.address.to_string()).collect(),
            upstreams: self.members().map(name).collect(),
        }
    }

    /// A table of how many sessions each upstream has.
    pub fn loads(&self, workers: usize) -> Loads {
        Loads::new(workers, self.members().count())
    }

    /// Who has each slot at the start.
    fn members(&self) -> impl Iterator<Item = &Member> {
        self.services.iter().filter_map(|service| service.way.as_ref()).flat_map(|way| &way.roster.members)
    }

    /// The services whose members somebody has to look after.
    pub fn kept(&self) -> Vec<Kept> {
        let kept = |(index, service): (usize, &Service)| service.kept(index);
        self.services.iter().enumerate().filter_map(kept).collect()
    }

    /// What one worker does, where all it does is echo.
    pub fn lone_echo(&self) -> Option<impl Fn(usize) -> Echo + Send + Clone + 'static> {
        let [Service { spec: Spec { kind: Kind::Echo(echo), .. }, .. }] = &self.services[..] else {
            return None;
        };
        let echo = echo.clone();
        Some(move |worker| make_echo(&echo, worker))
    }

    /// What one worker does, where all it does is forward for one service.
    pub fn lone_proxy(
        &self,
        workers: usize,
        loads: &Loads,
        ledger: Option<Sender<Entry>>,
    ) -> Option<impl Fn(usize) -> Proxy + Send + Clone + 'static> {
        let works = self.works(workers);
        let [Work::Proxy(route)] = &works[..] else { return None };
        let (route, loads) = (Arc::clone(route), loads.clone());
        Some(move |worker| Proxy::new(Arc::clone(&route), worker, loads.clone(), ledger.clone()))
    }

    /// What one worker does.
    pub fn several(
        &self,
        workers: usize,
        loads: &Loads,
        ledger: Option<Sender<Entry>>,
    ) -> impl Fn(usize) -> Several + Send + Clone + 'static {
        let (works, loads) = (self.works(workers), loads.clone());
        let by_listener = Arc::clone(&self.by_listener);
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

    /// What workers of this number need to make their own services.
    fn works(&self, workers: usize) -> Vec<Work> {
        let upstreams = self.members().count();
        let mut works = Vec::with_capacity(self.services.len());
        let mut first_listener = 0;
        for (index, Service { spec, way }) in self.services.iter().enumerate() {
            let listeners = first_listener..first_listener + spec.listen.len();
            first_listener = listeners.end;
            works.push(match (&spec.kind, way) {
                (Kind::Proxy(options), Some(way)) => {
                    let limits = Limits::new(&options.limits, listeners, way.roster.members.len(), workers);
                    Work::Proxy(Arc::new(Route {
                        service: index,
                        roster: Arc::clone(&way.roster),
                        first_upstream: way.first_upstream,
                        upstreams,
                        options: options.clone(),
                        connect: way.connect,
                        routes: Routes::new(options),
                        limits: limits.map(Arc::new),
                    }))
                }
                (Kind::Echo(echo), _) => Work::Echo(echo.clone()),
                (Kind::Proxy(_), None) => unreachable!("a proxy leads somewhere"),
            });
        }
        works
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
        Node { service: &self.spec.name, listen, roster: self.way.as_ref().map(|way| &*way.roster) }
    }

    fn listens(&self) -> impl Iterator<Item = Listen> {
        let timeouts = self.proxy().map(|proxy| &proxy.timeouts);
        let keepalive = timeouts.and_then(|timeouts| timeouts.keepalive);
        let user_timeout = timeouts.and_then(|timeouts| timeouts.user);
        self.spec.listen.iter().cloned().map(move |address| Listen { address, keepalive, user_timeout })
    }

    fn info(&self, listeners: Vec<ListenerInfo>) -> ServiceInfo {
        let proxy = self.proxy();
        ServiceInfo {
            name: self.spec.name.clone(),
            kind: self.spec.kind.name().into(),
            listeners,
            balance: proxy.map(|proxy| proxy.balance),
            forward: proxy.map(|proxy| proxy.forward),
        }
    }

    fn upstreams(&self, view: Option<&View>) -> Vec<UpstreamInfo> {
        let Some(way) = &self.way else { return Vec::new() };
        let roster = view.map_or(&way.roster, |view| &view.roster);
        let info = |(slot, member): (usize, &Member)| {
            let checks = view.and_then(|view| view.checks.get(slot));
            UpstreamInfo {
                service: self.spec.name.clone(),
                address: member.name.to_string(),
                weight: member.weight,
                backup: member.backup,
                state: member.standing.name(),
                is_vacant: member.standing == Standing::Vacant,
                stale: member.stale,
                checks_passed: checks.map_or(0, |checks| checks.passed),
                checks_failed: checks.map_or(0, |checks| checks.failed),
            }
        };
        roster.members.iter().enumerate().map(info).collect()
    }

    fn kept(&self, service: usize) -> Option<Kept> {
        let (way, options) =
            self.way.as_ref().zip(self.proxy()).filter(|(_, options)| Keeper::is_needed(options))?;
        Some(Kept {
            service,
            name: self.spec.name.clone(),
            first_upstream: way.first_upstream,
            options: options.clone(),
            roster: Arc::clone(&way.roster),
            connect: way.connect,
        })
    }

    fn proxy(&self) -> Option<&ProxyOptions> {
        match &self.spec.kind {
            Kind::Echo(_) => None,
            Kind::Proxy(proxy) => Some(proxy),
        }
    }
}

/// The upstreams, and whether the source address can reach them.
fn resolve(proxy: &ProxyOptions) -> Result<Roster, String> {
    let roster = Roster::resolve(proxy)?;
    let Some(source) = proxy.source else { return Ok(roster) };
    // Bound to a port of its own choosing, and given back at once.
    UdpSocket::bind((source, 0)).map_err(|error| {
        let why = sys::reason(&error);
        format!("cannot connect from {source}: {why}; name an address of this machine as the source")
    })?;
    let targets = roster.members.iter().flat_map(|member| &member.targets);
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
    Ok(roster)
}

fn connect_options(proxy: &ProxyOptions, options: &Options) -> ConnectOptions {
    let Timeouts { keepalive, user, .. } = proxy.timeouts;
    let liveness = Liveness { keepalive, user_timeout: user };
    ConnectOptions { nodelay: options.nodelay, source: proxy.source, liveness }
}

fn make_echo(echo: &EchoOptions, worker: usize) -> Echo {
    let work = echo.work.as_ref().map(|work| work.seeded(echo.seed, worker));
    Echo::new(work, echo.greet, echo.idle_timeout)
}
