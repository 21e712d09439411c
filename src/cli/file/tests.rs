//! The file as a whole: what is printed is read again and means the same, and no text brings it down.

mod any;

use std::time::Duration;

use proptest::{collection::vec, prelude::*, sample::select};

use super::parse;
use crate::{
    cli::{
        draft::Draft,
        write::{defaults, effective},
    },
    config::{
        Access, Cidr, HealthOptions, Limits, OnDown, Options, ProxyOptions, ProxyProtocol, ProxyVersion,
        Rate, Timeouts,
    },
    control::Setup,
    service::{EchoOptions, Kind},
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
    let Kind::Proxy(routed) = &all.services[0].kind else { panic!("{all:?}") };
    assert_eq!(routed.routes.len(), 1);
    assert_eq!(*proxy, ProxyOptions { routes: Vec::new(), ..routed.clone() });
    assert_eq!(all.services[1].kind, Kind::Echo(EchoOptions::default()));
    assert!(uncommented().lines().filter(|line| line.contains(" = ")).count() > 75);
}

/// A file with one proxy: these lines, behind where it listens.
fn proxy_of(lines: &str) -> ProxyOptions {
    let text = format!("[[service]]\nkind = \"proxy\"\nlisten = \"127.0.0.1:1\"\n{lines}");
    match setup_of(&text).services.remove(0).kind {
        Kind::Proxy(proxy) => proxy,
        Kind::Echo(echo) => panic!("{echo:?}"),
    }
}

#[test]
fn upstreams_in_each_form() {
    let proxy = proxy_of(
        r#"upstream = [
             { address = "10.0.0.1:5432", weight = 2 },
             { address = "10.0.0.2:5432", backup = true },
             { dns = "db.internal:5432" },
             { srv = "_postgres._tcp.db.internal" },
             "dns:web:80=3",
             "unix:/run/a=b",
           ]"#,
    );
    let upstreams = proxy.upstreams.iter();
    let upstreams: Vec<_> = upstreams.map(|it| (it.place.to_string(), it.weight, it.backup)).collect();
    let expected = [
        ("10.0.0.1:5432", 2, false),
        ("10.0.0.2:5432", 1, true),
        ("dns:db.internal:5432", 1, false),
        ("srv:_postgres._tcp.db.internal", 1, false),
        ("dns:web:80", 3, false),
        ("unix:/run/a=b", 1, false),
    ];
    assert_eq!(upstreams, expected.map(|(place, weight, backup)| (place.to_owned(), weight, backup)));
}

#[test]
fn a_proxy_in_full() {
    let proxy = proxy_of(
        r#"timeout.header = "2s"
           health = { interval = "2s", send = "PING\r\n", expect = '\x00+OK', on_down = "close" }
           limit = { connections = 10_000, per_source = 100, accept_rate = "2000/s", queue = 500 }
           allow = ["10.0.0.0/8", "::1"]
           deny = "10.6.6.0/24"
           proxy_protocol = { accept_from = ["10.1.0.0/16", "unix"], send = "v2" }
           [[service.route]]
           sni = ["*.Example.com", "a.example"]
           upstream = ["10.0.0.9:443", "10.0.0.8:443"]
           [[service.route]]
           alpn = "h2"
           upstream = [{ dns = "web.internal:443" }]"#,
    );
    assert_eq!(proxy.timeouts, Timeouts { header: Duration::from_secs(2), ..Timeouts::default() });
    let health = HealthOptions {
        interval: Some(Duration::from_secs(2)),
        send: Some(b"PING\r\n".into()),
        expect: Some(b"\0+OK".into()),
        on_down: OnDown::Close,
        ..HealthOptions::default()
    };
    assert_eq!(proxy.health, health);
    let limits = Limits {
        connections: Some(10_000),
        per_source: Some(100),
        accept_rate: Some(Rate { count: 2000, per: Duration::from_secs(1) }),
        queue: 500,
        ..Limits::default()
    };
    assert_eq!(proxy.limits, limits);
    let cidr = |text: &str| text.parse::<Cidr>().expect("a network");
    let access = Access { allow: vec![cidr("10.0.0.0/8"), cidr("::1")], deny: vec![cidr("10.6.6.0/24")] };
    assert_eq!(proxy.access, access);
    let accept_from = vec![cidr("10.1.0.0/16")];
    let send = Some(ProxyVersion::V2);
    assert_eq!(proxy.proxy_protocol, ProxyProtocol { accept_from, accept_from_unix: true, send });
    let [names, h2] = &proxy.routes[..] else { panic!("{:?}", proxy.routes) };
    assert!(names.sni[0].matches("b.example.com") && names.sni[1].matches("a.example"));
    assert_eq!((names.sni.len(), names.alpn.len(), names.upstreams.len()), (2, 0, 2));
    assert_eq!((h2.sni.len(), &h2.alpn[..]), (0, &["h2".to_owned()][..]));
    assert!(proxy.upstreams.is_empty() && proxy.needs_keeper());
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
    "[service.health]",
    "[[service.route]]",
    "[runtime]",
    "kind",
    "upstream",
    "name = \"db\"",
    "timeout",
    "weight = 0",
    "backup = true",
    "dns",
    "srv",
    "0/s",
    "10.1.2.3/8",
    "\\q",
    "none",
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
        (0..16_000_usize, 1..40_usize).prop_map(|(at, len)| Change::Cut(at, len)),
        (0..16_000_usize, select(TOKENS)).prop_map(|(at, token)| Change::Insert(at, token)),
        (0..16_000_usize, 1..200_usize, 0..16_000_usize).prop_map(|(at, len, to)| Change::Copy(at, len, to)),
        (0..16_000_usize, any::<char>()).prop_map(|(at, c)| Change::Byte(at, c)),
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

proptest! {
    #[test]
    fn no_text_brings_it_down(changes in vec(change(), 0..12)) {
        assert_survives(&changed(&uncommented(), &changes));
    }

    #[test]
    fn what_is_in_force_is_read_again(draft in any::draft()) {
        let setup = draft.finish().expect("valid by its making");
        prop_assert_eq!(setup_of(&effective(&setup)), setup);
    }
}
