//! Members of a group: where to forward to, by address or by a name that is asked for again and again.

use std::{fmt, str::FromStr};

use super::{Address, hostname};

/// One entry of a list of places to forward to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamOptions {
    /// Where it is.
    pub place: Place,
    /// Its share, against the others' (1 to [`UpstreamOptions::WEIGHT_MAX`]). The records of a `srv:` have their own.
    pub weight: u32,
    /// It is used only while no other of its group is usable.
    pub backup: bool,
}

/// How a member is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An address; a name is resolved when the server starts, and its addresses are tried in turn.
    Address(Address),
    /// `dns:HOST:PORT`: each address of a name is a member of its own, for as long as it has it.
    Dns {
        /// The name.
        host: String,
        /// At all its addresses.
        port: u16,
    },
    /// `srv:NAME`: each SRV record of a name is a member, with its weight; the higher priorities are backups.
    Srv(String),
}

impl From<Address> for UpstreamOptions {
    fn from(address: Address) -> Self {
        Self { place: Place::Address(address), weight: 1, backup: false }
    }
}

impl UpstreamOptions {
    /// The largest weight.
    pub const WEIGHT_MAX: u32 = 256;

    /// Reads a weight.
    ///
    /// # Errors
    /// A sentence that quotes the text and shows the right form.
    pub fn parse_weight(text: &str) -> Result<u32, String> {
        let weight = text.parse().ok().filter(|weight| (1..=Self::WEIGHT_MAX).contains(weight));
        weight.ok_or_else(|| format!("'{text}' is not a weight: use 1 to {}", Self::WEIGHT_MAX))
    }

    /// Whether it may stand in a list behind these.
    ///
    /// # Errors
    /// A sentence: why not.
    pub fn check(&self, others: &[Self]) -> Result<(), String> {
        let Self { place, weight, .. } = self;
        if let Place::Address(address) = place
            && (matches!(address, Address::Any { .. }) || address.has_any_port())
        {
            return Err(format!(
                "upstream {address} is no place to connect to: write HOST:PORT or unix:PATH"
            ));
        }
        if !(1..=Self::WEIGHT_MAX).contains(weight) {
            return Err(format!("upstream {place} has weight {weight}: use 1 to {}", Self::WEIGHT_MAX));
        }
        if matches!(place, Place::Srv(_)) && *weight != 1 {
            return Err(format!(
                "the records of upstream {place} have their own weights: leave the weight out"
            ));
        }
        if others.iter().any(|other| other.place == *place) {
            return Err(format!("upstream {place} is named twice: name it once, with a weight"));
        }
        Ok(())
    }
}

impl FromStr for UpstreamOptions {
    type Err = String;

    /// `PLACE` or `PLACE=WEIGHT`. A path may have a `=` of its own: only digits after the last one are a weight.
    fn from_str(text: &str) -> Result<Self, String> {
        let is_path = text.starts_with("unix:");
        let is_weight = |weight: &str| weight.bytes().all(|b| b.is_ascii_digit()) && !weight.is_empty();
        let weighted = text.rsplit_once('=').filter(|(_, weight)| !is_path || is_weight(weight));
        let (place, weight) = weighted.unwrap_or((text, "1"));
        Ok(Self { place: place.parse()?, weight: Self::parse_weight(weight)?, backup: false })
    }
}

impl Place {
    /// Whether it is a name that has to be asked for again and again.
    pub fn is_name(&self) -> bool {
        matches!(self, Self::Dns { .. } | Self::Srv(_))
    }

    /// What comes after `dns:`.
    ///
    /// # Errors
    /// A sentence that quotes the text and shows the right form.
    pub fn dns(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("'{text}' is no name to look up ({why}): write HOST:PORT");
        let (host, port) = text.rsplit_once(':').ok_or_else(|| wrong("no port"))?;
        let port = port
            .parse::<u16>()
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(|| wrong("a port is 1 to 65535"))?;
        if host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok() {
            return Err(wrong("it is an address already, which is no name"));
        }
        hostname::check(host.strip_suffix('.').unwrap_or(host)).map_err(wrong)?;
        Ok(Self::Dns { host: host.to_owned(), port })
    }

    /// What comes after `srv:`.
    ///
    /// # Errors
    /// A sentence that quotes the text and shows the right form.
    pub fn srv(name: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!(
                "'{name}' is no name of SRV records ({why}): write one such as _postgres._tcp.db.internal"
            )
        };
        if name.contains(':') {
            return Err(wrong("its records have the ports"));
        }
        if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong("a host called srv is written srv.:PORT"));
        }
        hostname::check(name.strip_suffix('.').unwrap_or(name)).map_err(wrong)?;
        Ok(Self::Srv(name.to_owned()))
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("dns", name)) => Self::dns(name),
            Some(("srv", name)) => Self::srv(name),
            _ => text.parse().map(Self::Address),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Dns { host, port } => write!(f, "dns:{host}:{port}"),
            Self::Srv(name) => write!(f, "srv:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_may_have_a_weight() {
        for (text, place, weight) in [
            ("127.0.0.1:80", "127.0.0.1:80", 1),
            ("[::1]:80=256", "[::1]:80", 256),
            ("unix:/run/a=b", "unix:/run/a=b", 1),
            ("unix:/run/a=b=3", "unix:/run/a=b", 3),
            ("dns:web.internal:443=2", "dns:web.internal:443", 2),
            ("dns:web.:443", "dns:web.:443", 1),
            ("srv:_pg._tcp.db.internal", "srv:_pg._tcp.db.internal", 1),
        ] {
            let upstream: UpstreamOptions = text.parse().expect(text);
            assert_eq!((upstream.place.to_string().as_str(), upstream.weight), (place, weight));
            assert_eq!(upstream.check(&[]), Ok(()), "{text}");
        }
        for (text, why) in [
            ("127.0.0.1:80=0", "'0' is not a weight: use 1 to 256"),
            ("127.0.0.1:80=257", "is not a weight"),
            ("127.0.0.1:80=", "'' is not a weight"),
            ("unix:/run/a=9999", "is not a weight"),
            ("127.0.0.1", "no port"),
            ("dns:web", "(no port)"),
            ("dns:web:0", "a port is 1 to 65535"),
            ("dns:web:http", "a port is 1 to 65535"),
            ("dns:10.0.0.1:80", "it is an address already"),
            ("dns:[::1]:80", "it is an address already"),
            ("dns::80", "(no name)"),
            ("dns:a b:80", "letters, digits"),
            ("srv:", "(no name)"),
            ("srv:80", "srv.:PORT"),
            ("srv:web:80", "its records have the ports"),
            ("srv:a..b", "a part of the name is empty"),
        ] {
            let message = text.parse::<UpstreamOptions>().expect_err(text);
            assert!(message.contains(why), "{text}: {message}");
        }
    }

    #[test]
    fn names_are_asked_for_again_and_addresses_are_not() {
        let is_name = |text: &str| text.parse::<Place>().expect(text).is_name();
        assert!(is_name("dns:web:80") && is_name("srv:web"));
        assert!(!is_name("web:80") && !is_name("unix:/dns:web:80"));
    }

    #[test]
    fn an_upstream_is_a_place_that_is_named_once() {
        let upstream = |text: &str| text.parse::<UpstreamOptions>().expect(text);
        for (text, why) in [
            (":80", "no place to connect to"),
            ("127.0.0.1:0", "no place to connect to"),
            ("srv:web=2", "have their own weights"),
        ] {
            assert!(upstream(text).check(&[]).is_err_and(|message| message.contains(why)), "{text}");
        }
        let others = [upstream("127.0.0.1:80"), upstream("dns:web:80=3")];
        for text in ["127.0.0.1:80=2", "dns:web:80"] {
            assert!(upstream(text).check(&others).is_err_and(|why| why.contains("named twice")), "{text}");
        }
        assert_eq!(upstream("web:80").check(&others), Ok(()), "the same name, but resolved once");
    }
}
