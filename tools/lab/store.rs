//! The folder that a run leaves behind. Every file in it is whole at any moment.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::results::{Results, Trial};
use super::trial::Reports;

/// Where results go: `results.json`, `report.html`, and `raw/` with the reports of each trial.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
}

impl Store {
    /// Makes the folder. One that already holds results is refused: nobody's figures are overwritten.
    ///
    /// # Errors
    /// A sentence that names the folder and what to do.
    pub fn create(dir: PathBuf) -> Result<Self, String> {
        if dir.join("results.json").exists() {
            return Err(format!("{} already holds results; give another folder with --out", dir.display()));
        }
        fs::create_dir_all(dir.join("raw")).map_err(|error| {
            format!("cannot make {}: {error}; give another folder with --out", dir.display())
        })?;
        Ok(Self { dir })
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Keeps what both processes of a trial reported, byte by byte.
    ///
    /// # Errors
    /// A sentence with the path and the reason.
    pub fn save_reports(&self, trial: &Trial, reports: &Reports) -> Result<(), String> {
        self.write(&trial.server_report, &reports.server)?;
        self.write(&trial.client_report, &reports.client)
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
}
