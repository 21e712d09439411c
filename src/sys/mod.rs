//! The kernel, one safe function a call. The only module of the crate that may hold `unsafe`.
//!
//! Most calls go through rustix, which is safe by itself; what it lacks (signalfd, `getrusage` of a
//! thread, `TCP_INFO`, receive timestamps, ptrace) goes through libc here. What leaves this module are types
//! that own their descriptor, can't be duplicated, and say in their methods what the kernel will do.
#![allow(unsafe_code)]

pub mod clock;
pub mod epoll;
pub mod eventfd;
pub mod limits;
pub mod listen;
pub mod pipe;
pub mod signals;
pub mod socket;
pub mod timestamp;
pub mod trace;
pub mod usage;

pub use rustix::io::Errno;

/// Why a call failed, for a sentence: what the system calls the error, without its number.
pub fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let mut letters = text.split(" (os error").next().unwrap_or(&text).chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// Whether a call failed for want of descriptors or of memory, and not for what was asked of it.
pub fn is_exhausted(error: &std::io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}
