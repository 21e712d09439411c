//! A run: plan the trials, run them one by one, keep each, then say what they show.

use std::{
    collections::HashSet,
    io::{self, IsTerminal},
    path::PathBuf,
    process::ExitCode,
    time::{Instant, SystemTime},
};

use evenkeel::measure::report::date::rfc3339;

use super::{
    claims, cli, comparison,
    interrupts::Interrupts,
    machine::{Counters, Machine},
    mode::Mode,
    namespace, observe, page,
    progress::{self, Progress},
    results::{Results, ScenarioNote},
    scenario::Part,
    schedule,
    store::Store,
    table::{self, Style},
    trial::{self, Failure, Observed, Plan},
    verdict,
};

/// What is to be run.
#[derive(Debug)]
pub struct Request {
    /// As it was typed.
    pub command: String,
    pub suite: String,
    pub parts: Vec<Part>,
    pub seed: u64,
    pub out: Option<PathBuf>,
    /// Go on with what is in `out`.
    pub resume: bool,
    /// Say beforehand how long it will take.
    pub announce: bool,
}

/// Runs it and prints what was found.
pub fn run(request: Request) -> ExitCode {
    // Before any other thread starts: the signals are to be blocked in all of them.
    let interrupts = match Interrupts::install() {
        Ok(interrupts) => interrupts,
        Err(message) => return cli::failure(&message),
    };
    let announce = request.announce;
    let (mut run, left_out) = match Run::new(request) {
        Ok(new) => new,
        Err(message) => return cli::refusal(&message),
    };
    left_out.iter().for_each(|what| eprintln!("evenkeel-lab: {what}"));
    if announce {
        run.announce();
    }
    match run.trials(&interrupts).and_then(|()| run.conclude().map_err(Failure::Failed)) {
        Ok(()) if run.results.failures.is_empty() => tell(&run.results, &run.store),
        Ok(()) => run.admit(),
        Err(why) => run.give_up(&why, interrupts.status()),
    }
}

/// Concludes again from a folder that a run has left behind.
pub fn show(dir: PathBuf) -> ExitCode {
    let shown = Store::open(dir).and_then(|(store, mut results)| {
        conclude(&mut results, &store)?;
        Ok((store, results))
    });
    match shown {
        Ok((store, results)) => tell(&results, &store),
        Err(message) => cli::refusal(&message),
    }
}

/// Prints table, sentences and where all of it is. Fails if the counts disagree.
pub fn tell(results: &Results, store: &Store) -> ExitCode {
    let style = if io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        Style::Coloured
    } else {
        Style::Plain
    };
    let agreement = verdict::agreement(results);
    let told = cli::print(&text(results, store, style, agreement.as_deref().ok()));
    match agreement {
        Ok(_) => told,
        Err(warning) => cli::failure(&warning),
    }
}

fn text(results: &Results, store: &Store, style: Style, agreement: Option<&str>) -> String {
    let sentences = results.verdicts.iter().map(|verdict| verdict.text.as_str()).chain(agreement);
    let sentences: Vec<_> = sentences.map(|text| table::wrap(text, "• ", "  ")).collect();
    let warnings = results.warnings();
    let warnings: Vec<_> = warnings.iter().map(|(word, what)| format!("{word}: {what}\n")).collect();
    format!(
        "{}\n{}\n{}\n{}\n{}\n{}\n",
        results.headline(),
        warnings.concat(),
        table::render(results, style),
        table::legend(results),
        sentences.concat(),
        store.dir().display()
    )
}

/// Draws the conclusions from the trials that there are, and writes them.
///
/// # Errors
/// A sentence, where they can't be written.
pub fn conclude(results: &mut Results, store: &Store) -> Result<(), String> {
    results.interrupted = results.trials.len() < results.trials_planned;
    results.comparisons = comparison::all(results);
    results.claims = claims::all(results);
    results.verdicts = verdict::all(results);
    store.save_results(results)?;
    page::pages(results).iter().try_for_each(|page| store.write(&page.name, &page.html))
}

/// One run and where it is kept.
struct Run {
    store: Store,
    /// Trials that are still to be run.
    plans: Vec<Plan>,
    results: Results,
    /// The machine as earlier parts of the run have seen it, and its counters when this part began.
    earlier: Machine,
    before: Counters,
    started: Instant,
    /// How long the run had taken when it was resumed.
    taken_s: f64,
}

impl Run {
    /// A run, and sentences about what can't be run here.
    fn new(mut request: Request) -> Result<(Self, Vec<String>), String> {
        let left_out = namespace::leave_out(&mut request.parts)?;
        let machine = Machine::read();
        let mut plans = schedule::plan(&request.parts, machine.cpus, request.seed);
        let fresh = fresh(&request, machine, plans.len());
        let dir = request.out.unwrap_or_else(|| default_dir(&fresh.started));
        let (store, results) = if request.resume {
            let (store, kept) = Store::open(dir)?;
            kept.is_same_plan(&fresh).map_err(|why| {
                format!(
                    "{} holds another plan, that of `{}`: {why}; give that command again, or another folder",
                    store.dir().display(),
                    kept.command
                )
            })?;
            let done: HashSet<usize> = kept.trials.iter().map(|trial| trial.order).collect();
            plans.retain(|plan| !done.contains(&plan.order));
            (store, Results { failures: Vec::new(), ..kept })
        } else {
            (Store::create(dir)?, fresh)
        };
        let taken_s = results.trials.iter().map(|trial| trial.at_s).fold(0.0, f64::max);
        let earlier = results.machine.clone();
        let (before, started) = (Counters::read(), Instant::now());
        Ok((Self { store, plans, results, earlier, before, started, taken_s }, left_out))
    }

    fn announce(&self) {
        let (trials, time) = (self.plans.len(), progress::show(progress::estimate(&self.plans)));
        let dir = self.store.dir().display();
        eprintln!("evenkeel-lab: {trials} trials, about {time}; Ctrl-C keeps what is finished in {dir}");
    }

    /// Runs every trial; each is on disk before the next begins. A scenario of which one fails is left out from
    /// there on: what ails it would ail its other trials, and is no reason to lose the other scenarios.
    fn trials(&mut self, interrupts: &Interrupts) -> Result<(), Failure> {
        let plans = std::mem::take(&mut self.plans);
        let mut progress = Progress::new(&plans);
        let mut failed = HashSet::new();
        let ran = plans.iter().enumerate().try_for_each(|(index, plan)| {
            if failed.contains(&plan.scenario.name) {
                progress.done(plan);
                return Ok(());
            }
            progress.begin(index, plan);
            match self.trial(plan, interrupts) {
                Err(Failure::Failed(message)) => {
                    failed.insert(plan.scenario.name.clone());
                    self.results.failures.push(format!("{}: {message}", plan.title()));
                }
                other => other?,
            }
            progress.done(plan);
            Ok(())
        });
        progress.clear();
        ran
    }

    fn trial(&mut self, plan: &Plan, interrupts: &Interrupts) -> Result<(), Failure> {
        let at_s = self.taken_s + self.started.elapsed().as_secs_f64();
        let hlog = self.store.hlog_in_progress();
        let ran = trial::run(plan, Some(&hlog), interrupts);
        if ran.is_err() {
            // Half a log is none; perhaps there isn't one at all.
            let _ = std::fs::remove_file(&hlog);
        }
        let (reports, conditions) = ran?;
        let observed = Observed { reports, conditions, at_s, hlog: hlog.exists() };
        self.keep(plan, &observed).map_err(Failure::Failed)
    }

    fn keep(&mut self, plan: &Plan, observed: &Observed) -> Result<(), String> {
        let mut trial = observe::trial(plan, observed)?;
        self.store.save_reports(&mut trial, &observed.reports)?;
        self.results.trials.push(trial);
        self.store.save_curve(&self.results, plan)?;
        self.note();
        self.store.save_results(&self.results)
    }

    /// Whenever results are written: a run that is killed leaves behind what it has seen.
    fn note(&mut self) {
        self.results.machine.note(&self.earlier, &Counters::read().since(&self.before));
    }

    fn conclude(&mut self) -> Result<(), String> {
        self.note();
        conclude(&mut self.results, &self.store)
    }

    /// Tells what is there of a run in which a scenario failed, and what failed.
    fn admit(&self) -> ExitCode {
        tell(&self.results, &self.store);
        for failure in &self.results.failures {
            eprintln!("evenkeel-lab: {failure}");
        }
        let (kept, planned) = (self.results.trials.len(), self.results.trials_planned);
        cli::failure(&format!("{kept} of {planned} trials were finished; --resume tries the others again"))
    }

    /// A run that ended early: what was finished is kept and concluded from.
    fn give_up(&mut self, why: &Failure, signal: Option<u8>) -> ExitCode {
        let kept = format!(
            "{} of {} trials are kept in {}; --resume goes on",
            self.results.trials.len(),
            self.results.trials_planned,
            self.store.dir().display()
        );
        let concluded = self.conclude();
        match (why, concluded) {
            (Failure::Interrupted, Ok(())) => eprintln!("evenkeel-lab: interrupted; {kept}"),
            (Failure::Interrupted, Err(message)) => eprintln!("evenkeel-lab: interrupted; {message}"),
            (Failure::Failed(message), _) => eprintln!("evenkeel-lab: {message}; {kept}"),
        }
        match why {
            Failure::Interrupted => ExitCode::from(signal.unwrap_or(130)),
            Failure::Failed(_) => ExitCode::FAILURE,
        }
    }
}

/// The results of a run that has not begun.
fn fresh(request: &Request, machine: Machine, trials_planned: usize) -> Results {
    let parts = &request.parts;
    let note = |part: &Part| ScenarioNote::of(&part.scenario, part.rounds, machine.cpus);
    let phase = parts.iter().find_map(|part| part.scenario.client.duration).unwrap_or_default();
    Results {
        schema: Results::SCHEMA.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        started: rfc3339(SystemTime::now()),
        command: request.command.clone(),
        suite: request.suite.clone(),
        seed: request.seed,
        contended: parts.iter().any(|part| part.scenario.is_contended(machine.cpus)),
        workers: parts.iter().map(|part| part.scenario.server.workers).max().unwrap_or(0),
        rounds: parts.iter().map(|part| part.rounds).max().unwrap_or(0),
        phase_ms: u64::try_from(phase.as_millis()).unwrap_or(u64::MAX),
        scenarios: parts.iter().map(note).collect(),
        modes: modes(parts),
        trials_planned,
        interrupted: true,
        failures: Vec::new(),
        trials: Vec::new(),
        comparisons: Vec::new(),
        claims: Vec::new(),
        verdicts: Vec::new(),
        machine,
    }
}

/// The modes of all scenarios, each once, in their order.
fn modes(parts: &[Part]) -> Vec<String> {
    let mut modes = Vec::new();
    for mode in parts.iter().flat_map(|part| &part.scenario.modes).map(Mode::to_string) {
        if !modes.contains(&mode) {
            modes.push(mode);
        }
    }
    modes
}

/// `./lab-results/2026-01-02T03-04-05`: sorts by time, and no colon, which shells and URLs dislike.
fn default_dir(started: &str) -> PathBuf {
    let time = started.split('.').next().unwrap_or(started).replace(':', "-");
    PathBuf::from("lab-results").join(time)
}
