//! What Maglev's table promises: even shares, few sources that move, the same everywhere.

use std::{iter, net::Ipv4Addr};

use proptest::{collection::vec, prelude::*};

use super::*;

/// The size of a small table.
const SMALL: usize = 1_009;

fn names(members: usize) -> Vec<String> {
    (1..=members).map(|host| format!("10.0.{}.{}:5432", host / 256, host % 256)).collect()
}

fn named<'a>(names: &'a [String], weights: impl IntoIterator<Item = u32>) -> Vec<Named<'a>> {
    let members = names.iter().zip(0..).zip(weights);
    members.map(|((name, number), weight)| Named { name, number, weight }).collect()
}

fn even(names: &[String]) -> Maglev {
    Maglev::new(named(names, iter::repeat(1)))
}

/// The same, quickly made.
fn small_table(names: &[String], weights: &[u32]) -> Maglev {
    let filling = Some(Filling::new(SMALL, named(names, weights.iter().copied())));
    let mut maglev = Maglev { filling, ..Maglev::default() };
    maglev.go_on(usize::MAX);
    maglev
}

fn entries(maglev: &Maglev) -> Vec<usize> {
    let mut entries = vec![0; maglev.members.len()];
    maglev.table.iter().for_each(|&member| entries[usize::from(member)] += 1);
    entries
}

/// A hundred thousand clients of a few large networks, side by side, as clients are.
fn sources() -> impl Iterator<Item = Source> {
    const SOURCES: u32 = 100_000;
    let address = |number: u32| Ipv4Addr::from_bits(0x0a40_0000 + (number % 4) * 0x0100_0000 + number / 4);
    (0..SOURCES).map(move |number| Source::of(IpAddr::V4(address(number))))
}

/// Where each source goes, by name.
fn owners(names: &[String], mut maglev: Maglev) -> Vec<&str> {
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
    let before = owners(&all, even(&all));
    let mut most = 0.0_f64;
    for left in 0..all.len() {
        let fewer = [&all[..left], &all[left + 1..]].concat();
        let after = owners(&fewer, even(&fewer));
        let moved = moved(&before, &after);
        println!("without the {left}th of 10: {:.2} % of all sources move", moved * 100.0);
        most = most.max(moved);
    }
    assert!(most <= 0.10 + 0.02, "{most}");
}

#[test]
fn an_eleventh_takes_little_more_than_its_own() {
    let all = names(11);
    let moved = moved(&owners(&all[..10], even(&all[..10])), &owners(&all, even(&all)));
    println!("an eleventh: {:.2} % of all sources move", moved * 100.0);
    assert!(moved <= 1.0 / 11.0 + 0.02, "{moved}");
}

/// Who is down or ejected stays in the table. Then nobody moves but its own sources, and they spread over all others.
#[test]
fn one_of_ten_that_is_away_moves_its_own_alone() {
    let all = names(10);
    let mut maglev = even(&all);
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
        let mut maglev = even(&all);
        let entries = entries(&maglev);
        let (least, most) = (entries.iter().min().expect("some"), entries.iter().max().expect("some"));
        assert!(most - least <= 1, "{members}: {least} to {most} entries");
        let mut had = vec![0_u32; members];
        sources().for_each(|source| had[maglev.find(source, |_| true).expect("all are open")] += 1);
        let mean = sources().count() as f64 / members as f64;
        let excess = f64::from(*had.iter().max().expect("some")) - mean;
        println!(
            "{members} members: {least} to {most} entries; the fullest has {:.1} % more sources than its share",
            excess / mean * 100.0
        );
        // Sources fall on entries by chance: five standard deviations.
        assert!(excess <= 5.0 * mean.sqrt(), "{members}: {excess} over {mean}");
    }
}

/// The old table serves until the new one is there; unless nobody whom it knows is left.
#[test]
fn another_table_is_made_while_sessions_go_on() {
    let all = names(20);
    let (old, new) = (named(&all[..10], iter::repeat(1)), named(&all[5..], iter::repeat(1)));
    let new: Vec<_> = new.into_iter().map(|it| Named { number: it.number + 5, ..it }).collect();
    let mut maglev = Maglev::new(old.clone());
    maglev.renew(new.clone());
    let mut fresh = Maglev::new(new.clone());
    let mut choices = 0;
    while maglev.filling.is_some() {
        let source = Source::by_chance(mixed(choices));
        let found = maglev.find(source, |member| member >= 5).expect("5 to 9 are open");
        assert!(maglev.filling.is_none() || found < 10);
        choices += 1;
    }
    println!("it took {choices} choices");
    assert!(choices > 10);
    assert!(sources().all(|source| maglev.find(source, |_| true) == fresh.find(source, |_| true)));
    // None of the old ones is open.
    let mut maglev = Maglev::new(old);
    maglev.renew(new);
    assert!(maglev.find(Source::by_chance(0), |member| member >= 10).is_some());
    assert!(maglev.filling.is_none());
    // Nobody is left, and then there is a table of nobody.
    maglev.renew(Vec::new());
    assert!(maglev.find(Source::by_chance(0), |_| true).is_some() || maglev.table.is_empty());
    assert_eq!(maglev.find(Source::by_chance(0), |_| false), None);
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
    let mut maglev = Maglev::new(named(&all, 1..));
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

proptest! {
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
        let mut maglev = small_table(&names(weights.len()), &weights);
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
            let members = named.iter().zip(0..);
            let members = members.map(|((name, weight), number)| Named { name, number, weight: *weight });
            let maglev = Maglev::new(members.collect());
            maglev.table.iter().map(|&member| named[usize::from(member)].0.clone()).collect::<Vec<_>>()
        };
        let before = table(&named);
        fastrand::Rng::with_seed(seed).shuffle(&mut named);
        prop_assert_eq!(before, table(&named));
    }
}
