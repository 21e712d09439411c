//! What Maglev's table promises: even shares, few sources that move, the same everywhere.

use std::{iter, net::Ipv4Addr};

use proptest::{collection::vec, prelude::*};

use super::*;

/// The size of a small table.
const SMALL: usize = 1_009;

fn names(members: usize) -> Vec<String> {
    (1..=members).map(|host| format!("10.0.{}.{}:5432", host / 256, host % 256)).collect()
}

fn table(names: &[String], weights: impl IntoIterator<Item = u32>) -> Maglev {
    Maglev::new(names.iter().map(String::as_str).zip(weights))
}

/// The same, quickly made.
fn small_table(names: &[String], weights: &[u32]) -> Maglev {
    let members: Vec<_> = names.iter().zip(0..).zip(weights).map(|((name, place), &weight)| (&**name, place, weight)).collect();
    Maglev { table: fill(SMALL, &members), members: members.len() }
}

fn even(names: &[String]) -> Maglev {
    table(names, iter::repeat(1))
}

fn entries(maglev: &Maglev) -> Vec<usize> {
    let mut entries = vec![0; maglev.members];
    maglev.table.iter().for_each(|&place| entries[usize::from(place)] += 1);
    entries
}

/// A hundred thousand clients of a few large networks, side by side, as clients are.
fn sources() -> impl Iterator<Item = Source> {
    const SOURCES: u32 = 100_000;
    let address = |number: u32| Ipv4Addr::from_bits(0x0a40_0000 + (number % 4) * 0x0100_0000 + number / 4);
    (0..SOURCES).map(move |number| Source::of(IpAddr::V4(address(number))))
}

/// Where each source goes, by name.
fn owners<'a>(names: &'a [String], maglev: &Maglev) -> Vec<&'a str> {
    sources().map(|source| &*names[maglev.find(source, |_| true).expect("all are open")]).collect()
}

/// The share of sources that are elsewhere.
fn moved(before: &[&str], after: &[&str]) -> f64 {
    let moved = before.iter().zip(after).filter(|(before, after)| before != after).count();
    moved as f64 / before.len() as f64
}

#[test]
fn one_of_ten_that_leaves_moves_little_more_than_its_own() {
    let all = names(10);
    let before = owners(&all, &even(&all));
    let mut most = 0.0_f64;
    for left in 0..all.len() {
        let fewer = [&all[..left], &all[left + 1..]].concat();
        let after = owners(&fewer, &even(&fewer));
        let moved = moved(&before, &after);
        println!("without the {left}th of 10: {:.2} % of all sources move", moved * 100.0);
        most = most.max(moved);
    }
    assert!(most <= 0.10 + 0.02, "{most}");
}

#[test]
fn an_eleventh_takes_little_more_than_its_own() {
    let all = names(11);
    let moved = moved(&owners(&all[..10], &even(&all[..10])), &owners(&all, &even(&all)));
    println!("an eleventh: {:.2} % of all sources move", moved * 100.0);
    assert!(moved <= 1.0 / 11.0 + 0.02, "{moved}");
}

/// Who is down or ejected stays in the table. Then nobody moves but its own sources, and they spread over all others.
#[test]
fn one_of_ten_that_is_away_moves_its_own_alone() {
    let all = names(10);
    let maglev = even(&all);
    for away in 0..all.len() {
        let (mut inherited, mut own) = (vec![0_u32; all.len()], 0);
        for source in sources() {
            let owner = maglev.find(source, |_| true);
            let heir = maglev.find(source, |place| place != away).expect("nine are open");
            if owner == Some(away) {
                (own, inherited[heir]) = (own + 1, inherited[heir] + 1);
            } else {
                assert_eq!(owner, Some(heir));
            }
        }
        let share = f64::from(own) / sources().count() as f64;
        assert!((0.095..0.105).contains(&share), "{share}");
        for (heir, &inherited) in inherited.iter().enumerate().filter(|(heir, _)| *heir != away) {
            let share = f64::from(inherited) / f64::from(own);
            assert!((1.0 / 9.0 - 0.02..1.0 / 9.0 + 0.02).contains(&share), "{heir} has {share} of {away}'s");
        }
    }
}

#[test]
fn shares_are_even_in_entries_and_in_sources() {
    for members in [1, 2, 3, 10, 100, 640] {
        let all = names(members);
        let maglev = even(&all);
        let entries = entries(&maglev);
        let (least, most) = (entries.iter().min().expect("some"), entries.iter().max().expect("some"));
        assert!(most - least <= 1, "{members}: {least} to {most} entries");
        let mut had = vec![0_u32; members];
        sources().for_each(|source| had[maglev.find(source, |_| true).expect("all are open")] += 1);
        let mean = sources().count() as f64 / members as f64;
        let excess = f64::from(*had.iter().max().expect("some")) - mean;
        println!("{members} members: {least} to {most} entries; the fullest has {:.1} % more sources than its share", excess / mean * 100.0);
        // Sources fall on entries by chance: five standard deviations.
        assert!(excess <= 5.0 * mean.sqrt(), "{members}: {excess} over {mean}");
    }
}

#[test]
fn many_members_have_a_larger_table() {
    let sizes = [0, 1, 640, 641, 2_000].map(|members| even(&names(members)).table.len());
    assert_eq!(sizes, [0, 65_537, 65_537, 655_373, 655_373]);
    assert!(SIZES.iter().all(|&(_, size)| (2..=size.isqrt()).all(|divisor| size % divisor != 0)), "primes");
}

/// Proxies of different versions stand side by side: the table may not change from one to the next.
#[test]
fn the_table_is_the_same_for_ever() {
    let all = names(10);
    let maglev = table(&all, 1..);
    let sum = maglev.table.iter().fold(0_u64, |sum, &place| mixed(sum ^ u64::from(place)));
    let found = ["127.0.0.1", "192.0.2.1", "2001:db8::1"].map(|address| {
        let source = Source::of(address.parse().expect("an address"));
        maglev.find(source, |_| true)
    });
    assert_eq!((sum, found), (8_783_805_083_268_486_641, [Some(0), Some(8), Some(3)]));
}

#[test]
fn a_source_is_an_ipv4_address_or_an_ipv6_network() {
    let of = |text: &str| Source::of(text.parse().expect("an address"));
    assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
    assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
    assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
}

#[test]
fn coins_are_even_and_each_members_own() {
    const COINS: usize = 100_000;
    let heads = |number: usize| sources().filter(move |source| source.coin(number) < 0.3).count();
    let both = sources().filter(|source| source.coin(1) < 0.3 && source.coin(2) < 0.3).count();
    // Six standard deviations are at most 870.
    assert!(heads(1).abs_diff(COINS * 3 / 10) < 870 && heads(2).abs_diff(COINS * 3 / 10) < 870);
    assert!(both.abs_diff(COINS * 9 / 100) < 870, "{both}");
    assert!(sources().all(|source| (0.0..1.0).contains(&source.coin(0))));
}

/// The paper's pseudo code, line by line.
fn populate(permutations: &[(usize, usize)], size: usize) -> Vec<usize> {
    let permutation = |i: usize, j: usize| (permutations[i].0 + j * permutations[i].1) % size;
    let mut next = vec![0; permutations.len()];
    let mut entry = vec![None; size];
    let mut n = 0;
    loop {
        for i in 0..permutations.len() {
            let mut c = permutation(i, next[i]);
            while entry[c].is_some() {
                next[i] += 1;
                c = permutation(i, next[i]);
            }
            entry[c] = Some(i);
            next[i] += 1;
            n += 1;
            if n == size {
                return entry.into_iter().flatten().collect();
            }
        }
    }
}

proptest! {
    #[test]
    fn with_equal_weights_the_table_is_the_papers(
        names in prop::collection::btree_set("[a-z0-9.:]{1,20}", 1..20), weight in 1..=256_u32,
    ) {
        // In order already, as the set is.
        let members: Vec<_> = names.iter().zip(0..).map(|(name, place)| (name.as_str(), place, weight)).collect();
        let permutations: Vec<_> = members.iter().map(|&(name, place, weight)| {
            let walk = Walk::new(SMALL, name, place, weight);
            (walk.entry, walk.skip)
        }).collect();
        let expected = populate(&permutations, SMALL);
        let table: Vec<_> = fill(SMALL, &members).iter().map(|&place| usize::from(place)).collect();
        prop_assert_eq!(table, expected);
    }

    #[test]
    fn walks_visit_every_entry(name in ".{0,30}") {
        let mut table = [FREE; SMALL];
        let mut walk = Walk::new(SMALL, &name, 0, 1);
        for _ in 0..SMALL {
            let entry = walk.next_free(&table);
            prop_assert_eq!(table[entry], FREE);
            table[entry] = 0;
        }
    }

    #[test]
    fn entries_are_as_the_weights_say(weights in vec(1..=256_u32, 1..30)) {
        let entries = entries(&small_table(&names(weights.len()), &weights));
        let total = f64::from(weights.iter().sum::<u32>());
        for (&weight, &had) in weights.iter().zip(&entries) {
            let share = SMALL as f64 * f64::from(weight) / total;
            // A turn each, which is the less for the lighter ones.
            let turns = 1.0 + weights.len() as f64 * f64::from(weight) / total;
            prop_assert!(had >= 1 && (had as f64 - share).abs() <= turns, "{weight}: {had} of {share}");
        }
    }

    /// Even where one has no more than a single entry.
    #[test]
    fn whoever_is_open_is_found(
        weights in vec(prop_oneof![Just(1_u32), Just(65_535_u32)], 1..9), open in vec(any::<bool>(), 9), source: u64,
    ) {
        let maglev = small_table(&names(weights.len()), &weights);
        let source = Source::by_chance(source);
        let found = maglev.find(source, |place| open[place]);
        prop_assert_eq!(found.is_some(), open[..weights.len()].contains(&true));
        prop_assert!(found.is_none_or(|place| open[place]));
        let owner = maglev.find(source, |_| true).expect("all are open");
        prop_assert!(!open[owner] || found == Some(owner));
    }

    /// Two that have the same name take turns as any two.
    #[test]
    fn names_may_be_the_same(members in 2..9_usize) {
        let entries = entries(&small_table(&vec!["unix:/run/db.sock".to_owned(); members], &vec![1; members]));
        prop_assert!(entries.iter().max().expect("some") - entries.iter().min().expect("some") <= 1);
    }
}

proptest! {
    // These make whole tables.
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_order_of_members_is_nothing(seed: u64, members in 1..12_usize) {
        let mut named: Vec<_> = names(members).into_iter().zip(1..).collect();
        let table = |named: &[(String, u32)]| {
            let maglev = Maglev::new(named.iter().map(|(name, weight)| (name.as_str(), *weight)));
            maglev.table.iter().map(|&place| named[usize::from(place)].0.clone()).collect::<Vec<_>>()
        };
        let before = table(&named);
        fastrand::Rng::with_seed(seed).shuffle(&mut named);
        prop_assert_eq!(before, table(&named));
    }
}
