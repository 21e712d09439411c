//! The benchmark's own options, given behind `cargo bench --bench floor --`.

use std::path::PathBuf;

use clap::Parser;

use crate::contender::Kind;

/// Compare evenkeel's CPU with that of a bare epoll echo and a bare epoll proxy in C, and of others.
#[derive(Parser)]
#[command(name = "floor")]
pub struct Options {
    /// What to compare; both unless given
    #[arg(value_enum)]
    pub kinds: Vec<Kind>,
    /// Rounds, each with a fresh process for every contender
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// Turns of each contender in a round
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..))]
    pub slices: u32,
    /// Messages in a turn of the lightest load; heavier ones have fewer
    #[arg(long, value_name = "N", default_value_t = 4000, value_parser = clap::value_parser!(u32).range(1..))]
    pub messages: u32,
    /// Seed of the random order
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Six short rounds: a first look, with wide intervals
    #[arg(long)]
    pub quick: bool,
    /// Leave out syscalls per message (strace)
    #[arg(long)]
    pub no_strace: bool,
    /// Leave out instructions per message (valgrind)
    #[arg(long)]
    pub no_callgrind: bool,
    /// Measure the memory of idle connections instead
    #[arg(long, conflicts_with_all = ["check_instructions", "update_instructions"])]
    pub idle: bool,
    /// Count instructions per message and exit with 1 if they are above the kept figures
    #[arg(long, conflicts_with = "update_instructions")]
    pub check_instructions: bool,
    /// Count instructions per message and keep the figures
    #[arg(long)]
    pub update_instructions: bool,
    /// Leave out a contender that does not start, instead of failing
    #[arg(long)]
    pub allow_missing: bool,
    /// Write the comparison, round by round, to this file too
    #[arg(long, value_name = "PATH")]
    pub json: Option<PathBuf>,
    /// What `cargo bench` adds; without it (`cargo test --all-targets`) the run only shows that all works
    #[arg(long, hide = true)]
    pub bench: bool,
    /// Be the mio contender
    #[arg(long, hide = true)]
    pub serve_mio: bool,
}

impl Options {
    /// The options as given, with the short cuts spelt out.
    pub fn read() -> Self {
        let mut options = Self::parse();
        if options.kinds.is_empty() {
            options.kinds = vec![Kind::Echo, Kind::Proxy];
        }
        if options.quick {
            (options.rounds, options.slices, options.messages) = (6, 10, 2000);
        }
        if !options.bench {
            (options.rounds, options.slices, options.messages) = (1, 2, 200);
            (options.no_strace, options.no_callgrind) = (true, true);
        }
        options
    }
}
