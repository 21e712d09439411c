//! `[service.limit]`, and the flags of `proxy`: how much is taken on at a time.

use super::{
    Setting,
    Takes::{Number, Text},
    values::{self, put},
};
use crate::config::{ProxyOptions, units};

/// Every setting of a [`Limits`](crate::config::Limits).
pub const LIMITS: &[Setting<ProxyOptions>] = &[
    Setting {
        flag: "limit-connections",
        key: "connections",
        takes: Number("N|off"),
        help: "The most sessions of the service; exact over all workers, as all limits are",
        set: |proxy, text| put(&mut proxy.limits.connections, values::limit(text)),
        show: |proxy| values::show_limit(proxy.limits.connections),
    },
    Setting {
        flag: "limit-listener",
        key: "listener",
        takes: Number("N|off"),
        help: "The most sessions of each address that it listens on",
        set: |proxy, text| put(&mut proxy.limits.listener, values::limit(text)),
        show: |proxy| values::show_limit(proxy.limits.listener),
    },
    Setting {
        flag: "limit-upstream",
        key: "upstream",
        takes: Number("N|off"),
        help: "The most sessions of each upstream; one that has them is passed over, and where all have them \
               sessions wait",
        set: |proxy, text| put(&mut proxy.limits.upstream, values::limit(text)),
        show: |proxy| values::show_limit(proxy.limits.upstream),
    },
    Setting {
        flag: "limit-per-source",
        key: "per_source",
        takes: Number("N|off"),
        help: "The most sessions of one client's address",
        set: |proxy, text| put(&mut proxy.limits.per_source, values::limit(text)),
        show: |proxy| values::show_limit(proxy.limits.per_source),
    },
    Setting {
        flag: "limit-source-v6-prefix",
        key: "source_v6_prefix",
        takes: Number("BITS"),
        help: "IPv6 clients whose addresses begin with the same bits count as one",
        set: |proxy, text| put(&mut proxy.limits.source_v6_prefix, values::v6_prefix(text)),
        show: |proxy| proxy.limits.source_v6_prefix.to_string(),
    },
    Setting {
        flag: "limit-accept-rate",
        key: "accept_rate",
        takes: Text("RATE|off"),
        help: "The most new sessions of each address that it listens on, such as 2000/s, 5/ms or 90/m; bursts of a \
               tenth of a second's worth pass",
        set: |proxy, text| put(&mut proxy.limits.accept_rate, values::unless("off", text, str::parse)),
        show: |proxy| values::or("off", proxy.limits.accept_rate.as_ref(), ToString::to_string),
    },
    Setting {
        flag: "limit-queue",
        key: "queue",
        takes: Number("N"),
        help: "How many may wait for a limit that is reached; all others are refused (reset) at once",
        set: |proxy, text| put(&mut proxy.limits.queue, values::queue(text)),
        show: |proxy| proxy.limits.queue.to_string(),
    },
    Setting {
        flag: "limit-queue-timeout",
        key: "queue_timeout",
        takes: Text("DURATION"),
        help: "How long they may wait before they are refused",
        set: |proxy, text| put(&mut proxy.limits.queue_timeout, units::duration_above_zero(text)),
        show: |proxy| units::write_duration(proxy.limits.queue_timeout),
    },
];
