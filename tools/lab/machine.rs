//! The machine and what else happened on it: whatever a reader needs before he believes a figure.

use std::{fs, num::NonZero, thread};

use serde::{Deserialize, Serialize};

/// Where the run took place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    /// Share of the machine's CPU time that processes other than the lab's used meanwhile, in percent.
    pub others_percent: f64,
    /// Connections that the kernel dropped because an accept queue was full, during the run.
    pub listen_overflows: u64,
    /// Of how much CPU time, all cores', these are the shares: that of the whole run, in however many parts it ran.
    #[serde(default)]
    pub watched_cpu_s: f64,
}

/// Counters of the whole machine at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    ticks: Ticks,
    own_ticks: u64,
    listen_overflows: u64,
    listen_drops: u64,
}

/// What happened between two moments.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Since {
    /// CPU time of all cores meanwhile.
    pub cpu_s: f64,
    pub steal_percent: f64,
    pub others_percent: f64,
    pub listen_overflows: u64,
    pub listen_drops: u64,
}

/// Of the CPU time of all cores, in ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ticks {
    all: u64,
    stolen: u64,
    idle: u64,
}

impl Machine {
    /// Others used more than this of the CPU time: latencies are theirs as much as the modes'.
    const DISTURBED_PERCENT: f64 = 10.0;

    /// Whether the machine was so busy with something else that latencies say little.
    pub fn is_disturbed(&self) -> bool {
        self.others_percent + self.steal_percent > Self::DISTURBED_PERCENT
    }

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

    /// Fills in what happened `since` a run began or was resumed, on top of what `earlier` parts of it had seen.
    pub fn note(&mut self, earlier: &Self, since: &Since) {
        let all_s = earlier.watched_cpu_s + since.cpu_s;
        let share = |earlier_percent: f64, percent: f64| {
            let sum = earlier_percent * earlier.watched_cpu_s + percent * since.cpu_s;
            if all_s > 0.0 { tenths(sum / all_s) } else { 0.0 }
        };
        self.steal_percent = share(earlier.steal_percent, since.steal_percent);
        self.others_percent = share(earlier.others_percent, since.others_percent);
        self.listen_overflows = earlier.listen_overflows + since.listen_overflows;
        self.watched_cpu_s = tenths(all_s);
    }
}

impl Counters {
    /// Reads /proc; a counter that isn't there stays 0.
    pub fn read() -> Self {
        let netstat = read("/proc/net/netstat");
        Self {
            ticks: cpu_ticks(&read("/proc/stat")),
            own_ticks: own_ticks(&read("/proc/self/stat")),
            listen_overflows: tcp_ext(&netstat, "ListenOverflows"),
            listen_drops: tcp_ext(&netstat, "ListenDrops"),
        }
    }

    /// What happened since `before`.
    pub fn since(&self, before: &Self) -> Since {
        let all = self.ticks.all.saturating_sub(before.ticks.all).max(1);
        let idle = self.ticks.idle.saturating_sub(before.ticks.idle);
        let stolen = self.ticks.stolen.saturating_sub(before.ticks.stolen);
        let own = self.own_ticks.saturating_sub(before.own_ticks);
        let percent = |ticks: u64| tenths(ticks as f64 / all as f64 * 1e2);
        Since {
            cpu_s: all as f64 / TICKS_PER_S,
            steal_percent: percent(stolen),
            others_percent: percent(all.saturating_sub(idle + stolen + own)),
            listen_overflows: self.listen_overflows.saturating_sub(before.listen_overflows),
            listen_drops: self.listen_drops.saturating_sub(before.listen_drops),
        }
    }
}

/// What /proc counts CPU time in, whatever the kernel's own clock (USER_HZ; proc_stat(5)).
const TICKS_PER_S: f64 = 100.0;

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Sockets in TIME_WAIT now.
pub fn time_wait() -> u64 {
    sockets_in_time_wait(&read("/proc/net/sockstat"))
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

/// The line `cpu` (proc_stat(5)): user nice system idle iowait irq softirq steal; guest time, which follows,
/// is part of user time.
fn cpu_ticks(stat: &str) -> Ticks {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu ")).unwrap_or_default();
    let ticks: Vec<u64> = line.split_whitespace().take(8).map_while(|ticks| ticks.parse().ok()).collect();
    let tick = |index: usize| ticks.get(index).copied().unwrap_or(0);
    Ticks { all: ticks.iter().sum(), stolen: tick(7), idle: tick(3) + tick(4) }
}

/// CPU time of this process and of its children that have ended (proc_pid_stat(5)): utime, stime, cutime and
/// cstime are fields 14 to 17, counted after the name, which is in parentheses and may hold anything.
fn own_ticks(stat: &str) -> u64 {
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    after_name.split(' ').skip(11).take(4).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
}

/// A counter of the `TcpExt` pair of lines: names, then values.
fn tcp_ext(netstat: &str, counter: &str) -> u64 {
    let mut lines = netstat.lines().filter_map(|line| line.strip_prefix("TcpExt: "));
    let (names, values) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    names
        .split(' ')
        .zip(values.split(' '))
        .find(|(name, _)| *name == counter)
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0)
}

/// `TCP: inuse 5 orphan 0 tw 3 alloc 9 mem 2`.
fn sockets_in_time_wait(sockstat: &str) -> u64 {
    let line = sockstat.lines().find_map(|line| line.strip_prefix("TCP: ")).unwrap_or_default();
    let count = line.split_once(" tw ").and_then(|(_, rest)| rest.split(' ').next());
    count.and_then(|count| count.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_tables_are_read() {
        let ticks = Ticks { all: 100, stolen: 7, idle: 60 };
        assert_eq!(cpu_ticks("cpu  10 0 20 58 2 0 3 7 2 0\ncpu0 1 1 1 1\n"), ticks);
        assert_eq!(cpu_ticks(""), Ticks::default());
        assert_eq!(own_ticks("7 (a) b) S 1 2 3 4 5 6 7 8 9 10 100 20 3 4 20 0 1 0\n"), 127);
        assert_eq!(own_ticks(""), 0);
        let netstat =
            "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 0 5 9\nIpExt: A\nIpExt: 1\n";
        assert_eq!((tcp_ext(netstat, "ListenOverflows"), tcp_ext(netstat, "ListenDrops")), (5, 9));
        assert_eq!(tcp_ext("IpExt: ListenOverflows\nIpExt: 3\n", "ListenOverflows"), 0);
        assert_eq!(sockets_in_time_wait("sockets: used 9\nTCP: inuse 5 orphan 0 tw 31 alloc 9 mem 2\n"), 31);
        assert_eq!(sockets_in_time_wait(""), 0);
        assert_eq!(cpu_model("processor\t: 0\nmodel name\t: A Fine CPU\n"), "A Fine CPU");
        assert_eq!(cpu_model(""), "unknown");
    }

    #[test]
    fn what_a_run_has_seen_is_carried_on_when_it_is_resumed() {
        let since = |cpu_s, others_percent, listen_overflows| Since {
            cpu_s,
            others_percent,
            steal_percent: others_percent / 10.0,
            listen_overflows,
            listen_drops: 0,
        };
        let (mut first, mut resumed) = (Machine::default(), Machine::default());
        first.note(&Machine::default(), &since(30.0, 20.0, 5));
        // Noted again and again, always from the beginning of the part.
        for cpu_s in [1.0, 10.0] {
            resumed.note(&first, &since(cpu_s, 0.0, 2));
        }
        assert_eq!((resumed.others_percent, resumed.steal_percent), (15.0, 1.5));
        assert_eq!((resumed.listen_overflows, resumed.watched_cpu_s), (7, 40.0));
        first.note(&Machine::default(), &Since::default());
        assert_eq!((first.others_percent, first.watched_cpu_s), (0.0, 0.0));
    }

    #[test]
    fn a_machine_busy_with_something_else_is_called_disturbed() {
        let machine = |others_percent| Machine { others_percent, ..Machine::default() };
        assert!(machine(30.0).is_disturbed() && !machine(2.0).is_disturbed());
    }
}
