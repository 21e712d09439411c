//! How many sessions each source address has, over all workers.
//!
//! A table in 64 shards, each under a lock of its own that is held for one look-up and nothing else: addresses that are
//! told apart must be counted where all workers see them, and no word a source is there to be found without a table. An
//! entry is there for as long as its source has a session, so that the table never has more of them than there are
//! sessions. Its hash has a key that is drawn at the start: who chooses addresses can't choose their shard.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

const SHARDS: usize = 64;

/// Sessions by source.
#[derive(Debug)]
pub struct Sources {
    limit: u64,
    /// The bits of an IPv6 address that make a source.
    v6_mask: u128,
    hasher: RandomState,
    shards: Box<[Shard]>,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(Mutex<HashMap<u128, u64>>);

impl Sources {
    /// At most so many sessions of each source: an IPv4 address, or the first so many bits of an IPv6 address.
    pub fn new(limit: u64, v6_prefix: u8) -> Self {
        let shift = 128 - u32::from(v6_prefix.min(128));
        Self {
            limit,
            v6_mask: u128::MAX.checked_shl(shift).unwrap_or(0),
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
        }
    }

    /// Counts one more session of a source, unless it has as many as it may.
    pub fn take(&self, address: IpAddr) -> bool {
        let source = self.source(address);
        let mut shard = self.shard(source);
        let sessions = shard.entry(source).or_default();
        let has_room = *sessions < self.limit;
        *sessions += u64::from(has_room);
        has_room
    }

    /// One that was counted has ended.
    pub fn give_back(&self, address: IpAddr) {
        let source = self.source(address);
        if let Entry::Occupied(mut entry) = self.shard(source).entry(source) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }

    /// How many sources have sessions now.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// Whether no source has any.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An IPv4 address stands for itself, however it is written; the prefix counts for IPv6 alone.
    fn source(&self, address: IpAddr) -> u128 {
        match address.to_canonical() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
            IpAddr::V6(v6) => v6.to_bits() & self.v6_mask,
        }
    }

    fn shard(&self, source: u128) -> MutexGuard<'_, HashMap<u128, u64>> {
        // The map goes by the lowest and the highest bits of hashes of its own.
        lock(&self.shards[(self.hasher.hash_one(source) >> 32) as usize % SHARDS])
    }
}

/// Nothing that is done under a lock can leave a count half done, so a panic elsewhere has spoilt nothing.
fn lock(shard: &Shard) -> MutexGuard<'_, HashMap<u128, u64>> {
    shard.0.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{sync::Barrier, thread};

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_source_is_an_ipv4_address_or_an_ipv6_prefix() {
        for (prefix, one, other, is_same) in [
            (64, "10.0.0.1", "10.0.0.1", true),
            (64, "10.0.0.1", "::ffff:10.0.0.1", true),
            (64, "10.0.0.1", "10.0.0.2", false),
            (1, "10.0.0.1", "10.0.0.2", false),
            (64, "2001:db8::1", "2001:db8::ffff:0:0:1", true),
            (64, "2001:db8::1", "2001:db8:0:1::1", false),
            (48, "2001:db8::1", "2001:db8:0:1::1", true),
            (128, "2001:db8::1", "2001:db8::2", false),
            (1, "2001:db8::1", "fe80::1", false),
            (1, "2001:db8::1", "::1", true),
        ] {
            let sources = Sources::new(1, prefix);
            assert!(sources.take(address(one)));
            assert_eq!(!sources.take(address(other)), is_same, "/{prefix} {one} {other}");
        }
    }

    #[test]
    fn what_has_ended_leaves_nothing_behind() {
        let sources = Sources::new(2, 64);
        let client = address("192.0.2.1");
        assert!(sources.take(client) && sources.take(client) && !sources.take(client));
        sources.give_back(client);
        assert!(sources.take(client));
        sources.give_back(client);
        sources.give_back(client);
        assert!(sources.is_empty());
        // Who was never counted can't be taken off.
        sources.give_back(client);
        assert!(sources.take(client) && sources.take(client) && !sources.take(client));
    }

    #[test]
    fn workers_count_together() {
        const WORKERS: usize = 4;
        const LIMIT: u64 = 100;
        let (sources, start) = (Sources::new(LIMIT, 64), Barrier::new(WORKERS));
        let client = address("192.0.2.1");
        let taken: usize = thread::scope(|scope| {
            let take = || {
                start.wait();
                (0..LIMIT).filter(|_| sources.take(client)).count()
            };
            let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(take)).collect();
            workers.into_iter().map(|worker| worker.join().expect("no worker panics")).sum()
        });
        assert_eq!(taken as u64, LIMIT);
    }
}
