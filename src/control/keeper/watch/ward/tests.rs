//! What a service's keeper makes of checks and answers, without either.

use super::*;
use crate::{config::Place, upstream::Target};

const SECOND_NS: u64 = 1_000_000_000;

fn found(name: &str) -> Found {
    let target = Target::Tcp(name.parse().expect("an address"));
    Found { name: name.into(), targets: Box::from([target]), weight: 1, backup: false }
}

fn answer(names: &[&str]) -> Answer {
    let found = names.iter().map(|name| found(name)).collect();
    Answer { found: Some(found), trouble: None, is_stale: false }
}

fn failure(is_stale: bool) -> Answer {
    Answer { found: None, trouble: Some("no answer".into()), is_stale }
}

/// A service with these upstreams; addresses are where they say.
fn ward(upstreams: &[&str]) -> Ward {
    let upstreams: Vec<UpstreamOptions> = upstreams.iter().map(|text| text.parse().expect(text)).collect();
    let options = ProxyOptions { upstreams, ..ProxyOptions::default() };
    let members = Roster::slots(&options).flat_map(|(range, upstream)| {
        let member = match &upstream.place {
            Place::Address(address) => {
                let target = Target::Tcp(address.to_string().parse().expect("an address"));
                Member { standing: Standing::Up, targets: Box::from([target]), ..Member::vacant(upstream) }
            }
            _ => Member::vacant(upstream),
        };
        range.map(move |_| member.clone())
    });
    let members = members.collect();
    let roster = Roster { members, groups: Roster::groups_of(&options) };
    Ward::new("web".into(), &options, Arc::new(roster))
}

/// Results of a slot's checks, one a second, from the start on: `+` and `-`.
fn check(ward: &mut Ward, slot: usize, results: &str) {
    for (second, result) in results.chars().enumerate() {
        let outcome = match result {
            '+' => Outcome::Passed,
            '-' => Outcome::Failed("connection refused".into()),
            _ => Outcome::Untried("no descriptors".into()),
        };
        let tenure = ward.seats[slot].tenure;
        ward.checked(slot, tenure, &outcome, second as u64 * SECOND_NS);
    }
}

fn standings(ward: &mut Ward, slots: Range<usize>) -> Vec<&'static str> {
    ward.news();
    ward.view().roster.members[slots].iter().map(|member| member.standing.name()).collect()
}

#[test]
fn failures_take_a_member_out_and_passes_bring_it_back() {
    let mut ward = ward(&["127.0.0.1:1", "127.0.0.1:2"]);
    check(&mut ward, 0, "+--");
    assert_eq!(ward.news(), None, "two of three say nothing yet");
    check(&mut ward, 0, "-");
    let roster = ward.news().expect("it is down");
    assert_eq!((roster.members[0].standing, roster.members[1].standing), (Standing::Down, Standing::Up));
    assert_eq!(
        ward.notes(),
        ["upstream 127.0.0.1:1 of web is down: 3 checks failed, the last: connection refused"]
    );
    check(&mut ward, 0, "-+-++");
    let roster = ward.news().expect("it is up");
    assert_eq!(
        (roster.members[0].standing, roster.members[0].up_since_ns),
        (Standing::Up, Some(4 * SECOND_NS))
    );
    assert_eq!(ward.notes(), ["upstream 127.0.0.1:1 of web is up again"]);
    assert_eq!(ward.view().checks, [Checks { passed: 4, failed: 5 }, Checks::default()]);
}

#[test]
fn all_may_be_down_and_that_is_told() {
    let mut ward = ward(&["127.0.0.1:1", "127.0.0.1:2"]);
    check(&mut ward, 0, "-");
    check(&mut ward, 1, "-");
    assert_eq!(standings(&mut ward, 0..2), ["down", "down"]);
    assert_eq!(
        ward.notes(),
        [
            "upstream 127.0.0.1:1 of web is down: connection refused",
            "upstream 127.0.0.1:2 of web is down: connection refused; nobody is left to forward to"
        ]
    );
}

#[test]
fn what_could_not_be_tried_counts_neither_way_and_is_told_once() {
    let mut ward = ward(&["127.0.0.1:1"]);
    check(&mut ward, 0, "+--???");
    assert_eq!((ward.news(), ward.view().checks[0]), (None, Checks { passed: 1, failed: 2 }));
    assert_eq!(ward.notes(), ["upstream 127.0.0.1:1 of web can't be checked: no descriptors"]);
    check(&mut ward, 0, "-");
    assert_eq!(standings(&mut ward, 0..1), ["down"]);
}

#[test]
fn a_name_fills_its_slots_and_who_leaves_drains() {
    let mut ward = ward(&["127.0.0.1:1", "dns:web:80", "127.0.0.1:2"]);
    assert_eq!(ward.to_check().flatten().count(), 2);
    ward.answered(0, answer(&["10.0.0.1:80", "10.0.0.2:80"]), 0, |_| true);
    assert_eq!(standings(&mut ward, 0..4), ["up", "up", "up", "vacant"]);
    assert_eq!(ward.view().roster.members[1].up_since_ns, None, "it is there from the start");
    assert_eq!(ward.notes(), ["dns:web:80 of web: 10.0.0.1:80, 10.0.0.2:80 come"]);
    ward.answered(0, answer(&["10.0.0.2:80", "10.0.0.3:80"]), SECOND_NS, |_| false);
    assert_eq!(standings(&mut ward, 0..4), ["up", "leaving", "up", "up"]);
    assert_eq!(ward.view().roster.members[3].up_since_ns, Some(SECOND_NS), "it came later");
    assert_eq!(ward.notes(), ["dns:web:80 of web: 10.0.0.3:80 comes; 10.0.0.1:80 leaves"]);
    assert_eq!(ward.to_check().flatten().count(), 4, "who leaves is not checked");
    assert!(ward.is_restless());
    ward.tidy(3 * SECOND_NS, |slot| slot != 1);
    assert_eq!(ward.news(), None, "it still has a session");
    ward.tidy(3 * SECOND_NS, |_| true);
    assert_eq!(standings(&mut ward, 0..4), ["up", "vacant", "up", "up"]);
    assert!(!ward.is_restless());
    assert_eq!(standings(&mut ward, 33..34), ["up"], "the one behind the name's slots");
}

#[test]
fn a_failure_keeps_the_last_answer_and_its_age_is_shown() {
    let mut ward = ward(&["dns:web:80"]);
    ward.answered(0, failure(false), 0, |_| true);
    assert_eq!(ward.news(), None);
    assert_eq!(
        ward.notes(),
        ["dns:web:80 of web: no answer; it is asked for again until it leads somewhere"]
    );
    ward.answered(0, answer(&["10.0.0.1:80"]), SECOND_NS, |_| true);
    assert_eq!(ward.view().roster.members[0].standing, Standing::Vacant, "workers don't know yet");
    let roster = ward.news().expect("somebody came");
    assert_eq!((roster.members[0].standing, roster.members[0].up_since_ns), (Standing::Up, Some(SECOND_NS)));
    assert_eq!(ward.notes(), ["dns:web:80 of web is answered again", "dns:web:80 of web: 10.0.0.1:80 comes"]);
    ward.answered(0, failure(false), 2 * SECOND_NS, |_| true);
    assert_eq!(ward.news(), None, "its time is not over");
    ward.answered(0, failure(true), 3 * SECOND_NS, |_| true);
    let roster = ward.news().expect("it is out of date");
    assert!(roster.members[0].stale && roster.members[0].standing == Standing::Up);
    assert_eq!(ward.notes(), ["dns:web:80 of web: no answer; its last answer is kept"]);
    ward.answered(0, answer(&["10.0.0.1:80"]), 4 * SECOND_NS, |_| true);
    assert!(!ward.news().expect("it is as new as can be").members[0].stale);
}

#[test]
fn a_result_of_who_had_the_slot_before_is_not_the_present_ones() {
    let mut ward = ward(&["dns:web:80"]);
    ward.answered(0, answer(&["10.0.0.1:80"]), 0, |_| true);
    let before = ward.seats[0].tenure;
    check(&mut ward, 0, "++-");
    ward.answered(0, answer(&[]), 1, |_| true);
    ward.tidy(2 * SECOND_NS, |_| true);
    for slot in 1..=Roster::SLOTS_PER_NAME {
        ward.answered(0, answer(&[&format!("10.0.1.{slot}:80")]), slot as u64 * 4 * SECOND_NS, |_| true);
        ward.tidy((slot as u64 * 4 + 2) * SECOND_NS, |_| true);
    }
    let member = &ward.members[0];
    assert_eq!(
        (&*member.name, member.standing),
        ("10.0.1.32:80", Standing::Up),
        "the slot of who left first"
    );
    assert_eq!(ward.seats[0].checks, Checks::default());
    ward.checked(0, before, &Outcome::Failed("late".into()), 0);
    assert_eq!(ward.seats[0].checks, Checks::default());
}

#[test]
fn who_comes_back_was_not_forgotten_but_is_on_trial_again() {
    let mut ward = ward(&["dns:web:80"]);
    ward.answered(0, answer(&["10.0.0.1:80"]), 0, |_| true);
    check(&mut ward, 0, "+++");
    ward.answered(0, answer(&["10.0.0.2:80"]), 1, |_| true);
    ward.answered(0, answer(&["10.0.0.1:80", "10.0.0.2:80"]), 2, |_| true);
    assert_eq!(standings(&mut ward, 0..2), ["up", "up"]);
    assert_eq!(ward.seats[0].checks, Checks { passed: 3, failed: 0 });
    check(&mut ward, 0, "-");
    assert_eq!(standings(&mut ward, 0..2), ["down", "up"]);
}

#[test]
fn who_is_elsewhere_now_is_checked_there() {
    let mut ward = ward(&["srv:_web._tcp.test"]);
    ward.answered(0, answer(&["10.0.0.1:80"]), 0, |_| true);
    let tenure = ward.seats[0].tenure;
    let heavier = Found { weight: 9, ..found("10.0.0.1:80") };
    ward.answered(0, Answer { found: Some(vec![heavier.clone()]), ..answer(&[]) }, 1, |_| true);
    assert_eq!((ward.members[0].weight, ward.seats[0].tenure), (9, tenure));
    let also = Target::Tcp("[::1]:80".parse().expect("an address"));
    let targets = [heavier.targets[0].clone(), also].into();
    ward.answered(0, Answer { found: Some(vec![Found { targets, ..heavier }]), ..answer(&[]) }, 2, |_| true);
    assert_eq!((ward.members[0].targets.len(), ward.seats[0].tenure), (2, tenure + 1));
}

#[test]
fn more_than_there_is_room_for_is_told_once() {
    let mut ward = ward(&["dns:web:80"]);
    let names: Vec<String> = (0..40).map(|number| format!("10.0.0.{number}:80")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    ward.answered(0, answer(&names), 0, |_| true);
    assert!(ward.notes()[0].ends_with("; 8 more are left out, as 32 is the most"));
    ward.answered(0, answer(&names), 1, |_| true);
    assert_eq!(ward.notes(), [""; 0]);
}
