//! A key that isn't one: what was meant, perhaps.

use crate::cli::settings::{
    Setting,
    report::REPORT,
    runtime::RUNTIME,
    service::{ECHO, PROXY, TIMEOUTS},
};

/// Keys that stand for what isn't there yet. A file that has one would not do what it says.
const NOT_BUILT: &[&str] = &[
    "accept_rate",
    "admin",
    "allow",
    "backup",
    "dns",
    "header",
    "health",
    "hlog",
    "limit",
    "on_fd_limit",
    "overflow_group",
    "policy",
    "proxy_protocol",
    "rebalance",
    "route",
    "shed_above",
    "sni",
    "srv",
    "steer",
    "timestamps",
];

/// Longer than any key, and what is longer isn't looked at: a key in a file may have a million letters.
const KEY_BYTES_MAX: usize = 64;

/// What is wrong with a key, and what may have been meant. `here` are the keys that could stand in its place.
pub fn about(key: &str, here: &[&str]) -> (String, String) {
    if NOT_BUILT.contains(&key) {
        return (format!("'{key}' is not built yet"), format!("leave '{key}' out: it would have no effect"));
    }
    let help = match (meant(key, here), home(key)) {
        (Some(meant), _) => format!("did you mean '{meant}'?"),
        (None, Some(home)) => format!("'{key}' belongs in {home}"),
        (None, None) => format!("use {}", here.join(", ")),
    };
    (format!("unknown key '{key}'"), help)
}

/// The key that this one is a slip for: of three letters, at most one is wrong.
fn meant<'a>(key: &str, here: &[&'a str]) -> Option<&'a str> {
    if key.len() > KEY_BYTES_MAX {
        return None;
    }
    let typed = key.replace('-', "_").to_lowercase();
    let slips = here.iter().map(|known| (strsim::damerau_levenshtein(&typed, known), *known));
    let nearest = slips.min_by_key(|(slips, _)| *slips);
    nearest.filter(|(slips, known)| slips * 3 <= known.len()).map(|(_, known)| known)
}

/// The table that has this key, where another one hasn't.
fn home(key: &str) -> Option<&'static str> {
    fn has<T>(settings: &[Setting<T>], key: &str) -> bool {
        settings.iter().any(|setting| setting.key == key)
    }
    let homes = [
        (has(RUNTIME, key), "[runtime]"),
        (has(REPORT, key), "[report]"),
        (has(ECHO, key), "a [[service]] of kind \"echo\""),
        (has(PROXY, key) || ["upstream", "timeout"].contains(&key), "a [[service]] of kind \"proxy\""),
        (has(TIMEOUTS, key), "[service.timeout] of a proxy"),
        (["name", "kind", "listen"].contains(&key), "a [[service]]"),
    ];
    homes.into_iter().find_map(|(is_home, home)| is_home.then_some(home))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_seen_through() {
        let here = ["name", "kind", "listen", "upstream", "balance", "forward"];
        for (typed, known) in [
            ("upstrem", "upstream"),
            ("listne", "listen"),
            ("Kind", "kind"),
            ("balence", "balance"),
            ("nam", "name"),
        ] {
            assert_eq!(
                about(typed, &here),
                (format!("unknown key '{typed}'"), format!("did you mean '{known}'?"))
            );
        }
        assert_eq!(about("colour", &["a", "b"]).1, "use a, b");
        assert_eq!(about("workers", &here).1, "'workers' belongs in [runtime]");
        assert_eq!(about("health", &here).0, "'health' is not built yet");
        assert_eq!(about(&"x".repeat(1 << 20), &["a"]).1, "use a");
    }
}
