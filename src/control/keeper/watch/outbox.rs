//! What workers are to be told and could not yet be: a mailbox that is full is tried again.
//!
//! A roster takes the place of the one before, so of a service only the newest waits.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    runtime::{mailbox::Sender, message::Message},
    upstream::News,
};

/// What waits, by worker.
pub(super) struct Outbox {
    workers: Vec<Waiting>,
}

struct Waiting {
    mailbox: Sender<Message>,
    /// The newest of each service.
    news: BTreeMap<usize, Arc<News>>,
}

impl Outbox {
    pub fn new(mailboxes: Vec<Sender<Message>>) -> Self {
        let waiting = |mailbox| Waiting { mailbox, news: BTreeMap::new() };
        Self { workers: mailboxes.into_iter().map(waiting).collect() }
    }

    /// All workers are to be told this.
    pub fn post(&mut self, news: News) {
        let news = Arc::new(news);
        for worker in &mut self.workers {
            worker.news.insert(news.service, Arc::clone(&news));
        }
    }

    /// Tells those who have room for it.
    pub fn send(&mut self) {
        for Waiting { mailbox, news } in &mut self.workers {
            news.retain(|_, news| mailbox.send(Message::News(Arc::clone(news) as _)).is_err());
        }
    }

    /// Whether everybody has been told everything.
    pub fn is_empty(&self) -> bool {
        self.workers.iter().all(|worker| worker.news.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{runtime::mailbox::mailbox_of, upstream::roster::samples};

    #[test]
    fn who_has_no_room_gets_the_newest_later() {
        let (narrow, narrow_mail) = mailbox_of(1).expect("an eventfd");
        let (wide, wide_mail) = mailbox_of(9).expect("an eventfd");
        let mut outbox = Outbox::new(vec![narrow, wide]);
        for members in 1..=3 {
            let roster = Arc::new(samples::of_weights(&vec![1; members]));
            outbox.post(News { service: 7, roster });
            outbox.send();
        }
        assert!(!outbox.is_empty());
        let members = |message: Option<Message>| match message {
            Some(Message::News(news)) => {
                news.downcast_ref::<News>().map_or(0, |news| news.roster.members.len())
            }
            _ => 0,
        };
        assert_eq!([(); 4].map(|()| members(wide_mail.receive())), [1, 2, 3, 0]);
        assert_eq!([(); 2].map(|()| members(narrow_mail.receive())), [1, 0]);
        outbox.send();
        assert!(outbox.is_empty());
        assert_eq!([(); 2].map(|()| members(narrow_mail.receive())), [3, 0]);
    }
}
