//! A scenario in words: for `list`, for the page, and for whoever reads `results.json` without the program.

use evenkeel::config::units::write_duration;

use super::{Scenario, args};

impl Scenario {
    /// What happens, in a few words: the heading of its columns and charts.
    pub fn heading(&self) -> String {
        let flags = &self.client.flags;
        if !self.has_load() {
            let apart = args::value(flags, "--connect-spacing").map(|spacing| format!(", {spacing} apart"));
            return format!("{} connects{}", args::connections(flags), apart.unwrap_or_default());
        }
        match (&self.sweep, args::value(flags, "--rate")) {
            (None, Some(rate)) => format!("{}, {rate}/s", self.name),
            _ => self.name.clone(),
        }
    }

    /// Every parameter, in words and flags. Two scenarios with the same parameters are the same experiment.
    pub fn parameters(&self) -> String {
        let mut parts = vec![self.server_words()];
        parts.extend(self.variants.iter().map(|variant| {
            let flags = [&variant.server[..], &variant.client].concat();
            format!("+{}: {}", variant.name, flags.join(" "))
        }));
        parts.push(format!("client: {}", self.client_words()));
        parts.extend(
            self.beside.iter().map(|beside| format!("beside it {}: {}", beside.name, beside.flags.join(" "))),
        );
        parts.extend(self.sweep.as_ref().map(|sweep| {
            let values: Vec<_> = sweep.values.iter().map(f64::to_string).collect();
            format!("{} swept over {}", sweep.flag, values.join(", "))
        }));
        parts.extend(self.disturbances());
        parts.extend(self.in_namespace().then(|| "each trial in a network namespace of its own".to_owned()));
        parts.join("; ")
    }

    fn server_words(&self) -> String {
        let server = &self.server;
        let pinned = if server.pin { "pinned" } else { "not pinned" };
        let mut words = format!("{}, {} workers {pinned}", server.kind.name(), server.workers);
        if !server.flags.is_empty() {
            words += &format!(", {}", server.flags.join(" "));
        }
        if server.upstreams > 0 {
            let flags = server.upstream_flags.join(" ");
            words += format!(", {} upstreams {flags}", server.upstreams).trim_end();
        }
        words
    }

    fn client_words(&self) -> String {
        let client = &self.client;
        let times = [("warm-up", client.warmup), ("measured for", client.duration)];
        let times = times.into_iter().filter_map(|(what, time)| Some((what, time?)));
        let times: Vec<_> = times.map(|(what, time)| format!(", {what} {}", write_duration(time))).collect();
        client.flags.join(" ") + &times.concat()
    }

    fn disturbances(&self) -> Vec<String> {
        let disturb = &self.disturb;
        let stop = disturb.stop.map(|stop| {
            let (after, length) = (write_duration(stop.after), write_duration(stop.length));
            format!("the server is stopped after {after} for {length}")
        });
        let stall = disturb.stall.map(|stall| {
            let (every, length) = (write_duration(stall.every), write_duration(stall.length));
            format!("worker {} is stopped every {every} for {length}", stall.worker)
        });
        let burn = (!disturb.burn.is_empty()).then(|| {
            let cores: Vec<_> = disturb.burn.iter().map(usize::to_string).collect();
            format!("another process computes on core {}", cores.join(", "))
        });
        stop.into_iter().chain(stall).chain(burn).collect()
    }
}
