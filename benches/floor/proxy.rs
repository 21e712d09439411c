//! The proxies: the floor, the floor again, evenkeel with each forwarder, and the two that people use.
//!
//! All stand before the same upstream, evenkeel's echo server on the client's core. nginx and HAProxy run
//! as their packages come, but with one thread, without a log, and with room for the idle connections.

use std::error::Error;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use crate::contender::Role::{Ours, Rival, Variation, Yardstick};
use crate::contender::{Contender, Field, evenkeel};
use crate::server::{Cores, Server, Tool};

/// Starts the server that all proxies forward to.
pub fn start_upstream(directory: &Path, cores: Cores) -> Result<Server, Box<dyn Error>> {
    let beside_the_client = Cores { server: cores.client, client: cores.client };
    let command = evenkeel("echo", cores.client, &["--measure", "off"]);
    let server =
        Server::start(&command, None, &Tool::None, beside_the_client, &directory.join("upstream.log"));
    server.map_err(|error| format!("the upstream: {error}").into())
}

/// All of them, before `upstream`.
pub fn contenders(field: &Field, upstream: SocketAddr) -> Result<Vec<Contender>, Box<dyn Error>> {
    let floor: Vec<_> =
        [field.compile("proxy_floor")?.into(), "0".into(), upstream.port().to_string().into()].into();
    let upstream_word = upstream.to_string();
    let ours = |forward, trigger| {
        let words = ["--upstream", &upstream_word, "--forward", forward, "--trigger", trigger];
        evenkeel("proxy", field.cores.server, &words)
    };
    Ok(vec![
        Contender::new("floor", Yardstick, floor.clone()),
        Contender::new("floor (A/A)", Variation, floor),
        Contender::new("evenkeel copy, level", Ours, ours("copy", "level")),
        Contender::new("evenkeel copy, edge", Ours, ours("copy", "edge")),
        Contender::new("evenkeel auto", Ours, ours("auto", "edge")),
        Contender::new("evenkeel splice", Yardstick, ours("splice", "edge")),
        nginx(&field.directory, upstream)?,
        haproxy("haproxy", "", 3, &field.directory, upstream)?,
        haproxy("haproxy, splice", "option splice-auto", 4, &field.directory, upstream)?,
    ])
}

/// nginx stays one process in the foreground. Debian's package has `stream` in a module of its own, which
/// the first line loads where it is.
fn nginx(directory: &Path, upstream: SocketAddr) -> Result<Contender, Box<dyn Error>> {
    let address = free_address(2)?;
    let pid_file = directory.join("nginx.pid");
    let text = format!(
        "include /etc/nginx/modules-enabled/*stream*.conf;
        daemon off;
        master_process off;
        pid {};
        events {{ worker_connections {SOCKETS_MAX}; }}
        stream {{ server {{ listen {address} backlog=4096; proxy_pass {upstream}; }} }}",
        pid_file.display()
    );
    let file = directory.join("nginx.conf");
    fs::write(&file, text)?;
    let command = vec!["nginx".into(), "-e".into(), "stderr".into(), "-c".into(), file.into()];
    Ok(Contender { address: Some(address), ..Contender::new("nginx", Rival, command) })
}

fn haproxy(
    name: &'static str,
    option: &str,
    host: u8,
    directory: &Path,
    upstream: SocketAddr,
) -> Result<Contender, Box<dyn Error>> {
    let address = free_address(host)?;
    let text = format!(
        "global
            nbthread 1
            maxconn {}
            maxpipes 100
        defaults
            mode tcp
            timeout connect 5s
            timeout client 1h
            timeout server 1h
            {option}
        listen proxy
            bind {address} backlog 4096
            server upstream {upstream}\n",
        SOCKETS_MAX / 2 - 100
    );
    let file = directory.join(format!("haproxy-{host}.cfg"));
    fs::write(&file, text)?;
    let command = vec!["haproxy".into(), "-q".into(), "-db".into(), "-f".into(), file.into()];
    Ok(Contender { address: Some(address), ..Contender::new(name, Rival, command) })
}

/// Enough for the idle connections, two sockets each.
const SOCKETS_MAX: usize = 19_000;

/// An address that can be bound again and again: outgoing connections have the source 127.0.0.1, so on
/// another loopback address none of them ever takes the port.
fn free_address(host: u8) -> Result<SocketAddr, Box<dyn Error>> {
    Ok(TcpListener::bind((IpAddr::V4(Ipv4Addr::new(127, 0, 0, host)), 0))?.local_addr()?)
}
