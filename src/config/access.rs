//! Who may connect: networks that are let in, and networks that aren't.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use super::Fault;

/// Whom a proxy serves, by the client's real address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// These and nobody else; where there are none, everybody.
    pub allow: Vec<Cidr>,
    /// Not these, even if they are allowed.
    pub deny: Vec<Cidr>,
}

impl Access {
    /// Whether somebody at this address is served.
    pub fn admits(&self, ip: IpAddr) -> bool {
        let is_in = |networks: &[Cidr]| networks.iter().any(|network| network.contains(ip));
        (self.allow.is_empty() || is_in(&self.allow)) && !is_in(&self.deny)
    }

    /// Whether nobody has to be looked at.
    pub fn is_open(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    /// What can't be seen by looking at one network at a time.
    ///
    /// # Errors
    /// The key, and a sentence.
    pub fn check(&self) -> Result<(), Fault> {
        match self.allow.iter().find(|network| self.deny.contains(network)) {
            Some(both) => Err(Fault::new("deny", format!("{both} is allowed and denied: choose one"))),
            None => Ok(()),
        }
    }
}

/// A network: the addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    /// Its first address: no bit is set beyond the prefix.
    pub address: IpAddr,
    /// How many bits all its addresses share.
    pub prefix: u8,
}

impl Cidr {
    /// Whether this address is in it. An IPv4 address in the form of an IPv6 one (`::ffff:10.0.0.1`) is IPv4.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let prefix = u32::from(self.prefix);
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(ip)) => (first.to_bits() ^ ip.to_bits()).leading_zeros() >= prefix,
            (IpAddr::V6(first), IpAddr::V6(ip)) => (first.to_bits() ^ ip.to_bits()).leading_zeros() >= prefix,
            _ => false,
        }
    }
}

impl FromStr for Cidr {
    type Err = String;

    /// `10.0.0.0/8`, or an address alone.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("'{text}' is not a network: write one such as 10.0.0.0/8, 2001:db8::/32 or ::1");
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let is_number = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = match prefix {
            None => bits,
            Some(prefix) => prefix.parse::<u8>().ok().filter(|_| is_number(&prefix)).ok_or_else(wrong)?,
        };
        if prefix > bits {
            return Err(format!("'{text}' has a prefix of {prefix} bits, but its addresses have {bits}"));
        }
        let first = first_of(address, prefix);
        if first != address {
            return Err(format!("'{text}' has bits set beyond its prefix: did you mean {first}/{prefix}?"));
        }
        Ok(as_ipv4(address, prefix))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address, self.prefix) {
            (IpAddr::V4(address), 32) => address.fmt(f),
            (IpAddr::V6(address), 128) => address.fmt(f),
            (address, prefix) => write!(f, "{address}/{prefix}"),
        }
    }
}

/// The first address that begins with the same bits.
fn first_of(address: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match address {
        IpAddr::V4(ip) => {
            Ipv4Addr::from_bits(ip.to_bits() & u32::MAX.checked_shl(32 - prefix).unwrap_or(0)).into()
        }
        IpAddr::V6(ip) => {
            Ipv6Addr::from_bits(ip.to_bits() & u128::MAX.checked_shl(128 - prefix).unwrap_or(0)).into()
        }
    }
}

/// A network of IPv4 addresses in the form of IPv6 ones is one of IPv4.
fn as_ipv4(address: IpAddr, prefix: u8) -> Cidr {
    match (address.to_canonical(), prefix.checked_sub(96)) {
        (v4 @ IpAddr::V4(_), Some(prefix)) if address.is_ipv6() => Cidr { address: v4, prefix },
        _ => Cidr { address, prefix },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap_or_else(|why| panic!("{why}"))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_network_has_its_addresses_and_no_others() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::10.1.2.3"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("192.0.2.0/31", "192.0.2.1", "192.0.2.2"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::/0", "::1", "10.0.0.1"),
            ("::/0", "2001:db8::1", "::ffff:10.0.0.1"),
            ("::1", "::1", "::2"),
            ("::ffff:10.0.0.0/104", "10.9.9.9", "11.0.0.0"),
        ] {
            assert!(cidr(network).contains(ip(inside)), "{inside} is in {network}");
            assert!(!cidr(network).contains(ip(outside)), "{outside} is not in {network}");
        }
    }

    #[test]
    fn a_network_is_written_as_it_is_read() {
        for text in ["10.0.0.0/8", "192.0.2.7", "0.0.0.0/0", "::/0", "::1", "2001:db8::/32"] {
            assert_eq!(cidr(text).to_string(), text);
        }
        for (text, short) in
            [("::1/128", "::1"), ("10.0.0.1/32", "10.0.0.1"), ("::ffff:10.0.0.0/104", "10.0.0.0/8")]
        {
            assert_eq!(cidr(text).to_string(), short);
        }
    }

    #[test]
    fn what_is_no_network_is_said() {
        for (text, why) in [
            ("", "is not a network"),
            ("localhost", "is not a network"),
            ("10.0.0.0/", "is not a network"),
            ("10.0.0.0/+8", "is not a network"),
            ("10.0.0.0/999", "is not a network"),
            ("10.0.0.0/8/8", "is not a network"),
            ("10.0.0.0:80", "is not a network"),
            ("10.0.0.0/33", "has a prefix of 33 bits, but its addresses have 32"),
            ("::/129", "has a prefix of 129 bits, but its addresses have 128"),
            ("10.1.2.3/8", "did you mean 10.0.0.0/8?"),
            ("2001:db8::1/32", "did you mean 2001:db8::/32?"),
            ("10.1.2.3/0", "did you mean 0.0.0.0/0?"),
        ] {
            let message = text.parse::<Cidr>().expect_err(text);
            assert!(message.contains(why), "{text}: {message}");
        }
    }

    #[test]
    fn deny_wins_and_allow_is_for_nobody_else() {
        let access = |allow: &[&str], deny: &[&str]| {
            let networks = |texts: &[&str]| texts.iter().map(|text| cidr(text)).collect();
            Access { allow: networks(allow), deny: networks(deny) }
        };
        let open = Access::default();
        assert!(open.is_open() && open.admits(ip("192.0.2.1")) && open.admits(ip("::1")));
        let office = access(&["10.0.0.0/8", "::1"], &["10.6.6.0/24"]);
        assert!(office.admits(ip("10.0.0.1")) && office.admits(ip("::1")));
        assert!(office.admits(ip("::ffff:10.0.0.1")));
        assert!(
            !office.admits(ip("10.6.6.6")) && !office.admits(ip("192.0.2.1")) && !office.admits(ip("::2"))
        );
        let most = access(&[], &["192.0.2.0/24"]);
        assert!(most.admits(ip("10.0.0.1")) && !most.admits(ip("192.0.2.1")));
        assert_eq!(office.check(), Ok(()));
        let both = access(&["::1", "10.0.0.0/8"], &["10.0.0.0/8"]).check().expect_err("one of both");
        assert_eq!((both.key, both.why.as_str()), ("deny", "10.0.0.0/8 is allowed and denied: choose one"));
    }
}
