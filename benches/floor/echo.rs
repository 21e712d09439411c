//! The echo servers: the floor, the floor again, mio, and evenkeel in three ways.

use std::env;
use std::error::Error;

use crate::contender::Role::{Ours, Variation, Yardstick};
use crate::contender::{Contender, Field, evenkeel};

/// All of them.
pub fn contenders(field: &Field) -> Result<Vec<Contender>, Box<dyn Error>> {
    let floor = vec![field.compile("floor")?.into(), "0".into()];
    let mio = vec![env::current_exe()?.into(), "--serve-mio".into()];
    let ours = |trigger, measure| {
        evenkeel("echo", field.cores.server, &["--trigger", trigger, "--measure", measure])
    };
    Ok(vec![
        Contender::new("floor", Yardstick, floor.clone()),
        Contender::new("floor (A/A)", Variation, floor),
        Contender::new("mio", Yardstick, mio),
        Contender::new("evenkeel level", Ours, ours("level", "full")),
        Contender::new("evenkeel edge", Ours, ours("edge", "full")),
        Contender::new("evenkeel edge, measure off", Variation, ours("edge", "off")),
    ])
}
