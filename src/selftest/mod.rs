//! The fidelity matrix: is a stream through the proxy what it would be by direct TCP?
//!
//! Scripts for both ends of a connection are played over direct TCP first, which says what each determines on
//! this kernel; then through the proxy, a process of its own, in each combination of accept mode, trigger and
//! forwarder. The same bytes have to arrive, and each stream has to end in the same way: FIN as FIN, RST as RST,
//! after the bytes that came before it. Afterwards the proxy must hold nothing, and its report must add up.
//!
//! ```text
//!   script ──► oracle: client ═══════════ upstream     what several runs agree on
//!      │                                                      ║ the same?
//!      └─────► site:   client ══ proxy ══ upstream     once flowing, once with the proxy stopped again
//!                                                      and again, so that it finds several things at once
//! ```
//!
//! `evenkeel selftest` does this on anyone's kernel; the project's own tests do it with the same code.

pub mod actor;
pub mod catalogue;
pub mod combination;
pub mod oracle;
pub mod outcome;
pub mod play;
pub mod report;
pub mod script;
pub mod site;
pub mod stream;
pub mod wire;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Args;

use self::{
    actor::MEETING_LEN,
    catalogue::Volume,
    combination::Combination,
    oracle::Oracle,
    outcome::Outcome,
    play::{Manner, play},
    report::{Difference, Results},
    script::{Role, Script},
    site::Site,
};
use crate::{
    config::{AcceptMode, Forward, Trigger},
    control::output,
    sys,
};

/// How long scripts may take that end within a fraction of it, on the slowest machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The same when something has hung already: the verdict is known, and the rest shouldn't take for ever.
const PATIENCE_LOST: Duration = Duration::from_secs(4);

/// What [`deliver`] is called in reports.
const DELIVERY: &str = "what-was-taken-is-delivered";

/// What to play, and in which combinations.
#[derive(Args, Clone, Debug)]
pub struct SelftestArgs {
    /// Few combinations, each trigger with each forwarder once, and shorter streams.
    #[arg(long)]
    pub quick: bool,
    /// Accept modes [default: all].
    #[arg(long, value_name = "MODE,…", value_delimiter = ',')]
    pub accept: Vec<AcceptMode>,
    /// Triggers [default: all].
    #[arg(long, value_name = "TRIGGER,…", value_delimiter = ',')]
    pub trigger: Vec<Trigger>,
    /// Forwarders [default: all].
    #[arg(long, value_name = "FORWARDER,…", value_delimiter = ',')]
    pub forward: Vec<Forward>,
    /// Play this alone: the name of a script, or 'client: STEP, …; upstream: STEP, …'; may be repeated.
    #[arg(long, value_name = "SCRIPT")]
    pub script: Vec<String>,
    /// Seed of the order in which things happen [default: another one each time].
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Play through this program instead: another evenkeel.
    #[arg(long, value_name = "PATH")]
    pub program: Option<PathBuf>,
    /// Say which combination is being played.
    #[arg(short, long)]
    pub verbose: bool,
}

/// `evenkeel selftest`: the table on stdout; 1 where something differs, 2 where nothing could be tried.
pub fn main(args: &SelftestArgs) -> ExitCode {
    match run(args) {
        Ok(results) => {
            // Whoever closed stdout doesn't want to read it; the exit status says it too.
            let _ = std::io::Write::write_all(&mut std::io::stdout(), results.to_text().as_bytes());
            ExitCode::from(u8::from(!results.differences.is_empty()))
        }
        Err(message) => {
            output::say(&format!("evenkeel: {message}"));
            ExitCode::from(2)
        }
    }
}

/// Plays what the arguments ask for.
///
/// # Errors
/// A sentence, where something can't be played at all.
pub fn run(args: &SelftestArgs) -> Result<Results, String> {
    sys::limits::raise_descriptors();
    let program = match &args.program {
        Some(program) => program.clone(),
        None => std::env::current_exe()
            .map_err(|error| format!("cannot find this program: {}", sys::reason(&error)))?,
    };
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    let mut rng = fastrand::Rng::with_seed(seed);
    let progress = |text: &str| {
        if args.verbose {
            output::say(text);
        }
    };
    progress(&format!("--seed {seed}"));
    let scripts = |volume| chosen(&args.script, volume);
    let some = Oracle::ask(scripts(Volume::Some)?, PATIENCE, &mut rng)?;
    let much =
        Oracle::ask(scripts(if args.quick { Volume::Some } else { Volume::Much })?, PATIENCE, &mut rng)?;
    let combinations = args.combinations();
    let mut results = Results::default();
    for (index, (combination, volume)) in combinations.iter().enumerate() {
        let oracle = if *volume == Volume::Much { &much } else { &some };
        let patience = if results.has_hung() { PATIENCE_LOST } else { PATIENCE };
        let start = Instant::now();
        let mut differences = try_out(&program, combination, oracle, patience, &mut rng)?;
        if args.script.is_empty() {
            differences.extend(deliver(&program, combination, patience, &mut rng)?);
        }
        let (taken_ms, count) = (start.elapsed().as_millis(), differences.len());
        let place = format!("{}/{}", index + 1, combinations.len());
        progress(&format!("{place} {combination}: {count} differences, {taken_ms} ms"));
        let more = args.script.is_empty().then_some(DELIVERY);
        results.add(*combination, oracle, more, differences);
    }
    Ok(results)
}

/// Plays all scripts of an oracle through one proxy, twice; what differs.
///
/// # Errors
/// A sentence, where the proxy doesn't start.
pub fn try_out(
    program: &Path,
    combination: &Combination,
    oracle: &Oracle,
    patience: Duration,
    rng: &mut fastrand::Rng,
) -> Result<Vec<Difference>, String> {
    let oracle = oracle.part_for(combination);
    let site = Site::start(program, combination, patience)?;
    let mut differences = Vec::new();
    let mut note = |script: Option<&Script>, sentence: String| {
        let name = script.map_or_else(String::new, |script| script.name.clone());
        let text = script.map_or_else(String::new, Script::to_string);
        differences.push(Difference { combination: *combination, script: name, text, sentence });
    };
    let mut sessions = 0;
    for stutter in [None, Some(site.pid())] {
        let manner = Manner { patience, rng, is_hasty: stutter.is_some(), stutter };
        sessions += oracle.scripts().len() as u64;
        match play(&site.route(), oracle.scripts(), manner) {
            Ok(outcomes) => {
                let complaints = oracle.complaints(&outcomes, combination.is_unix());
                complaints.for_each(|(script, sentence)| note(Some(script), sentence));
            }
            Err(error) => {
                let sentence = unplayable(&error);
                oracle.scripts().iter().for_each(|script| note(Some(script), sentence.clone()));
                return Ok(differences);
            }
        }
    }
    site.leftovers().into_iter().for_each(|sentence| note(None, sentence));
    site.stop(sessions).0.into_iter().for_each(|sentence| note(None, sentence));
    Ok(differences)
}

/// Plays streams that are cut off before a slow reader: all that the proxy says to have passed on must have come.
/// (Only it knows how much that is; direct TCP is no oracle here.)
///
/// # Errors
/// A sentence, where the proxy doesn't start.
pub fn deliver(
    program: &Path,
    combination: &Combination,
    patience: Duration,
    rng: &mut fastrand::Rng,
) -> Result<Vec<Difference>, String> {
    let scripts = catalogue::cut_off();
    let site = Site::start(program, combination, patience)?;
    let played = play(&site.route(), &scripts, Manner { patience, rng, is_hasty: false, stutter: None });
    let difference = |sentence| Difference {
        combination: *combination,
        script: DELIVERY.to_owned(),
        text: scripts.iter().map(Script::to_string).collect::<Vec<_>>().join(" | "),
        sentence,
    };
    let outcomes = match played {
        Ok(outcomes) => outcomes,
        Err(error) => return Ok(vec![difference(unplayable(&error))]),
    };
    let (mut sentences, report) = site.stop(scripts.len() as u64);
    for (role, field) in [(Role::Client, "bytes_out"), (Role::Upstream, "bytes_to_upstream")] {
        let came = |outcome: &[Outcome; 2]| outcome[role.index()].received + MEETING_LEN as u64;
        let (came, passed) = (outcomes.iter().map(came).sum::<u64>(), report["totals"][field].as_u64());
        if passed != Some(came) {
            let passed = passed.map_or_else(|| "none".to_owned(), |passed| passed.to_string());
            sentences
                .push(format!("the {role}s got {came} bytes; the proxy says that it passed on {passed}"));
        }
    }
    Ok(sentences.into_iter().map(difference).collect())
}

fn unplayable(error: &std::io::Error) -> String {
    format!("no connection through the proxy: {}", sys::reason(error))
}

impl SelftestArgs {
    /// The combinations, each with the length of its long streams: the longest go through each pair of a trigger
    /// and a forwarder once.
    fn combinations(&self) -> Vec<(Combination, Volume)> {
        let accepts = or_all(&self.accept, AcceptMode::ALL);
        let triggers = or_all(&self.trigger, Trigger::ALL);
        let forwards = or_all(&self.forward, Forward::ALL);
        let few = Combination::few(accepts, triggers, forwards);
        let unix = Combination::beside_unix(triggers, forwards).into_iter().map(|unix| (unix, Volume::Some));
        if self.quick {
            let one_a_layout = unix.step_by(4);
            return few.into_iter().map(|few| (few, Volume::Some)).chain(one_a_layout).collect();
        }
        let all = Combination::all(accepts, triggers, forwards).into_iter();
        let volume = |one: &Combination| if few.contains(one) { Volume::Much } else { Volume::Some };
        all.map(|one| (one, volume(&one))).chain(unix).collect()
    }
}

impl Results {
    fn add(
        &mut self,
        combination: Combination,
        oracle: &Oracle,
        more: Option<&str>,
        differences: Vec<Difference>,
    ) {
        let oracle = oracle.part_for(&combination);
        let names = oracle.scripts().iter().map(|script| script.name.clone());
        let names = names.chain(more.map(str::to_owned)).collect();
        self.played.push((combination, names));
        self.differences.extend(differences);
    }

    fn has_hung(&self) -> bool {
        self.differences.iter().any(|difference| difference.sentence.contains("never came past"))
    }
}

fn or_all<'a, T>(chosen: &'a [T], all: &'a [T]) -> &'a [T] {
    if chosen.is_empty() { all } else { chosen }
}

/// The scripts of these names or texts; all where there is none.
fn chosen(texts: &[String], volume: Volume) -> Result<Vec<Script>, String> {
    let all = catalogue::all(volume);
    if texts.is_empty() {
        return Ok(all);
    }
    let find = |text: &String| match all.iter().find(|script| script.name == *text) {
        Some(script) => Ok(script.clone()),
        None => text.parse(),
    };
    texts.iter().map(find).collect()
}
