//! A run: plan the trials, run them one by one, keep each, then say what they show.

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
    process::ExitCode,
    time::SystemTime,
};

use evenkeel::measure::report::date::rfc3339;

use super::{
    cli::{self, Quick},
    interrupts::Interrupts,
    machine::{Disturbances, Machine},
    mode::Mode,
    page,
    progress::Progress,
    results::{Results, ScenarioNote, Trial},
    scenario::{self, Settings},
    schedule,
    store::Store,
    table::{self, Style},
    trial::{self, Failure, Plan, Reports},
    verdict,
};

/// The client of each trial has one thread.
const CLIENT_THREADS: usize = 1;

/// Runs `quick` and prints what it found.
pub fn quick(quick: &Quick, command: String) -> ExitCode {
    // Before any other thread starts: the signals are to be blocked in all of them.
    let interrupts = match Interrupts::install() {
        Ok(interrupts) => interrupts,
        Err(message) => return failure(&message),
    };
    let mut run = match Run::new(quick, command) {
        Ok(run) => run,
        Err(message) => {
            eprintln!("evenkeel-lab: {message}");
            return ExitCode::from(2);
        }
    };
    match run.trials(&interrupts).and_then(|()| run.conclude().map_err(Failure::Failed)) {
        Ok(()) => run.tell(),
        Err(why) => run.give_up(&why, interrupts.status()),
    }
}

/// One run and where it is kept.
struct Run {
    store: Store,
    settings: Settings,
    plans: Vec<Plan>,
    results: Results,
    before: Disturbances,
}

impl Run {
    fn new(quick: &Quick, command: String) -> Result<Self, String> {
        let started = rfc3339(SystemTime::now());
        let store = Store::create(quick.out.clone().unwrap_or_else(|| default_dir(&started)))?;
        let settings = Settings { workers: Settings::WORKERS, phase: quick.phase_duration };
        let modes = if quick.modes.is_empty() { Mode::quick() } else { quick.modes.clone() };
        let plans = schedule::plan(&modes, quick.trials, quick.seed);
        let machine = Machine::read();
        let results = Results {
            schema: Results::SCHEMA,
            version: env!("CARGO_PKG_VERSION"),
            started,
            command,
            seed: quick.seed,
            contended: settings.workers + CLIENT_THREADS > machine.cpus,
            machine,
            workers: settings.workers,
            rounds: quick.trials,
            phase_ms: u64::try_from(settings.phase.as_millis()).unwrap_or(u64::MAX),
            scenarios: scenario::ALL.iter().map(|scenario| ScenarioNote::of(scenario)).collect(),
            modes: modes.iter().map(Mode::to_string).collect(),
            trials_planned: plans.len(),
            interrupted: true,
            trials: Vec::new(),
            verdicts: Vec::new(),
        };
        Ok(Self { store, settings, plans, results, before: Disturbances::read() })
    }

    /// Runs every trial; each is on disk before the next begins.
    fn trials(&mut self, interrupts: &Interrupts) -> Result<(), Failure> {
        let plans = std::mem::take(&mut self.plans);
        let progress = Progress::new(plans.len());
        let ran = plans.iter().try_for_each(|plan| {
            progress.begin(plan);
            let ran = trial::run(plan, &self.settings, interrupts)
                .and_then(|reports| self.keep(plan, &reports).map_err(Failure::Failed));
            if ran.is_ok() {
                progress.done();
            }
            ran.map_err(|why| at(plan, why))
        });
        progress.clear();
        ran
    }

    fn keep(&mut self, plan: &Plan, reports: &Reports) -> Result<(), String> {
        let trial = Trial::new(plan, &self.settings, reports)?;
        self.store.save_reports(&trial, reports)?;
        self.results.trials.push(trial);
        self.store.save_results(&self.results)
    }

    /// Draws the conclusions from the trials that there are, and writes them.
    fn conclude(&mut self) -> Result<(), String> {
        self.results.machine.note_disturbances(&self.before);
        self.results.interrupted = self.results.trials.len() < self.results.trials_planned;
        self.results.verdicts = verdict::all(&self.results);
        self.store.save_results(&self.results)?;
        self.store.write("report.html", &page::render(&self.results))
    }

    /// Prints table, sentences and where all of it is. Fails if the counts disagree.
    fn tell(&self) -> ExitCode {
        let style = if io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
            Style::Coloured
        } else {
            Style::Plain
        };
        let agreement = verdict::agreement(&self.results);
        let told = cli::print(&self.text(style, agreement.as_deref().ok()));
        match agreement {
            Ok(_) => told,
            Err(warning) => failure(&warning),
        }
    }

    fn text(&self, style: Style, agreement: Option<&str>) -> String {
        let results = &self.results;
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
            self.store.dir().display()
        )
    }

    /// A run that ended early: what was finished is kept and concluded from.
    fn give_up(&mut self, why: &Failure, signal: Option<u8>) -> ExitCode {
        let kept = format!(
            "{} of {} trials are kept in {}",
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

/// `./lab-results/2026-01-02T03-04-05`: sorts by time, and no colon, which shells and URLs dislike.
fn default_dir(started: &str) -> PathBuf {
    let time = started.split('.').next().unwrap_or(started).replace(':', "-");
    PathBuf::from("lab-results").join(time)
}

fn at(plan: &Plan, why: Failure) -> Failure {
    match why {
        Failure::Failed(message) => Failure::Failed(format!(
            "{} {} round {}: {message}",
            plan.scenario.name,
            plan.mode,
            plan.round + 1
        )),
        Failure::Interrupted => Failure::Interrupted,
    }
}

fn failure(message: &str) -> ExitCode {
    eprintln!("evenkeel-lab: {message}");
    ExitCode::FAILURE
}
