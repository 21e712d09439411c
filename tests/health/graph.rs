//! One of three members fails its check under load and comes back: who got the sessions, as a chart.
//!
//! `cargo test --test health -- --ignored graph` draws `docs/health.svg` anew, from the run that it has just made.

use std::{
    fs,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use evenkeel::measure::page::{
    Hue,
    frame::Frame,
    scale::{Scale, ticks_from_zero},
    svg::Anchor,
};

use crate::{
    played::{Listening, Nurse, greet, greeted, listeners, state},
    support::{
        Server,
        client::{Client, Target},
    },
};

const MEMBERS: usize = 3;
/// The one that fails.
const SICK: usize = 1;

const INTERVAL: Duration = Duration::from_millis(200);
const FALL: u32 = 3;
const RISE: u32 = 2;
const SLOW_START: Duration = Duration::from_secs(5);

/// Clients, and what each pauses between two sessions: 400 sessions a second.
const CLIENTS: u32 = 8;
const PAUSE: Duration = Duration::from_millis(20);

/// When its checks begin to fail, when they pass again, and when it is all over, in seconds.
const FAILS_AT_S: f64 = 3.0;
const PASSES_AT_S: f64 = 7.0;
const END_S: f64 = 15.0;

/// A point of the chart stands for so many seconds.
const STEP_S: f64 = 0.25;

/// What a run has shown, in seconds from its start.
struct Run {
    /// When each session came, by member.
    sessions: [Vec<f64>; MEMBERS],
    /// When reports called the member down, and up again.
    down_s: f64,
    up_s: f64,
}

#[test]
#[ignore = "15 s, and draws docs/health.svg"]
fn graph() {
    let run = run();
    let of_sick = |from_s: f64, to_s: f64| {
        run.sessions[SICK].iter().filter(|at_s| (from_s..to_s).contains(*at_s)).count()
    };
    let last_s = run.sessions[SICK].iter().copied().filter(|at_s| *at_s < PASSES_AT_S).fold(0.0, f64::max);
    println!(
        "the last session came {:.2} s after its checks began to fail; down was seen after {:.2} s, up {:.2} s after \
         they passed",
        last_s - FAILS_AT_S,
        run.down_s - FAILS_AT_S,
        run.up_s - PASSES_AT_S
    );
    assert_eq!(of_sick(run.down_s, PASSES_AT_S), 0, "who is down gets nobody");
    let (early, late) = (of_sick(run.up_s, run.up_s + 1.0), of_sick(END_S - 1.0, END_S));
    assert!(
        early > 0 && early * 2 < late,
        "it comes back slowly: {early} in its first second, {late} in the last"
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/health.svg");
    fs::write(&path, chart(&run)).expect("the documents can be written");
}

fn run() -> Run {
    let nurses: [Nurse; MEMBERS] = std::array::from_fn(|_| Nurse::default());
    let seen: Arc<[Mutex<Vec<Instant>>; MEMBERS]> = Arc::default();
    let (mut listening, mut upstreams, mut port) = (Vec::new(), Vec::new(), 0);
    for (number, (listener, checked)) in listeners(MEMBERS as u8).into_iter().enumerate() {
        nurses[number].always(200);
        let seen = Arc::clone(&seen);
        let sessions = Listening::start(listener, move |_, stream| {
            seen[number].lock().expect("nobody panics with it").push(Instant::now());
            greet(stream, number as u8);
        });
        let checks = nurses[number].serve(checked);
        upstreams.push(sessions.address.to_string());
        port = checks.address.port();
        listening.extend([sessions, checks]);
    }
    let port = port.to_string();
    let millis = |time: Duration| format!("{}ms", time.as_millis());
    let (interval, slow_start, fall, rise) =
        (millis(INTERVAL), millis(SLOW_START), FALL.to_string(), RISE.to_string());
    let checks = ["--health-http", "/", "--health-port", &port, "--health-interval", &interval];
    let rule = ["--health-fall", &fall, "--health-rise", &rise, "--health-slow-start", &slow_start];
    let proxy = Server::proxy(
        &upstreams,
        &[&checks[..], &rule, &["--balance", "round-robin", "--workers", "2"]].concat(),
    );
    let sick = upstreams[SICK].clone();
    let (start, (down_s, up_s)) = under_load(proxy, |proxy, start| story(proxy, start, &nurses[SICK], &sick));
    let times = |seen: &Mutex<Vec<Instant>>| {
        let seen = seen.lock().expect("nobody panics with it");
        seen.iter().map(|at| at.duration_since(start).as_secs_f64()).collect()
    };
    Run { sessions: seen.each_ref().map(times), down_s, up_s }
}

/// Does something while clients come and go; when that began, and what came of it.
fn under_load<T>(mut proxy: Server, act: impl FnOnce(&mut Server, Instant) -> T) -> (Instant, T) {
    let (target, is_over) = (Target::parse(&proxy.listening()[0]), AtomicBool::new(false));
    let start = Instant::now();
    let done = thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (target, is_over) = (&target, &is_over);
            scope.spawn(move || {
                let first = start + PAUSE * client / CLIENTS;
                let dues = (0..).map(|number| first + PAUSE * number).take_while(|_| !is_over.load(SeqCst));
                for due in dues {
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    assert!(greeted(&Client::connect(target)).is_some(), "no client notices anything");
                }
            });
        }
        let done = act(&mut proxy, start);
        is_over.store(true, SeqCst);
        done
    });
    (start, done)
}

/// Its checks fail, and pass again; when it was seen to be down, and up.
fn story(proxy: &mut Server, start: Instant, nurse: &Nurse, sick: &str) -> (f64, f64) {
    let wait_until = |at_s: f64| {
        thread::sleep((start + Duration::from_secs_f64(at_s)).saturating_duration_since(Instant::now()));
    };
    let mut seen = |wanted: &str| {
        while state(proxy, sick) != wanted {
            thread::sleep(Duration::from_millis(10));
        }
        start.elapsed().as_secs_f64()
    };
    wait_until(FAILS_AT_S);
    nurse.always(503);
    let down_s = seen("down");
    wait_until(PASSES_AT_S);
    nurse.always(200);
    let up_s = seen("up");
    wait_until(END_S);
    (down_s, up_s)
}

fn chart(run: &Run) -> String {
    let steps = (END_S / STEP_S) as usize;
    let rate = |sessions: &[f64], step: usize| {
        let from_s = step as f64 * STEP_S;
        sessions.iter().filter(|at_s| (from_s..from_s + STEP_S).contains(*at_s)).count() as f64 / STEP_S
    };
    let rates: Vec<Vec<f64>> =
        run.sessions.iter().map(|sessions| (0..steps).map(|step| rate(sessions, step)).collect()).collect();
    let most = rates.iter().flatten().copied().fold(0.0, f64::max);
    let mut frame = Frame::new(
        (640.0, 260.0),
        "Sessions a second at each of three members",
        "The second one's checks fail at 3 s: it gets no sessions from about half a second later on, and the others \
         share them. Its checks pass again at 7 s: its share rises from a tenth to its own over 5 s.",
    );
    let ticks = ticks_from_zero(most, 4);
    let x = Scale::linear((0.0, END_S), frame.x_range());
    let y = Scale::linear((0.0, *ticks.last().expect("an axis has ticks")), frame.y_range());
    frame.y_ticks(&ticks, |value| y.at(value));
    frame.x_ticks(&[0.0, 3.0, 5.0, 7.0, 9.0, 11.0, 13.0, 15.0], |value| x.at(value));
    frame.titles("seconds", "sessions a second");
    let (bottom, top) = frame.y_range();
    for (at_s, text) in [
        (FAILS_AT_S, "checks fail"),
        (run.down_s, "down"),
        (PASSES_AT_S, "checks pass"),
        (run.up_s, "up, slowly"),
    ] {
        frame.svg.line("even", (x.at(at_s), bottom), (x.at(at_s), top));
        let is_cause = text.starts_with("checks");
        let (anchor, shift) = if is_cause { (Anchor::End, -3.0) } else { (Anchor::Start, 3.0) };
        frame.svg.text("tick", (x.at(at_s) + shift, top + 9.0), anchor, text);
    }
    frame.svg.text("tick", (x.at(run.down_s) + 6.0, y.at(0.0) - 5.0), Anchor::Start, "its checks fail");
    for (number, rates) in rates.iter().enumerate() {
        let middle = |step: usize| x.at((step as f64 + 0.5) * STEP_S);
        let points: Vec<_> =
            rates.iter().enumerate().map(|(step, rate)| (middle(step), y.at(*rate))).collect();
        let name =
            format!("member {}{}", number + 1, if number == SICK { ", the one that fails" } else { "" });
        frame.svg.path(&format!("curve {}", Hue::nth(number)), &points, &name);
    }
    alone(&frame.svg.finish())
}

/// A drawing as a file of its own: with its name space and the style sheet that a page would have.
fn alone(svg: &str) -> String {
    let style = include_str!("../../src/measure/page/style.css");
    let svg = svg.replacen("<svg ", "<svg xmlns=\"http://www.w3.org/2000/svg\" ", 1);
    svg.replacen(
        "><title>",
        &format!("><style>{style}svg {{ background: var(--ground); }}</style><title>"),
        1,
    )
}
