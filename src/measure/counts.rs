//! What a worker counts. One struct, added field by field: totals are exact sums of workers.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use super::ledger::Ends;

/// Declares counters once: the struct, and the sum over workers.
macro_rules! counters {
    ($(#[$meta:meta])* $type:ident { $($(#[$doc:meta])* $field:ident: $kind:ty,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct $type { $($(#[$doc])* pub $field: $kind,)+ }

        impl AddAssign<&$type> for $type {
            fn add_assign(&mut self, other: &$type) {
                $(self.$field += &other.$field;)+
            }
        }
    };
}

counters! {
    /// The counters of one worker, or their sum over all.
    Counts {
        /// Connections that a worker opened a session for.
        accepted: u64,
        /// Sessions that ended.
        closed: u64,
        /// Sessions open now; `accepted = closed + active` always.
        active: u64,
        /// Reads that returned at least one byte.
        messages: u64,
        /// With `--timestamps`, messages of clients of which the kernel didn't say when they came.
        unstamped: u64,
        /// Bytes read from clients.
        bytes_in: u64,
        /// Bytes written to clients.
        bytes_out: u64,
        /// Connections to upstreams that were established.
        connects: u64,
        /// Attempts to connect to an upstream that failed.
        connects_failed: u64,
        /// Bytes written to upstreams.
        bytes_to_upstream: u64,
        /// Bytes read from upstreams.
        bytes_from_upstream: u64,
        /// Of the bytes written to either side, those that crossed by splice.
        bytes_spliced: u64,
        /// Sessions that are missing from the ledger, because its writer was behind.
        ledger_dropped: u64,
        /// Calls that read from a socket, whatever they brought.
        reads: u64,
        /// Of these, those that found nothing there.
        read_eagain: u64,
        /// Calls that write to a socket, whatever it took.
        writes: u64,
        /// splice calls, in either direction.
        splices: u64,
        /// epoll_wait calls, those included that only looked.
        epoll_waits: u64,
        /// epoll_ctl calls on the worker's epoll: for sessions, listeners and the mailbox.
        epoll_ctls: u64,
        /// Returns from epoll_wait with at least one event, or from a wait that was meant to sleep.
        wakeups: u64,
        /// Wakeups that led to no work: no accept, no message, no byte written, no session ended, no mail.
        spurious_wakeups: u64,
        /// Events that epoll_wait returned.
        events: u64,
        /// accept4 calls that found an empty queue.
        accept_eagain: u64,
        /// Connections that were gone when accept4 came for them (ECONNABORTED and its like).
        accept_aborted: u64,
        /// Events for sessions that had ended.
        stale_events: u64,
        /// Writes that the socket took only in part, or not at all.
        partial_writes: u64,
        /// Bytes that were read or greeted but could not be delivered before the session ended.
        bytes_undelivered: u64,
        /// Sessions that were cut because the drain time was over.
        drain_cut: u64,
        /// Connections that were refused at a limit, or waited for a slot in vain.
        refused_limit: u64,
        /// Connections that the access lists don't admit.
        refused_access: u64,
        /// Connections without the PROXY header that is due, or without a route.
        refused_header: u64,
        /// Sessions that wait for a slot now.
        queued: u64,
        /// The most that waited at once.
        queued_max: u64,
        /// Connections that were accepted to be reset, because no descriptor was left for them.
        shed: u64,
        /// Context switches of the worker's thread, voluntary and not (`getrusage(RUSAGE_THREAD)`).
        context_switches: u64,
        /// Context switches because the thread waited.
        context_switches_voluntary: u64,
        /// Context switches because the scheduler took the core away.
        context_switches_involuntary: u64,
        /// Time spent outside epoll_wait, in nanoseconds (0 unless `--measure full`).
        busy_ns: u64,
        /// CPU time of the worker's thread, user and system, in nanoseconds.
        cpu_ns: u64,
        /// What went wrong, by kind.
        errors: Errors,
    }
}

counters! {
    /// What went wrong, by kind.
    Errors {
        /// Sessions that a peer ended by a reset.
        reset: u64,
        /// Sessions that a timeout ended.
        timeout: u64,
        /// Times that accepting paused because descriptors or memory ran out.
        fd_limit: u64,
        /// Attempts to connect to an upstream that failed.
        connect: u64,
        /// Everything else, such as a socket that epoll would not take.
        other: u64,
    }
}

counters! {
    /// What one worker had to do with one upstream, or the sum over all.
    UpstreamCounts {
        /// Connections open now.
        active: u64,
        /// Connections established.
        connected: u64,
        /// Attempts to connect that failed.
        failed: u64,
        /// Bytes written to it.
        bytes_to: u64,
        /// Bytes read from it.
        bytes_from: u64,
        /// Times that a worker left it alone because connects to it had failed.
        ejections: u64,
        /// How the sessions ended that had chosen it last.
        ends: Ends,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_adds_each_field() {
        let one = Counts {
            accepted: 2,
            busy_ns: 5,
            errors: Errors { reset: 1, ..Errors::default() },
            ..Counts::default()
        };
        let mut sum = one.clone();
        sum += &one;
        assert_eq!((sum.accepted, sum.busy_ns, sum.errors.reset, sum.closed), (4, 10, 2, 0));
    }
}
