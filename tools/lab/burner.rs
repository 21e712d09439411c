//! The noisy neighbour: a process that computes on given cores until it is killed.

use std::{ffi::OsString, hint, process::ExitCode, thread};

use rustix::thread::{CpuSet, sched_setaffinity};

/// Burns each core that the arguments name, with a thread of its own. Doesn't return but for a core that isn't
/// to be had.
pub fn main(cores: &[OsString]) -> ExitCode {
    let cores: Vec<usize> = cores.iter().filter_map(|core| core.to_str()?.parse().ok()).collect();
    let burners: Vec<_> = cores.into_iter().map(|core| thread::spawn(move || burn(core))).collect();
    for burner in burners {
        if let Ok(why) = burner.join() {
            eprintln!("{why}");
        }
    }
    ExitCode::FAILURE
}

/// Returns why it can't.
fn burn(core: usize) -> String {
    let mut only = CpuSet::new();
    if core < CpuSet::MAX_CPU {
        only.set(core);
    }
    if let Err(error) = sched_setaffinity(None, &only) {
        return format!("cannot compute on core {core}: {error}");
    }
    let mut number = 1_u64;
    loop {
        number = hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    }
}
