//! Which cores there are for the workers.
//!
//! The affinity mask says where this process may run (a cpuset cgroup shows there too); the cgroup's
//! `cpu.max` says how much of that it may use. More workers than the quota would only be throttled.

use std::{
    fs,
    path::{Path, PathBuf},
};

use core_affinity::CoreId;

use crate::config::Options;

/// The cores of the workers: worker `i` runs on `cores[i % cores.len()]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// Number of workers.
    pub workers: usize,
    /// The cores that they share, in the order in which workers get them.
    pub cores: Vec<usize>,
    /// Whether each stays on its core.
    pub pin: bool,
}

/// What the machine allows.
#[derive(Clone, Debug)]
pub struct Allowed {
    /// Cores of the affinity mask, ascending.
    pub cores: Vec<usize>,
    /// Cores' worth of time that the cgroup allows, rounded up.
    pub quota: Option<usize>,
}

impl Allowed {
    /// Asks the system: the affinity mask of the calling thread, and the cgroup of this process.
    pub fn read() -> Self {
        let cores = core_affinity::get_core_ids().unwrap_or_default();
        let cores: Vec<usize> = cores.into_iter().map(|core| core.id).collect();
        Self { cores, quota: quota(Path::new("/")) }
    }

    /// Checks cores that were asked for.
    ///
    /// # Errors
    /// A sentence, where one of them is not to be had.
    pub fn require(&self, asked: &[usize]) -> Result<(), String> {
        let Some(missing) = asked.iter().find(|core| !self.cores.contains(core)) else { return Ok(()) };
        let all = show_list(&self.cores);
        Err(format!("core {missing} is not to be had: this process may use cores {all}"))
    }
}

impl Topology {
    /// Decides where workers go.
    ///
    /// # Errors
    /// A sentence, where a core that was asked for is not to be had.
    pub fn plan(options: &Options, allowed: &Allowed) -> Result<Self, String> {
        let cores = match &options.cores {
            None => allowed.cores.clone(),
            Some(asked) => {
                allowed.require(asked)?;
                asked.clone()
            }
        };
        if cores.is_empty() {
            return Err("no cores to run on: name at least one, such as 0".into());
        }
        let workers =
            options.workers.unwrap_or_else(|| cores.len().min(allowed.quota.unwrap_or(usize::MAX)).max(1));
        Ok(Self { workers, cores, pin: options.pin })
    }

    /// The core of a worker, where workers are pinned.
    pub fn core_of(&self, worker: usize) -> Option<usize> {
        self.pin.then(|| self.cores[worker % self.cores.len()])
    }

    /// What whoever starts this should know.
    pub fn warnings(&self) -> Vec<String> {
        let (workers, cores) = (self.workers, self.cores.len());
        let contended = format!(
            "{workers} workers share {cores} core{}: their latencies include waiting for each other",
            if cores == 1 { "" } else { "s" }
        );
        if workers > cores { vec![contended] } else { Vec::new() }
    }
}

/// Keeps the calling thread on a core. Says whether that was possible.
pub fn pin(core: usize) -> bool {
    core_affinity::set_for_current(CoreId { id: core })
}

/// `0-3,6` for 0, 1, 2, 3, 6.
fn show_list(cores: &[usize]) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for &core in cores {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == core => *last = core,
            _ => ranges.push((core, core)),
        }
    }
    let show = |(first, last): (usize, usize)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    ranges.into_iter().map(show).collect::<Vec<_>>().join(",")
}

/// The tightest CPU quota from this process's cgroup up to the root, as whole cores, rounded up.
/// Version 2: `cpu.max` holds `QUOTA PERIOD` or `max PERIOD` (kernel, admin-guide/cgroup-v2.rst); version 1:
/// `cpu.cfs_quota_us`, -1 for none.
fn quota(root: &Path) -> Option<usize> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let limits = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let base = match controllers {
            "" => root.join("sys/fs/cgroup"),
            list if list.split(',').any(|controller| controller == "cpu") => root.join("sys/fs/cgroup/cpu"),
            _ => return None,
        };
        tightest(&base, path.trim_start_matches('/'))
    });
    limits.min()
}

fn tightest(base: &Path, group: &str) -> Option<usize> {
    let folder: PathBuf = base.join(group);
    let folders = folder.ancestors().take_while(|folder| folder.starts_with(base));
    folders.filter_map(|folder| version_2(folder).or_else(|| version_1(folder))).min()
}

fn version_2(folder: &Path) -> Option<usize> {
    let text = fs::read_to_string(folder.join("cpu.max")).ok()?;
    let (quota, period) = text.trim().split_once(' ')?;
    whole_cores(quota, period)
}

fn version_1(folder: &Path) -> Option<usize> {
    let quota = fs::read_to_string(folder.join("cpu.cfs_quota_us")).ok()?;
    let period = fs::read_to_string(folder.join("cpu.cfs_period_us")).ok()?;
    whole_cores(quota.trim(), period.trim())
}

fn whole_cores(quota: &str, period: &str) -> Option<usize> {
    let (quota, period): (u64, u64) = (quota.parse().ok()?, period.parse().ok()?);
    (period > 0).then(|| usize::try_from(quota.div_ceil(period)).unwrap_or(usize::MAX).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(cores: &[usize], quota: Option<usize>) -> Allowed {
        Allowed { cores: cores.to_vec(), quota }
    }

    #[test]
    fn auto_is_the_mask_bounded_by_the_quota() {
        let options = Options::default();
        let plan = |allowed| Topology::plan(&options, &allowed).map(|topology| topology.workers);
        assert_eq!(plan(allowed(&[2, 3, 6], None)), Ok(3));
        assert_eq!(plan(allowed(&[2, 3, 6], Some(2))), Ok(2));
        assert!(plan(allowed(&[], None)).is_err());
    }

    #[test]
    fn a_missing_core_is_named() {
        let options = Options { cores: Some(vec![0, 7]), ..Options::default() };
        let message = Topology::plan(&options, &allowed(&[0, 1, 2, 5], None)).unwrap_err();
        assert_eq!(message, "core 7 is not to be had: this process may use cores 0-2,5");
    }

    #[test]
    fn workers_beyond_the_cores_go_round() {
        let options = Options { workers: Some(3), ..Options::default() };
        let topology = Topology::plan(&options, &allowed(&[4, 5], None)).expect("cores are there");
        assert_eq!([0, 1, 2].map(|worker| topology.core_of(worker)), [Some(4), Some(5), Some(4)]);
        assert_eq!(topology.warnings().len(), 1);
    }

    /// A fixture tree in place of the system's.
    fn tree(name: &str, files: &[(&str, &str)]) -> PathBuf {
        let root = std::env::temp_dir().join(format!("evenkeel-topology-{}-{name}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("a file in a folder")).expect("a temporary folder");
            fs::write(path, text).expect("a temporary file");
        }
        root
    }

    #[test]
    fn the_tightest_quota_on_the_way_up_counts() {
        let root = tree(
            "v2",
            &[
                ("proc/self/cgroup", "0::/a/b\n"),
                ("sys/fs/cgroup/a/cpu.max", "150000 100000\n"),
                ("sys/fs/cgroup/a/b/cpu.max", "max 100000\n"),
            ],
        );
        assert_eq!(quota(&root), Some(2));
        fs::remove_dir_all(root).expect("it was made");
    }

    #[test]
    fn version_1_and_no_quota() {
        let root = tree(
            "v1",
            &[
                ("proc/self/cgroup", "4:cpu,cpuacct:/x\n1:name=systemd:/\n"),
                ("sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "-1\n"),
                ("sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000\n"),
            ],
        );
        assert_eq!(quota(&root), None);
        fs::write(root.join("sys/fs/cgroup/cpu/x/cpu.cfs_quota_us"), "50000\n").expect("a temporary file");
        assert_eq!(quota(&root), Some(1));
        fs::remove_dir_all(root).expect("it was made");
    }
}
