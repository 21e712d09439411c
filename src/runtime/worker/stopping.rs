//! How a worker ends: what is queued is taken, every session gets its time, what is left is cut off.

use super::{Session, Worker};
use crate::runtime::{
    intake::Accepted,
    io::Io,
    service::{End, Service},
    token::Token,
};

impl<S: Service> Worker<S> {
    /// Takes what is queued, closes the listeners, and has each session end.
    pub(super) fn stop(&mut self, until_ns: u64) {
        let first = !std::mem::replace(&mut self.cx.is_draining, true);
        self.drain_until_ns = Some(until_ns);
        self.tell_at(until_ns, Token::MAILBOX);
        if until_ns <= self.cx.now_ns {
            return self.cut_off_at(until_ns);
        }
        if first {
            self.close_intakes();
            for token in self.table.tokens() {
                if let Some(Session { link, .. }) = self.table.get_mut(token) {
                    Io::new(link, &mut self.cx).look_again();
                }
                self.run_again(token);
            }
        }
    }

    fn close_intakes(&mut self) {
        for mut intake in std::mem::take(&mut self.intakes) {
            // As many as may have been queued; those that go on coming would keep it from stopping.
            for _ in 0..=self.backlog {
                match intake.accept(&self.cx.epoll) {
                    Accepted::Session(socket, arrival) => self.open(socket, arrival),
                    Accepted::Shed => self.cx.recorder.counts.shed += 1,
                    Accepted::Gone => self.cx.recorder.count(|counts| counts.accept_aborted += 1),
                    Accepted::Empty => break,
                    Accepted::Exhausted => {
                        // What is still queued is reset by the close.
                        self.cx.recorder.counts.errors.fd_limit += 1;
                        break;
                    }
                }
            }
            intake.leave(&self.cx.epoll);
        }
    }

    /// Ends what the drain time has not ended; a later stop may have moved that time.
    pub(super) fn cut_off_at(&mut self, until_ns: u64) {
        if self.drain_until_ns != Some(until_ns) {
            return;
        }
        self.close_intakes();
        for token in self.table.tokens() {
            self.cx.recorder.counts.drain_cut += 1;
            self.end(token, End::Cut, false);
        }
    }
}
