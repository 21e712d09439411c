//! What happens on a core: the loop, and what it is made of.
//!
//! Start at [`worker`]; the way of a message goes `worker` → `link` (remembered readiness) → `io` (read,
//! write, back pressure) → `trigger` (what epoll is asked for next).

pub(crate) mod backlog;
pub mod board;
pub mod desk;
pub(crate) mod first_read;
pub mod intake;
pub mod io;
pub(crate) mod link;
pub mod mailbox;
pub mod message;
pub(crate) mod ready;
pub mod service;
pub(crate) mod spare;
pub(crate) mod table;
pub(crate) mod timer;
pub mod token;
pub mod topology;
pub(crate) mod trigger;
pub mod worker;
