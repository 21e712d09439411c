//! The machine and what else happened on it: whatever a reader needs before he believes a figure.

use std::{fs, num::NonZero, thread};

use serde::Serialize;

/// Where the run took place.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Machine {
    pub cpus: usize,
    pub cpu_model: String,
    pub kernel: String,
    /// `unknown` where the kernel doesn't say (virtual machines mostly).
    pub governor: String,
    pub clocksource: String,
    pub somaxconn: String,
    /// Share of the CPU time that the hypervisor gave to others while the run went on, in percent.
    pub steal_percent: f64,
    /// Connections that the kernel dropped because an accept queue was full, during the run.
    pub listen_overflows: u64,
}

/// Counters of the whole machine at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disturbances {
    steal_ticks: u64,
    all_ticks: u64,
    listen_overflows: u64,
}

impl Machine {
    /// Reads what doesn't change during a run.
    pub fn read() -> Self {
        Self {
            cpus: thread::available_parallelism().map_or(1, NonZero::get),
            cpu_model: cpu_model(&read("/proc/cpuinfo")),
            kernel: or_unknown(read("/proc/sys/kernel/osrelease")),
            governor: or_unknown(read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
            clocksource: or_unknown(read("/sys/devices/system/clocksource/clocksource0/current_clocksource")),
            somaxconn: or_unknown(read("/proc/sys/net/core/somaxconn")),
            ..Self::default()
        }
    }

    /// Fills in what happened since `before`.
    pub fn note_disturbances(&mut self, before: &Disturbances) {
        let now = Disturbances::read();
        let ticks = now.all_ticks.saturating_sub(before.all_ticks).max(1);
        let stolen = now.steal_ticks.saturating_sub(before.steal_ticks);
        self.steal_percent = (stolen as f64 / ticks as f64 * 1e4).round() / 1e2;
        self.listen_overflows = now.listen_overflows.saturating_sub(before.listen_overflows);
    }
}

impl Disturbances {
    /// Reads /proc; a counter that isn't there stays 0.
    pub fn read() -> Self {
        let (steal_ticks, all_ticks) = cpu_ticks(&read("/proc/stat"));
        Self { steal_ticks, all_ticks, listen_overflows: listen_overflows(&read("/proc/net/netstat")) }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn or_unknown(text: String) -> String {
    match text.trim() {
        "" => "unknown".to_owned(),
        text => text.to_owned(),
    }
}

fn cpu_model(cpuinfo: &str) -> String {
    let line = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    or_unknown(line.map(|(_, model)| model.to_owned()).unwrap_or_default())
}

/// Stolen ticks and all ticks of the line `cpu` (proc_stat(5)): user nice system idle iowait irq softirq
/// steal; guest time, which follows, is part of user time.
fn cpu_ticks(stat: &str) -> (u64, u64) {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu ")).unwrap_or_default();
    let ticks: Vec<u64> = line.split_whitespace().take(8).map_while(|ticks| ticks.parse().ok()).collect();
    (ticks.get(7).copied().unwrap_or(0), ticks.iter().sum())
}

/// `ListenOverflows` of the `TcpExt` pair of lines: names, then values.
fn listen_overflows(netstat: &str) -> u64 {
    let mut lines = netstat.lines().filter_map(|line| line.strip_prefix("TcpExt: "));
    let (names, values) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    names
        .split(' ')
        .zip(values.split(' '))
        .find(|(name, _)| *name == "ListenOverflows")
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_tables_are_read() {
        assert_eq!(cpu_ticks("cpu  10 0 20 60 0 0 3 7 2 0\ncpu0 1 1 1 1\n"), (7, 100));
        assert_eq!(cpu_ticks(""), (0, 0));
        let netstat =
            "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 0 5 9\nIpExt: A\nIpExt: 1\n";
        assert_eq!(listen_overflows(netstat), 5);
        assert_eq!(listen_overflows("IpExt: ListenOverflows\nIpExt: 3\n"), 0);
        assert_eq!(cpu_model("processor\t: 0\nmodel name\t: A Fine CPU\n"), "A Fine CPU");
        assert_eq!(cpu_model(""), "unknown");
    }
}
