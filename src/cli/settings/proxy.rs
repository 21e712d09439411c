//! The flags of `proxy`, and a `[[service]]` of this kind: its parts, and those that are about forwarding.

use super::{
    Setting,
    Takes::{Number, Text},
    clients::{ACCESS, PROXY_PROTOCOL},
    health::HEALTH,
    limits::LIMITS,
    values::{self, put},
};
use crate::config::{ProxyOptions, units};

/// Settings that belong together: under a heading of the help, and in a table of a file.
pub struct Part {
    /// The heading.
    pub heading: &'static str,
    /// The table, within the service's; `None` is the service's own.
    pub table: Option<&'static str>,
    /// What can be set.
    pub settings: &'static [Setting<ProxyOptions>],
}

/// All parts, those of the service's own table first: TOML wants it so.
pub const PARTS: &[Part] = &[
    Part { heading: FORWARDING_HEADING, table: None, settings: FORWARDING },
    Part { heading: "Access", table: None, settings: ACCESS },
    Part { heading: TIMEOUTS_HEADING, table: Some("timeout"), settings: TIMEOUTS },
    Part { heading: "Health", table: Some("health"), settings: HEALTH },
    Part { heading: "Limits", table: Some("limit"), settings: LIMITS },
    Part { heading: "PROXY protocol", table: Some("proxy_protocol"), settings: PROXY_PROTOCOL },
];

/// Above the lists of upstreams too.
pub const FORWARDING_HEADING: &str = "Forwarding";
/// Above `--drain` of every command that serves.
pub const TIMEOUTS_HEADING: &str = "Timeouts";

/// The tables of a proxy's `[[service]]`.
pub fn tables() -> impl Iterator<Item = &'static str> {
    PARTS.iter().filter_map(|part| part.table)
}

/// The keys of its own table that take one value.
pub fn keys() -> impl Iterator<Item = &'static str> {
    let own = PARTS.iter().filter(|part| part.table.is_none());
    own.flat_map(|part| part.settings).map(|setting| setting.key)
}

/// Whom it chooses and how it gets there; the lists of upstreams are no settings.
const FORWARDING: &[Setting<ProxyOptions>] = &[
    Setting {
        flag: "balance",
        key: "balance",
        takes: Text("POLICY"),
        help: "Which upstream a connection goes to: round-robin, least-connections, p2c (of two at random the one \
               with fewer connections), random, maglev (by the client's address: IPv4 whole, IPv6 /64)",
        set: |proxy, text| put(&mut proxy.balance, text.parse()),
        show: |proxy| proxy.balance.to_string(),
    },
    Setting {
        flag: "forward",
        key: "forward",
        takes: Text("HOW"),
        help: "How bytes cross: copy, splice (inside the kernel), or auto, which copies and splices bulk streams",
        set: |proxy, text| put(&mut proxy.forward, text.parse()),
        show: |proxy| proxy.forward.to_string(),
    },
    Setting {
        flag: "source",
        key: "source",
        takes: Text("IP|none"),
        help: "The address that upstream connections come from; none leaves it to the kernel",
        set: |proxy, text| put(&mut proxy.source, values::source(text)),
        show: |proxy| values::or("none", proxy.source.as_ref(), ToString::to_string),
    },
    Setting {
        flag: "retries",
        key: "retries",
        takes: Number("N"),
        help: "How often a failed connect is tried again; each other upstream is tried once, even if that is more",
        set: |proxy, text| put(&mut proxy.retries, values::retries(text)),
        show: |proxy| proxy.retries.to_string(),
    },
];

/// How long what may take: `--idle-timeout` is `idle` of `[service.timeout]`; `--drain` is `drain`.
const TIMEOUTS: &[Setting<ProxyOptions>] = &[
    Setting {
        flag: "connect-timeout",
        key: "connect",
        takes: Text("DURATION"),
        help: "How long one attempt to connect may take",
        set: |proxy, text| put(&mut proxy.timeouts.connect, units::duration_above_zero(text)),
        show: |proxy| units::write_duration(proxy.timeouts.connect),
    },
    Setting {
        flag: "connect-total-timeout",
        key: "connect_total",
        takes: Text("DURATION"),
        help: "How long all attempts to connect, and the pauses between them, may take",
        set: |proxy, text| put(&mut proxy.timeouts.connect_total, units::duration_above_zero(text)),
        show: |proxy| units::write_duration(proxy.timeouts.connect_total),
    },
    Setting {
        flag: "idle-timeout",
        key: "idle",
        takes: Text("DURATION|off"),
        help: "Reset sessions without a byte either way for this long",
        set: |proxy, text| put(&mut proxy.timeouts.idle, values::time_or_off(text)),
        show: |proxy| values::show_time_or_off(proxy.timeouts.idle),
    },
    Setting {
        flag: "half-closed-timeout",
        key: "half_closed",
        takes: Text("DURATION|off"),
        help: "The same, once one side has ended its stream",
        set: |proxy, text| put(&mut proxy.timeouts.half_closed, values::time_or_off(text)),
        show: |proxy| values::show_time_or_off(proxy.timeouts.half_closed),
    },
    Setting {
        flag: "header-timeout",
        key: "header",
        takes: Text("DURATION"),
        help: "How long a PROXY header and a ClientHello may take to come, where they are read",
        set: |proxy, text| put(&mut proxy.timeouts.header, units::duration_above_zero(text)),
        show: |proxy| units::write_duration(proxy.timeouts.header),
    },
    Setting {
        flag: "session-timeout",
        key: "session",
        takes: Text("DURATION|off"),
        help: "The longest life of a session; 0s is off",
        set: |proxy, text| {
            let limit = values::unless("off", text, units::duration);
            put(&mut proxy.timeouts.session, limit.map(|limit| limit.filter(|limit| !limit.is_zero())))
        },
        show: |proxy| values::show_time_or_off(proxy.timeouts.session),
    },
    DRAIN,
    Setting {
        flag: "keepalive-timeout",
        key: "keepalive",
        takes: Text("DURATION|off"),
        help: "TCP keep-alive on both sides: idle time before the first of four probes, a quarter of it apart",
        set: |proxy, text| put(&mut proxy.timeouts.keepalive, values::time_or_off(text)),
        show: |proxy| values::show_time_or_off(proxy.timeouts.keepalive),
    },
    Setting {
        flag: "user-timeout",
        key: "user",
        takes: Text("DURATION|off"),
        help: "TCP_USER_TIMEOUT on both sides; off, because it also ends a peer that merely does not read",
        set: |proxy, text| put(&mut proxy.timeouts.user, values::time_or_off(text)),
        show: |proxy| values::show_time_or_off(proxy.timeouts.user),
    },
];

/// How long sessions may go on after a stop; a flag of every command that serves.
pub const DRAIN: Setting<ProxyOptions> = Setting {
    flag: "drain",
    key: "drain",
    takes: Text("DURATION"),
    help: "How long sessions may go on after a stop; where --duration ends it at most 1s, unless --drain is given",
    set: |proxy, text| put(&mut proxy.timeouts.drain, units::duration(text)),
    show: |proxy| units::write_duration(proxy.timeouts.drain),
};
