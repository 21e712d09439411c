//! evenkeel: a thread-per-core, shared-nothing TCP runtime for Linux.
#![deny(unsafe_code)]

pub mod config;
pub mod measure;
