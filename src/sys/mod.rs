//! The kernel, one safe function a call. The only module of the crate that may hold `unsafe`.
//!
//! Most calls go through rustix, which is safe by itself; what it lacks (signalfd, `getrusage` of a
//! thread, `TCP_INFO`) goes through libc here. What leaves this module are types that own their
//! descriptor, can't be duplicated, and say in their methods what the kernel will do.
#![allow(unsafe_code)]

pub mod clock;
pub mod epoll;
pub mod eventfd;
pub mod limits;
pub mod listen;
pub mod signals;
pub mod socket;
pub mod usage;

pub use rustix::io::Errno;
