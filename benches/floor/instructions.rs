//! The kept figures: user-space instructions per message, compared by CI.
//!
//! Instructions are the part of the cost that our own code decides and that hardly varies from run to
//! run, so a few per cent more are seen at once, on any machine. The figure is that of one connection in
//! ping-pong: each message then pays one whole iteration of the loop, which makes it both the worst case
//! and the one that repeats. The C library's part varies with its version, hence the tolerance.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;

use serde::{Deserialize, Serialize};

use crate::contender::Field;
use crate::counts::INSTRUCTIONS;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/floor/instructions.json");
const SCHEMA: &str = "evenkeel-floor-instructions/1";
const TOLERANCE: f64 = 0.03;

#[derive(Serialize, Deserialize)]
struct Kept {
    schema: String,
    /// How far above its figure a contender may be, as a fraction.
    tolerance: f64,
    /// By contender, one connection of 64-byte messages in ping-pong.
    instructions_per_message: BTreeMap<String, f64>,
}

/// Counts and compares; whether all are within the tolerance.
pub fn check(field: &Field) -> Result<bool, Box<dyn Error>> {
    let kept = Kept::read()?;
    let mut all_within = true;
    for (name, now) in count(field)? {
        let before = kept.instructions_per_message.get(&name);
        let before = *before.ok_or_else(|| format!("{FILE} has no figure for {name}: {HOW_TO_KEEP}"))?;
        let change = now / before - 1.0;
        let within = change <= kept.tolerance;
        all_within &= within;
        println!("{name}: {now:.1} instructions per message, kept {before:.1} ({:+.1} %)", 100.0 * change);
        if !within {
            println!(
                "  above the tolerance of {:+.1} %. If it is worth it: {HOW_TO_KEEP}",
                100.0 * kept.tolerance
            );
        } else if change < -kept.tolerance {
            println!("  well below: {HOW_TO_KEEP}, so that the gain is not lost unseen");
        }
    }
    Ok(all_within)
}

/// Counts and keeps.
pub fn update(field: &Field) -> Result<(), Box<dyn Error>> {
    let instructions_per_message = count(field)?;
    for (name, now) in &instructions_per_message {
        println!("{name}: {now:.1} instructions per message");
    }
    let kept = Kept { schema: SCHEMA.into(), tolerance: TOLERANCE, instructions_per_message };
    fs::write(FILE, serde_json::to_string_pretty(&kept)? + "\n")
        .map_err(|error| format!("{FILE}: {error}"))?;
    println!("kept in {FILE}");
    Ok(())
}

const HOW_TO_KEEP: &str = "keep the new figures with `cargo bench --bench floor -- --update-instructions`";

impl Kept {
    fn read() -> Result<Self, Box<dyn Error>> {
        let text = fs::read_to_string(FILE).map_err(|error| format!("{FILE}: {error}; {HOW_TO_KEEP}"))?;
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
    let ours = field.contenders.iter().filter(|contender| contender.is_ours);
    let counted = ours.map(|contender| {
        let count = INSTRUCTIONS.per_message(field, contender, 1)?;
        Ok((contender.name.to_owned(), (10.0 * count).round() / 10.0))
    });
    counted.collect()
}
