//! The file as a whole: what is printed is read again and means the same, and no text brings it down.

use std::{net::IpAddr, time::Duration};

use proptest::{collection::vec, option, prelude::*, sample::select};

use super::parse;
use crate::{
    cli::{
        draft::Draft,
        settings::report::Reporting,
        write::{defaults, effective},
    },
    config::{
        AcceptMode, Address, Balance, Deal, Forward, LogFormat, LogTarget, Measure, Options, PollMode,
        ProxyOptions, Timeouts, Trigger, UpstreamOptions,
    },
    control::{Setup, output::Format},
    service::{EchoOptions, Kind, Spec},
};

fn setup_of(text: &str) -> Setup {
    let draft = parse(text).unwrap_or_else(|mistake| panic!("{}", mistake.show("f", text)));
    draft.finish().unwrap_or_else(|why| panic!("{why}:\n{text}"))
}

/// The default configuration with each of its settings no comment any more.
fn uncommented() -> String {
    let is_setting = |line: &str| line.starts_with('#') && !line.starts_with("# ");
    let lines = defaults();
    let lines = lines.lines().map(|line| if is_setting(line) { &line[1..] } else { line });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_default_configuration_says_the_defaults() {
    let setup = setup_of(&defaults());
    assert_eq!(setup.options, Options::default());
    let Kind::Proxy(proxy) = &setup.services[0].kind else { panic!("{setup:?}") };
    assert_eq!(proxy.timeouts, Timeouts::default());
    assert_eq!(*proxy, ProxyOptions { upstreams: proxy.upstreams.clone(), ..ProxyOptions::default() });

    let all = setup_of(&uncommented());
    assert_eq!((&all.options, &all.plan), (&setup.options, &setup.plan));
    assert_eq!(all.services[0], setup.services[0]);
    assert_eq!(all.services[1].kind, Kind::Echo(EchoOptions::default()));
    assert!(uncommented().lines().filter(|line| line.contains(" = ")).count() > 35);
}

#[test]
fn services_without_names_get_some() {
    let service =
        |name, port: u32| format!("[[service]]\nkind = \"echo\"\nlisten = \"127.0.0.1:{port}\"\n{name}\n");
    let text = service("", 1) + &service("name = \"echo-2\"", 2) + &service("", 3) + &service("", 4);
    let names: Vec<_> = setup_of(&text).services.into_iter().map(|service| service.name).collect();
    assert_eq!(names, ["echo", "echo-2", "echo-3", "echo-4"]);
}

#[test]
fn the_process_drains_for_as_long_as_its_slowest_service() {
    let service = |port: u32, drain: &str| {
        format!(
            "[[service]]\nkind = \"proxy\"\nlisten = \"127.0.0.1:{port}\"\nupstream = \"127.0.0.1:9\"\n\
             timeout.drain = \"{drain}\"\n"
        )
    };
    let setup = setup_of(&(service(1, "2s") + &service(2, "30s") + &service(3, "0s")));
    assert_eq!(setup.options.drain, Duration::from_secs(30));
    assert_eq!(setup.plan.drain, None, "nobody has typed --drain");
}

/// What files are made of, to be put where it doesn't belong.
const TOKENS: &[&str] = &[
    "\"",
    "'",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ".",
    ",",
    "#",
    "\n",
    "\\",
    "\"\"\"",
    "0x",
    "1e9",
    "-1",
    "nan",
    "1979-05-27",
    "true",
    "[[service]]",
    "[service.timeout]",
    "[runtime]",
    "kind",
    "upstream",
    "name = \"db\"",
    "timeout",
    "weight = 0",
    "unix:",
    "unlimited",
    "off",
    "9999999999999999999999",
    "\u{feff}",
    "\0",
    "\r",
    "é",
];

#[derive(Clone, Debug)]
enum Change {
    Cut(usize, usize),
    Insert(usize, &'static str),
    Copy(usize, usize, usize),
    Byte(usize, char),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (0..5000_usize, 1..40_usize).prop_map(|(at, len)| Change::Cut(at, len)),
        (0..5000_usize, select(TOKENS)).prop_map(|(at, token)| Change::Insert(at, token)),
        (0..5000_usize, 1..200_usize, 0..5000_usize).prop_map(|(at, len, to)| Change::Copy(at, len, to)),
        (0..5000_usize, any::<char>()).prop_map(|(at, c)| Change::Byte(at, c)),
    ]
}

fn changed(text: &str, changes: &[Change]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for change in changes {
        let at = |place: usize| place % (chars.len() + 1);
        match *change {
            Change::Cut(from, len) => {
                let from = at(from);
                chars.drain(from..(from + len).min(chars.len()));
            }
            Change::Insert(to, token) => {
                let to = at(to);
                chars.splice(to..to, token.chars());
            }
            Change::Copy(from, len, to) => {
                let (from, to) = (at(from), at(to));
                let copy: Vec<char> = chars[from..(from + len).min(chars.len())].to_vec();
                chars.splice(to..to, copy);
            }
            Change::Byte(to, c) => {
                let to = at(to);
                chars.splice(to..(to + 1).min(chars.len()), [c]);
            }
        }
    }
    chars.into_iter().collect()
}

/// A text is refused with something that can be shown; or what it asks for can be written and read again.
fn assert_survives(text: &str) {
    match parse(text).map(Draft::finish) {
        Err(mistake) => {
            let shown = mistake.show("f", text);
            assert!(shown.lines().count() <= 4 && shown.len() < 4_000, "{shown}");
            assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
        }
        Ok(Err(why)) => assert!(!why.is_empty()),
        Ok(Ok(setup)) => assert_eq!(setup_of(&effective(&setup)), setup, "{text}"),
    }
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
    (modes, numbers, any::<[bool; 2]>(), 1..=i32::MAX, 0..=0o777_u32).prop_map(
        |(modes, numbers, [pin, nodelay], backlog, unix_mode)| {
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
    let must = (duration(), duration(), duration());
    (must, limits(), limits(), limits(), limits(), limits()).prop_map(
        |((connect, connect_total, drain), idle, half_closed, session, keepalive, user)| Timeouts {
            connect,
            connect_total,
            idle,
            half_closed,
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
    let upstreams = vec(1..=256_u32, 1..4).prop_flat_map(|upstreams| {
        let ports = upstreams.into_iter().enumerate();
        let upstream = |(index, weight): (usize, u32)| {
            address(index as u16 + 1).prop_map(move |address| UpstreamOptions { address, weight })
        };
        ports.map(upstream).collect::<Vec<_>>()
    });
    let modes = (select(Balance::ALL), select(Forward::ALL), option::of(any::<IpAddr>()), any::<u32>());
    let proxy = (upstreams, modes, timeouts()).prop_map(|(upstreams, modes, timeouts)| {
        let (balance, forward, source, retries) = modes;
        Kind::Proxy(ProxyOptions { upstreams, balance, forward, source, retries, timeouts })
    });
    prop_oneof![echo, proxy]
}

fn draft() -> impl Strategy<Value = Draft> {
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

proptest! {
    #[test]
    fn no_text_brings_it_down(changes in vec(change(), 0..12)) {
        assert_survives(&changed(&uncommented(), &changes));
    }

    #[test]
    fn what_is_in_force_is_read_again(draft in draft()) {
        let setup = draft.finish().expect("valid by its making");
        prop_assert_eq!(setup_of(&effective(&setup)), setup);
    }
}
