//! Where to listen: `127.0.0.1:7000`, `[::1]:7000`, `:7000`, `unix:/run/echo.sock`.

use std::{
    fmt,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    path::PathBuf,
    str::FromStr,
};

/// An address as it was typed; host names are resolved when it is bound.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// `HOST:PORT` or `[V6]:PORT`.
    Tcp {
        /// A name, an IPv4 address, or an IPv6 address without its brackets.
        host: String,
        /// 0 asks for any free port.
        port: u16,
    },
    /// `:PORT`: every address of this machine, IPv6 and IPv4 by one socket, IPv4 alone where IPv6 is off.
    Any {
        /// 0 asks for any free port.
        port: u16,
    },
    /// `unix:PATH`.
    Unix(PathBuf),
}

impl Address {
    /// Whether the kernel is to choose the port.
    pub fn has_any_port(&self) -> bool {
        matches!(self, Self::Tcp { port: 0, .. } | Self::Any { port: 0 })
    }

    /// The port of a TCP address.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp { port, .. } | Self::Any { port } => Some(*port),
            Self::Unix(_) => None,
        }
    }

    /// Whether it is every address of a family, or of both.
    pub fn is_wide(&self) -> bool {
        matches!(self, Self::Any { .. }) || self.ip().is_some_and(|ip| ip.is_unspecified())
    }

    /// Whether this one takes in whatever the other names: it is every address of its family, at the same port.
    pub fn takes_in(&self, other: &Self) -> bool {
        let is_at_one_port = self.port() == other.port() && self.port().is_some_and(|port| port != 0);
        let is_of_one_family = match (self, self.ip(), other.ip()) {
            (Self::Any { .. }, ..) => true,
            (_, Some(ip), Some(other)) => ip.is_ipv4() == other.is_ipv4(),
            _ => false,
        };
        self.is_wide() && self != other && is_at_one_port && is_of_one_family
    }

    /// The address, where it is neither a name nor a path.
    fn ip(&self) -> Option<IpAddr> {
        let Self::Tcp { host, .. } = self else { return None };
        host.parse().ok()
    }

    /// The socket address of a TCP address; of several that a name has, the first.
    ///
    /// # Errors
    /// A sentence, where the name doesn't resolve.
    pub fn resolve(host: &str, port: u16) -> Result<SocketAddr, String> {
        (host, port)
            .to_socket_addrs()
            .map_err(|error| {
                format!("cannot resolve '{host}': {error}; use an IP address or a name that resolves")
            })?
            .next()
            .ok_or_else(|| format!("'{host}' has no address; use an IP address"))
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!("'{text}' is not an address ({why}): write HOST:PORT, [V6]:PORT, :PORT or unix:PATH")
        };
        if let Some(path) = text.strip_prefix("unix:") {
            // sun_path has 108 bytes with the closing NUL (unix(7)).
            return match path.len() {
                0 => Err(wrong("no path")),
                1..=107 => Ok(Self::Unix(path.into())),
                _ => Err(wrong("a unix socket's path has at most 107 bytes")),
            };
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(|| wrong("no port"))?;
        let port = match port.parse::<u64>() {
            Ok(port) => u16::try_from(port).map_err(|_| wrong("a port is 0 to 65535"))?,
            Err(_) => return Err(wrong("the port is not a number")),
        };
        if host.is_empty() {
            return Ok(Self::Any { port });
        }
        let host = match host.strip_prefix('[').map(|host| host.strip_suffix(']')) {
            Some(Some(v6)) if v6.parse::<std::net::Ipv6Addr>().is_ok() => v6,
            Some(_) => return Err(wrong("between the brackets is no IPv6 address")),
            None if host.contains(':') => return Err(wrong("an IPv6 address goes in brackets")),
            None => host,
        };
        Ok(Self::Tcp { host: host.to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Any { port } => write!(f, ":{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_survives_a_round_trip() {
        for text in ["127.0.0.1:7000", "[::1]:0", ":7000", "unix:/run/e.sock", "localhost:65535"] {
            assert_eq!(text.parse::<Address>().map(|address| address.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn every_address_takes_in_each_of_its_family() {
        let takes_in = |wide: &str, narrow: &str| {
            wide.parse::<Address>().unwrap().takes_in(&narrow.parse::<Address>().unwrap())
        };
        for (wide, narrow) in [("0.0.0.0:80", "10.0.0.1:80"), ("[::]:80", "[::1]:80"), (":80", "[::1]:80")] {
            assert!(takes_in(wide, narrow) && !takes_in(narrow, wide), "{wide} {narrow}");
        }
        for (one, other) in [
            ("0.0.0.0:80", "127.0.0.1:81"),
            ("0.0.0.0:0", "127.0.0.1:0"),
            (":0", "127.0.0.1:0"),
            ("0.0.0.0:80", "[::1]:80"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            (":80", "unix:80"),
        ] {
            assert!(!takes_in(one, other), "{one} {other}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, why) in [
            ("127.0.0.1", "no port"),
            ("127.0.0.1:65536", "0 to 65535"),
            ("127.0.0.1:http", "not a number"),
            ("127.0.0.1:-1", "not a number"),
            ("::1:80", "in brackets"),
            ("[::1:80", "no IPv6 address"),
            ("[localhost]:80", "no IPv6 address"),
            ("unix:", "no path"),
        ] {
            let message = text.parse::<Address>().unwrap_err();
            assert!(message.contains(why), "{text}: {message}");
        }
        assert!(format!("unix:{}", "x".repeat(108)).parse::<Address>().is_err());
    }
}
