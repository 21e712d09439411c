//! The comparison: CPU per message of each contender, in interleaved rounds.
//!
//! A round starts a fresh process for every contender, connects and warms up, and then gives them turns
//! of a few thousand messages, in a new random order each time. What a machine does to its speed takes
//! tenths of a second; turns of some 25 ms let it hit all contenders alike, so that the ratio of two
//! contenders in one round is steadier than either. A server that has no turn sleeps in its wait. CPU is
//! read before the first turn and after the last: it includes whatever a server does between its turns.

use std::error::Error;
use std::io::{IsTerminal, stderr};

use serde_json::{Value, json};

use crate::client::{Client, MESSAGE_BYTES};
use crate::contender::{Contender, Field};
use crate::options::Options;
use crate::process::Usage;
use crate::server::{Server, Tool};
use crate::statistics::{Ratio, median, ratio};

const CONNECTIONS: usize = 50;
const WARM_UP_MESSAGES: usize = 5000;

/// What evenkeel is to stay within, for the estimate and for the interval's upper end.
const TARGET: (f64, f64) = (1.05, 1.10);
/// If mio is below this, the floor isn't one.
const MIO_LEAST: f64 = 0.97;

/// All rounds' usage, by contender.
pub struct Comparison<'a> {
    field: &'a Field,
    messages: f64,
    heading: String,
    usage: Vec<Vec<Usage>>,
}

struct Racer {
    server: Server,
    client: Client,
    begin: Usage,
}

/// Runs all rounds.
pub fn compare<'a>(field: &'a Field, options: &Options) -> Result<Comparison<'a>, Box<dyn Error>> {
    let mut random = fastrand::Rng::with_seed(options.seed);
    let mut usage = vec![Vec::new(); field.contenders.len()];
    for round in 1..=options.rounds {
        if stderr().is_terminal() {
            eprint!("\rround {round} of {} ", options.rounds);
        }
        for (all, one) in usage.iter_mut().zip(run_round(field, options, &mut random)?) {
            all.push(one);
        }
    }
    if stderr().is_terminal() {
        eprintln!();
    }
    let messages = f64::from(options.slices) * f64::from(options.messages);
    Ok(Comparison { field, messages, heading: heading(field, options), usage })
}

fn run_round(
    field: &Field,
    options: &Options,
    random: &mut fastrand::Rng,
) -> Result<Vec<Usage>, Box<dyn Error>> {
    let mut order: Vec<usize> = (0..field.contenders.len()).collect();
    let mut racers: Vec<Option<Racer>> = order.iter().map(|_| None).collect();
    random.shuffle(&mut order);
    for &index in &order {
        racers[index] = Some(Racer::start(field, &field.contenders[index])?);
    }
    let mut racers: Vec<Racer> = racers.into_iter().flatten().collect();
    for _ in 0..options.slices {
        random.shuffle(&mut order);
        for &index in &order {
            let name = field.contenders[index].name;
            let exchanged = racers[index].client.exchange(options.messages as usize);
            exchanged.map_err(|error| format!("{name}: {error}"))?;
        }
    }
    racers.into_iter().map(Racer::finish).collect()
}

impl Racer {
    fn start(field: &Field, contender: &Contender) -> Result<Self, Box<dyn Error>> {
        let server = field.start(contender, &Tool::None)?;
        let mut client = Client::connect(server.address, CONNECTIONS)?;
        client.exchange(WARM_UP_MESSAGES)?;
        let begin = Usage::settled(server.pid)?;
        Ok(Self { server, client, begin })
    }

    fn finish(self) -> Result<Usage, Box<dyn Error>> {
        let usage = Usage::settled(self.server.pid)?.since(self.begin);
        drop(self.client);
        self.server.stop()?;
        Ok(usage)
    }
}

impl Comparison<'_> {
    /// The table for people, with its verdicts.
    pub fn print(&self) {
        println!("{}", self.heading);
        println!(
            "  {:<28}{:>10}   {:<22}{:>8}{:>12}",
            "", "ns/message", "to the floor", "user", "sleeps/1000"
        );
        for (index, contender) in self.field.contenders.iter().enumerate() {
            let total = total(&self.usage[index]);
            println!(
                "  {:<28}{:>10.0}   {:<22}{:>7.1}%{:>12.1}",
                contender.name,
                median(&self.costs_ns(index)),
                shown(self.to_the_floor(index)),
                100.0 * user_share(total),
                1000.0 * total.sleeps as f64 / (self.messages * self.usage[index].len() as f64),
            );
        }
        println!(
            "  ns/message: median of user and kernel time; to the floor: Hodges–Lehmann estimate of the ratio in\n  \
             the same round, with its 95 % Wilcoxon interval; floor (A/A) is the same program once more.\n"
        );
        for (index, contender) in self.field.contenders.iter().enumerate() {
            if let Some(verdict) = verdict(contender, self.to_the_floor(index)) {
                println!("  {verdict}");
            }
        }
        println!();
    }

    /// The same and every round, for programs.
    pub fn to_json(&self) -> Value {
        let rows = self.field.contenders.iter().enumerate().map(|(index, contender)| {
            let ratio = self.to_the_floor(index);
            json!({
                "contender": contender.name,
                "cpu_ns_per_message": median(&self.costs_ns(index)),
                "to_the_floor": ratio.estimate,
                "interval": ratio.interval,
                "user_share": user_share(total(&self.usage[index])),
                "rounds_cpu_ns_per_message": self.costs_ns(index),
            })
        });
        json!({
            "schema": "evenkeel-floor/1",
            "conditions": self.heading,
            "messages_per_round": self.messages,
            "contenders": rows.collect::<Vec<_>>(),
        })
    }

    fn costs_ns(&self, index: usize) -> Vec<f64> {
        self.usage[index].iter().map(|usage| usage.cpu_ns as f64 / self.messages).collect()
    }

    fn to_the_floor(&self, index: usize) -> Ratio {
        ratio(&self.costs_ns(index), &self.costs_ns(0))
    }
}

fn heading(field: &Field, options: &Options) -> String {
    format!(
        "CPU per message: {CONNECTIONS} connections, {MESSAGE_BYTES} bytes, closed loop; {} rounds of {} × {} \
         messages, seed {}\nserver on core {}, client on core {}, Linux {}",
        options.rounds,
        options.slices,
        options.messages,
        options.seed,
        field.cores.server,
        field.cores.client,
        rustix::system::uname().release().to_string_lossy(),
    )
}

fn shown(ratio: Ratio) -> String {
    match ratio.interval {
        Some((low, high)) => format!("{:.3} [{low:.3}, {high:.3}]", ratio.estimate),
        None => format!("{:.3}", ratio.estimate),
    }
}

fn verdict(contender: &Contender, ratio: Ratio) -> Option<String> {
    let name = contender.name;
    if name == "mio" && ratio.estimate < MIO_LEAST {
        return Some(format!("{name} is below {MIO_LEAST}: the floor is at fault"));
    }
    if !contender.is_ours {
        return None;
    }
    let (estimate_max, upper_max) = TARGET;
    let Some((_, upper)) = ratio.interval else {
        return Some(format!("{name}: no verdict, six rounds are the least for an interval"));
    };
    let met = ratio.estimate <= estimate_max && upper <= upper_max;
    let word = if met { "meets" } else { "misses" };
    Some(format!("{name} {word} the target (at most {estimate_max}, upper end at most {upper_max:.2})"))
}

fn total(rounds: &[Usage]) -> Usage {
    rounds.iter().fold(Usage::default(), |sum, one| Usage {
        cpu_ns: sum.cpu_ns + one.cpu_ns,
        user_ticks: sum.user_ticks + one.user_ticks,
        system_ticks: sum.system_ticks + one.system_ticks,
        sleeps: sum.sleeps + one.sleeps,
    })
}

fn user_share(usage: Usage) -> f64 {
    usage.user_ticks as f64 / (usage.user_ticks + usage.system_ticks).max(1) as f64
}
