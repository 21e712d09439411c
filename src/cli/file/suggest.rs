//! A key that isn't one: what was meant, perhaps.

use crate::cli::settings::{Setting, echo::ECHO, proxy::PARTS, report::REPORT, runtime::RUNTIME};

/// Keys that stand for what isn't there yet. A file that has one would not do what it says.
const NOT_BUILT: &[&str] = &["admin", "overflow_group", "policy", "rebalance", "shed_above", "steer"];

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
fn home(key: &str) -> Option<String> {
    fn has<T>(settings: &[Setting<T>], key: &str) -> bool {
        settings.iter().any(|setting| setting.key == key)
    }
    let part = PARTS.iter().find(|part| has(part.settings, key)).map(|part| part.table);
    let part = part.map(|table| match table {
        Some(table) => format!("[service.{table}] of a proxy"),
        None => PROXY.into(),
    });
    let is_one_of = |keys: &[&str]| keys.contains(&key);
    let homes = [
        (has(RUNTIME, key), "[runtime]"),
        (has(REPORT, key), "[report]"),
        (has(ECHO, key), "a [[service]] of kind \"echo\""),
        (is_one_of(&["upstream", "route"]) || PARTS.iter().any(|part| part.table == Some(key)), PROXY),
        (is_one_of(&["name", "kind", "listen"]), "a [[service]]"),
        (is_one_of(&["address", "dns", "srv", "weight", "backup"]), "an upstream"),
        (is_one_of(&["sni", "alpn"]), "a route"),
    ];
    homes.into_iter().find_map(|(is_home, home)| is_home.then(|| home.to_owned())).or(part)
}

const PROXY: &str = "a [[service]] of kind \"proxy\"";

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
        assert_eq!(about("health", &here).1, "'health' belongs in a [[service]] of kind \"proxy\"");
        assert_eq!(about("rise", &here).1, "'rise' belongs in [service.health] of a proxy");
        assert_eq!(about("backup", &here).1, "'backup' belongs in an upstream");
        assert_eq!(about("steer", &here).0, "'steer' is not built yet");
        assert_eq!(about(&"x".repeat(1 << 20), &["a"]).1, "use a");
    }
}
