//! `[[service]]`, and the flags of `echo` and `proxy`: what each kind does.

use super::{
    Setting,
    Takes::{Nothing, Number, Text},
    values::{self, put},
};
use crate::{
    config::{ProxyOptions, Timeouts, units},
    service::EchoOptions,
};

/// What can be set on an echo service.
pub const ECHO: &[Setting<EchoOptions>] = &[
    Setting {
        flag: "work",
        key: "work",
        takes: Text("WORK|none"),
        help: "Time that each message takes, by computing or by blocking the worker: spin:DIST or block:DIST, with \
               DIST fixed:50us, exp:50us or bimodal:50us,5ms,0.01",
        set: |echo, text| put(&mut echo.work, values::unless("none", text, str::parse)),
        show: |echo| values::or("none", echo.work.as_ref(), ToString::to_string),
    },
    Setting {
        flag: "seed",
        key: "seed",
        takes: Number("N"),
        help: "Seed of the random times of the work",
        set: |echo, text| put(&mut echo.seed, values::seed(text)),
        show: |echo| echo.seed.to_string(),
    },
    Setting {
        flag: "greet",
        key: "greet",
        takes: Nothing,
        help: "Send 16 bytes on accept: worker, then sequence (two u64, little endian)",
        set: |echo, text| put(&mut echo.greet, values::switch(text)),
        show: |echo| echo.greet.to_string(),
    },
    Setting {
        flag: "idle-timeout",
        key: "idle_timeout",
        takes: Text("DURATION|off"),
        help: "Close connections that say nothing for this long",
        set: |echo, text| put(&mut echo.idle_timeout, values::time_or_off(text)),
        show: |echo| values::show_time_or_off(echo.idle_timeout),
    },
];

/// What can be set on a proxy, but for where it forwards to and for its timeouts.
pub const PROXY: &[Setting<ProxyOptions>] = &[
    Setting {
        flag: "balance",
        key: "balance",
        takes: Text("POLICY"),
        help: "Which upstream a connection goes to: round-robin, least-connections, p2c (of two at random the one \
               with fewer connections), random",
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

/// The timeouts of a proxy: `--idle-timeout` is `idle` of `[service.timeout]`; `--drain` is `drain`.
pub const TIMEOUTS: &[Setting<Timeouts>] = &[
    Setting {
        flag: "connect-timeout",
        key: "connect",
        takes: Text("DURATION"),
        help: "How long one attempt to connect may take",
        set: |timeouts, text| put(&mut timeouts.connect, units::duration_above_zero(text)),
        show: |timeouts| units::write_duration(timeouts.connect),
    },
    Setting {
        flag: "connect-total-timeout",
        key: "connect_total",
        takes: Text("DURATION"),
        help: "How long all attempts to connect, and the pauses between them, may take",
        set: |timeouts, text| put(&mut timeouts.connect_total, units::duration_above_zero(text)),
        show: |timeouts| units::write_duration(timeouts.connect_total),
    },
    Setting {
        flag: "idle-timeout",
        key: "idle",
        takes: Text("DURATION|off"),
        help: "Reset sessions without a byte either way for this long",
        set: |timeouts, text| put(&mut timeouts.idle, values::time_or_off(text)),
        show: |timeouts| values::show_time_or_off(timeouts.idle),
    },
    Setting {
        flag: "half-closed-timeout",
        key: "half_closed",
        takes: Text("DURATION|off"),
        help: "The same, once one side has ended its stream",
        set: |timeouts, text| put(&mut timeouts.half_closed, values::time_or_off(text)),
        show: |timeouts| values::show_time_or_off(timeouts.half_closed),
    },
    Setting {
        flag: "session-timeout",
        key: "session",
        takes: Text("DURATION|off"),
        help: "The longest life of a session; 0s is off",
        set: |timeouts, text| {
            let limit = values::unless("off", text, units::duration);
            put(&mut timeouts.session, limit.map(|limit| limit.filter(|limit| !limit.is_zero())))
        },
        show: |timeouts| values::show_time_or_off(timeouts.session),
    },
    DRAIN,
    Setting {
        flag: "keepalive-timeout",
        key: "keepalive",
        takes: Text("DURATION|off"),
        help: "TCP keep-alive on both sides: idle time before the first of four probes, a quarter of it apart",
        set: |timeouts, text| put(&mut timeouts.keepalive, values::time_or_off(text)),
        show: |timeouts| values::show_time_or_off(timeouts.keepalive),
    },
    Setting {
        flag: "user-timeout",
        key: "user",
        takes: Text("DURATION|off"),
        help: "TCP_USER_TIMEOUT on both sides; off, because it also ends a peer that merely does not read",
        set: |timeouts, text| put(&mut timeouts.user, values::time_or_off(text)),
        show: |timeouts| values::show_time_or_off(timeouts.user),
    },
];

/// How long sessions may go on after a stop; a flag of every command that serves.
pub const DRAIN: Setting<Timeouts> = Setting {
    flag: "drain",
    key: "drain",
    takes: Text("DURATION"),
    help: "How long sessions may go on after a stop; where --duration ends it at most 1s, unless --drain is given",
    set: |timeouts, text| put(&mut timeouts.drain, units::duration(text)),
    show: |timeouts| units::write_duration(timeouts.drain),
};
