//! PROXY protocol between other people's programs: curl and HAProxy say who the client is, nginx and HAProxy hear it.

use std::{fs, process::Command};

use rustix::process::Signal;

use crate::{
    examples,
    front::{Front, ended_by},
    nginx::Nginx,
    peer::{Peer, client, free_port, is_listened_at, program, said},
    support::{TempDir, eventually, total},
};

const VERSIONS: [&str; 2] = ["v1", "v2"];

/// Whose headers are believed in all of these.
const EVERYBODY: [&str; 6] = [
    "--proxy-protocol-accept-from",
    "127.0.0.0/8",
    "--proxy-protocol-accept-from",
    "::1",
    "--proxy-protocol-accept-from",
    "unix",
];

/// Clients that say nothing of themselves. One of a unix socket has no address: whom nginx sees then is the proxy.
#[test]
#[ignore = "needs nginx-light and curl installed; run by .ci/run"]
fn nginx_is_told_who_connects() {
    let nginx = Nginx::that_tells_its_client();
    for (version, over_unix) in VERSIONS.iter().flat_map(|version| [(version, false), (version, true)]) {
        let dir = TempDir::new();
        let front = listening(&dir, nginx.address(over_unix), &["--proxy-protocol-send", version]);
        let [v4, v6, unix] = addresses(&front);
        for (address, more) in [(v4, &["--interface", "127.0.0.5"][..]), (v6, &[][..])] {
            let Asked { seen, own } = ask(&address, more);
            let (host, _) = own.split_once(' ').expect("an address and a port");
            assert_eq!(seen, format!("{own} {host}"), "{version} {address}");
        }
        let proxy = if over_unix { "unix:" } else { "127.0.0.1" };
        assert_eq!(ask(&unix, &[]).seen.trim(), proxy, "{version}");
        front.finish();
    }
}

/// curl's own header (version 1) goes through a proxy that knows nothing of it to one that takes it, so that the
/// client in the header isn't whom that one sees.
#[test]
#[ignore = "needs nginx-light and curl installed; run by .ci/run"]
fn nginx_is_told_what_curl_says() {
    let nginx = Nginx::that_tells_its_client();
    for version in VERSIONS {
        let dir = TempDir::new();
        let flags = [&EVERYBODY[..], &["--proxy-protocol-send", version]].concat();
        let front = listening(&dir, &nginx.tcp, &flags);
        let mut seen_by_front = Vec::new();
        for (listen, to) in ["127.0.0.1:0", "[::1]:0", "127.0.0.1:0"].iter().zip(addresses(&front)) {
            let dir = TempDir::new();
            let hop = Front::start(listen, &to, "auto", &dir);
            let Asked { seen, own } = ask(&hop.address(), &["--haproxy-protocol"]);
            assert!(seen.starts_with(&format!("{own} ")), "{version}, {to}: nginx saw {seen}, not {own}");
            let local = hop.finish()[0]["local"].clone();
            seen_by_front.push((own, local, to));
        }
        let ledger = front.finish();
        for (line, (own, local, to)) in ledger.iter().zip(&seen_by_front) {
            assert_eq!(line["client"].as_str().map(blank), Some(own.clone()), "{line}");
            let via = if to.starts_with("unix:") { "unix:".into() } else { local.clone() };
            assert_eq!(line["via"], via, "{line}");
        }
        assert_eq!(ledger.len(), seen_by_front.len());
    }
}

#[test]
#[ignore = "needs nginx-light and curl installed; run by .ci/run"]
fn who_should_send_a_header_and_does_not_is_refused() {
    let (nginx, dir) = (Nginx::that_tells_its_client(), TempDir::new());
    let flags = [&EVERYBODY[..2], &["--proxy-protocol-send", "v2"]].concat();
    let front = listening(&dir, &nginx.tcp, &flags);
    let [v4, v6, _] = addresses(&front);
    let refused = curl(&v4, &[]).output().expect("curl starts");
    assert!(!refused.status.success(), "{refused:?}");
    // Nobody listens to headers of this one: it is payload, and nginx takes it for a request that is none.
    let answer = curl(&v6, &["--haproxy-protocol"]).output().expect("curl starts");
    let words = String::from_utf8_lossy(&answer.stderr);
    assert!(words.contains("400"), "{answer:?}");
    let ledger = front.finish_but_for(&["BR"]);
    assert_eq!((ended_by(&ledger, "BR"), ledger.len()), (1, 2));
}

/// By all ways that HAProxy has to go on: TCP over IPv4 and IPv6, a unix socket; and both versions.
#[test]
#[ignore = "needs nginx-light, haproxy and curl installed; run by .ci/run"]
fn nginx_is_told_what_haproxy_says() {
    let nginx = Nginx::that_tells_its_client();
    for version in VERSIONS {
        let dir = TempDir::new();
        let flags = [&EVERYBODY[..], &["--proxy-protocol-send", version]].concat();
        let front = listening(&dir, &nginx.tcp, &flags);
        for (to, sends) in addresses(&front).iter().flat_map(|to| [(to, "send-proxy"), (to, "send-proxy-v2")])
        {
            let [v4, v6] = [free_port(&["127.0.0.1"]), free_port(&["::1"])];
            let server = format!("    server evenkeel {} {sends}\n", haproxy_address(to));
            let listen = format!("    bind 127.0.0.1:{v4}\n    bind [::1]:{v6}\n");
            let _haproxy = Haproxy::start(&format!("listen front\n{listen}{server}"), &[v4, v6]);
            for (address, more) in [
                (format!("127.0.0.1:{v4}"), &["--interface", "127.0.0.5"][..]),
                (format!("[::1]:{v6}"), &[][..]),
            ] {
                let Asked { seen, own } = ask(&address, more);
                assert!(
                    seen.starts_with(&format!("{own} ")),
                    "{sends} {version}: nginx saw {seen}, not {own}"
                );
            }
        }
        front.finish();
    }
}

/// HAProxy as the one that is told.
#[test]
#[ignore = "needs haproxy and curl installed; run by .ci/run"]
fn haproxy_is_told_who_connects() {
    let port = free_port(&["127.0.0.1"]);
    let _haproxy = Haproxy::start(&that_tells_its_client(port), &[port]);
    for version in VERSIONS {
        let dir = TempDir::new();
        let flags = ["--proxy-protocol-send", version];
        let front = listening(&dir, &format!("127.0.0.1:{port}"), &flags);
        let [v4, v6, unix] = addresses(&front);
        for (address, more) in [(v4, &["--interface", "127.0.0.5"][..]), (v6, &[][..])] {
            let Asked { seen, own } = ask(&address, more);
            assert_eq!(seen.trim(), own, "{version} {address}");
        }
        let Asked { seen, .. } = ask(&unix, &[]);
        assert!(seen.starts_with("127.0.0.1 "), "{version}: HAProxy saw {seen}, not the proxy");
        front.finish();
    }
}

/// What else a header of version 2 says goes on, but for the checksum: HAProxy tells of an IPv4 client in the form of
/// IPv6 here, evenkeel in that of IPv4, so that the sum would be that of another header.
#[test]
#[ignore = "needs haproxy and curl installed; run by .ci/run"]
fn haproxy_gets_its_own_unique_id_back() {
    let [before, behind] = [free_port(&["127.0.0.1"]), free_port(&["127.0.0.1"])];
    let dir = TempDir::new();
    let flags = [&EVERYBODY[..], &["--proxy-protocol-send", "v2"]].concat();
    let front = listening(&dir, &format!("127.0.0.1:{behind}"), &flags);
    let both = format!(
        "frontend before
    bind :::{before} v4v6
    unique-id-format id-%ci-%cp
    default_backend evenkeel
backend evenkeel
    server evenkeel {} send-proxy-v2 proxy-v2-options unique-id,crc32c
{}",
        front.address(),
        that_tells_its_client(behind)
    );
    let haproxy = Haproxy::start(&both, &[before, behind]);
    let Asked { seen, own } = ask(&format!("127.0.0.1:{before}"), &[]);
    assert_eq!(seen, format!("{own} id-::ffff:{}", own.replace(' ', "-")));
    drop(haproxy);
    front.finish();
}

/// Who wants a header refuses a check that has none.
#[test]
#[ignore = "needs nginx-light installed; run by .ci/run"]
fn nginx_passes_checks_that_begin_with_a_header() {
    let nginx = Nginx::that_tells_its_client();
    for version in VERSIONS {
        let dir = TempDir::new();
        let checks = ["--health-interval", "50ms", "--health-http", "/", "--health-proxy", version];
        let flags = [&["--proxy-protocol-send", version][..], &checks].concat();
        let mut front = Front::start_with("127.0.0.1:0", &nginx.tcp, "auto", &dir, &flags);
        eventually("ten checks have passed", || {
            let upstream = front.server.report_now()["upstreams"][0].clone();
            assert_eq!(upstream["checks_failed"], 0, "{upstream}");
            (upstream["checks_passed"].as_u64() >= Some(10)).then_some(())
        });
        assert_eq!(total(&front.server.report(), "accepted"), 0, "a check is no session");
    }
}

#[test]
#[ignore = "needs nginx-light, haproxy and curl installed; run by .ci/run"]
fn the_proxy_protocol_example_knows_its_clients() {
    let (nginx, dir) = (Nginx::that_tells_its_client(), TempDir::new());
    let socket = dir.file("web.sock");
    let front = examples::front(
        "web",
        &dir,
        &[
            ("127.0.0.1:8080", "127.0.0.1:0"),
            ("/run/evenkeel/web.sock", &socket),
            ("127.0.0.1:8081", &nginx.tcp),
            ("10.1.0.0/16", "127.0.0.0/8"),
        ],
    );
    for to in front.server.listening() {
        let port = free_port(&["127.0.0.1"]);
        let server = format!("    server evenkeel {} send-proxy-v2\n", haproxy_address(&to));
        let _haproxy = Haproxy::start(&format!("listen web\n    bind 127.0.0.1:{port}\n{server}"), &[port]);
        let Asked { seen, own } = ask(&format!("127.0.0.1:{port}"), &["--interface", "127.0.0.5"]);
        assert_eq!(seen, format!("{own} 127.0.0.5"));
    }
    front.finish();
}

/// A proxy that listens by IPv4, by IPv6 and at a unix socket.
fn listening(dir: &TempDir, upstream: &str, more: &[&str]) -> Front {
    let unix = format!("unix:{}", dir.file("front.sock"));
    let common =
        ["--listen", "127.0.0.1:0", "--listen", "[::1]:0", "--listen", &unix, "--upstream", upstream];
    Front::with_flags(dir, &[&common[..], more].concat())
}

fn addresses(front: &Front) -> [String; 3] {
    front.server.listening().try_into().expect("it has three listeners")
}

/// What came of a request.
struct Asked {
    /// What the server says of its client.
    seen: String,
    /// What curl says of itself: address and port.
    own: String,
}

fn ask(address: &str, more: &[&str]) -> Asked {
    let text = said(&mut curl(address, more));
    let (seen, own) = text.split_once('\n').unwrap_or_else(|| panic!("not two lines: {text}"));
    Asked { seen: seen.to_owned(), own: own.trim().to_owned() }
}

fn curl(address: &str, more: &[&str]) -> Command {
    let mut curl = client("curl", "curl");
    curl.args(["--silent", "--show-error", "--fail", "--write-out", "%{local_ip} %{local_port}\n"])
        .args(more);
    match address.strip_prefix("unix:") {
        Some(path) => curl.args(["--unix-socket", path, "http://localhost/"]),
        None => curl.arg(format!("http://{address}/")),
    };
    curl
}

/// `HOST:PORT` as curl writes it here: without brackets, and a blank for the colon.
fn blank(address: &str) -> String {
    let (host, port) = address.rsplit_once(':').expect("HOST:PORT");
    format!("{} {port}", host.trim_matches(['[', ']']))
}

/// A section of HAProxy's that wants a header and answers by what it makes of it.
fn that_tells_its_client(port: u16) -> String {
    format!(
        "frontend behind
    mode http
    bind 127.0.0.1:{port} accept-proxy
    http-request return status 200 content-type text/plain lf-string \"%[src] %[src_port] %[fc_pp_unique_id]\\n\"
"
    )
}

/// HAProxy's name for one of our addresses.
fn haproxy_address(address: &str) -> String {
    address.strip_prefix("unix:").map_or_else(|| address.to_owned(), |path| format!("unix@{path}"))
}

/// A HAProxy of a test's own.
struct Haproxy {
    _peer: Peer,
    _dir: TempDir,
}

impl Haproxy {
    /// With these sections, which listen at these ports.
    fn start(sections: &str, ports: &[u16]) -> Self {
        let dir = TempDir::new();
        let defaults =
            "defaults\n    mode tcp\n    timeout connect 10s\n    timeout client 1m\n    timeout server 1m\n";
        let file = dir.file("haproxy.cfg");
        fs::write(&file, format!("{defaults}{sections}")).expect("a folder of ours");
        let mut command = Command::new(program("haproxy", "haproxy"));
        command.args(["-db", "-f", &file]);
        let log = dir.path().join("log");
        let are_bound = |_: &str| ports.iter().all(|&port| is_listened_at(port));
        let peer = Peer::start_until(command, &log, Signal::TERM, are_bound);
        Self { _peer: peer, _dir: dir }
    }
}
