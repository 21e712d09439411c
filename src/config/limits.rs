//! How much a proxy takes on at a time, and what becomes of the rest.

use std::{fmt, str::FromStr, time::Duration};

use super::Fault;

/// The limits of a service; `None` is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sessions of the service.
    pub connections: Option<u64>,
    /// Sessions of each of its listeners.
    pub listener: Option<u64>,
    /// Sessions of each of its members: those at it are passed over.
    pub upstream: Option<u64>,
    /// Sessions of one source address.
    pub per_source: Option<u64>,
    /// How many bits of an IPv6 address make a source.
    pub source_v6_prefix: u8,
    /// Accepts of each of its listeners.
    pub accept_rate: Option<Rate>,
    /// How many sessions may wait for a slot, over all workers; with 0 they are refused at once.
    pub queue: u64,
    /// How long they may wait.
    pub queue_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: None,
            listener: None,
            upstream: None,
            per_source: None,
            source_v6_prefix: 64,
            accept_rate: None,
            queue: 0,
            queue_timeout: Duration::from_secs(5),
        }
    }
}

impl Limits {
    /// Whether nothing is limited.
    pub fn is_off(&self) -> bool {
        self.accept_rate.is_none() && self.counts().iter().all(|(_, limit)| limit.is_none())
    }

    /// What can't be seen by looking at one limit at a time.
    ///
    /// # Errors
    /// The key, and a sentence.
    pub fn check(&self) -> Result<(), Fault> {
        if let Some((key, _)) = self.counts().into_iter().find(|(_, limit)| *limit == Some(0)) {
            return Err(Fault::new(key, "a limit of 0 would let nobody in: use 1 or more, or off"));
        }
        if !(1..=128).contains(&self.source_v6_prefix) {
            let why = format!("an IPv6 prefix has 1 to 128 bits, not {}", self.source_v6_prefix);
            return Err(Fault::new("limit.source_v6_prefix", why));
        }
        if self.queue > 0 && self.is_off() {
            let why = "nobody would ever wait in a queue: it takes a limit, such as of connections";
            return Err(Fault::new("limit.queue", why));
        }
        if self.queue_timeout.is_zero() {
            return Err(Fault::new(
                "limit.queue_timeout",
                "nobody can wait for no time: give one above zero",
            ));
        }
        Ok(())
    }

    fn counts(&self) -> [(&'static str, Option<u64>); 4] {
        [
            ("limit.connections", self.connections),
            ("limit.listener", self.listener),
            ("limit.upstream", self.upstream),
            ("limit.per_source", self.per_source),
        ]
    }
}

/// So many in this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many; at least 1.
    pub count: u64,
    /// In what time; above zero.
    pub per: Duration,
}

/// What a rate can be per.
const UNITS: [(&str, Duration); 3] =
    [("s", Duration::from_secs(1)), ("ms", Duration::from_millis(1)), ("m", Duration::from_secs(60))];

impl FromStr for Rate {
    type Err = String;

    /// `2000/s`, `5/ms`, `90/m`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("'{text}' is not a rate: write a number per time, such as 2000/s, 5/ms or 90/m");
        let (count, unit) = text.split_once('/').ok_or_else(wrong)?;
        let (_, per) = UNITS.into_iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let is_number = count.bytes().all(|byte| byte.is_ascii_digit());
        match count.parse::<u64>() {
            Ok(0) => Err(format!("'{text}' would let nobody in: use 1 or more, or off")),
            Ok(count) if is_number && u128::from(count) <= per.as_nanos() => Ok(Self { count, per }),
            Ok(_) if is_number => Err(format!("'{text}' is more than one a nanosecond: use off")),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, per } = self;
        match UNITS.iter().find(|(_, unit)| unit == per) {
            Some((name, _)) => write!(f, "{count}/{name}"),
            None => write!(f, "{count} in {}", super::units::write_duration(*per)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_survive_a_round_trip() {
        for text in ["2000/s", "1/m", "1000000000/s", "5/ms"] {
            assert_eq!(text.parse::<Rate>().map(|rate| rate.to_string()), Ok(text.to_owned()));
        }
        for (text, why) in [
            ("", "is not a rate"),
            ("2000", "is not a rate"),
            ("/s", "is not a rate"),
            ("+1/s", "is not a rate"),
            ("-1/s", "is not a rate"),
            ("1.5/s", "is not a rate"),
            ("1/h", "is not a rate"),
            ("1/s/s", "is not a rate"),
            ("0/s", "would let nobody in"),
            ("1000000001/s", "more than one a nanosecond"),
            ("99999999999999999999/s", "is not a rate"),
        ] {
            let message = text.parse::<Rate>().expect_err(text);
            assert!(message.contains(why), "{text}: {message}");
        }
    }

    #[test]
    fn limits_have_to_make_sense() {
        assert_eq!(Limits::default().check(), Ok(()));
        assert!(Limits::default().is_off());
        let some = Limits { connections: Some(10), ..Limits::default() };
        let rate = Limits { accept_rate: "1/s".parse().ok(), ..Limits::default() };
        assert!(!some.is_off() && !rate.is_off());
        assert_eq!(Limits { queue: 5, ..some.clone() }.check(), Ok(()));
        assert_eq!(Limits { queue: 5, ..rate }.check(), Ok(()));
        for (limits, key) in [
            (Limits { connections: Some(0), ..Limits::default() }, "limit.connections"),
            (Limits { listener: Some(0), ..Limits::default() }, "limit.listener"),
            (Limits { upstream: Some(0), ..Limits::default() }, "limit.upstream"),
            (Limits { per_source: Some(0), ..Limits::default() }, "limit.per_source"),
            (Limits { source_v6_prefix: 0, ..Limits::default() }, "limit.source_v6_prefix"),
            (Limits { source_v6_prefix: 129, ..Limits::default() }, "limit.source_v6_prefix"),
            (Limits { queue: 5, ..Limits::default() }, "limit.queue"),
            (Limits { queue_timeout: Duration::ZERO, ..some }, "limit.queue_timeout"),
        ] {
            assert_eq!(limits.check().expect_err(key).key, key);
        }
    }
}
