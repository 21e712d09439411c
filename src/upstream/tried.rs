//! The upstreams that a session has tried in vain, in eight bytes.
//!
//! A set of bits for 64 upstreams is exact. In a larger service two that are 64 apart share a bit: having tried the
//! one, a session passes over the other too. That is the safe way to be inexact: one that refuses has no sessions, so
//! forgetting that it was tried would let `least-connections` choose it again for each retry.

/// A set of upstreams, by their number within the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tried(u64);

impl Tried {
    /// How many upstreams can be told apart.
    pub const DISTINCT_MAX: usize = u64::BITS as usize;

    /// Remembers an upstream.
    pub fn insert(&mut self, upstream: usize) {
        self.0 |= Self::bit(upstream);
    }

    /// Whether this upstream, or one a multiple of 64 apart from it, was tried.
    pub fn contains(&self, upstream: usize) -> bool {
        self.0 & Self::bit(upstream) != 0
    }

    /// How many were tried (at most 64).
    pub fn len(&self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// Forgets all: another round begins.
    pub fn clear(&mut self) {
        self.0 = 0;
    }

    const fn bit(upstream: usize) -> u64 {
        1 << (upstream % Self::DISTINCT_MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_costs_a_session_eight_bytes() {
        assert_eq!(size_of::<Tried>(), 8);
    }

    proptest! {
        #[test]
        fn up_to_64_it_is_exact_and_beyond_it_never_forgets(upstreams in prop::collection::vec(0..200_usize, 0..90)) {
            let mut tried = Tried::default();
            for &upstream in &upstreams {
                tried.insert(upstream);
            }
            let bits: BTreeSet<_> = upstreams.iter().map(|upstream| upstream % 64).collect();
            prop_assert_eq!(tried.len(), bits.len());
            prop_assert_eq!(tried.is_empty(), upstreams.is_empty());
            for upstream in 0..200 {
                prop_assert_eq!(tried.contains(upstream), bits.contains(&(upstream % 64)));
            }
            tried.clear();
            prop_assert_eq!(tried, Tried::default());
        }
    }
}
