//! The measurement: CPU of each contender under a load, in interleaved rounds.
//!
//! A round starts a fresh process for every contender, connects and warms up, and then gives them turns
//! of some messages, in a new random order each time. What a machine does to its speed takes tenths of a
//! second; turns of some 25 ms let it hit all contenders alike, so that the ratio of two contenders in
//! one round is steadier than either. A server that has no turn sleeps in its wait. CPU is read before
//! the first turn and after the last: it includes whatever a server does between its turns.

use std::error::Error;
use std::io::{IsTerminal, stderr};

use crate::client::Client;
use crate::comparison::Comparison;
use crate::contender::{Contender, Field};
use crate::load::Load;
use crate::options::Options;
use crate::process::Usage;
use crate::server::{Server, Tool};

struct Racer {
    server: Server,
    client: Client,
    begin: Usage,
}

/// Runs all rounds.
pub fn compare<'a>(
    field: &'a Field,
    load: &'a Load,
    options: &'a Options,
) -> Result<Comparison<'a>, Box<dyn Error>> {
    let mut random = fastrand::Rng::with_seed(options.seed);
    let mut usage = vec![Vec::new(); field.contenders.len()];
    for round in 1..=options.rounds {
        if stderr().is_terminal() {
            eprint!("\rround {round} of {} ", options.rounds);
        }
        for (all, one) in usage.iter_mut().zip(run_round(field, load, options, &mut random)?) {
            all.push(one);
        }
    }
    if stderr().is_terminal() {
        eprintln!();
    }
    Ok(Comparison { field, load, options, usage })
}

fn run_round(
    field: &Field,
    load: &Load,
    options: &Options,
    random: &mut fastrand::Rng,
) -> Result<Vec<Usage>, Box<dyn Error>> {
    let mut order: Vec<usize> = (0..field.contenders.len()).collect();
    let mut racers: Vec<Option<Racer>> = order.iter().map(|_| None).collect();
    random.shuffle(&mut order);
    for &index in &order {
        let contender = &field.contenders[index];
        let started = Racer::start(field, contender, load);
        racers[index] = Some(started.map_err(|error| format!("{}: {error}", contender.name))?);
    }
    let mut racers: Vec<Racer> = racers.into_iter().flatten().collect();
    for _ in 0..options.slices {
        random.shuffle(&mut order);
        for &index in &order {
            let name = field.contenders[index].name;
            let exchanged = racers[index].client.exchange(load.turn_messages(options));
            exchanged.map_err(|error| format!("{name}: {error}"))?;
        }
    }
    racers.into_iter().map(Racer::finish).collect()
}

impl Racer {
    fn start(field: &Field, contender: &Contender, load: &Load) -> Result<Self, Box<dyn Error>> {
        let server = field.start(contender, &Tool::None)?;
        let mut client = Client::connect(server.address, load.connections, load.traffic)?;
        client.exchange(load.warm_up_messages())?;
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
