//! The kept figures: user-space instructions per message, compared by CI.
//!
//! Instructions are the part of the cost that our own code decides and that hardly varies from run to
//! run, so a few per cent more are seen at once, on any machine. The figure is that of one connection in
//! ping-pong: each message then pays one whole iteration of the loop, which makes it both the worst case
//! and the one that repeats. The C library's part varies with its version, hence the tolerance.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::fs;

use serde::{Deserialize, Serialize};

use crate::contender::{Field, Role};
use crate::counts::INSTRUCTIONS;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/floor/instructions.json");
const SCHEMA: &str = "evenkeel-floor-instructions/1";

#[derive(Serialize, Deserialize)]
struct Kept {
    schema: String,
    /// How far above its figure a contender may be, as a fraction.
    tolerance: f64,
    /// By contender of either kind, one connection of 64-byte messages in ping-pong.
    instructions_per_message: BTreeMap<String, f64>,
}

/// Counts and compares: what to tell, and whether all are within the tolerance.
pub fn check(field: &Field) -> Result<(String, bool), Box<dyn Error>> {
    let kept = Kept::read()?;
    let mut told = String::new();
    let mut all_within = true;
    for (name, now) in count(field)? {
        let before = kept.instructions_per_message.get(&name);
        let before = *before.ok_or_else(|| format!("{FILE} has no figure for {name}: {HOW_TO_KEEP}"))?;
        let change = now / before - 1.0;
        let within = change <= kept.tolerance;
        all_within &= within;
        writeln!(
            told,
            "{name}: {now:.1} instructions per message, kept {before:.1} ({:+.1} %)",
            100.0 * change
        )?;
        if !within {
            writeln!(
                told,
                "  above the tolerance of {:+.1} %. If it is worth it: {HOW_TO_KEEP}",
                100.0 * kept.tolerance
            )?;
        } else if change < -kept.tolerance {
            writeln!(told, "  well below: {HOW_TO_KEEP}, so that the gain is not lost unseen")?;
        }
    }
    Ok((told, all_within))
}

/// Counts and keeps; what to tell.
pub fn update(field: &Field) -> Result<String, Box<dyn Error>> {
    let mut told = String::new();
    let mut kept = Kept::read()?;
    for (name, now) in count(field)? {
        writeln!(told, "{name}: {now:.1} instructions per message")?;
        kept.instructions_per_message.insert(name, now);
    }
    fs::write(FILE, serde_json::to_string_pretty(&kept)? + "\n")
        .map_err(|error| format!("{FILE}: {error}"))?;
    writeln!(told, "kept in {FILE}")?;
    Ok(told)
}

const HOW_TO_KEEP: &str = "keep the new figures with `cargo bench --bench floor -- --update-instructions`";

impl Kept {
    fn read() -> Result<Self, Box<dyn Error>> {
        let text = fs::read_to_string(FILE).map_err(|error| format!("{FILE}: {error}"))?;
        let kept: Self = serde_json::from_str(&text).map_err(|error| format!("{FILE}: {error}"))?;
        if kept.schema == SCHEMA {
            Ok(kept)
        } else {
            Err(format!("{FILE}: unknown schema {}", kept.schema).into())
        }
    }
}

fn count(field: &Field) -> Result<BTreeMap<String, f64>, Box<dyn Error>> {
    if !INSTRUCTIONS.is_installed() {
        return Err("instructions are counted with valgrind, which is not installed".into());
    }
    let ours = field.contenders.iter().filter(|contender| contender.role == Role::Ours);
    let counted = ours.map(|contender| {
        let count = INSTRUCTIONS.per_message(field, contender, 1)?;
        Ok((contender.name.to_owned(), (10.0 * count).round() / 10.0))
    });
    counted.collect()
}
