//! The folder that a run leaves behind. Every file in it is whole at any moment.

use std::{
    fs, io,
    path::{Path, PathBuf},
    rc::Rc,
};

use evenkeel::measure::hgrm;

use super::{
    raw::{self, Shelf},
    results::{Results, Trial},
    trial::{Plan, Reports},
};

/// Where results go: `results.json`, `report.html`, and `raw/` with the reports of each trial.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    /// What was read last of the raw reports.
    shelf: Rc<Shelf>,
}

impl Store {
    /// Makes the folder. One that already holds results is refused: nobody's figures are overwritten.
    ///
    /// # Errors
    /// A sentence that names the folder and what to do.
    pub fn create(dir: PathBuf) -> Result<Self, String> {
        if dir.join("results.json").exists() {
            return Err(format!(
                "{} already holds results; give another folder with --out, or go on with --resume",
                dir.display()
            ));
        }
        for part in ["raw", "hlog", "hgrm"] {
            fs::create_dir_all(dir.join(part)).map_err(|error| {
                format!("cannot make {}: {error}; give another folder with --out", dir.display())
            })?;
        }
        Ok(Self::at(dir))
    }

    fn at(dir: PathBuf) -> Self {
        Self { shelf: Shelf::new(dir.clone()), dir }
    }

    /// Reads a folder that a run has left behind, and looks whether all raw reports are there.
    ///
    /// # Errors
    /// A sentence that says which file is missing or makes no sense.
    pub fn open(dir: PathBuf) -> Result<(Self, Results), String> {
        let store = Self::at(dir);
        let text = store.read("results.json")?;
        let wrong = |why: String| format!("cannot read {}: {why}", store.dir.join("results.json").display());
        let mut results: Results = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        if results.schema != Results::SCHEMA {
            return Err(wrong(format!("its schema is '{}', not '{}'", results.schema, Results::SCHEMA)));
        }
        for trial in &mut results.trials {
            let source = store.shelf.source(&trial.client_report);
            source.read()?;
            trial.source = Some(source);
        }
        Ok((store, results))
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Keeps what the processes of a trial reported, byte by byte; there it is read again.
    ///
    /// # Errors
    /// A sentence with the path and the reason.
    pub fn save_reports(&self, trial: &mut Trial, reports: &Reports) -> Result<(), String> {
        for (name, report) in &reports.beside {
            let file = trial.client_report.replace(".client.json", &format!(".{name}.client.json"));
            self.write(&file, report)?;
        }
        self.write(&trial.server_report, &reports.server)?;
        if let Some(hlog) = &trial.hlog {
            let (from, to) = (self.hlog_in_progress(), self.dir.join(hlog));
            fs::rename(&from, &to).map_err(|error| format!("cannot write {}: {error}", to.display()))?;
        }
        trial.source = Some(self.shelf.source(&trial.client_report));
        self.write(&trial.client_report, &reports.client)
    }

    /// Where a client writes its interval log while a trial runs.
    pub fn hlog_in_progress(&self) -> PathBuf {
        self.dir.join("hlog/in-progress.new")
    }

    /// Writes the response times of a scenario's mode, all rounds merged, as HdrHistogram's plotters read them.
    ///
    /// # Errors
    /// A sentence with the path and the reason.
    pub fn save_curve(&self, results: &Results, plan: &Plan) -> Result<(), String> {
        let mode = plan.mode.to_string();
        let is_one = |trial: &&Trial| {
            trial.scenario == plan.scenario.name
                && trial.mode == mode
                && !trial.twin
                && trial.step == plan.step
        };
        let Some(merged) = raw::merged(results.trials.iter().filter(is_one), |raw| &raw.latency) else {
            return Ok(());
        };
        self.write(&format!("hgrm/{}.hgrm", plan.curve_name()), &hgrm::text(&merged))
    }

    /// Writes `results.json`.
    ///
    /// # Errors
    /// A sentence with the path and the reason.
    pub fn save_results(&self, results: &Results) -> Result<(), String> {
        let json = serde_json::to_string_pretty(results)
            .map_err(|error| format!("cannot write the results as JSON: {error}"))?;
        self.write("results.json", &json)
    }

    /// Replaces a file: whoever reads it, and whenever the lab ends, sees the old or the new one.
    ///
    /// # Errors
    /// A sentence with the path and the reason.
    pub fn write(&self, name: &str, text: &str) -> Result<(), String> {
        let path = self.dir.join(name);
        let fresh = path.with_extension("new");
        let replaced: io::Result<()> = fs::write(&fresh, text).and_then(|()| fs::rename(&fresh, &path));
        replaced.map_err(|error| format!("cannot write {}: {error}", path.display()))
    }

    fn read(&self, name: &str) -> Result<String, String> {
        let path = self.dir.join(name);
        fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))
    }
}
