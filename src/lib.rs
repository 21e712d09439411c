//! evenkeel: a thread-per-core, shared-nothing TCP runtime for Linux.
#![deny(unsafe_code)]

pub mod accept;
pub mod cli;
pub mod config;
pub mod control;
pub mod measure;
pub mod runtime;
pub mod service;
pub mod sys;

pub use config::{AcceptMode, Address, Deal, Measure, Options, PollMode, Trigger};
pub use control::{Running, Server};
pub use runtime::{
    io::Io,
    service::{Read, Service, Turn},
    token::Side,
};
