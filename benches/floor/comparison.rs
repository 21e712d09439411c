//! What came of the rounds: each contender's cost and its ratio to the floor's, for people and programs.

use std::fmt;

use serde_json::{Value, json};

use crate::contender::Field;
use crate::load::Load;
use crate::options::Options;
use crate::process::Usage;
use crate::statistics::{Ratio, median, ratio};

const LEGEND: &str =
    "  the cost is a median, of user and kernel time; to the floor: Hodges–Lehmann estimate of the ratio in
  the same round, with its 95 % Wilcoxon interval; floor (A/A) is the same program once more.
";

/// All rounds' usage, by contender.
pub struct Comparison<'a> {
    /// Who took part.
    pub field: &'a Field,
    /// Under what.
    pub load: &'a Load,
    /// How often and how long.
    pub options: &'a Options,
    /// By contender, by round.
    pub usage: Vec<Vec<Usage>>,
}

impl Comparison<'_> {
    /// The same and every round, for programs.
    pub fn to_json(&self) -> Value {
        let rows = self.field.contenders.iter().enumerate().map(|(index, contender)| {
            let ratio = self.to_the_floor(index);
            json!({
                "contender": contender.name,
                "cost": median(&self.costs(index)),
                "to_the_floor": ratio.estimate,
                "interval": ratio.interval,
                "user_share": user_share(total(&self.usage[index])),
                "rounds_cost": self.costs(index),
            })
        });
        json!({
            "conditions": self.heading(),
            "unit": self.load.unit,
            "messages_per_round": self.messages_per_round(),
            "contenders": rows.collect::<Vec<_>>(),
        })
    }

    fn messages_per_round(&self) -> f64 {
        f64::from(self.options.slices) * self.load.turn_messages(self.options) as f64
    }

    /// By round, in the load's unit.
    fn costs(&self, index: usize) -> Vec<f64> {
        let factor = self.load.units / self.messages_per_round();
        self.usage[index].iter().map(|usage| usage.cpu_ns as f64 * factor).collect()
    }

    fn to_the_floor(&self, index: usize) -> Ratio {
        ratio(&self.costs(index), &self.costs(0))
    }

    /// None where one of the two did not take part.
    fn ratio_of(&self, contender: &str, base: &str) -> Option<Ratio> {
        let index = |name: &str| self.field.contenders.iter().position(|one| one.name == name);
        Some(ratio(&self.costs(index(contender)?), &self.costs(index(base)?)))
    }

    fn heading(&self) -> String {
        let Self { field, load, options, .. } = self;
        format!(
            "{}, closed loop; {} rounds of {} × {} messages, seed {}\nserver on core {}, client{} on core {}, \
             Linux {}",
            load.described(),
            options.rounds,
            options.slices,
            load.turn_messages(options),
            options.seed,
            field.cores.server,
            if field.has_upstream() { " and upstream" } else { "" },
            field.cores.client,
            rustix::system::uname().release().to_string_lossy(),
        )
    }
}

/// The table for people, with its verdicts.
impl fmt::Display for Comparison<'_> {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        writeln!(out, "{}", self.heading())?;
        writeln!(
            out,
            "  {:<28}{:>10}   {:<22}{:>8}{:>12}",
            "", self.load.unit, "to the floor", "user", "sleeps/1000"
        )?;
        for (index, contender) in self.field.contenders.iter().enumerate() {
            let total = total(&self.usage[index]);
            let messages = self.messages_per_round() * self.usage[index].len() as f64;
            writeln!(
                out,
                "  {:<28}{:>10.0}   {:<22}{:>7.1}%{:>12.1}",
                contender.name,
                median(&self.costs(index)),
                self.to_the_floor(index),
                100.0 * user_share(total),
                1000.0 * total.sleeps as f64 / messages,
            )?;
        }
        writeln!(out, "{LEGEND}")?;
        for expectation in self.load.expectations {
            let ratio = self.ratio_of(expectation.contender, expectation.base);
            if let Some(verdict) = ratio.and_then(|ratio| expectation.verdict(ratio)) {
                writeln!(out, "  {verdict}")?;
            }
        }
        Ok(())
    }
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
