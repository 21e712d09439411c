//! The histograms of one worker, named once.
//!
//! HdrHistograms of two significant digits over 1 ns to 60 s: 30 KiB each, so that those which the loop
//! counts in stay in the core's cache. Bounds are fixed, so recording never allocates.

use hdrhistogram::Histogram;

use super::tally::Tally;

/// The largest duration told apart, in nanoseconds; longer ones are recorded as this.
pub const MAX_NS: u64 = 60_000_000_000;

/// An empty histogram with the bounds and the precision that all of a worker's have.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MAX_NS, 2).expect("constant bounds that hdrhistogram accepts")
}

/// Declares the histograms once: the struct, what a worker counts them in, their names and units, and the sum
/// over workers.
macro_rules! histograms {
    ($($(#[$doc:meta])* $field:ident: $unit:literal,)+) => {
        /// What one worker recorded, or the sum over all.
        #[derive(Clone, Debug)]
        pub struct Histograms { $($(#[$doc])* pub $field: Histogram<u64>,)+ }

        /// What one worker counts while it runs.
        #[derive(Debug, Default)]
        pub struct Tallies { $($(#[$doc])* pub $field: Tally,)+ }

        impl Tallies {
            /// The histograms so far.
            pub fn histograms(&self) -> Histograms {
                Histograms { $($field: self.$field.histogram(),)+ }
            }
        }

        impl Default for Histograms {
            fn default() -> Self {
                Self { $($field: histogram(),)+ }
            }
        }

        impl Histograms {
            /// Each histogram with its name and the unit of its values, in the order of the report.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, &'static str, &Histogram<u64>)> {
                [$((stringify!($field), $unit, &self.$field)),+].into_iter()
            }

            /// Adds another worker's, bucket by bucket: nothing is averaged.
            pub fn add(&mut self, other: &Self) {
                $(self.$field += &other.$field;)+
            }

            /// Takes away what the same worker had recorded earlier.
            ///
            /// # Panics
            /// Where `earlier` has a sample that these have not.
            pub fn subtract(&mut self, earlier: &Self) {
                $(self.$field.subtract(&earlier.$field).expect("records of one worker only grow");)+
            }
        }
    };
}

histograms! {
    /// epoll_wait returned → this event's turn began: queueing inside a batch.
    event_delay: "ns",
    /// A turn's start → its end: service time.
    turn: "ns",
    /// One pass of the loop without the wait: how long others wait.
    iteration: "ns",
    /// Time inside epoll_wait: idleness.
    wait: "ns",
    /// Accept → closed.
    session_life: "ns",
    /// The kernel received the last byte that a read brought → that read (`--timestamps`).
    arrival_delay: "ns",
    /// An upstream connection was begun → established.
    connect: "ns",
    /// Accept → the upstream's first byte.
    first_byte: "ns",
    /// Bytes could be read → they were written onward.
    transit: "ns",
    /// Events that one epoll_wait returned.
    batch: "events",
}
