//! Who is served, and where clients really come from: keys of a `[[service]]`, and `[service.proxy_protocol]`.

use super::{
    Setting,
    Takes::{List, Text},
    values::{self, put},
};
use crate::config::{Cidr, ProxyOptions, ProxyProtocol};

/// What stands among networks for all peers that come by a unix socket.
const UNIX: &str = "unix";

/// Who is served.
pub const ACCESS: &[Setting<ProxyOptions>] = &[
    Setting {
        flag: "allow",
        key: "allow",
        takes: List("CIDR|none"),
        help: "Serve clients in these networks and refuse (reset) all others; unix sockets' are served",
        set: |proxy, text| put(&mut proxy.access.allow, values::list(text)),
        show: |proxy| values::show_list(&proxy.access.allow),
    },
    Setting {
        flag: "deny",
        key: "deny",
        takes: List("CIDR|none"),
        help: "Refuse (reset) clients in these networks, even if they are allowed",
        set: |proxy, text| put(&mut proxy.access.deny, values::list(text)),
        show: |proxy| values::show_list(&proxy.access.deny),
    },
];

/// Where clients really come from.
pub const PROXY_PROTOCOL: &[Setting<ProxyOptions>] = &[
    Setting {
        flag: "proxy-protocol-accept-from",
        key: "accept_from",
        takes: List("CIDR|unix|none"),
        help: "Require a PROXY header, v1 or v2, of peers in these networks, or of unix sockets'; all that others \
               send is payload",
        set: |proxy, text| set_sources(&mut proxy.proxy_protocol, text),
        show: |proxy| show_sources(&proxy.proxy_protocol),
    },
    Setting {
        flag: "proxy-protocol-send",
        key: "send",
        takes: Text("VERSION|off"),
        help: "Begin connections to upstreams with a PROXY header: v1, v2 (which passes TLVs on)",
        set: |proxy, text| put(&mut proxy.proxy_protocol.send, values::unless("off", text, str::parse)),
        show: |proxy| values::or("off", proxy.proxy_protocol.send.as_ref(), ToString::to_string),
    },
];

fn set_sources(proxy_protocol: &mut ProxyProtocol, text: &str) -> Result<(), String> {
    let (unix, networks): (Vec<_>, Vec<_>) = values::items(text).partition(|item| *item == UNIX);
    put(&mut proxy_protocol.accept_from, networks.into_iter().map(str::parse::<Cidr>).collect())?;
    proxy_protocol.accept_from_unix = !unix.is_empty();
    Ok(())
}

fn show_sources(proxy_protocol: &ProxyProtocol) -> String {
    let networks = proxy_protocol.accept_from.iter().map(ToString::to_string);
    let unix = proxy_protocol.accept_from_unix.then(|| UNIX.to_owned());
    values::show_list(&networks.chain(unix).collect::<Vec<_>>())
}
