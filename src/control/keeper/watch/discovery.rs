//! Asks DNS who is behind a name.
//!
//! A host's IPv4 and IPv6 addresses are two questions. Where only one of them is answered, the last known addresses of
//! the other kind stay, so that half a failure takes nobody out. That there are none of a kind is an answer; that there
//! are none at all is taken for a failure, like the server's silence.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use hickory_resolver::{
    TokioResolver,
    config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    lookup::Lookup,
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::rr::{RData, RecordType},
};
use tokio::{task::JoinSet, time::timeout};

use super::{
    found::{self, Found, Record},
    schedule::Schedule,
    ward::Answer,
};
use crate::{
    config::{Place, UpstreamOptions},
    sys::{self, clock},
};

/// How long one server may take for one answer, where no file says so, and how often it is asked.
const SERVER_WAIT: Duration = Duration::from_secs(2);
const SERVER_ATTEMPTS: usize = 2;

/// How long a question may take whatever a file says: some say minutes.
const QUESTION_WAIT: Duration = Duration::from_secs(15);

/// The kinds of addresses.
const KINDS: [RecordType; 2] = [RecordType::A, RecordType::AAAA];

/// Who is asked. A clone asks the same.
#[derive(Clone)]
pub(super) struct Resolver(TokioResolver);

/// One name that is asked for again and again.
pub(super) struct Inquiry {
    resolver: Resolver,
    upstream: UpstreamOptions,
    /// The kinds that sessions can go to: all, unless they come from an address.
    kinds: Vec<RecordType>,
    schedule: Schedule,
    /// The last good answers, by host and kind.
    known: HashMap<(String, RecordType), Vec<IpAddr>>,
}

/// What a question brought: records, and how long they hold.
type Reply<T> = Result<(Vec<T>, Duration), String>;

/// All that is known of some hosts.
#[derive(Default)]
struct Hosts {
    addresses: HashMap<String, Vec<IpAddr>>,
    /// How long the shortest-lived answer holds.
    ttl: Option<Duration>,
    trouble: Option<String>,
}

impl Resolver {
    /// Asks this server, or those of the system. Must be called within a runtime.
    ///
    /// # Errors
    /// A sentence, where the system's configuration can't be read.
    pub fn new(server: Option<SocketAddr>) -> Result<Self, String> {
        let mut builder = match server {
            Some(server) => {
                let config = ResolverConfig::from_parts(None, Vec::new(), vec![name_server(server)]);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
                    .with_options(own_options())
            }
            None => TokioResolver::builder_tokio().map_err(|error| {
                format!(
                    "cannot learn from /etc/resolv.conf which DNS servers to ask: {}; name one as the resolver",
                    reason(&error)
                )
            })?,
        };
        // Answers are kept for as long as they hold where they are used, and nowhere else.
        builder.options_mut().cache_size = 0;
        let built = builder.build();
        built.map(Self).map_err(|error| format!("cannot ask DNS: {}", reason(&error)))
    }

    async fn records(self, name: String, kind: RecordType) -> Result<Lookup, NetError> {
        timeout(QUESTION_WAIT, self.0.lookup(name.as_str(), kind)).await.unwrap_or(Err(NetError::Timeout))
    }

    /// The addresses of this kind. None is an answer.
    async fn addresses(self, host: String, kind: RecordType) -> Reply<IpAddr> {
        if let Ok(address) = host.parse::<IpAddr>() {
            let is_kind = address.is_ipv4() == (kind == RecordType::A);
            return Ok((Vec::from_iter(is_kind.then_some(address)), Duration::MAX));
        }
        match self.records(host, kind).await {
            Ok(lookup) => {
                let addresses = lookup.answers().iter().filter_map(|record| record.data.ip_addr());
                Ok((addresses.collect(), holds(&lookup)))
            }
            Err(error) if error.is_no_records_found() => Ok((Vec::new(), Duration::MAX)),
            Err(error) => Err(reason(&error)),
        }
    }

    /// SRV records, as priority, weight, port and host.
    async fn services(self, name: String) -> Reply<(u16, u16, u16, String)> {
        let lookup = self.records(name, RecordType::SRV).await.map_err(|error| reason(&error))?;
        let records = lookup.answers().iter().filter_map(|record| match &record.data {
            // A root as the target: decidedly not available at this domain (RFC 2782).
            RData::SRV(srv) if !srv.target.is_root() => {
                Some((srv.priority, srv.weight, srv.port, srv.target.to_ascii()))
            }
            _ => None,
        });
        Ok((records.collect(), holds(&lookup)))
    }
}

impl Inquiry {
    /// For an upstream that is a name; sessions come from `source`, if that is said.
    pub fn new(resolver: Resolver, upstream: UpstreamOptions, source: Option<IpAddr>) -> Self {
        let kinds = KINDS
            .into_iter()
            .filter(|kind| source.is_none_or(|source| source.is_ipv4() == (*kind == RecordType::A)));
        Self {
            resolver,
            upstream,
            kinds: kinds.collect(),
            schedule: Schedule::default(),
            known: HashMap::new(),
        }
    }

    /// Asks; what came of it, and in how long to ask again.
    pub async fn ask(&mut self) -> (Answer, Duration) {
        let (found, ttl, trouble) = match self.upstream.place.clone() {
            Place::Dns { host, port } => self.ask_for_addresses(host, port).await,
            Place::Srv(name) => self.ask_for_services(name).await,
            // An address is nothing to ask for.
            Place::Address(_) => (Vec::new(), Duration::MAX, None),
        };
        let now_ns = clock::now_ns();
        let trouble = trouble.or_else(|| found.is_empty().then(|| "it has no address".into()));
        let pause = match trouble {
            None => self.schedule.answered(ttl, now_ns),
            Some(_) => self.schedule.failed(fastrand::f64()),
        };
        let is_stale = self.schedule.is_stale(now_ns);
        (Answer { found: (!found.is_empty()).then_some(found), trouble, is_stale }, pause)
    }

    async fn ask_for_addresses(&mut self, host: String, port: u16) -> (Vec<Found>, Duration, Option<String>) {
        let Hosts { mut addresses, ttl, trouble } = self.hosts(vec![host.clone()]).await;
        let addresses = addresses.remove(&host).unwrap_or_default();
        (found::of_addresses(addresses, port, &self.upstream), ttl.unwrap_or(Duration::MAX), trouble)
    }

    async fn ask_for_services(&mut self, name: String) -> (Vec<Found>, Duration, Option<String>) {
        let (services, ttl) = match self.resolver.clone().services(name).await {
            Ok(services) => services,
            Err(why) => return (Vec::new(), Duration::MAX, Some(why)),
        };
        let hosts = services.iter().map(|(.., host)| host.clone()).collect();
        let Hosts { addresses, ttl: hosts_ttl, trouble } = self.hosts(hosts).await;
        let record = |(priority, weight, port, host): (u16, u16, u16, String)| {
            let addresses = addresses.get(&host).cloned().unwrap_or_default();
            Record { priority, weight, port, addresses }
        };
        let records: Vec<Record> = services.into_iter().map(record).collect();
        (found::of_records(&records, &self.upstream), hosts_ttl.map_or(ttl, |hosts| ttl.min(hosts)), trouble)
    }

    /// The addresses of all these hosts, which are asked for at once.
    async fn hosts(&mut self, hosts: Vec<String>) -> Hosts {
        let mut questions = JoinSet::new();
        for host in hosts {
            for &kind in &self.kinds {
                let (resolver, host) = (self.resolver.clone(), host.clone());
                questions.spawn(async move { ((host.clone(), kind), resolver.addresses(host, kind).await) });
            }
        }
        let replies: HashMap<_, _> = questions.join_all().await.into_iter().collect();
        settle(&mut self.known, replies)
    }
}

/// Puts answers together, with what was known before in the place of those that failed. What is no longer asked for is
/// forgotten. A kind of addresses that a host never had is not missed: many servers refuse to say that there is none.
fn settle(
    known: &mut HashMap<(String, RecordType), Vec<IpAddr>>,
    replies: HashMap<(String, RecordType), Reply<IpAddr>>,
) -> Hosts {
    let mut hosts = Hosts::default();
    let mut failed = Vec::new();
    known.retain(|question, _| replies.contains_key(question));
    for ((host, kind), reply) in replies {
        let addresses = hosts.addresses.entry(host.clone()).or_default();
        match reply {
            Ok((answer, ttl)) => {
                hosts.ttl = Some(hosts.ttl.map_or(ttl, |shortest| shortest.min(ttl)));
                addresses.extend(&answer);
                known.insert((host, kind), answer);
            }
            Err(why) => {
                let before = known.get(&(host.clone(), kind)).map_or(&[][..], Vec::as_slice);
                addresses.extend(before);
                failed.push((host, !before.is_empty(), why));
            }
        }
    }
    let missed =
        failed.into_iter().find(|(host, was_known, _)| *was_known || hosts.addresses[host].is_empty());
    hosts.trouble = missed.map(|(.., why)| why);
    hosts
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    server.connections.iter_mut().for_each(|connection| connection.port = address.port());
    server
}

/// For a server that was named: it, and nobody else, not even a file.
fn own_options() -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = SERVER_WAIT;
    options.attempts = SERVER_ATTEMPTS;
    options.use_hosts_file = ResolveHosts::Never;
    options
}

/// How long an answer holds from now on.
fn holds(lookup: &Lookup) -> Duration {
    lookup.valid_until().saturating_duration_since(Instant::now())
}

/// Why there is no answer, in a few words.
fn reason(error: &NetError) -> String {
    match error {
        NetError::Timeout => "no DNS server answered".into(),
        NetError::Io(error) => format!("DNS can't be asked: {}", sys::reason(error)),
        NetError::Dns(DnsError::ResponseCode(code)) => format!("the DNS server says '{code}'"),
        error if error.is_nx_domain() => "there is no such name".into(),
        error if error.is_no_records_found() => "it has no record".into(),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_secs(5);

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().expect("an address")).collect()
    }

    fn question(host: &str, kind: RecordType) -> (String, RecordType) {
        (host.into(), kind)
    }

    fn failure() -> Reply<IpAddr> {
        Err("no DNS server answered".into())
    }

    #[test]
    fn half_a_failure_takes_nobody_out() {
        let [a, aaaa] = KINDS;
        let mut known = HashMap::new();
        let both = [
            (question("web", a), Ok((addresses(&["10.0.0.1"]), LONG))),
            (question("web", aaaa), Ok((addresses(&["::1"]), SHORT))),
        ];
        let hosts = settle(&mut known, both.into());
        assert_eq!((hosts.addresses["web"].len(), hosts.ttl, hosts.trouble), (2, Some(SHORT), None));
        let half =
            [(question("web", a), Ok((addresses(&["10.0.0.2"]), LONG))), (question("web", aaaa), failure())];
        let mut hosts = settle(&mut known, half.into());
        hosts.addresses.get_mut("web").expect("it was asked for").sort();
        assert_eq!(hosts.addresses["web"], addresses(&["10.0.0.2", "::1"]));
        assert_eq!((hosts.ttl, hosts.trouble.as_deref()), (Some(LONG), Some("no DNS server answered")));
        let none = [(question("web", a), failure()), (question("web", aaaa), Ok((Vec::new(), LONG)))];
        assert_eq!(settle(&mut known, none.into()).addresses["web"], addresses(&["10.0.0.2"]));
        let again = [(question("web", aaaa), failure())];
        assert!(
            settle(&mut known, again.into()).addresses["web"].is_empty(),
            "that there are none is an answer"
        );
    }

    #[test]
    fn a_kind_that_a_host_never_had_is_not_missed() {
        let [a, aaaa] = KINDS;
        let mut known = HashMap::new();
        let ask = |known: &mut _, of_a| {
            settle(known, [(question("web", a), of_a), (question("web", aaaa), failure())].into())
        };
        let hosts = ask(&mut known, Ok((addresses(&["10.0.0.1"]), SHORT)));
        assert_eq!((hosts.ttl, hosts.trouble), (Some(SHORT), None), "it is asked again by its TTL");
        let hosts = ask(&mut known, failure());
        assert_eq!(hosts.addresses["web"], addresses(&["10.0.0.1"]));
        assert!(hosts.trouble.is_some(), "that the one which it has fails is told");
        let nothing = ask(&mut HashMap::new(), Ok((Vec::new(), LONG)));
        assert!(nothing.trouble.is_some(), "somebody may be there whom the failure hides");
    }

    #[test]
    fn who_is_asked_for_no_more_is_forgotten() {
        let [a, _] = KINDS;
        let mut known = HashMap::new();
        settle(&mut known, [(question("one", a), Ok((addresses(&["10.0.0.1"]), LONG)))].into());
        settle(&mut known, [(question("two", a), failure())].into());
        let hosts = settle(&mut known, [(question("one", a), failure())].into());
        assert!(hosts.addresses["one"].is_empty());
    }
}
