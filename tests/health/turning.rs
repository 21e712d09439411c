//! How many checks it takes for a member to go down, and to come back: counted, not timed.

use crate::{
    played::{Nurse, checks, greeter, listeners, state, upstream},
    support::{Server, eventually},
};

/// A member whose checks are answered one by one, as the test says.
struct Patient {
    proxy: Server,
    nurse: Nurse,
    answered: u64,
}

impl Patient {
    fn new() -> Self {
        let (listener, checked) = listeners(1).remove(0);
        let nurse = Nurse::default();
        let (sessions, health) = (greeter(listener, 0), nurse.serve(checked));
        let port = health.address.port().to_string();
        let http = ["--health-http", "/", "--health-port", &port, "--health-interval", "10ms"];
        let rule = ["--health-timeout", "60s", "--health-rise", "2", "--health-fall", "3"];
        let proxy = Server::proxy(&[sessions.address.to_string()], &[http, rule].concat());
        Self { proxy, nurse, answered: 0 }
    }

    /// Its state once the next checks have been answered so: `+` passes, `-` doesn't.
    fn after(&mut self, answers: &str) -> String {
        let statuses: Vec<u16> = answers.chars().map(|it| if it == '+' { 200 } else { 503 }).collect();
        self.answered += statuses.len() as u64;
        self.nurse.next(&statuses);
        eventually("the checks were answered", || {
            let (passed, failed) = checks(&mut self.proxy, "127.0.0.11:");
            (passed + failed == self.answered).then_some(())
        });
        state(&mut self.proxy, "127.0.0.11:")
    }
}

#[test]
fn it_takes_as_many_checks_in_a_row_as_were_asked_for() {
    let mut patient = Patient::new();
    for (answers, state) in [
        ("+", "up"),
        ("--", "up"),
        ("+", "up"),
        ("--", "up"),
        ("-", "down"),
        ("+", "down"),
        ("-", "down"),
        ("+", "down"),
        ("+", "up"),
        ("--", "up"),
        ("-", "down"),
    ] {
        assert_eq!(patient.after(answers), state, "after {answers}");
    }
    let report = patient.proxy.report_now();
    let upstream = upstream(&report, "127.0.0.11:").expect("it is named");
    assert_eq!((upstream["checks_passed"].as_u64(), upstream["checks_failed"].as_u64()), (Some(5), Some(9)));
}

#[test]
fn who_has_never_passed_is_down_at_its_first_failure() {
    let mut patient = Patient::new();
    for (answers, state) in [("-", "down"), ("+", "down"), ("+", "up"), ("--", "up"), ("-", "down")] {
        assert_eq!(patient.after(answers), state, "after {answers}");
    }
}
