//! Members go down, leave, come back and start slowly; whoever is chosen is fit for it.

use std::net::Ipv4Addr;

use super::*;
use crate::upstream::roster::Standing;

/// A member as far as it matters here.
#[derive(Clone, Copy, Debug)]
struct Look {
    standing: Standing,
    backup: bool,
    weight: u32,
    /// What the caller says of it.
    is_open: bool,
}

impl Look {
    fn is_fit(self) -> bool {
        self.standing == Standing::Up && self.is_open
    }
}

const MEMBERS: usize = 9;
/// The balancer's own group lies between two others.
const GROUP: Range<usize> = 2..7;

fn looks() -> impl Strategy<Value = Vec<Look>> {
    let standings =
        [Standing::Up, Standing::Up, Standing::Up, Standing::Down, Standing::Leaving, Standing::Vacant];
    let look = (select(standings.to_vec()), prop::bool::weighted(0.3), 0..=UPPER, prop::bool::weighted(0.7));
    let look =
        look.prop_map(|(standing, backup, weight, is_open)| Look { standing, backup, weight, is_open });
    vec(look, MEMBERS)
}

fn roster(looks: &[Look]) -> Roster {
    let mut roster = of_weights(&looks.iter().map(|look| look.weight).collect::<Vec<_>>());
    for (member, look) in roster.members.iter_mut().zip(looks) {
        (member.standing, member.backup) = (look.standing, look.backup);
    }
    roster.groups = Box::from([0..GROUP.start, GROUP, GROUP.end..looks.len()]);
    roster
}

fn source(number: u32) -> Option<IpAddr> {
    Some(Ipv4Addr::from_bits(0x0a00_0000 + number).into())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever has been before: somebody of the group who is up and open; a backup only where nobody else is.
    #[test]
    fn whoever_is_chosen_is_fit(
        balance in select(Balance::ALL), rosters in vec(looks(), 1..4), seed: u64, now_ns: u64,
    ) {
        let loads = Loads::new(1, MEMBERS);
        let mut balancer = Balancer::new(balance, &roster(&rosters[0]), GROUP, 0, 0, seed);
        for looks in &rosters {
            balancer.renew(&roster(looks));
            let is_fit = |number: usize| looks[number].is_fit();
            let fit = |backup: bool| GROUP.filter(move |&it| is_fit(it) && looks[it].backup == backup);
            let expected = if fit(false).count() > 0 { fit(false) } else { fit(true) };
            let expected: Vec<_> = expected.collect();
            for number in 0..20 {
                let chosen = balancer.choose(&loads, |number| looks[number].is_open, source(number), now_ns);
                prop_assert_eq!(chosen.is_some(), !expected.is_empty());
                prop_assert!(chosen.is_none_or(|chosen| expected.contains(&chosen)), "{chosen:?} of {expected:?}");
            }
        }
    }

    /// The table follows from who there is, not from who there was.
    #[test]
    fn sources_go_where_they_would_have_gone_at_once(rosters in vec(looks(), 2..4), seed: u64) {
        let loads = Loads::new(1, MEMBERS);
        let all: Vec<_> = rosters.iter().map(|looks| roster(looks)).collect();
        let mut renewed = Balancer::new(Balance::Maglev, &all[0], GROUP, 0, 0, seed);
        all.iter().for_each(|roster| renewed.renew(roster));
        let mut fresh = Balancer::new(Balance::Maglev, &all[all.len() - 1], GROUP, 7, 3, !seed);
        let fresh_loads = Loads::new(1, 7 + MEMBERS);
        // The last table is made while sessions come.
        for number in 0..200 {
            renewed.choose(&loads, |_| true, source(number), 0);
        }
        for number in 0..100 {
            let [was, is] = [(&mut renewed, &loads), (&mut fresh, &fresh_loads)]
                .map(|(balancer, loads)| balancer.choose(loads, |_| true, source(number), 0));
            prop_assert_eq!(was, is);
        }
    }
}

/// Who goes down and comes back is as if it had never been away, to its sources and to the turns of the others.
#[test]
fn down_and_up_again_moves_nobody_for_good() {
    let up = of_weights(&[1; 10]);
    let mut down = up.clone();
    down.members[3].standing = Standing::Down;
    let loads = Loads::new(1, 10);
    let mut balancer = Balancer::new(Balance::Maglev, &up, 0..10, 0, 0, 1);
    let all = |roster: &Roster| {
        balancer.renew(roster);
        (0..1_000).map(|number| balancer.choose(&loads, |_| true, source(number), 0)).collect::<Vec<_>>()
    };
    let [before, meanwhile, after] = [&up, &down, &up].map(all);
    assert_eq!(before, after);
    let pairs = before.iter().zip(&meanwhile);
    let moved: Vec<_> = pairs.filter(|(before, meanwhile)| before != meanwhile).collect();
    assert!(!moved.is_empty() && moved.iter().all(|(before, _)| **before == Some(3)));
}

#[test]
fn turns_go_on_over_a_change() {
    let loads = Loads::new(1, 3);
    let mut roster = of_weights(&[1; 3]);
    let mut balancer = Balancer::new(Balance::RoundRobin, &roster, 0..3, 0, 0, 1);
    let mut had = [0_u32; 3];
    for _ in 0..300 {
        had[balancer.first_pick(&loads)] += 1;
        // Somebody leaves and comes back between any two sessions: 0 would have every turn if they began anew.
        for standing in [Standing::Leaving, Standing::Up] {
            roster.members[2].standing = standing;
            balancer.renew(&roster);
        }
    }
    assert!(had[0].abs_diff(had[1]) <= 1, "{had:?}");
}

const SECOND: u64 = 1_000_000_000;
const OVER: Duration = Duration::from_secs(10);

/// A roster whose first member has come up at this time.
fn with_newcomer(members: usize, up_since_ns: u64) -> Roster {
    let mut roster = of_weights(&vec![1; members]);
    roster.members[0].up_since_ns = Some(up_since_ns);
    roster
}

/// Five equal members, four of which are busy: the newcomer's share in three moments of its slow start.
fn shares_of_newcomer(balance: Balance) -> [f64; 3] {
    const CHOICES: u32 = 20_000;
    let loads = Loads::new(1, 5);
    (1..5).for_each(|number| (0..10).for_each(|_| loads.add(0, number)));
    let roster = with_newcomer(5, 100 * SECOND);
    let mut balancer = Balancer::new(balance, &roster, 0..5, 0, 0, 1).with_slow_start(Some(OVER));
    balancer.renew(&roster);
    [100, 105, 110].map(|now_s| {
        let choices =
            (0..CHOICES).map(|number| balancer.choose(&loads, |_| true, source(number), now_s * SECOND));
        f64::from(choices.filter(|chosen| *chosen == Some(0)).count() as u32) / f64::from(CHOICES)
    })
}

#[test]
fn a_newcomers_share_rises_from_a_tenth_to_its_own() {
    for &balance in Balance::ALL {
        // Of five, and an idle one is the less loaded of two in two of five pairs.
        let own = if balance == Balance::P2c { 0.4 } else { 0.2 };
        let shares = shares_of_newcomer(balance);
        println!("{balance}: {shares:?}");
        // With the time over, least-connections sends it all there is until it has as many as the others.
        let end = if balance == Balance::LeastConnections { 1.0 } else { own };
        for (share, expected) in shares.into_iter().zip([0.1 * own, 0.55 * own, end]) {
            // Six standard deviations of 20,000 choices are at most 0.021.
            assert!((share - expected).abs() < 0.021, "{balance}: {share} instead of {expected}");
        }
    }
}

/// Passed over in favour of whom? A backup is for when nobody else can.
#[test]
fn where_there_is_no_other_a_newcomer_gets_everything() {
    let loads = Loads::new(1, 2);
    let mut roster = with_newcomer(2, 0);
    roster.members[1].backup = true;
    for &balance in Balance::ALL {
        let mut balancer = Balancer::new(balance, &roster, 0..2, 0, 0, 1).with_slow_start(Some(OVER));
        balancer.renew(&roster);
        assert!((0..1_000).all(|_| balancer.first_pick(&loads) == 0), "{balance}");
    }
}

#[test]
fn who_was_there_from_the_start_or_is_asked_to_starts_at_once() {
    let loads = Loads::new(1, 5);
    let from_start = of_weights(&[1; 5]);
    for (roster, over) in [(&from_start, Some(OVER)), (&with_newcomer(5, 0), None)] {
        let mut balancer = Balancer::new(Balance::RoundRobin, roster, 0..5, 0, 0, 1).with_slow_start(over);
        balancer.renew(roster);
        let turns: Vec<_> = (0..5).map(|_| balancer.first_pick(&loads)).collect();
        assert_eq!(turns, [0, 1, 2, 3, 4]);
    }
}

/// Slow start takes each source of a newcomer to it once, at a moment of its own.
#[test]
fn a_source_goes_over_once() {
    let loads = Loads::new(1, 5);
    let roster = with_newcomer(5, 0);
    let mut balancer = Balancer::new(Balance::Maglev, &roster, 0..5, 0, 0, 1).with_slow_start(Some(OVER));
    balancer.renew(&roster);
    let (mut early, mut late) = (0, 0);
    for number in 0..1_000 {
        let way = (0..=10).map(|now_s| balancer.choose(&loads, |_| true, source(number), now_s * SECOND));
        let mut way: Vec<_> = way.collect();
        way.dedup();
        assert!(way.len() == 1 || (way.len() == 2 && way[1] == Some(0)), "{way:?}");
        (early, late) = (early + usize::from(way == [Some(0)]), late + usize::from(way.len() == 2));
        // Time went on for this source alone.
        balancer.renew(&roster);
    }
    assert!(early > 0 && late > early, "{early} at once, {late} later");
}
