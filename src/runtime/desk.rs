//! What a service can do between the turns of its sessions: have one get a turn, and tell other workers something.

use std::{any::Any, sync::Arc};

use super::{io::Context, message::Message, token::Token};

/// The worker, as its service sees it when news has come.
pub struct Desk<'a>(&'a mut Context);

impl<'a> Desk<'a> {
    pub(super) fn new(cx: &'a mut Context) -> Self {
        Self(cx)
    }

    /// The worker's number, from 0.
    pub fn worker(&self) -> usize {
        self.0.worker
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.0.mailboxes.len()
    }

    /// The time of the running iteration, in nanoseconds of the monotonic clock.
    pub fn now_ns(&self) -> u64 {
        self.0.now_ns
    }

    /// Has a session of this worker get a turn soon, if it is still there.
    pub fn wake(&mut self, token: Token) {
        self.0.woken.push(token);
    }

    /// Sends news to the service of a worker. `false`: its mailbox is full.
    #[must_use]
    pub fn tell(&mut self, worker: usize, news: Arc<dyn Any + Send + Sync>) -> bool {
        self.0.mailboxes[worker].send(Message::News(news)).is_ok()
    }
}
