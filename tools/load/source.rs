//! Local addresses to connect from: a network, whose addresses connections take in turn.
//!
//! One pair of addresses has about 28,000 ports between them; on loopback all of 127.0.0.0/8 is this machine, so
//! there is no end of pairs.

use std::{
    fmt::{self, Display, Formatter},
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

/// Addresses to connect from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sources {
    network: IpAddr,
    prefix_len: u32,
}

impl Sources {
    /// The address of the `index`-th connection. The first and the last of a network aren't for hosts, so where
    /// there are more than two, they are left out.
    pub fn nth(&self, index: u64) -> IpAddr {
        let host_bits = self.bits() - self.prefix_len;
        // No run opens 2^64 connections, so a wider network needs no more room than this.
        let (first, count) = match host_bits {
            0 => (0, 1),
            1 => (0, 2),
            bits => (1, (1u64 << bits.min(63)) - 2),
        };
        let host = u128::from(first + index % count);
        match self.network {
            IpAddr::V4(network) => IpAddr::V4((network.to_bits() | host as u32).into()),
            IpAddr::V6(network) => IpAddr::V6((network.to_bits() | host).into()),
        }
    }

    /// Whether a connection from here can lead to `target`.
    pub fn suits(&self, target: IpAddr) -> bool {
        self.network.is_ipv4() == target.is_ipv4()
    }

    fn bits(&self) -> u32 {
        if self.network.is_ipv4() { 32 } else { 128 }
    }
}

impl FromStr for Sources {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("'{text}' is no network: use an address or one with a prefix length, such as 127.0.0.0/8")
        };
        let (address, prefix_len) = text.split_once('/').map_or((text, None), |(it, len)| (it, Some(len)));
        let network: IpAddr = address.parse().map_err(|_| wrong())?;
        let bits = if network.is_ipv4() { 32 } else { 128 };
        let prefix_len = prefix_len.map_or(Ok(bits), |len| len.parse().map_err(|_| wrong()))?;
        if prefix_len > bits {
            return Err(wrong());
        }
        let hosts = u128::MAX.checked_shr(prefix_len + 128 - bits).unwrap_or(0);
        let network = match network {
            IpAddr::V4(network) => IpAddr::V4((network.to_bits() & !(hosts as u32)).into()),
            IpAddr::V6(network) => IpAddr::V6(Ipv6Addr::from_bits(network.to_bits() & !hosts)),
        };
        Ok(Self { network, prefix_len })
    }
}

impl Display for Sources {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix_len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(text: &str, count: u64) -> Vec<String> {
        let sources: Sources = text.parse().unwrap();
        (0..count).map(|index| sources.nth(index).to_string()).collect()
    }

    #[test]
    fn addresses_are_taken_in_turn() {
        assert_eq!(first("127.0.0.0/8", 2), ["127.0.0.1", "127.0.0.2"]);
        assert_eq!(first("127.0.5.9/30", 3), ["127.0.5.9", "127.0.5.10", "127.0.5.9"]);
        assert_eq!(first("127.0.0.6/31", 3), ["127.0.0.6", "127.0.0.7", "127.0.0.6"]);
        assert_eq!(first("::1", 2), ["::1", "::1"]);
        assert_eq!(first("fd00::/64", 1), ["fd00::1"]);
        assert_eq!(first("0.0.0.0/0", 1), ["0.0.0.1"]);
        assert_eq!(first("::/0", 1), ["::1"]);
        let all: Sources = "127.0.0.0/8".parse().unwrap();
        assert_eq!(all.nth((1 << 24) - 3).to_string(), "127.255.255.254");
        assert_eq!(all.nth((1 << 24) - 2).to_string(), "127.0.0.1");
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "localhost", "127.0.0.1/33", "127.0.0.1/x", "::1/129", "127.0.0/8"] {
            assert!(text.parse::<Sources>().is_err(), "{text}");
        }
        assert_eq!("127.1.2.3/8".parse::<Sources>().unwrap().to_string(), "127.0.0.0/8");
    }
}
