//! What the kernel says that a process used: CPU time, sleeps, memory.

use std::error::Error;
use std::fs;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::Pid;

/// CPU time and sleeps since a process began, over all its threads.
#[derive(Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// Time on a CPU in nanoseconds, in user space and in the kernel.
    pub cpu_ns: u64,
    /// The timer ticks that found it in user space, and those that found it in the kernel: coarse, good
    /// for a share over many seconds only.
    pub user_ticks: u64,
    /// See `user_ticks`.
    pub system_ticks: u64,
    /// Times that a thread gave up its core to wait.
    pub sleeps: u64,
}

impl Usage {
    /// Reads it once the process has settled. The kernel adds up a thread's time when the thread leaves
    /// its core, so a figure read before the server is back in `epoll_wait` would lack its last stretch.
    pub fn settled(pid: Pid) -> Result<Self, Box<dyn Error>> {
        let mut last = Self::read(pid)?;
        loop {
            sleep(SETTLE);
            let now = Self::read(pid)?;
            if now == last {
                return Ok(now);
            }
            last = now;
        }
    }

    /// What was used since `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns - earlier.cpu_ns,
            user_ticks: self.user_ticks - earlier.user_ticks,
            system_ticks: self.system_ticks - earlier.system_ticks,
            sleeps: self.sleeps - earlier.sleeps,
        }
    }

    fn read(pid: Pid) -> Result<Self, Box<dyn Error>> {
        let process = format!("/proc/{}", pid.as_raw_nonzero());
        let mut usage = Self::default();
        for task in fs::read_dir(format!("{process}/task"))? {
            let task = task?.path();
            usage.cpu_ns += first_number(&fs::read_to_string(task.join("schedstat"))?)?;
            usage.sleeps += field(&fs::read_to_string(task.join("status"))?, "voluntary_ctxt_switches:")?;
        }
        (usage.user_ticks, usage.system_ticks) = ticks(&fs::read_to_string(format!("{process}/stat"))?)?;
        Ok(usage)
    }
}

/// A process's memory, in bytes.
#[derive(Clone, Copy)]
pub struct Memory {
    /// Resident set size: pages present, shared ones in full.
    pub rss_bytes: u64,
    /// Proportional set size: shared pages divided by their users.
    pub pss_bytes: u64,
}

impl Memory {
    /// Reads it.
    pub fn read(pid: Pid) -> Result<Self, Box<dyn Error>> {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", pid.as_raw_nonzero()))?;
        Ok(Self { rss_bytes: 1024 * field(&rollup, "Rss:")?, pss_bytes: 1024 * field(&rollup, "Pss:")? })
    }
}

const SETTLE: Duration = Duration::from_millis(1);

/// User and system ticks, fields 14 and 15 of `/proc/PID/stat`. The second field is the program's name in
/// parentheses, which may hold anything, so counting starts behind the last one.
pub fn ticks(stat: &str) -> Result<(u64, u64), Box<dyn Error>> {
    let (_, rest) = stat.rsplit_once(") ").ok_or("a process's stat has no name in parentheses")?;
    let mut fields = rest.split(' ').skip(11);
    let mut next = || fields.next().and_then(|word| word.parse().ok()).ok_or("a process's stat is too short");
    Ok((next()?, next()?))
}

/// The number behind `name`, at the start of a line.
pub fn field(text: &str, name: &str) -> Result<u64, Box<dyn Error>> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    first_number(line.ok_or_else(|| format!("no {name} in what the kernel says of a process"))?)
}

fn first_number(text: &str) -> Result<u64, Box<dyn Error>> {
    Ok(text.split_whitespace().next().ok_or("an empty line where a number was expected")?.parse()?)
}
