//! OpenSSL's client and server, brought together by the name that the client asks for. Nobody in between has a key.

use std::{fs, process::Command};

use rustix::process::Signal;
use serde_json::Value;

use crate::{
    examples,
    front::{Front, ended_by},
    peer::{Peer, client, free_address, program, said},
    support::{Server, TempDir, evenkeel},
};

/// Lines of about 40 bytes.
const LINES: usize = 50_000;

#[test]
#[ignore = "needs openssl installed; run by .ci/run"]
fn the_tls_example_finds_the_server_of_each_name() {
    let api = Site::start(&["*.api.example.com"]);
    let www = Site::start(&["example.com", "*.example.com", "*.api.example.com"]);
    let other = Site::start(&["elsewhere.test"]);
    let dir = TempDir::new();
    let front = examples::front(
        "tls",
        &dir,
        &[
            ("127.0.0.1:8443", "127.0.0.1:0"),
            ("127.0.0.1:9443", &api.address),
            ("127.0.0.1:9444", &www.address),
            ("127.0.0.1:9445", &other.address),
        ],
    );
    let address = front.address();
    for (site, name, alpn) in [
        (&api, "eu.api.example.com", Some("h2")),
        (&api, "eu.api.example.com", Some("http/1.1,h2")),
        (&www, "eu.api.example.com", Some("http/1.1")),
        (&www, "eu.api.example.com", None),
        (&www, "example.com", None),
        (&www, "EXAMPLE.com", None),
        (&www, "shop.example.com", Some("h2,http/1.1")),
        (&other, "elsewhere.test", None),
    ] {
        let words = site.is_reached_by(&address, name, alpn);
        // The server's own choice: h2, where the client has it.
        let chosen = match alpn {
            Some(alpn) if alpn.contains("h2") => "ALPN protocol: h2",
            Some(_) => "ALPN protocol: http/1.1",
            None => "No ALPN negotiated",
        };
        assert!(words.contains(chosen), "{name} {alpn:?}: {words}");
    }
    // No name at all.
    other.shakes_hands(&address, &["-noservername", "-verify_hostname", "elsewhere.test"]);
    let ledger = front.finish();
    let name = |line: &Value| line["sni"].as_str().unwrap_or("-").to_ascii_lowercase();
    let names: Vec<_> = ledger.iter().map(name).collect();
    let api = "eu.api.example.com";
    let rest = ["example.com", "example.com", "shop.example.com", "elsewhere.test", "-"];
    assert_eq!(names, [&[api; 4][..], &rest].concat());
}

/// A ClientHello of several records, and of many segments: as large as post-quantum key shares make it, and larger.
#[test]
#[ignore = "needs openssl installed; run by .ci/run"]
fn a_large_client_hello_finds_its_way() {
    let (one, other) = (Site::start(&["one.test"]), Site::start(&["other.test"]));
    let (front, _dir) = routed(&one, &other, "");
    for (names, site) in [(8, &one), (50, &other), (200, &one)] {
        let padding: String = (0..names).map(|name| format!("{name:x>250},")).collect();
        let words = site.is_reached_by(&front.address(), site.name, Some(&(padding + "h2")));
        assert!(words.contains("ALPN protocol: h2"), "{names}: {words}");
    }
    // OpenSSL 3.5 and later.
    let mut list = client("openssl", "openssl");
    if said(list.args(["list", "-kem-algorithms"])).contains("X25519MLKEM768") {
        one.shakes_hands(&front.address(), &["-servername", "one.test", "-groups", "X25519MLKEM768"]);
    }
    front.finish();
}

#[test]
#[ignore = "needs openssl installed; run by .ci/run"]
fn what_comes_behind_the_client_hello_is_whole() {
    let (one, other) = (Site::start(&["one.test"]), Site::start(&["other.test"]));
    let text: String =
        (0..LINES).map(|line| format!("{line:>8} lies where it should, and is whole\n")).collect();
    fs::write(other.dir.file("large"), &text).expect("a folder of ours");
    let (front, dir) = routed(&one, &other, "");
    let request = dir.file("request");
    fs::write(&request, "GET /large HTTP/1.0\r\n\r\n").expect("a folder of ours");
    let mut s_client = other.s_client(&front.address(), &["-servername", "other.test", "-quiet"]);
    let answer = said(s_client.stdin(fs::File::open(&request).expect("it was written")));
    assert!(answer.contains(&text), "{} bytes came", answer.len());
    front.finish();
}

#[test]
#[ignore = "needs openssl installed; run by .ci/run"]
fn who_asks_for_nobody_there_is_refused() {
    let (one, other) = (Site::start(&["one.test"]), Site::start(&["other.test"]));
    let (front, _dir) = routed(&one, &other, "");
    for more in [&["-servername", "third.test"][..], &["-noservername"]] {
        let output = one.s_client(&front.address(), more).output().expect("openssl starts");
        assert!(!output.status.success(), "{more:?}: {output:?}");
    }
    one.is_reached_by(&front.address(), "one.test", None);
    let ledger = front.finish_but_for(&["BR"]);
    assert_eq!((ended_by(&ledger, "BR"), ledger.len()), (2, 3));
}

#[test]
#[ignore = "needs openssl installed; run by .ci/run"]
fn who_does_not_speak_tls_is_served_by_the_rest() {
    let (one, other) = (Site::start(&["one.test"]), Site::start(&["other.test"]));
    let arguments = ["echo", "--listen", "127.0.0.1:0", "--report", "json"];
    let echo = Server::start_with(evenkeel(), &arguments);
    let rest = format!("upstream = \"{}\"", echo.listening()[0]);
    let (front, _dir) = routed(&one, &other, &rest);
    let plain = front.connect();
    plain.ping(b"h");
    plain.ping(b"ello, in clear");
    one.is_reached_by(&front.address(), "one.test", None);
    drop(plain);
    assert_eq!(front.finish().len(), 2);
}

/// A proxy with a route to each of two, and more in its service's table.
fn routed(one: &Site, other: &Site, more: &str) -> (Front, TempDir) {
    let dir = TempDir::new();
    let route = |site: &Site| {
        format!("{{ sni = \"{}\", upstream = [{{ address = \"{}\" }}] }}", site.name, site.address)
    };
    let routes = [one, other].map(route).join(", ");
    let text = format!("listen = \"127.0.0.1:0\"\nroute = [{routes}]\n{more}\n");
    (Front::with_service(&dir, &text), dir)
}

/// `openssl s_server` with a certificate of its own, which serves its folder.
struct Site {
    _peer: Peer,
    name: &'static str,
    address: String,
    certificate: String,
    dir: TempDir,
}

impl Site {
    /// With a certificate for these names.
    fn start(names: &[&'static str]) -> Self {
        let (dir, address) = (TempDir::new(), free_address());
        let (key, certificate) = (dir.file("key.pem"), dir.file("certificate.pem"));
        let alternative: Vec<_> = names.iter().map(|name| format!("DNS:{name}")).collect();
        let mut request = client("openssl", "openssl");
        request.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
        request.args(["-days", "2", "-subj", "/CN=evenkeel", "-keyout", &key, "-out", &certificate]);
        said(request.args(["-addext", &format!("subjectAltName={}", alternative.join(","))]));
        let mut command = Command::new(program("openssl", "openssl"));
        command.args(["s_server", "-accept", &address, "-cert", &certificate, "-key", &key, "-WWW"]);
        command.args(["-alpn", "h2,http/1.1"]).current_dir(dir.path());
        let peer = Peer::start(command, &dir.path().join("log"), "ACCEPT", Signal::TERM);
        Self { _peer: peer, name: names[0], address, certificate, dir }
    }

    /// A client that asks for this name comes to it, and to nobody else: no other has its key. What the client says.
    fn is_reached_by(&self, address: &str, name: &str, alpn: Option<&str>) -> String {
        let mut arguments = vec!["-servername", name, "-verify_hostname", name];
        if let Some(alpn) = alpn {
            arguments.extend(["-alpn", alpn]);
        }
        self.shakes_hands(address, &arguments)
    }

    fn shakes_hands(&self, address: &str, arguments: &[&str]) -> String {
        said(&mut self.s_client(address, arguments))
    }

    /// A client that takes nobody else for it.
    fn s_client(&self, address: &str, arguments: &[&str]) -> Command {
        let mut command = client("openssl", "openssl");
        command.args(["s_client", "-connect", address, "-CAfile", &self.certificate, "-verify_return_error"]);
        command.args(arguments);
        command
    }
}
