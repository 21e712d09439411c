//! Services that forward to themselves.
//!
//! A service whose upstream is a listener of its own, or leads back to it by way of other services of this process,
//! would turn one client into connections without end. That can be seen before the first client comes: what is listened
//! on and what is forwarded to are both known. A chain of services that ends elsewhere is fine.
//!
//! What is promised: a loop within this process is found, by whichever address of this machine it goes, and nothing
//! else is called one. A loop by way of another process or another machine isn't seen, nor one by a name that is
//! asked for again and again (`dns:`, `srv:`).

use std::{
    collections::VecDeque,
    iter,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    path::{self, Path, PathBuf},
};

use super::{Member, Roster, Target};
use crate::{
    config::Address,
    sys::listen::{ListenAddress, Listener},
};

/// A service: where it listens, and where that leads.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    /// The service's name.
    pub service: &'a str,
    /// What it listens on. Port 0, which will be another, meets nothing.
    pub listen: Vec<Target>,
    /// What it forwards to at the start, if it does.
    pub roster: Option<&'a Roster>,
}

/// Looks for a service that forwards to itself. The answer is a sentence: by what way, and what to do.
pub fn find(nodes: &[Node<'_>]) -> Option<String> {
    let steps: Vec<Vec<Step<'_>>> =
        nodes.iter().map(|from| nodes.iter().enumerate().filter_map(|to| step(from, to)).collect()).collect();
    let way = (0..nodes.len()).find_map(|start| way_back(&steps, start))?;
    Some(explain(nodes, &way))
}

impl Target {
    /// What a service with this address in its configuration will listen on; nothing is bound.
    ///
    /// # Errors
    /// A sentence, where a name doesn't resolve.
    pub fn to_listen_on(address: &Address) -> Result<Self, String> {
        Ok(match address {
            Address::Tcp { host, port } => Self::Tcp(Address::resolve(host, *port)?),
            Address::Any { port } => Self::Tcp(Listener::any(*port)),
            Address::Unix(path) => Self::Unix(path.clone()),
        })
    }

    /// What is listened on, with the real port. (A bound unix listener is where its configuration says.)
    ///
    /// # Errors
    /// As [`Self::to_listen_on`].
    pub fn listened_on(address: &Address, bound: &ListenAddress) -> Result<Self, String> {
        match bound {
            ListenAddress::Tcp(bound) => Ok(Self::Tcp(*bound)),
            ListenAddress::Unix(_) => Self::to_listen_on(address),
        }
    }
}

/// From one service to another, or to itself.
#[derive(Clone, Copy)]
struct Step<'a> {
    to: usize,
    upstream: &'a Member,
    target: &'a Target,
    listener: &'a Target,
}

fn step<'a>(from: &Node<'a>, (to, node): (usize, &'a Node<'_>)) -> Option<Step<'a>> {
    let upstreams = &from.roster?.members;
    let targets = upstreams.iter().flat_map(|upstream| upstream.targets.iter().map(move |it| (upstream, it)));
    let mut pairs = targets.flat_map(|it| node.listen.iter().map(move |listener| (it, listener)));
    let ((upstream, target), listener) = pairs.find(|((_, target), listener)| meets(target, listener))?;
    Some(Step { to, upstream, target, listener })
}

/// The shortest way from a service back to it, breadth first.
fn way_back<'a>(steps: &[Vec<Step<'a>>], start: usize) -> Option<Vec<Step<'a>>> {
    let mut came_by: Vec<Option<(usize, Step<'a>)>> = vec![None; steps.len()];
    let mut queue = VecDeque::from([start]);
    while let Some(from) = queue.pop_front() {
        for step in &steps[from] {
            if came_by[step.to].is_none() {
                came_by[step.to] = Some((from, *step));
                queue.push_back(step.to);
            }
        }
    }
    let (mut from, last) = came_by[start]?;
    let earlier = iter::from_fn(|| {
        let (before, step) = came_by[from].filter(|_| from != start)?;
        from = before;
        Some(step)
    });
    let mut way: Vec<_> = iter::once(last).chain(earlier).collect();
    way.reverse();
    Some(way)
}

fn explain(nodes: &[Node<'_>], way: &[Step<'_>]) -> String {
    let name = |index: usize| nodes[index].service;
    let start = way.last().map_or(0, |last| last.to);
    let steps: Vec<_> = way
        .iter()
        .map(|Step { to, upstream, target, listener }| {
            let mut place = upstream.name.to_string();
            if target.to_string() != place {
                place = format!("{place} ({target})");
            }
            match way.len() {
                1 => format!("{place} is its own listener {listener}"),
                _ => format!("{place} is listener {listener} of {}", name(*to)),
            }
        })
        .collect();
    format!(
        "service {} forwards to itself: its upstream {}; name another upstream, or listen elsewhere",
        name(start),
        steps.join(", whose upstream ")
    )
}

/// Whether who connects to the one arrives at the other.
fn meets(target: &Target, listener: &Target) -> bool {
    match (target, listener) {
        (Target::Tcp(target), Target::Tcp(listener)) => meets_address(*target, *listener),
        (Target::Unix(target), Target::Unix(listener)) => real(target) == real(listener),
        _ => false,
    }
}

fn meets_address(target: SocketAddr, listener: SocketAddr) -> bool {
    let (target, listener) = (destination(target), canonical(listener));
    let takes_family = match listener.ip() {
        IpAddr::V4(_) => target.is_ipv4(),
        // Our wildcard listeners take both families (IPV6_V6ONLY is off).
        IpAddr::V6(_) => true,
    };
    listener.port() != 0
        && listener.port() == target.port()
        && if listener.ip().is_unspecified() { takes_family && is_local(target) } else { listener == target }
}

/// Where a connection to this address goes: to the wildcard address is to loopback (`ip_route_output_key_hash_rcu` in
/// net/ipv4/route.c, `tcp_v6_connect` in net/ipv6/tcp_ipv6.c).
fn destination(address: SocketAddr) -> SocketAddr {
    let address = canonical(address);
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, address.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, address.port()).into(),
        _ => address,
    }
}

/// IPv4 in the clothes of IPv6 undressed. Other IPv6 addresses keep their scope.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => (ip, address.port()).into(),
        IpAddr::V6(_) => address,
    }
}

/// Whether it is an address of this machine: one that can be bound. Where `ip_nonlocal_bind` (ip(7)) lets any address
/// be bound, it is one that the kernel would itself use to get there. No packet is sent.
fn is_local(mut address: SocketAddr) -> bool {
    if address.ip().is_loopback() {
        return true;
    }
    // Reserved, and so nobody's: 240.0.0.0/4 (RFC 1112) and the discard-only prefix 100::/64 (RFC 6666).
    let nobodys: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::new(240, 0, 0, 1), 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1), 0).into(),
    };
    address.set_port(0);
    UdpSocket::bind(address).is_ok() && (UdpSocket::bind(nobodys).is_err() || is_own_source(address))
}

fn is_own_source(mut address: SocketAddr) -> bool {
    let wildcard: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    address.set_port(9);
    let source = UdpSocket::bind((wildcard, 0)).and_then(|socket| {
        socket.connect(address)?;
        socket.local_addr()
    });
    source.is_ok_and(|source| source.ip() == address.ip())
}

/// A path without symbolic links, as far as it exists: the socket's own file may be yet to come.
fn real(path: &Path) -> PathBuf {
    let path = path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.canonicalize().unwrap_or_else(|_| match (path.parent().map(Path::canonicalize), path.file_name()) {
        (Some(Ok(folder)), Some(name)) => folder.join(name),
        _ => path,
    })
}

#[cfg(test)]
mod tests;
