//! evenkeel: a thread-per-core, shared-nothing TCP runtime for Linux.
//!
//! Each worker is a thread, pinned to a core, with an epoll loop, listeners, a table of sessions and
//! histograms of its own. Workers share nothing on the way of a byte; they speak by messages. How connections
//! reach them, how epoll triggers and how an idle loop waits are options, and the report shows what each does
//! to balance and latency.
//!
//! ```text
//!   main thread: signals, reports            the board: a cache line a worker,
//!        |  mailboxes                        written by its owner alone
//!        v                                        ^ publishes
//!   +-- worker 0, pinned ------------------+      |
//!   |  listeners -> accept -> sessions ----|------+
//!   |      epoll_wait -> ready list        |     worker 1 … N-1: the same
//!   |      turn: read -> service -> write  |
//!   |      timers · mailbox · histograms   |
//!   +--------------------------------------+
//! ```
//!
//! The program `evenkeel` serves what [`service`] has. A service of one's own is one trait, [`Service`]; this is
//! a complete one, which answers in capitals:
//!
//! ```
//! use std::{io::{Read as _, Write as _}, net::TcpStream, time::Duration};
//! use evenkeel::{Arrival, Io, Options, Read, Server, Service, Side, Turn};
//!
//! struct Shout;
//!
//! impl Service for Shout {
//!     type Session = ();
//!
//!     fn open(&mut self, _: &Arrival, _: &mut Io<'_>) {}
//!
//!     fn turn(&mut self, _: &mut (), io: &mut Io<'_>, scratch: &mut [u8]) -> Turn {
//!         loop {
//!             match io.read(Side::Client, scratch) {
//!                 Read::Data(len) => {
//!                     scratch[..len].make_ascii_uppercase();
//!                     io.write(Side::Client, &scratch[..len]);
//!                 }
//!                 Read::Pending => return Turn::Keep,
//!                 Read::Eof | Read::Broken => return Turn::Close,
//!             }
//!         }
//!     }
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let server = Server::bind(Options::default(), &["127.0.0.1:0".parse()?])?;
//!     let mut running = server.start(|_worker| Shout)?;
//!     let mut client = TcpStream::connect(running.served()[0].address.to_string())?;
//!     client.write_all(b"even keel")?;
//!     let mut answer = [0; 9];
//!     client.read_exact(&mut answer)?;
//!     assert_eq!(&answer, b"EVEN KEEL");
//!     running.stop(Duration::from_secs(1));
//!     Ok(())
//! }
//! ```
//!
//! The way of a connection through the modules: [`accept`] → [`runtime`] → [`service`] → [`measure`]; below
//! them [`sys`], the kernel; beside them [`control`], the main thread, and [`upstream`], where a proxy forwards to.
#![deny(unsafe_code)]

pub mod accept;
pub mod cli;
pub mod config;
pub mod control;
pub mod limit;
pub mod measure;
pub mod runtime;
pub mod selftest;
pub mod service;
pub mod sys;
pub mod upstream;

pub use config::{AcceptMode, Address, Deal, Measure, Options, PollMode, Trigger};
pub use control::{Running, Server};
pub use runtime::{
    desk::Desk,
    intake::Arrival,
    io::Io,
    service::{End, Read, Service, Turn},
    token::Side,
};
