//! Flags that change how a loop goes about its work change nothing of what its clients see.

use evenkeel::config::{AcceptMode, Trigger};

use crate::{
    client::Client,
    exchange,
    site::{Site, for_each},
    support::total,
};

#[test]
fn a_budget_of_one_byte_is_slow_but_right() {
    for_each(Trigger::ALL, |_, trigger, seed| {
        let mut site = Site::start(&["--workers", "2", "--budget", "1", "--trigger", trigger.name()], seed);
        site.volume = 2000;
        exchange::everything(&site);
        let report = site.end();
        assert_eq!(
            total(&report, "messages"),
            total(&report, "bytes_in"),
            "a turn read more than its budget"
        );
    });
}

#[test]
fn no_accept_budget_strands_a_connection() {
    let mut flags = Vec::new();
    for accept in AcceptMode::ALL {
        for listen in Trigger::ALL.iter().filter(|listen| accept.allows(**listen)) {
            flags.extend(["1", "unlimited"].map(|budget| {
                format!("--accept {accept} --listen-trigger {listen} --accept-budget {budget}")
            }));
        }
    }
    for_each(&flags, |_, flags, seed| {
        let site = start(flags, seed);
        burst(&site);
        exchange::churn(&site);
        site.end();
    });
}

#[test]
fn flags_leave_the_service_as_it_is() {
    let flags = [
        "--measure off",
        "--measure counts",
        "--measure full",
        "--no-pin",
        "--no-nodelay",
        "--workers 1",
        "--workers 5",
        "--cores 0",
        "--budget 1k",
        "--budget unlimited",
        "--poll adaptive:1us",
        "--poll adaptive:20ms",
        "--accept rotate --rotate-every 3",
        "--accept rotate --rotate-every 3 --listen-trigger edge",
        "--accept dealt --deal least-loaded",
        "--accept dealt --deal least-loaded --listen-trigger edge",
        "--accept local --no-pin",
        "--work spin:exp:20us",
        "--work block:fixed:100us --trigger oneshot",
        "--idle-timeout 1h",
    ];
    for_each(&flags, |_, flags, seed| {
        let site = start(flags, seed);
        burst(&site);
        exchange::everything(&site);
        site.end();
    });
}

fn start(flags: &str, seed: u64) -> Site {
    let mut arguments: Vec<&str> = flags.split(' ').collect();
    if !arguments.contains(&"--workers") {
        arguments.extend(["--workers", "2"]);
    }
    Site::start(&arguments, seed)
}

/// Connections that all arrive before any is accepted, the last of them without a further one to wake anybody.
fn burst(site: &Site) {
    let clients: Vec<Client> = site.while_frozen(|| (0..40).map(|_| site.connect()).collect());
    for (number, client) in clients.iter().enumerate() {
        let bytes = site.pattern.at(number * 31, 64);
        client.ping(bytes);
        site.enter(&site.books.bytes, bytes.len());
    }
}
