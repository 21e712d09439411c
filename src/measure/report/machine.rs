//! Where a run took place, as far as it bears on the figures.

use super::Machine;
use crate::config::units;

impl Machine {
    /// This machine.
    pub(super) fn here() -> Self {
        Self { cpus: cpus_online(), kernel: rustix::system::uname().release().to_string_lossy().into_owned() }
    }
}

/// The machine's, not this process's: a run on 2 of 64 cores is not one on a machine of 2.
fn cpus_online() -> usize {
    std::fs::read_to_string("/sys/devices/system/cpu/online")
        .ok()
        .and_then(|list| units::cores(list.trim()).ok())
        .or_else(|| std::thread::available_parallelism().ok().map(|cpus| vec![0; cpus.get()]))
        .map_or(1, |cores| cores.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_kernel_and_at_least_the_cpus_that_we_may_use() {
        let here = Machine::here();
        assert!(here.cpus >= std::thread::available_parallelism().map_or(1, |cpus| cpus.get()));
        assert!(here.kernel.contains('.'), "{here:?}");
    }
}
