//! What a scenario's file may say, and how it is told what it may not.

use proptest::prelude::*;

use super::{super::*, *};

const GOOD: &str = r#"
reveals = "Something worth knowing."
source = "a paper"
group = "neighbours"
modes = ["exclusive/edge", "private/level/edge+wide"]
figures = ["dispersion", "p99_ns"]
rounds_max = 8

[server]
kind = "proxy"
workers = 2
pin = true
flags = ["--budget", "64k"]
upstreams = 3
upstream_flags = ["--work", "block:exp:1ms"]

[client]
flags = ["--connections", "8", "--rate", "500"]
warmup = "500ms"
duration = "3s"

[[beside]]
name = "hog"
flags = ["--connections", "1"]

[[variant]]
name = "wide"
server = ["--budget", "unlimited"]
namespace = true

[sweep]
flag = "--rate"
values = [500, 1_000, 2e3]

[disturb]
stop = { after = "1s", for = "1400ms" }
stall = { worker = 1, every = "1s", for = "200ms" }
burn = { cores = [0] }

[[claim]]
says = "It packs."
figure = "max_over_mean"
of = "exclusive/edge"
over = "private/level/edge+wide"
at_least = 2.5
"#;

#[test]
fn everything_that_a_file_can_say_is_read() {
    let scenario = parse("mine", GOOD).unwrap_or_else(|message| panic!("{message}"));
    assert_eq!(
        (scenario.name.as_str(), scenario.group, scenario.rounds_max),
        ("mine", Group::Neighbours, Some(8))
    );
    let modes: Vec<_> = scenario.modes.iter().map(Mode::to_string).collect();
    assert_eq!(modes, ["exclusive/edge", "private/level/edge+wide"]);
    let server = &scenario.server;
    assert_eq!((server.kind, server.workers, server.pin, server.upstreams), (ServerKind::Proxy, 2, true, 3));
    assert_eq!(scenario.client.warmup, Some(std::time::Duration::from_millis(500)));
    assert_eq!(scenario.beside[0].name, "hog");
    assert_eq!(scenario.sweep.as_ref().map(|sweep| sweep.values.clone()), Some(vec![500.0, 1000.0, 2000.0]));
    assert_eq!(scenario.disturb.stall.map(|stall| stall.worker), Some(1));
    assert_eq!(scenario.disturb.burn, [0]);
    assert!(scenario.in_namespace() && !scenario.needs_namespace(&scenario.modes[0]));
    assert_eq!(scenario.claims[0].at_least, Some(2.5));
    assert!(scenario.parameters().contains("worker 1 is stopped every 1s for 200ms"));
}

/// Each with the part of [`GOOD`] that is spoilt, and what has to be said about it.
#[test]
fn each_mistake_is_shown_where_it_is() {
    for (good, bad, line, says) in [
        ("group = ", "grup = ", 4, "unknown key 'grup'"),
        ("group = ", "grup = ", 4, "help: did you mean 'group'?"),
        ("\"neighbours\"", "\"neighbors\"", 4, "help: did you mean 'neighbours'?"),
        ("\"exclusive/edge\", ", "\"exclusive/egde\", ", 5, "not a trigger"),
        ("[\"exclusive/edge\", ", "[\"private/level/edge+wide\", ", 5, "is listed twice"),
        ("edge+wide\"]", "edge+wild\"]", 5, "there is no variant 'wild'"),
        ("\"p99_ns\"", "\"p99\"", 6, "'p99' is not a figure of a trial"),
        ("\"p99_ns\"", "\"p99ns\"", 6, "help: did you mean 'p99_ns'?"),
        ("workers = 2", "workers = 0", 11, "'workers' is a number from 1 to 256"),
        ("workers = 2", "workers = \"2\"", 11, "has to be a whole number"),
        ("pin = true", "pin = 1", 12, "has to be true or false"),
        ("[\"--budget\", \"64k\"]", "[\"--accept\", \"private\"]", 13, "--accept is the lab's to set"),
        ("[\"--budget\", \"64k\"]", "[\"--budget=64k\"]", 13, "write \"--budget\", \"64k\""),
        ("upstreams = 3\n", "", 9, "this proxy has no 'upstreams'"),
        ("duration = \"3s\"", "duration = \"3\"", 20, "'3' is not a duration"),
        ("duration = \"3s\"", "duration = 3", 20, "has to be a time, such as \"3s\""),
        ("duration = \"3s\"", "", 17, "'warmup' without 'duration' measures nothing"),
        ("name = \"hog\"", "name = \"../hog\"", 23, "is not a name"),
        ("flag = \"--rate\"", "flag = \"rate\"", 32, "is not a flag"),
        ("worker = 1,", "worker = 2,", 35, "there is no worker 2"),
        ("for = \"200ms\"", "for = \"2s\"", 37, "the worker would never run"),
        ("of = \"exclusive/edge\"", "of = \"dealt/edge\"", 43, "dealt/edge is none of this scenario's modes"),
        ("at_least = 2.5", "", 40, "this claim has no 'at_least or at_most'"),
        ("at_least = 2.5", "at_least = 2.5\nat_most = 1", 40, "nothing could hold"),
        ("reveals = \"Something worth knowing.\"", "", 1, "this scenario has no 'reveals'"),
        ("reveals = \"", "reveals = ", 2, "this is not TOML"),
    ] {
        assert!(GOOD.contains(good), "{good}");
        let message = parse("mine", &GOOD.replacen(good, bad, 1)).unwrap_err();
        assert!(message.contains(says), "{bad}: {message}");
        assert!(message.starts_with(&format!("mine.toml:{line}:")), "{bad}, line {line}: {message}");
        assert!(message.lines().count() <= 4, "{message}");
    }
}

proptest! {
    /// A damaged file is refused or read, and never brings the lab down.
    #[test]
    fn no_text_brings_it_down(at in 0..GOOD.len(), length in 0_usize..40, with in "[\\[\\]{}\"'=\\n a-z0-9.#-]{0,12}") {
        let end = (at + length).min(GOOD.len());
        prop_assume!(GOOD.is_char_boundary(at) && GOOD.is_char_boundary(end));
        let text = format!("{}{with}{}", &GOOD[..at], &GOOD[end..]);
        if let Err(message) = parse("mine", &text) {
            prop_assert!(message.lines().count() <= 4 && message.len() < 2_000, "{}", message);
        }
    }
}
