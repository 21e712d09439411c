//! What a worker is told: by its mailbox, and by one session about another.

use std::any::Any;

use super::{Session, Worker};
use crate::{
    config::Options,
    runtime::{
        desk::Desk,
        io::Io,
        link::Phase,
        message::Message,
        service::{Service, Turn},
        token::Token,
    },
};

impl<S: Service> Worker<S> {
    pub(super) fn read_mail(&mut self) {
        if self.has_mail {
            self.mailbox.bell().silence();
        }
        // As many as it would accept itself; what is left keeps it from sleeping.
        for _ in 0..Options::ACCEPT_BUDGET {
            let Some(message) = self.mailbox.receive() else { break };
            self.cx.work += 1;
            match message {
                Message::Adopt(socket, arrival) => self.open(socket, arrival),
                // Whoever asked may have gone; then nobody misses the answer.
                Message::Snapshot(reply) => drop(reply.send(self.snapshot())),
                Message::News(news) => self.heed(&*news),
            }
        }
        if self.is_told_to_stop()
            && let Some(by_ns) = self.mailbox.stop_by_ns()
        {
            self.stop(by_ns);
        }
    }

    fn heed(&mut self, news: &(dyn Any + Send + Sync)) {
        if self.service.heed(news, &mut Desk::new(&mut self.cx)) {
            for token in self.table.tokens() {
                self.reconsider(token);
            }
        }
    }

    fn reconsider(&mut self, token: Token) {
        let Some(Session { link, state }) = self.table.get_mut(token) else { return };
        if link.phase != Phase::Open {
            return;
        }
        let mut io = Io::new(link, &mut self.cx);
        let turn = self.service.reconsider(state, &mut io);
        // One that goes on waits for what it asked for in its last turn.
        if turn != Turn::Keep {
            let next = io.conclude(turn);
            self.go_on(token, next);
        }
    }

    /// Gives a turn to those that others have asked it for. Here, once an iteration, because a session that has the
    /// floor can't reach another one, whose flag says whether it is in the ready list.
    pub(super) fn wake(&mut self) {
        if self.cx.woken.is_empty() {
            return;
        }
        let mut woken = std::mem::take(&mut self.cx.woken);
        woken.drain(..).for_each(|token| self.run_again(token));
        // Kept for its memory.
        self.cx.woken = woken;
    }
}
