//! Members that are found by a name: who comes, who leaves, and what a failing DNS server changes (nothing).

use serde_json::Value;

use crate::{
    dns::{Dns, Mood},
    played::{Listening, greeted, greeter, listeners, shares, state, until, upstream},
    support::{
        Server,
        client::{Client, Target},
        eventually, total,
    },
};

const NAME: &str = "web.test";
const SERVICE: &str = "_web._tcp.test";

/// Members at 127.0.0.11 and on, all with the same port.
fn members(count: u8) -> (Vec<Listening>, u16) {
    let listeners = listeners(count).into_iter().enumerate();
    let members: Vec<_> = listeners.map(|(number, (listener, _))| greeter(listener, number as u8)).collect();
    let port = members[0].address.port();
    (members, port)
}

fn proxy(upstream: &str, dns: &Dns, flags: &[&str]) -> Server {
    let resolver = dns.address.to_string();
    let common = ["--resolver", &resolver, "--balance", "round-robin", "--workers", "1"];
    Server::proxy(&[upstream], &[&common[..], flags].concat())
}

/// Waits until these, and nobody else, get new sessions.
fn until_up(proxy: &mut Server, hosts: &[&str]) {
    eventually(&format!("{hosts:?} are the members"), || {
        let report = proxy.report_now();
        let upstreams = report["upstreams"].as_array().expect("they are an array");
        let is_up = |upstream: &&Value| upstream["state"] == "up";
        let up: Vec<_> = upstreams.iter().filter(is_up).filter_map(|it| it["address"].as_str()).collect();
        let is_named = |address: &&str| hosts.iter().any(|host| address.starts_with(&format!("{host}:")));
        (up.len() == hosts.len() && up.iter().all(is_named)).then_some(())
    });
}

#[test]
fn each_address_is_a_member_and_who_leaves_drains() {
    let (_members, port) = members(3);
    let dns = Dns::start();
    dns.set(NAME, &["127.0.0.11", "127.0.0.12"]);
    let mut proxy = proxy(&format!("dns:{NAME}:{port}"), &dns, &[]);
    let target = Target::parse(&proxy.listening()[0]);
    until_up(&mut proxy, &["127.0.0.11", "127.0.0.12"]);
    assert_eq!(shares::<3>(&proxy, 10), [5, 5, 0]);
    let clients: Vec<Client> = (0..2).map(|_| Client::connect(&target)).collect();
    let mut numbers: Vec<_> = clients.iter().map(greeted).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [Some(0), Some(1)]);
    dns.set(NAME, &["127.0.0.13", "127.0.0.12"]);
    until_up(&mut proxy, &["127.0.0.12", "127.0.0.13"]);
    assert_eq!(shares::<3>(&proxy, 10), [0, 5, 5]);
    assert_eq!(state(&mut proxy, "127.0.0.11:"), "leaving", "it has a session");
    assert!(clients.iter().all(|client| !client.has_news()), "and that goes on");
    drop(clients);
    until(&mut proxy, "127.0.0.11:", "vacant");
    dns.set(NAME, &["127.0.0.11"]);
    until_up(&mut proxy, &["127.0.0.11"]);
    assert_eq!(shares::<3>(&proxy, 5), [5, 0, 0]);
    let report = proxy.report_now();
    assert_eq!(report["upstreams"].as_array().map(Vec::len), Some(3), "who comes back is no other: {report}");
}

#[test]
fn a_dead_server_changes_nothing_and_its_answers_show_their_age() {
    let (_members, port) = members(2);
    let dns = Dns::start();
    dns.set(NAME, &["127.0.0.11"]);
    let mut proxy = proxy(&format!("dns:{NAME}:{port}"), &dns, &[]);
    let target = Target::parse(&proxy.listening()[0]);
    until_up(&mut proxy, &["127.0.0.11"]);
    let client = Client::connect(&target);
    assert_eq!(greeted(&client), Some(0));
    let address = dns.kill();
    let is_stale = |report: &Value| upstream(report, "127.0.0.11:").is_some_and(|it| it["stale"] == true);
    eventually("the answer is out of date", || is_stale(&proxy.report_now()).then_some(()));
    assert_eq!(shares::<2>(&proxy, 5), [5, 0]);
    let dns = Dns::start_at(address);
    for mood in [Mood::Failing, Mood::Silent] {
        dns.be(mood);
        let asked = dns.questions();
        eventually("it is asked again", || (dns.questions() >= asked + 2).then_some(()));
        assert!(is_stale(&proxy.report_now()), "{mood:?}");
        assert_eq!(shares::<2>(&proxy, 5), [5, 0], "{mood:?}");
    }
    dns.set(NAME, &["127.0.0.12"]);
    dns.be(Mood::Well);
    until_up(&mut proxy, &["127.0.0.12"]);
    assert_eq!(shares::<2>(&proxy, 5), [0, 5]);
    assert!(!client.has_news(), "no session has noticed");
    drop(client);
    assert_eq!(total(&proxy.report(), "connects_failed"), 0);
}

#[test]
fn a_name_that_leads_nowhere_is_asked_for_until_it_leads_somewhere() {
    let (_members, port) = members(1);
    let dns = Dns::start();
    let mut proxy = proxy(&format!("dns:{NAME}:{port}"), &dns, &[]);
    let target = Target::parse(&proxy.listening()[0]);
    assert_eq!(greeted(&Client::connect(&target)), None, "nobody is known yet");
    eventually("it is asked again", || (dns.questions() >= 4).then_some(()));
    dns.set(NAME, &["127.0.0.11"]);
    until_up(&mut proxy, &["127.0.0.11"]);
    assert_eq!(shares::<1>(&proxy, 3), [3]);
    dns.set(NAME, &[]);
    let asked = dns.questions();
    eventually("it is asked again", || (dns.questions() >= asked + 4).then_some(()));
    assert_eq!(shares::<1>(&proxy, 3), [3], "no address at all is no answer");
}

#[test]
fn records_have_weights_and_priorities() {
    let (members, port) = members(3);
    let dns = Dns::start();
    let hosts = ["a.test", "b.test", "c.test"];
    for (number, host) in hosts.iter().enumerate() {
        dns.set(host, &[&format!("127.0.0.{}", 11 + number)]);
    }
    dns.set_services(SERVICE, &[(10, 30, port, "a.test"), (10, 10, port, "b.test"), (20, 1, port, "c.test")]);
    let mut proxy = proxy(&format!("srv:{SERVICE}"), &dns, &["--health-interval", "20ms"]);
    until_up(&mut proxy, &["127.0.0.11", "127.0.0.12", "127.0.0.13"]);
    assert_eq!(shares::<3>(&proxy, 40), [30, 10, 0]);
    let is_backup =
        |report: &Value, host: &str| upstream(report, host).expect("it is named")["backup"] == true;
    let report = proxy.report_now();
    assert_eq!(
        ["127.0.0.11:", "127.0.0.12:", "127.0.0.13:"].map(|host| is_backup(&report, host)),
        [false, false, true]
    );
    members[..2].iter().for_each(Listening::close);
    until_up(&mut proxy, &["127.0.0.13"]);
    assert_eq!(shares::<3>(&proxy, 5), [0, 0, 5], "the backup");
    dns.set_services(SERVICE, &[(5, 1, port, "c.test")]);
    eventually("it is a backup no more", || {
        let report = proxy.report_now();
        upstream(&report, "127.0.0.13:").is_some_and(|it| it["backup"] == false).then_some(())
    });
    assert_eq!(shares::<3>(&proxy, 5), [0, 0, 5]);
}
