//! Any setup that makes sense: what the round trip is tried with.

use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    time::Duration,
};

use proptest::{collection::vec, option, prelude::*, sample::select};

use crate::{
    cli::{draft::Draft, settings::report::Reporting},
    config::{
        AcceptMode, Access, Address, Balance, Cidr, Deal, Forward, HealthOptions, Limits, LogFormat,
        LogTarget, Measure, OnDown, OnFdLimit, Options, Place, PollMode, ProxyOptions, ProxyProtocol,
        ProxyVersion, Rate, RouteOptions, SniPattern, Timeouts, Trigger, UpstreamOptions,
    },
    control::output::Format,
    service::{EchoOptions, Kind, Spec},
};

/// Any draft of one to four services.
pub fn draft() -> impl Strategy<Value = Draft> {
    let services = vec(kind(), 1..5).prop_flat_map(|kinds| {
        let spec = |(index, kind): (usize, Kind)| {
            let listen = address(7000 + index as u16);
            ("[a-zé0-9._-]{0,8}", listen).prop_map(move |(name, listen)| Spec {
                name: format!("{name}{index}"),
                listen: vec![listen],
                kind: kind.clone(),
            })
        };
        kinds.into_iter().enumerate().map(spec).collect::<Vec<_>>()
    });
    (options(), reporting(), services).prop_map(|(options, reporting, services)| {
        // What times nothing has no histograms to log.
        let hlog = reporting.hlog.clone().filter(|_| options.measure == Measure::Full);
        Draft { options, ..Draft::new(Reporting { hlog, ..reporting }, services) }
    })
}

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![1..100_000_000_u64, (1..100_000_u64).prop_map(|s| s * 1_000_000_000)]
        .prop_map(Duration::from_nanos)
}

fn address(port: u16) -> impl Strategy<Value = Address> {
    prop_oneof![
        "[a-z][a-z0-9.-]{0,12}".prop_map(move |host| Address::Tcp { host, port }),
        any::<IpAddr>().prop_map(move |ip| Address::Tcp { host: ip.to_string(), port }),
        "/[ -~äöü\\\\\"]{0,20}".prop_map(move |path| Address::Unix(format!("{path}{port}").into())),
    ]
}

fn options() -> impl Strategy<Value = Options> {
    let modes = (
        select(AcceptMode::ALL),
        select(Trigger::ALL),
        select(&[Trigger::Level, Trigger::Edge][..]),
        prop_oneof![Just(PollMode::Block), Just(PollMode::Spin), duration().prop_map(PollMode::Adaptive)],
        select(Deal::ALL),
        select(Measure::ALL),
    );
    let cores = vec(0..300_usize, 1..20).prop_map(|mut cores| {
        cores.sort_unstable();
        cores.dedup();
        cores
    });
    let budget = || prop_oneof![1..5_000_000_usize, Just(usize::MAX), (1..9_usize).prop_map(|m| m << 20)];
    let numbers =
        (option::of(1..=1024_usize), option::of(cores), 1..=u32::MAX, option::of(budget()), budget());
    let resolver = option::of((any::<IpAddr>(), 1..=u16::MAX).prop_map(SocketAddr::from));
    let ends = (limit(), select(OnFdLimit::ALL), resolver);
    (modes, numbers, any::<[bool; 2]>(), 1..=i32::MAX, 0..=0o777_u32, ends).prop_map(
        |(modes, numbers, [pin, nodelay], backlog, unix_mode, ends)| {
            let (max_connections, on_fd_limit, resolver) = ends;
            let (accept, trigger, listen_trigger, poll, deal, measure) = modes;
            let (workers, cores, rotate_every, accept_budget, budget) = numbers;
            Options {
                workers,
                cores,
                pin,
                accept,
                trigger,
                listen_trigger,
                poll,
                rotate_every,
                deal,
                accept_budget,
                budget,
                backlog,
                nodelay,
                unix_mode,
                max_connections,
                on_fd_limit,
                resolver,
                measure,
                ..Options::default()
            }
        },
    )
}

fn reporting() -> impl Strategy<Value = Reporting> {
    let format = option::of(select(&[Format::Text, Format::Json][..]));
    let path = || "/[ -~\\\\\"ä]{1,20}";
    let log = option::of(prop_oneof![
        Just(LogTarget::Stdout),
        path().prop_map(|path| LogTarget::File(path.into()))
    ]);
    let times = (option::of(duration()), option::of(duration()));
    let files = (option::of(path()), option::of(path()));
    (format, files, times, log, select(LogFormat::ALL)).prop_map(
        |(report, (file, hlog), (duration, report_every), access_log, log_format)| Reporting {
            duration,
            report_file: file.map(Into::into),
            report_every,
            hlog: hlog.map(Into::into),
            access_log,
            log_format,
            ..Reporting::new(report)
        },
    )
}

fn timeouts() -> impl Strategy<Value = Timeouts> {
    let limits = || option::of(duration());
    let must = (duration(), duration(), duration(), duration());
    (must, limits(), limits(), limits(), limits(), limits()).prop_map(
        |((connect, connect_total, header, drain), idle, half_closed, session, keepalive, user)| Timeouts {
            connect,
            connect_total,
            idle,
            half_closed,
            header,
            session,
            drain,
            keepalive,
            user,
        },
    )
}

fn kind() -> impl Strategy<Value = Kind> {
    let work = select(&["none", "spin:fixed:50us", "block:bimodal:1ns,60s,0.000001", "spin:exp:0"][..]);
    let echo = (work, any::<u64>(), any::<bool>(), option::of(duration())).prop_map(
        |(work, seed, greet, idle_timeout)| {
            Kind::Echo(EchoOptions { work: work.parse().ok(), seed, greet, idle_timeout })
        },
    );
    prop_oneof![echo, proxy().prop_map(Kind::Proxy)]
}

fn proxy() -> impl Strategy<Value = ProxyOptions> {
    let modes = (select(Balance::ALL), select(Forward::ALL), option::of(any::<IpAddr>()), any::<u32>());
    let clients = (access(), proxy_protocol());
    (group(), vec(route(), 0..3), modes, timeouts(), health(), limits(), clients).prop_map(
        |(upstreams, routes, modes, timeouts, health, limits, (access, proxy_protocol))| {
            let (balance, forward, source, retries) = modes;
            // Without checks nobody but a name's members come and go.
            let comes_and_goes = |upstream: &UpstreamOptions| upstream.place.is_name();
            let slow_start = health.slow_start;
            let slow_start =
                slow_start.filter(|_| health.interval.is_some() || upstreams.iter().any(comes_and_goes));
            let mut proxy = ProxyOptions {
                upstreams,
                balance,
                forward,
                source,
                retries,
                timeouts,
                health: HealthOptions { slow_start, ..health },
                limits,
                access,
                proxy_protocol,
                routes: Vec::new(),
            };
            for route in routes {
                // One that could never be taken is left out.
                let _ = proxy.add_route(route);
            }
            // A path has no port to check.
            let is_path =
                |upstream: &UpstreamOptions| matches!(upstream.place, Place::Address(Address::Unix(_)));
            proxy.health.port = proxy.health.port.filter(|_| !proxy.members().any(is_path));
            proxy
        },
    )
}

/// Members of different places; the first is no backup.
fn group() -> impl Strategy<Value = Vec<UpstreamOptions>> {
    let extras = vec((1..=UpstreamOptions::WEIGHT_MAX, any::<bool>()), 1..4);
    extras.prop_flat_map(|extras| {
        let upstream = |(index, (weight, backup)): (usize, (u32, bool))| {
            place(index as u16 + 1).prop_map(move |place| {
                let weight = if matches!(place, Place::Srv(_)) { 1 } else { weight };
                UpstreamOptions { place, weight, backup: backup && index > 0 }
            })
        };
        extras.into_iter().enumerate().map(upstream).collect::<Vec<_>>()
    })
}

fn place(number: u16) -> impl Strategy<Value = Place> {
    prop_oneof![
        3 => address(number).prop_map(Place::Address),
        1 => "[a-z_][A-Za-z0-9_-]{0,9}(\\.[a-z]{1,3})?\\.?".prop_map(move |host| Place::Dns { host, port: number }),
        1 => "_[a-z]{1,9}\\._tcp\\.[a-z]{1,3}".prop_map(move |name| Place::Srv(format!("{name}{number}"))),
    ]
}

fn route() -> impl Strategy<Value = RouteOptions> {
    let name = || "[a-z0-9][a-z0-9-]{0,9}\\.[a-z]{2,9}";
    let pattern = prop_oneof![name().prop_map(SniPattern::Exact), name().prop_map(SniPattern::Under)];
    let sni = vec(pattern, 0..3).prop_map(each_once);
    let alpn = vec("[ -~äö\\\\\"']{1,9}", 0..3).prop_map(each_once);
    (sni, alpn, group()).prop_map(|(sni, alpn, upstreams)| RouteOptions { sni, alpn, upstreams })
}

fn each_once<T: PartialEq>(all: Vec<T>) -> Vec<T> {
    let mut each = Vec::new();
    all.into_iter().for_each(|one| {
        if !each.contains(&one) {
            each.push(one);
        }
    });
    each
}

fn health() -> impl Strategy<Value = HealthOptions> {
    let amounts = (duration(), 1..=u32::MAX, 1..=u32::MAX, option::of(1..=u32::MAX), duration());
    let checks = (option::of(duration()), option::of(1..=u16::MAX), select(OnDown::ALL), asks());
    let proxy = option::of(select(ProxyVersion::ALL));
    (amounts, checks, proxy, option::of(duration())).prop_map(|(amounts, checks, proxy, slow_start)| {
        let (timeout, rise, fall, eject_after, eject_for) = amounts;
        let passive = HealthOptions::default();
        let passive = HealthOptions { timeout, rise, fall, slow_start, eject_after, eject_for, ..passive };
        let (interval, port, on_down, asks) = checks;
        match interval {
            None => passive,
            Some(_) => HealthOptions { interval, port, on_down, proxy, ..asks.over(passive) },
        }
    })
}

/// What a check asks for, beside a connection.
#[derive(Clone, Debug)]
enum Asks {
    Nothing,
    Bytes(Option<Vec<u8>>, Option<Vec<u8>>),
    Http(String, Vec<RangeInclusive<u16>>),
}

impl Asks {
    fn over(self, health: HealthOptions) -> HealthOptions {
        match self {
            Self::Nothing => health,
            Self::Bytes(send, expect) => HealthOptions { send, expect, ..health },
            Self::Http(target, http_status) => HealthOptions { http: Some(target), http_status, ..health },
        }
    }
}

fn asks() -> impl Strategy<Value = Asks> {
    let bytes = || option::of(prop_oneof![vec(any::<u8>(), 1..20), Just(b"none".to_vec())]);
    let status = (100..=999_u16, 100..=999_u16).prop_map(|(one, other)| one.min(other)..=one.max(other));
    prop_oneof![
        Just(Asks::Nothing),
        (bytes(), bytes()).prop_map(|(send, expect)| Asks::Bytes(send, expect)),
        ("/[!-~]{0,20}", vec(status, 1..4)).prop_map(|(target, status)| Asks::Http(target, status)),
    ]
}

fn limit() -> impl Strategy<Value = Option<u64>> {
    option::of(prop_oneof![1..100_000_u64, 1..=u64::MAX])
}

fn limits() -> impl Strategy<Value = Limits> {
    let per = select(&["s", "ms", "m"][..]);
    let rate = (1..=1_000_000_u64, per).prop_map(|(count, per)| format!("{count}/{per}"));
    let rate = rate.prop_map(|text| text.parse::<Rate>().expect("a rate"));
    let counts = (limit(), limit(), limit(), limit(), option::of(rate));
    let queue = (any::<u64>(), duration());
    (counts, 1..=128_u8, queue).prop_map(|(counts, source_v6_prefix, (queue, queue_timeout))| {
        let (connections, listener, upstream, per_source, accept_rate) = counts;
        let limits = Limits {
            connections,
            listener,
            upstream,
            per_source,
            source_v6_prefix,
            accept_rate,
            queue: 0,
            queue_timeout,
        };
        Limits { queue: if limits.is_off() { 0 } else { queue }, ..limits }
    })
}

fn networks() -> impl Strategy<Value = Vec<Cidr>> {
    let network = (any::<IpAddr>(), 0..=128_u8).prop_map(|(ip, prefix)| {
        let prefix = prefix.min(if ip.is_ipv4() { 32 } else { 128 });
        // What is refused says what would not be.
        let text = format!("{ip}/{prefix}");
        let meant = |why: String| why.split(&[' ', '?']).rev().nth(1).unwrap_or_default().parse::<Cidr>();
        text.parse::<Cidr>().or_else(meant).expect("a network")
    });
    vec(network, 0..3)
}

fn access() -> impl Strategy<Value = Access> {
    (networks(), networks()).prop_map(|(allow, mut deny)| {
        deny.retain(|network| !allow.contains(network));
        Access { allow, deny }
    })
}

fn proxy_protocol() -> impl Strategy<Value = ProxyProtocol> {
    let send = option::of(select(ProxyVersion::ALL));
    (networks(), any::<bool>(), send).prop_map(|(accept_from, accept_from_unix, send)| ProxyProtocol {
        accept_from,
        accept_from_unix,
        send,
    })
}
