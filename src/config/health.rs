//! Whether members are well: checks, what they find, and what comes of it.

use std::{ops::RangeInclusive, time::Duration};

use super::{Fault, OnDown, Place, ProxyVersion, UpstreamOptions};

/// How members are checked, and what failures lead to. Every field has the default of the flag that sets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthOptions {
    /// The time between two checks of a member; `None` checks nobody.
    pub interval: Option<Duration>,
    /// How long one check may take.
    pub timeout: Duration,
    /// So many passes in a row, and a member that was down is up.
    pub rise: u32,
    /// So many failures in a row, and one that was up is down.
    pub fall: u32,
    /// Where to check; `None` is the member's own port.
    pub port: Option<u16>,
    /// What is sent once the connection is there.
    pub send: Option<Vec<u8>>,
    /// What has to occur in the first [`HealthOptions::ANSWER_BYTES_MAX`] that come.
    pub expect: Option<Vec<u8>>,
    /// The target of a request by HTTP/1.0.
    pub http: Option<String>,
    /// The statuses of its answer that pass.
    pub http_status: Vec<RangeInclusive<u16>>,
    /// The version of the PROXY header that comes first.
    pub proxy: Option<ProxyVersion>,
    /// What becomes of the sessions of a member that went down.
    pub on_down: OnDown,
    /// The time in which a member that comes, or comes back, gets its whole share.
    pub slow_start: Option<Duration>,
    /// So many sessions in a row that failed at a member, and a worker leaves it alone.
    pub eject_after: Option<u32>,
    /// For how long, the first time.
    pub eject_for: Duration,
}

impl Default for HealthOptions {
    fn default() -> Self {
        Self {
            interval: None,
            timeout: Duration::from_secs(1),
            rise: 2,
            fall: 3,
            port: None,
            send: None,
            expect: None,
            http: None,
            http_status: vec![200..=399],
            proxy: None,
            on_down: OnDown::Keep,
            slow_start: None,
            eject_after: Some(1),
            eject_for: Duration::from_secs(1),
        }
    }
}

impl HealthOptions {
    /// How much of an answer is looked at, and the most that is sent.
    pub const ANSWER_BYTES_MAX: usize = 4096;

    /// What can't be seen by looking at one field at a time; `members` are those that are looked after.
    ///
    /// # Errors
    /// The key, and a sentence.
    pub fn check<'a>(&self, members: impl Iterator<Item = &'a UpstreamOptions>) -> Result<(), Fault> {
        self.check_amounts()?;
        if self.interval.is_none() {
            self.check_without_checks()?;
        }
        self.check_http()?;
        let (mut has_names, mut unix) = (false, None);
        for UpstreamOptions { place, .. } in members {
            has_names |= place.is_name();
            if matches!(place, Place::Address(address) if address.port().is_none()) {
                unix = Some(place);
            }
        }
        if let (Some(port), Some(place)) = (self.port, unix) {
            let why = format!("{place} has no ports, so none can be checked at port {port}: leave one out");
            return Err(Fault::new("health.port", why));
        }
        if self.slow_start.is_some() && self.interval.is_none() && !has_names {
            let why = "no member would ever come back: set the health interval too, or forward to a name by dns or srv";
            return Err(Fault::new("health.slow_start", why));
        }
        Ok(())
    }

    /// Refuses amounts that would never let anything pass, or always.
    fn check_amounts(&self) -> Result<(), Fault> {
        let bytes = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(1, Vec::len);
        let fits = |bytes: usize| (1..=Self::ANSWER_BYTES_MAX).contains(&bytes);
        for (is_wrong, key, why) in [
            (
                self.interval.is_some_and(|it| it.is_zero()),
                "health.interval",
                "give an interval above zero, or off",
            ),
            (self.timeout.is_zero(), "health.timeout", "no check can pass in no time: give one above zero"),
            (self.rise == 0, "health.rise", "use 1 or more: with 0 a member would never have been down"),
            (self.fall == 0, "health.fall", "use 1 or more: with 0 a member would never have been up"),
            (self.port == Some(0), "health.port", "a port is 1 to 65535"),
            (!fits(bytes(&self.send)), "health.send", "send 1 to 4096 bytes, or none"),
            (!fits(bytes(&self.expect)), "health.expect", "expect 1 to 4096 bytes, or none"),
            (self.eject_after == Some(0), "health.eject_after", "use 1 or more, or off"),
            (self.eject_for.is_zero(), "health.eject_for", "give a time above zero, or eject nobody"),
            (
                self.slow_start.is_some_and(|it| it.is_zero()),
                "health.slow_start",
                "give a time above zero, or off",
            ),
        ] {
            if is_wrong {
                return Err(Fault::new(key, why));
            }
        }
        Ok(())
    }

    /// Refuses what says how to check, where nothing is checked.
    fn check_without_checks(&self) -> Result<(), Fault> {
        for (is_set, key) in [
            (self.port.is_some(), "health.port"),
            (self.send.is_some(), "health.send"),
            (self.expect.is_some(), "health.expect"),
            (self.http.is_some(), "health.http"),
            (self.proxy.is_some(), "health.proxy"),
            (self.on_down != OnDown::Keep, "health.on_down"),
        ] {
            if is_set {
                return Err(Fault::new(key, "nobody is checked without a health interval: set it too"));
            }
        }
        Ok(())
    }

    fn check_http(&self) -> Result<(), Fault> {
        if self.http.is_some() && (self.send.is_some() || self.expect.is_some()) {
            let key = if self.send.is_some() { "health.send" } else { "health.expect" };
            return Err(Fault::new(
                key,
                "a check by HTTP sends its own request and looks at the status: leave one out",
            ));
        }
        if self.http.is_none() && self.http_status != Self::default().http_status {
            return Err(Fault::new(
                "health.http_status",
                "only a check by HTTP has a status: say what to ask for",
            ));
        }
        if self.http_status.is_empty() {
            return Err(Fault::new("health.http_status", "no status would pass: name at least one"));
        }
        Ok(())
    }
}

/// Reads the target of a request: a path, as it stands in the request's first line.
///
/// # Errors
/// A sentence that quotes the text and shows the right form.
pub fn http_target(text: &str) -> Result<String, String> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    if text.starts_with('/') && is_plain && text.len() <= HealthOptions::ANSWER_BYTES_MAX {
        return Ok(text.to_owned());
    }
    Err(format!("'{text}' is nothing to ask a server for: write a path, such as /health"))
}

/// Reads `200-299,401`.
///
/// # Errors
/// A sentence that quotes the text and shows the right form.
pub fn statuses(text: &str) -> Result<Vec<RangeInclusive<u16>>, String> {
    let status = |text: &str| {
        let is_number = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|status| is_number && *status >= 100)
    };
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (status(first)?, status(last)?);
        (first <= last).then_some(first..=last)
    };
    text.split(',').map(range).collect::<Option<_>>().ok_or_else(|| {
        format!("'{text}' are no statuses: write numbers and ranges from 100 to 999, such as 200-299,401")
    })
}

/// Writes statuses so that [`statuses`] reads the same.
pub fn write_statuses(statuses: &[RangeInclusive<u16>]) -> String {
    let ranges = statuses.iter().map(|range| match (range.start(), range.end()) {
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first}-{last}"),
    });
    ranges.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked() -> HealthOptions {
        HealthOptions { interval: Some(Duration::from_secs(2)), ..HealthOptions::default() }
    }

    fn check(health: &HealthOptions, members: &[&str]) -> Result<(), Fault> {
        let members: Vec<UpstreamOptions> = members.iter().map(|text| text.parse().expect("valid")).collect();
        health.check(members.iter())
    }

    #[test]
    fn what_says_how_to_check_needs_checks() {
        let none = HealthOptions::default;
        for (health, key) in [
            (HealthOptions { port: Some(80), ..none() }, "health.port"),
            (HealthOptions { send: Some(b"x".into()), ..none() }, "health.send"),
            (HealthOptions { expect: Some(b"x".into()), ..none() }, "health.expect"),
            (HealthOptions { http: Some("/".into()), ..none() }, "health.http"),
            (HealthOptions { proxy: Some(ProxyVersion::V1), ..none() }, "health.proxy"),
            (HealthOptions { on_down: OnDown::Close, ..none() }, "health.on_down"),
        ] {
            assert_eq!(check(&health, &["10.0.0.1:1"]).expect_err(key).key, key);
            let health = HealthOptions { interval: checked().interval, ..health };
            assert_eq!(check(&health, &["10.0.0.1:1"]), Ok(()), "{key}");
        }
        assert_eq!(check(&none(), &["10.0.0.1:1", "unix:/a"]), Ok(()));
    }

    #[test]
    fn what_does_not_go_together() {
        let http = || HealthOptions { http: Some("/".into()), ..checked() };
        for (health, key) in [
            (HealthOptions { send: Some(b"x".into()), ..http() }, "health.send"),
            (HealthOptions { expect: Some(b"x".into()), ..http() }, "health.expect"),
            (HealthOptions { http_status: vec![200..=200], ..checked() }, "health.http_status"),
            (HealthOptions { http_status: vec![], ..http() }, "health.http_status"),
            (HealthOptions { expect: Some(vec![]), ..checked() }, "health.expect"),
            (HealthOptions { send: Some(vec![b'x'; 4097]), ..checked() }, "health.send"),
            (HealthOptions { rise: 0, ..checked() }, "health.rise"),
            (HealthOptions { fall: 0, ..checked() }, "health.fall"),
            (HealthOptions { eject_after: Some(0), ..checked() }, "health.eject_after"),
        ] {
            assert_eq!(check(&health, &["10.0.0.1:1"]).expect_err(key).key, key);
        }
        let port = HealthOptions { port: Some(80), ..checked() };
        let fault = check(&port, &["10.0.0.1:1", "unix:/a"]).expect_err("a path has no port");
        assert!(fault.key == "health.port" && fault.why.contains("unix:/a has no ports"), "{fault:?}");
    }

    #[test]
    fn a_slow_start_is_for_those_that_come_back() {
        let slow = HealthOptions { slow_start: Some(Duration::from_secs(30)), ..HealthOptions::default() };
        assert_eq!(check(&slow, &["10.0.0.1:1"]).expect_err("nobody comes back").key, "health.slow_start");
        assert_eq!(check(&slow, &["10.0.0.1:1", "dns:web:80"]), Ok(()));
        assert_eq!(check(&HealthOptions { interval: checked().interval, ..slow }, &["10.0.0.1:1"]), Ok(()));
    }

    #[test]
    fn statuses_survive_a_round_trip() {
        for text in ["200-399", "200-299,401", "204"] {
            assert_eq!(statuses(text).map(|ranges| write_statuses(&ranges)), Ok(text.to_owned()));
        }
        for text in ["", "200-", "399-200", "99", "1000", "2xx", "200,,300", "+20", "200 "] {
            assert!(statuses(text).is_err(), "{text:?} was taken for statuses");
        }
        assert!(["", "health", "/a b", "/ä", "/\r\n"].iter().all(|text| http_target(text).is_err()));
        assert_eq!(http_target("/health?x=1").as_deref(), Ok("/health?x=1"));
    }
}
