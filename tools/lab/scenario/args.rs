//! The command lines of a trial: what a scenario, a mode, a variant and the step of a sweep add up to.
//!
//! A flag that comes later replaces the same flag that came before, so that a variant or a sweep changes what
//! the scenario says instead of repeating it.

use std::{path::Path, time::Duration};

use evenkeel::config::units;

use super::{Beside, Scenario, ServerKind};
use crate::mode::Mode;

/// Flags with values, in the order in which they are given.
type Flags = Vec<String>;

impl Scenario {
    /// The server's arguments. `cores` is empty where workers aren't pinned; `upstreams` are a proxy's.
    pub fn server_args(&self, mode: &Mode, seed: u64, cores: &[usize], upstreams: &[String]) -> Flags {
        let server = &self.server;
        let mut flags = words(&["--listen", "127.0.0.1:0", "--report", "json"]);
        flags.extend(words(&["--workers", &server.workers.to_string()]));
        if server.pin && !cores.is_empty() {
            let cores: Vec<_> = cores.iter().map(usize::to_string).collect();
            flags.extend(words(&["--cores", &cores.join(",")]));
        } else {
            flags.push("--no-pin".into());
        }
        flags.extend(mode.server_args());
        flags.extend(upstreams.iter().flat_map(|upstream| words(&["--upstream", upstream])));
        if server.kind != ServerKind::Proxy {
            flags.extend(words(&["--greet", "--seed", &seed.to_string()]));
        }
        let variant = self.variant(mode.variant.as_deref()).map_or(&[][..], |variant| &variant.server);
        let more = overlaid(&server.flags, variant);
        // The lab's own server has no subcommands.
        let command = match server.kind {
            ServerKind::Echo => Some("echo"),
            ServerKind::Proxy => Some("proxy"),
            ServerKind::LeaveJoin => None,
        };
        command.into_iter().map(str::to_owned).chain(overlaid(&flags, &more)).collect()
    }

    /// The arguments of one of a proxy's upstreams.
    pub fn upstream_args(&self, seed: u64) -> Flags {
        let flags = ["--listen", "127.0.0.1:0", "--workers", "1", "--no-pin", "--seed", &seed.to_string()];
        words(&["echo"]).into_iter().chain(overlaid(&words(&flags), &self.server.upstream_flags)).collect()
    }

    /// The measured client's arguments, without the address.
    pub fn client_args(&self, mode: &Mode, step: Option<f64>, seed: u64, hlog: Option<&Path>) -> Flags {
        let client = &self.client;
        let mut flags = self.common_client_flags(seed);
        flags.push("--per-connection".into());
        flags.extend(words(&["--slices", &units::write_duration(self.slice())]));
        flags.extend(hlog.into_iter().flat_map(|path| words(&["--hlog", &path.to_string_lossy()])));
        for (flag, time) in [("--warmup", client.warmup), ("--duration", client.duration)] {
            flags.extend(time.into_iter().flat_map(|time| words(&[flag, &units::write_duration(time)])));
        }
        let mut more = client.flags.clone();
        if let (Some(sweep), Some(step)) = (&self.sweep, step) {
            more = overlaid(&more, &words(&[&sweep.flag, &step.to_string()]));
        }
        let variant = self.variant(mode.variant.as_deref()).map_or(&[][..], |variant| &variant.client);
        overlaid(&flags, &overlaid(&more, variant))
    }

    /// The arguments of a client beside it, without the address.
    pub fn beside_args(&self, beside: &Beside, seed: u64) -> Flags {
        let mut flags = self.common_client_flags(seed);
        if !beside.flags.iter().any(|flag| flag == "--connect-only") {
            // Until it is told to end.
            flags.extend(words(&["--warmup", "0", "--duration", "1h"]));
        }
        overlaid(&flags, &beside.flags)
    }

    /// A fortieth of what the client does, so that a short trial has enough slices and a long one not too many.
    fn slice(&self) -> Duration {
        const SLICES: u32 = 40;
        let slice = (self.client_time() / SLICES).as_millis().clamp(10, 100);
        Duration::from_millis(u64::try_from(slice).unwrap_or(100))
    }

    fn common_client_flags(&self, seed: u64) -> Flags {
        let mut flags = words(&["--json", "--seed", &seed.to_string()]);
        // A proxy passes on what its upstreams say: nobody greets on its own account.
        if self.server.kind != ServerKind::Proxy {
            flags.push("--greet".into());
        }
        flags
    }
}

impl Beside {
    /// How many connections it opens.
    pub fn connections(&self) -> usize {
        connections(&self.flags)
    }
}

/// How long a client takes to connect, by its flags.
pub fn connecting(flags: &[String]) -> Duration {
    let spacing = value(flags, "--connect-spacing").and_then(|text| units::duration(text).ok());
    spacing.unwrap_or_default() * u32::try_from(connections(flags)).unwrap_or(u32::MAX)
}

/// How many connections a client opens, by its flags.
pub fn connections(flags: &[String]) -> usize {
    /// evenkeel-load's own default.
    const DEFAULT: usize = 64;
    number(flags, "--connections").unwrap_or(DEFAULT)
}

/// The number after a flag.
pub fn number(flags: &[String], flag: &str) -> Option<usize> {
    value(flags, flag)?.parse().ok()
}

/// What stands after a flag.
pub fn value<'a>(flags: &'a [String], flag: &str) -> Option<&'a str> {
    let at = flags.iter().position(|word| word == flag)?;
    flags.get(at + 1).map(String::as_str)
}

/// `base`, but for the flags that `more` has too.
fn overlaid(base: &[String], more: &[String]) -> Flags {
    let replaced = |flag: &String| more.contains(flag);
    let mut kept = Vec::new();
    let mut dropping = false;
    for word in base {
        if word.starts_with("--") {
            // An upstream is named once for each that there is.
            dropping = replaced(word) && word != "--upstream";
        }
        if !dropping {
            kept.push(word.clone());
        }
    }
    kept.extend_from_slice(more);
    kept
}

fn words(words: &[&str]) -> Flags {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::parse;

    const TEXT: &str = r#"
        reveals = "something worth knowing"
        source = "nobody"
        group = "accept"
        modes = ["private/edge", "rotate/level+wide"]
        figures = ["p99_ns"]
        [server]
        workers = 2
        flags = ["--budget", "64k", "--poll", "block"]
        [client]
        flags = ["--connections", "3", "--connect-spacing", "2ms", "--rate", "100", "--spin"]
        warmup = "100ms"
        duration = "1s"
        [[variant]]
        name = "wide"
        server = ["--budget", "unlimited"]
        client = ["--size", "1k"]
        [sweep]
        flag = "--rate"
        values = [500, 2500.5]
    "#;

    #[test]
    fn a_variant_and_a_sweep_replace_what_the_scenario_says() {
        let scenario = parse("s", TEXT).unwrap();
        let [plain, wide] = &scenario.modes[..] else { panic!("two modes") };
        let server = scenario.server_args(wide, 7, &[], &[]).join(" ");
        assert!(server.starts_with("echo --listen 127.0.0.1:0 "), "{server}");
        assert!(server.ends_with("--poll block --budget unlimited") && !server.contains("64k"), "{server}");
        assert!(
            server.contains("--no-pin") && server.contains("--accept rotate --trigger level"),
            "{server}"
        );
        assert!(scenario.server_args(plain, 7, &[], &[]).join(" ").contains("--budget 64k"));

        let client = scenario.client_args(wide, Some(2500.5), 7, None).join(" ");
        assert!(client.ends_with("--spin --rate 2500.5 --size 1k"), "{client}");
        assert_eq!(client.matches("--rate").count(), 1, "{client}");
        assert!(client.contains("--warmup 100ms --duration 1s"), "{client}");
        assert!(scenario.client_args(plain, Some(500.0), 7, None).join(" ").contains("--rate 500"));
    }

    #[test]
    fn pinned_workers_get_their_cores_in_the_order_of_the_round() {
        let scenario = parse("s", &TEXT.replace("workers = 2", "workers = 2\npin = true")).unwrap();
        let args = scenario.server_args(scenario.baseline(), 7, &[1, 0], &[]).join(" ");
        assert!(args.contains("--cores 1,0") && !args.contains("--no-pin"), "{args}");
    }

    #[test]
    fn a_proxy_has_upstreams_and_greets_nobody() {
        let text = TEXT.replace("workers = 2", "workers = 2\nkind = \"proxy\"\nupstreams = 2");
        let scenario = parse("s", &text).unwrap();
        let upstreams = ["127.0.0.1:1".to_owned(), "127.0.0.1:2".to_owned()];
        let args = scenario.server_args(scenario.baseline(), 7, &[], &upstreams).join(" ");
        assert!(args.starts_with("proxy ") && !args.contains("--greet"), "{args}");
        assert!(args.contains("--upstream 127.0.0.1:1 --upstream 127.0.0.1:2"), "{args}");
        assert!(!scenario.client_args(scenario.baseline(), None, 7, None).contains(&"--greet".to_owned()));
    }

    #[test]
    fn connecting_takes_its_time() {
        let scenario = parse("s", TEXT).unwrap();
        assert_eq!(connecting(&scenario.client.flags), Duration::from_millis(6));
        assert!(scenario.estimate() > Duration::from_millis(1_106));
        assert_eq!(connections(&[]), 64);
    }
}
