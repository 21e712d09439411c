//! Where a proxy forwards to: its upstreams, and which of them a session gets.
//!
//! A [`Pool`] is what one service may choose from. Its names are resolved once, when the server starts, and it never
//! changes afterwards, so that workers share it without a lock. Each worker has a [`balance::Balancer`] of its own a
//! service; of the others it knows only their counts of open sessions, in [`loads::Loads`]. A session remembers in a
//! [`tried::Tried`] whom it has asked in vain.
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

/// What one service forwards to, in the order in which it was named. Two upstreams may lead to the same place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// At least one, unless it was resolved from none.
    pub upstreams: Vec<Upstream>,
}

/// One upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// As it was typed.
    pub name: String,
    /// Its share, against the others'.
    pub weight: u32,
    /// Where it is, at least one place: the addresses of a name, in the order in which they are to be tried.
    pub targets: Box<[Target]>,
}

/// A place to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An address.
    Tcp(SocketAddr),
    /// The path of a unix socket.
    Unix(PathBuf),
}

impl Pool {
    /// The weight of each upstream.
    pub fn weights(&self) -> Vec<u32> {
        self.upstreams.iter().map(|upstream| upstream.weight).collect()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
