//! Where a proxy forwards to: its upstreams, and which of them a session gets.
//!
//! A [`Roster`] is what one service may choose from at one moment. Workers share it without a lock, because it never
//! changes: whoever learns something new makes another one, which reaches them as [`News`]. Each worker has a
//! [`balance::Balancer`] of its own a group of the service; of the other workers it knows only their counts of open
//! sessions, in [`loads::Loads`]. A session remembers in a [`tried::Tried`] whom it has asked in vain.
//!
//! What is promised: no lock and no read-modify-write on the way of a session; an upstream that was tried is not chosen
//! again while there is another; shares are as the weights say. [`loops`] and [`self_connect`] keep a proxy from
//! forwarding to itself.

pub mod balance;
pub mod ejection;
pub mod loads;
pub mod loops;
mod maglev;
mod resolve;
pub mod roster;
mod round_robin;
pub mod self_connect;
mod shares;
pub mod tried;

pub use roster::{Member, News, Roster, Standing};

use std::{fmt, net::SocketAddr, path::PathBuf};

/// A place to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An address.
    Tcp(SocketAddr),
    /// The path of a unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
