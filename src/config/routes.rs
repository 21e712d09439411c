//! Routes: which group serves a TLS connection, by what its ClientHello asks for.

use std::{fmt, net::IpAddr, str::FromStr};

use super::{UpstreamOptions, hostname};

/// A group of its own for some connections. Of several routes the first that matches is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteOptions {
    /// The names that a client asks for; empty is any, or none.
    pub sni: Vec<SniPattern>,
    /// The protocols of which it offers one; empty is any, or none.
    pub alpn: Vec<String>,
    /// Where such connections go; at least one.
    pub upstreams: Vec<UpstreamOptions>,
}

/// Names of servers, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SniPattern {
    /// This one.
    Exact(String),
    /// `*.NAME`: all that have one or more labels before it.
    Under(String),
}

impl RouteOptions {
    /// Whether it may stand in a list behind these.
    ///
    /// # Errors
    /// A sentence: why not.
    pub fn check(&self, others: &[Self]) -> Result<(), String> {
        for (index, upstream) in self.upstreams.iter().enumerate() {
            upstream.check(&self.upstreams[..index])?;
        }
        if self.upstreams.is_empty() {
            return Err("a route needs an upstream: name at least one".into());
        }
        if self.upstreams.iter().all(|upstream| upstream.backup) {
            return Err("a route needs a member that is no backup".into());
        }
        if others.iter().any(|other| other.sni.is_empty() && other.alpn.is_empty()) {
            return Err("a route before this one takes all connections: put that one last".into());
        }
        if others.iter().any(|other| other.sni == self.sni && other.alpn == self.alpn) {
            return Err("a route before this one takes the same connections: leave one out".into());
        }
        Ok(())
    }

    /// Reads the name of a protocol.
    ///
    /// # Errors
    /// A sentence, where none can have this name (RFC 7301, section 3.1).
    pub fn parse_alpn(text: &str) -> Result<String, String> {
        if (1..=255).contains(&text.len()) {
            return Ok(text.to_owned());
        }
        Err(format!("'{text}' is no ALPN protocol: a name has 1 to 255 bytes, such as h2 or http/1.1"))
    }
}

impl SniPattern {
    /// Whether a name matches, which has to be in lower case.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => name == exact,
            Self::Under(parent) => name
                .strip_suffix(parent.as_str())
                .and_then(|labels| labels.strip_suffix('.'))
                .is_some_and(|labels| !labels.is_empty()),
        }
    }
}

impl FromStr for SniPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!("'{text}' is no server name ({why}): write one such as db.example.com or *.example.com")
        };
        if text == "*" {
            return Err(wrong("without sni a route takes all"));
        }
        if text.parse::<IpAddr>().is_ok() {
            return Err(wrong("clients name no addresses there"));
        }
        if text.contains(':') {
            return Err(wrong("clients name no port there"));
        }
        let lower = text.to_ascii_lowercase();
        let (under, name) = lower.strip_prefix("*.").map_or((false, lower.as_str()), |name| (true, name));
        let name = name.strip_suffix('.').unwrap_or(name);
        if name.contains('*') {
            return Err(wrong("a * stands for the first labels only"));
        }
        hostname::check(name).map_err(wrong)?;
        Ok(if under { Self::Under(name.into()) } else { Self::Exact(name.into()) })
    }
}

impl fmt::Display for SniPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.pad(name),
            Self::Under(parent) => write!(f, "*.{parent}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(sni: &[&str], alpn: &[&str], upstreams: &[&str]) -> RouteOptions {
        RouteOptions {
            sni: sni.iter().map(|text| text.parse().expect("a pattern")).collect(),
            alpn: alpn.iter().map(|&text| text.into()).collect(),
            upstreams: upstreams.iter().map(|text| text.parse().expect("an upstream")).collect(),
        }
    }

    #[test]
    fn patterns_match_names() {
        for (pattern, matching, others) in [
            ("a.example", &["a.example"][..], &["b.a.example", "example", "aa.example", ""][..]),
            ("*.A.example", &["b.a.example", "c.b.a.example"], &["a.example", ".a.example", "ba.example"]),
            ("a.example.", &["a.example"], &["a.example."]),
        ] {
            let pattern: SniPattern = pattern.parse().expect(pattern);
            assert!(matching.iter().all(|name| pattern.matches(name)), "{pattern}");
            assert!(!others.iter().any(|name| pattern.matches(name)), "{pattern}");
        }
    }

    #[test]
    fn a_pattern_is_written_as_it_is_read() {
        for text in ["db.example.com", "*.example.com", "localhost", "*.localhost"] {
            assert_eq!(text.parse::<SniPattern>().map(|pattern| pattern.to_string()), Ok(text.to_owned()));
        }
        for (text, why) in [
            ("", "(no name)"),
            ("*", "without sni a route takes all"),
            ("*.", "(no name)"),
            ("a.*.example", "the first labels only"),
            ("*a.example", "the first labels only"),
            ("example.com:443", "clients name no port there"),
            ("10.0.0.1", "clients name no addresses there"),
            ("::1", "clients name no addresses there"),
            ("bücher.example", "xn-- form"),
            ("a b", "letters, digits"),
        ] {
            let message = text.parse::<SniPattern>().expect_err(text);
            assert!(message.contains(why), "{text}: {message}");
        }
    }

    #[test]
    fn a_route_leads_somewhere_and_can_be_reached() {
        let to = &["10.0.0.1:1"][..];
        let all = route(&[], &[], to);
        let web = route(&["*.example"], &[], to);
        let h2 = route(&["*.example"], &["h2"], to);
        assert_eq!(all.check(&[h2.clone(), web.clone()]), Ok(()));
        for (route, others, why) in [
            (route(&["a"], &[], &[]), &[][..], "needs an upstream"),
            (route(&["a"], &[], &["10.0.0.1:1", "10.0.0.1:1"]), &[], "named twice"),
            (web.clone(), &[h2, all.clone()], "takes all connections"),
            (web.clone(), &[web], "takes the same connections"),
        ] {
            assert!(route.check(others).is_err_and(|message| message.contains(why)), "{why}");
        }
        let backup = UpstreamOptions { backup: true, ..all.upstreams[0].clone() };
        let message = RouteOptions { upstreams: vec![backup], ..all }.check(&[]).expect_err("only a backup");
        assert!(message.contains("no backup"), "{message}");
        assert!(RouteOptions::parse_alpn("").is_err() && RouteOptions::parse_alpn(&"x".repeat(256)).is_err());
        assert_eq!(RouteOptions::parse_alpn("http/1.1").as_deref(), Ok("http/1.1"));
    }
}
