//! The messages of one connection: which are due, sent, answered, lost.
//!
//! A state machine: it does no I/O and reads no clock. Whoever drives it tells it which messages were issued,
//! how many bytes the socket took and how many came back; it says which bytes may go out, and which
//! messages that completes. Every message issued ends as answered, lost, or left over: `pending` knows those
//! that haven't ended.

use std::collections::VecDeque;

/// A message that has no answer yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// When it should have gone out: what latency is measured from.
    pub due_ns: u64,
    /// When the socket took its first byte; 0 until then.
    pub sent_ns: u64,
}

/// The messages of a connection, across the sockets that carry it one after another.
#[derive(Debug, Default)]
pub struct Exchange {
    /// Without an answer, oldest first; the first `begun` of them are (in part) with the present socket.
    pending: VecDeque<Message>,
    begun: usize,
    /// Of the present socket.
    answered: u64,
    sent_bytes: u64,
    received_bytes: u64,
}

/// More bytes came back than were sent.
#[derive(Debug, PartialEq, Eq)]
pub struct Excess;

impl Exchange {
    /// A message is due; it waits until the socket takes it.
    pub fn issue(&mut self, due_ns: u64) {
        self.pending.push_back(Message { due_ns, sent_ns: 0 });
    }

    /// Messages without an answer.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Messages that were answered over the present socket.
    pub fn answered(&self) -> u64 {
        self.answered
    }

    /// Whether the present socket owes an answer.
    pub fn has_begun(&self) -> bool {
        self.begun > 0
    }

    /// Which bytes of the stream may go out now: where they start, and how many. The present socket carries
    /// at most `messages_max`.
    pub fn to_send(&self, size: u64, messages_max: u64) -> (u64, u64) {
        let allowed = (self.answered + self.pending.len() as u64).min(messages_max);
        (self.sent_bytes, (allowed * size).saturating_sub(self.sent_bytes))
    }

    /// The socket took this many bytes.
    pub fn took(&mut self, bytes: u64, size: u64, now_ns: u64) {
        self.sent_bytes += bytes;
        let begun = (self.sent_bytes.div_ceil(size) - self.answered) as usize;
        self.pending.range_mut(self.begun..begun).for_each(|message| message.sent_ns = now_ns);
        self.begun = begun;
    }

    /// Where in the stream the next byte that comes back belongs.
    pub fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    /// This many bytes came back; `take_answered` then hands out the messages that they complete.
    ///
    /// # Errors
    /// Where that is more than was sent; nothing has changed then.
    pub fn received(&mut self, bytes: u64) -> Result<(), Excess> {
        if self.received_bytes + bytes > self.sent_bytes {
            return Err(Excess);
        }
        self.received_bytes += bytes;
        Ok(())
    }

    /// The oldest message of which every byte has come back, once.
    pub fn take_answered(&mut self, size: u64) -> Option<Message> {
        if (self.answered + 1) * size > self.received_bytes {
            return None;
        }
        self.answered += 1;
        self.begun -= 1;
        self.pending.pop_front()
    }

    /// The socket is gone. Hands out the messages that went down with it; the others wait for the next one.
    pub fn lose_begun(&mut self) -> impl Iterator<Item = Message> + '_ {
        let begun = std::mem::take(&mut self.begun);
        (self.answered, self.sent_bytes, self.received_bytes) = (0, 0, 0);
        self.pending.drain(..begun)
    }

    /// Ties all messages to the present socket, so that they are lost with it.
    pub fn begin_all(&mut self) {
        self.begun = self.pending.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 10;

    fn answered(exchange: &mut Exchange) -> Vec<u64> {
        std::iter::from_fn(|| exchange.take_answered(SIZE)).map(|message| message.due_ns).collect()
    }

    #[test]
    fn a_message_is_answered_with_its_last_byte() {
        let mut exchange = Exchange::default();
        exchange.issue(1);
        exchange.issue(2);
        assert_eq!(exchange.to_send(SIZE, u64::MAX), (0, 20));
        exchange.took(20, SIZE, 5);
        assert_eq!(exchange.received(9), Ok(()));
        assert!(answered(&mut exchange).is_empty());
        assert_eq!(exchange.received(11), Ok(()));
        assert_eq!(answered(&mut exchange), [1, 2]);
        assert_eq!((exchange.pending(), exchange.answered()), (0, 2));
    }

    #[test]
    fn a_message_is_sent_with_its_first_byte() {
        let mut exchange = Exchange::default();
        (1..=3).for_each(|due_ns| exchange.issue(due_ns));
        exchange.took(11, SIZE, 50);
        exchange.took(9, SIZE, 60);
        let sent: Vec<_> = exchange.pending.iter().map(|message| message.sent_ns).collect();
        assert_eq!(sent, [50, 50, 0]);
        assert_eq!(exchange.to_send(SIZE, u64::MAX), (20, 10));
    }

    #[test]
    fn more_than_was_sent_is_refused() {
        let mut exchange = Exchange::default();
        exchange.issue(1);
        exchange.took(4, SIZE, 1);
        assert_eq!(exchange.received(5), Err(Excess));
        assert_eq!(exchange.received(4), Ok(()));
    }

    #[test]
    fn a_socket_carries_no_more_than_its_share() {
        let mut exchange = Exchange::default();
        (1..=5).for_each(|due_ns| exchange.issue(due_ns));
        assert_eq!(exchange.to_send(SIZE, 3), (0, 30));
        exchange.took(30, SIZE, 1);
        assert_eq!(exchange.to_send(SIZE, 3), (30, 0));
        exchange.received(30).unwrap();
        assert_eq!(answered(&mut exchange), [1, 2, 3]);
        assert_eq!(exchange.to_send(SIZE, 3), (30, 0), "answers make no room on this socket");
        assert_eq!(exchange.lose_begun().count(), 0);
        assert_eq!(exchange.to_send(SIZE, 3), (0, 20), "the next socket starts afresh");
    }

    /// In open loop with several in flight, each message's service time runs from its own sending, and one that has
    /// to wait for its turn has none while it waits.
    #[test]
    fn service_runs_from_a_messages_own_sending() {
        let mut exchange = Exchange::default();
        (1..=4).for_each(|due_ns| exchange.issue(due_ns));
        let mut service_ns = Vec::new();
        // Two may be in flight; a message takes 100 ns, one after another.
        for now_ns in (0..500).step_by(10) {
            let (_, bytes) = exchange.to_send(SIZE, exchange.answered() + 2);
            exchange.took(bytes, SIZE, now_ns);
            if now_ns % 100 == 90 {
                exchange.received(SIZE).unwrap();
                let message = exchange.take_answered(SIZE).unwrap();
                service_ns.push((message.due_ns, now_ns - message.sent_ns));
                if exchange.pending() == 0 {
                    break;
                }
            }
        }
        assert_eq!(service_ns, [(1, 90), (2, 190), (3, 190), (4, 190)]);
    }

    #[test]
    fn a_lost_socket_takes_what_was_begun_and_leaves_the_rest() {
        let mut exchange = Exchange::default();
        (1..=4).for_each(|due_ns| exchange.issue(due_ns));
        exchange.took(21, SIZE, 9);
        exchange.received(10).unwrap();
        assert_eq!(answered(&mut exchange), [1]);
        let lost: Vec<_> = exchange.lose_begun().map(|message| message.due_ns).collect();
        assert_eq!(lost, [2, 3]);
        assert_eq!((exchange.pending(), exchange.to_send(SIZE, u64::MAX)), (1, (0, 10)));
        exchange.begin_all();
        assert_eq!(exchange.lose_begun().count(), 1);
    }

    /// With a clock of our own, an open-loop stall is arithmetic: a message due every 10 ns, and a server
    /// which answers at once but for a stall from 1,000 to 1,500.
    #[test]
    fn a_stall_is_seen_by_every_message_due_in_it() {
        use super::super::schedule::{Arrivals, Schedule};
        let mut schedule = Schedule::new(Arrivals::Uniform, 1e8, (0, 1), 0, (0, 3_000));
        let mut exchange = Exchange::default();
        let mut latencies_ns = Vec::new();
        let mut issued = 0;
        for now_ns in 0..3_500 {
            while let Some(due_ns) = schedule.take_due(now_ns) {
                exchange.issue(due_ns);
                issued += 1;
            }
            let (_, bytes) = exchange.to_send(SIZE, u64::MAX);
            exchange.took(bytes, SIZE, now_ns);
            if !(1_000..1_500).contains(&now_ns) {
                exchange.received(exchange.sent_bytes - exchange.received_bytes).unwrap();
            }
            while let Some(message) = exchange.take_answered(SIZE) {
                latencies_ns.push(now_ns - message.due_ns);
            }
            assert_eq!(issued, latencies_ns.len() + exchange.pending());
        }
        let slow = |limit_ns| latencies_ns.iter().filter(|&&latency_ns| latency_ns >= limit_ns).count();
        assert_eq!((latencies_ns.len(), slow(1), slow(250)), (300, 50, 26));
        assert_eq!(latencies_ns.iter().max(), Some(&500));
    }
}
