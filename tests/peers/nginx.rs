//! nginx: requests by wrk, kept alive and not, and a long download.

use std::{
    fs,
    io::{BufWriter, Write},
    path::Path,
    process::{Command, Stdio},
};

use rustix::process::Signal;

use crate::{
    front::{FORWARDERS, Front},
    peer::{Peer, assert_same, client, free_address, port, program, said},
    support::TempDir,
};

const DOWNLOAD_MB: usize = 200;

#[test]
#[ignore = "needs nginx-light and wrk installed; run by .ci/run"]
fn wrk_sees_no_error() {
    for over_unix in [false, true] {
        let nginx = Nginx::start();
        let dir = TempDir::new();
        let front = Front::start("127.0.0.1:0", nginx.address(over_unix), "auto", &dir);
        wrk(&front.address(), &["--duration", "5s"]);
        wrk(&front.address(), &["--duration", "2s", "--header", "Connection: close"]);
        front.finish();
    }
}

#[test]
#[ignore = "needs nginx-light and curl installed; run by .ci/run"]
fn a_long_download_is_whole() {
    let nginx = Nginx::start();
    let file = nginx.dir.path().join("large");
    write_random(&file, DOWNLOAD_MB << 20);
    for (forward, over_unix) in FORWARDERS.iter().flat_map(|forward| [(forward, false), (forward, true)]) {
        let dir = TempDir::new();
        let front = Front::start("127.0.0.1:0", nginx.address(over_unix), forward, &dir);
        let mut curl = client("curl", "curl");
        curl.args(["--silent", "--show-error", "--fail"]).arg(format!("http://{}/large", front.address()));
        let mut child = curl.stdout(Stdio::piped()).spawn().expect("curl starts");
        assert_same(child.stdout.take().expect("stdout is a pipe"), &file);
        assert!(child.wait().expect("it is our child").success(), "{forward}: curl complains");
        front.finish();
    }
}

/// An nginx of a test's own, that serves its folder.
pub struct Nginx {
    _peer: Peer,
    pub tcp: String,
    unix: String,
    dir: TempDir,
}

impl Nginx {
    pub fn start() -> Self {
        Self::start_with("", "")
    }

    /// One that wants a PROXY header before each request's connection, and answers by what it makes of it: the
    /// header's address and port, and who the client is for its logs.
    pub fn that_tells_its_client() -> Self {
        let client = "set_real_ip_from 127.0.0.0/8;
        set_real_ip_from unix:;
        real_ip_header proxy_protocol;
        default_type text/plain;
        location / { return 200 \"$proxy_protocol_addr $proxy_protocol_port $remote_addr\\n\"; }";
        Self::start_with("proxy_protocol", client)
    }

    /// With words for its listeners, and more for its server.
    fn start_with(listener: &str, server: &str) -> Self {
        let (dir, tcp) = (TempDir::new(), free_address());
        let unix = format!("unix:{}", dir.file("nginx.sock"));
        fs::write(dir.file("small"), "small\n").expect("a folder of ours");
        let listen =
            [&tcp, &unix].map(|at| format!("        listen {at} backlog=4096 {listener};\n")).concat();
        fs::write(dir.file("nginx.conf"), configuration(&dir.file(""), &(listen + server)))
            .expect("a folder of ours");
        let mut command = Command::new(program("nginx", "nginx-light"));
        command.args(["-e", "stderr", "-p", &dir.file(""), "-c", &dir.file("nginx.conf")]);
        // It says this once it listens.
        let ready = "using the \"epoll\" event method";
        let peer = Peer::start(command, &dir.path().join("log"), ready, Signal::TERM);
        Self { _peer: peer, tcp, unix, dir }
    }

    pub fn address(&self, over_unix: bool) -> &str {
        if over_unix { &self.unix } else { &self.tcp }
    }
}

/// One process in the foreground, all files in one folder.
fn configuration(dir: &str, server: &str) -> String {
    let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let folders: String = kinds.map(|kind| format!("    {kind}_temp_path {dir}/{kind};\n")).concat();
    format!(
        "daemon off;
master_process off;
pid {dir}/pid;
error_log stderr notice;
events {{ worker_connections 1024; }}
http {{
{folders}    access_log off;
    keepalive_requests 1000000;
    server {{
{server}
        root {dir};
    }}
}}
"
    )
}

/// 50 connections; what wrk prints only if there is something to complain about must not be there.
pub fn wrk(address: &str, more: &[&str]) {
    let mut command = client("wrk", "wrk");
    command.args(["--threads", "2", "--connections", "50"]).args(more);
    let text = said(command.arg(format!("http://127.0.0.1:{}/small", port(address))));
    assert!(!text.contains("Socket errors") && !text.contains("Non-2xx"), "{text}");
    assert!(text.contains("requests in") && !text.contains("\n  0 requests in"), "{text}");
}

fn write_random(path: &Path, len: usize) {
    let mut random = fastrand::Rng::with_seed(1);
    let mut file = BufWriter::new(fs::File::create(path).expect("a folder of ours"));
    let mut piece = vec![0; 1 << 16];
    for _ in 0..len / piece.len() {
        random.fill(&mut piece);
        file.write_all(&piece).expect("the disk has room");
    }
    file.flush().expect("the disk has room");
}
