//! `[service.health]`, and the flags of `proxy`: whether members are well, and what comes of it.

use super::{
    Setting,
    Takes::{Number, Text},
    values::{self, put},
};
use crate::config::{ProxyOptions, escape, health, units};

/// Every setting of a [`HealthOptions`](crate::config::HealthOptions).
pub const HEALTH: &[Setting<ProxyOptions>] = &[
    Setting {
        flag: "health-interval",
        key: "interval",
        takes: Text("DURATION|off"),
        help: "Check each upstream each time this has passed; where nothing else is asked for, by connecting to it",
        set: |proxy, text| put(&mut proxy.health.interval, values::time_or_off(text)),
        show: |proxy| values::show_time_or_off(proxy.health.interval),
    },
    Setting {
        flag: "health-timeout",
        key: "timeout",
        takes: Text("DURATION"),
        help: "How long one check may take",
        set: |proxy, text| put(&mut proxy.health.timeout, units::duration_above_zero(text)),
        show: |proxy| units::write_duration(proxy.health.timeout),
    },
    Setting {
        flag: "health-rise",
        key: "rise",
        takes: Number("N"),
        help: "So many checks in a row have to pass before an upstream that is down is used again",
        set: |proxy, text| put(&mut proxy.health.rise, values::in_a_row(text)),
        show: |proxy| proxy.health.rise.to_string(),
    },
    Setting {
        flag: "health-fall",
        key: "fall",
        takes: Number("N"),
        help: "So many checks in a row have to fail before an upstream is down",
        set: |proxy, text| put(&mut proxy.health.fall, values::in_a_row(text)),
        show: |proxy| proxy.health.fall.to_string(),
    },
    Setting {
        flag: "health-port",
        key: "port",
        takes: Number("PORT|same"),
        help: "The port to check; same is the one that is forwarded to",
        set: |proxy, text| put(&mut proxy.health.port, values::unless("same", text, values::port)),
        show: |proxy| values::or("same", proxy.health.port.as_ref(), ToString::to_string),
    },
    Setting {
        flag: "health-send",
        key: "send",
        takes: Text("TEXT|none"),
        help: r"Send this once it is connected; \r, \n, \t, \\ and \xHH stand for one byte each",
        set: |proxy, text| put(&mut proxy.health.send, values::unless("none", text, escape::bytes)),
        show: |proxy| show_bytes(proxy.health.send.as_deref()),
    },
    Setting {
        flag: "health-expect",
        key: "expect",
        takes: Text("TEXT|none"),
        help: "Pass if this occurs in the first 4 KiB that come; escapes as in what is sent",
        set: |proxy, text| put(&mut proxy.health.expect, values::unless("none", text, escape::bytes)),
        show: |proxy| show_bytes(proxy.health.expect.as_deref()),
    },
    Setting {
        flag: "health-http",
        key: "http",
        takes: Text("TARGET|none"),
        help: "Ask for this path by HTTP/1.0, such as /health, and look at the status",
        set: |proxy, text| put(&mut proxy.health.http, values::unless("none", text, health::http_target)),
        show: |proxy| values::or("none", proxy.health.http.as_ref(), Clone::clone),
    },
    Setting {
        flag: "health-http-status",
        key: "http_status",
        takes: Text("LIST"),
        help: "The statuses that pass, such as 200-299,401",
        set: |proxy, text| put(&mut proxy.health.http_status, health::statuses(text)),
        show: |proxy| health::write_statuses(&proxy.health.http_status),
    },
    Setting {
        flag: "health-proxy",
        key: "proxy",
        takes: Text("VERSION|none"),
        help: "Begin each check with a PROXY header: v1, v2",
        set: |proxy, text| put(&mut proxy.health.proxy, values::unless("none", text, str::parse)),
        show: |proxy| values::or("none", proxy.health.proxy.as_ref(), ToString::to_string),
    },
    Setting {
        flag: "health-on-down",
        key: "on_down",
        takes: Text("WHAT"),
        help: "What becomes of the sessions of an upstream that went down: keep, close",
        set: |proxy, text| put(&mut proxy.health.on_down, text.parse()),
        show: |proxy| proxy.health.on_down.to_string(),
    },
    Setting {
        flag: "health-slow-start",
        key: "slow_start",
        takes: Text("DURATION|off"),
        help: "An upstream that comes, or comes back, gets a tenth of its share at first, and all of it after this \
               time",
        set: |proxy, text| put(&mut proxy.health.slow_start, values::time_or_off(text)),
        show: |proxy| values::show_time_or_off(proxy.health.slow_start),
    },
    Setting {
        flag: "health-eject-after",
        key: "eject_after",
        takes: Number("N|off"),
        help: "Leave an upstream alone when so many sessions in a row failed at it; the last usable one never",
        set: |proxy, text| put(&mut proxy.health.eject_after, values::unless("off", text, values::in_a_row)),
        show: |proxy| values::or("off", proxy.health.eject_after.as_ref(), ToString::to_string),
    },
    Setting {
        flag: "health-eject-for",
        key: "eject_for",
        takes: Text("DURATION"),
        help: "For how long; twice as long each time that it fails again, at most 30 times as long",
        set: |proxy, text| put(&mut proxy.health.eject_for, units::duration_above_zero(text)),
        show: |proxy| units::write_duration(proxy.health.eject_for),
    },
];

/// Writes bytes so that they are read again, even if they are the word that stands for none.
fn show_bytes(bytes: Option<&[u8]>) -> String {
    match bytes {
        None => "none".into(),
        Some(b"none") => r"\x6eone".into(),
        Some(bytes) => escape::write(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_that_stands_for_none_can_be_sent() {
        let mut proxy = ProxyOptions::default();
        let setting = HEALTH.iter().find(|setting| setting.key == "send").expect("it is there");
        for (text, bytes) in
            [("none", None), (r"\x6eone", Some(&b"none"[..])), (r"PING\r\n", Some(b"PING\r\n"))]
        {
            assert_eq!((setting.set)(&mut proxy, text), Ok(()));
            assert_eq!(proxy.health.send.as_deref(), bytes);
            assert_eq!((setting.show)(&proxy), text);
        }
    }
}
