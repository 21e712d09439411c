//! Who takes part: the floor, the floor again, mio, and evenkeel in three ways.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::options::Options;
use crate::server::{Cores, Server, Tool};

/// One server program with its options.
pub struct Contender {
    /// Its name in the tables.
    pub name: &'static str,
    /// Whether it is evenkeel as users run it, and so has a target to meet.
    pub is_ours: bool,
    /// Whether it is worth counting; the repetitions and variations of others are not.
    pub is_counted: bool,
    command: Vec<OsString>,
}

/// The contenders, the floor first, and what is needed to start them.
pub struct Field {
    /// In the order of the tables. The first one is the floor.
    pub contenders: Vec<Contender>,
    /// Where servers and the client run.
    pub cores: Cores,
    /// Holds the floor's executable, logs and the tools' files.
    pub directory: PathBuf,
}

impl Field {
    /// Compiles the floor and makes sure that each contender starts.
    pub fn gather(options: &Options) -> Result<Self, Box<dyn Error>> {
        let cores = Cores::choose()?;
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("floor");
        fs::create_dir_all(&directory)?;
        let floor = compile_floor(&directory)?;
        let mut field = Self { contenders: contenders(floor, cores)?, cores, directory };
        field.try_each(options.allow_missing)?;
        cores.pin_client()?;
        Ok(field)
    }

    /// Starts a contender's server under `tool`.
    pub fn start(&self, contender: &Contender, tool: &Tool) -> Result<Server, Box<dyn Error>> {
        let log = self.directory.join(format!("{}.log", contender.file_name()));
        let server = Server::start(&contender.command, tool, self.cores, &log);
        server.map_err(|error| format!("{}: {error}", contender.name).into())
    }

    fn try_each(&mut self, allow_missing: bool) -> Result<(), Box<dyn Error>> {
        let mut missing = Vec::new();
        for contender in &self.contenders {
            match self.start(contender, &Tool::None).and_then(Server::stop) {
                Ok(()) => {}
                Err(error) if allow_missing => {
                    eprintln!("not available: {error}");
                    missing.push(contender.name);
                }
                Err(error) => return Err(format!("{error} (--allow-missing goes on without it)").into()),
            }
        }
        self.contenders.retain(|contender| !missing.contains(&contender.name));
        Ok(())
    }
}

impl Contender {
    /// Its name, fit for a file.
    pub fn file_name(&self) -> String {
        self.name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-")
    }
}

fn contenders(floor: PathBuf, cores: Cores) -> Result<Vec<Contender>, Box<dyn Error>> {
    let floor = vec![floor.into(), "0".into()];
    let mio = vec![env::current_exe()?.into(), "--serve-mio".into()];
    let ours = |trigger, measure| evenkeel(trigger, measure, cores.server);
    Ok(vec![
        Contender { name: "floor", is_ours: false, is_counted: true, command: floor.clone() },
        Contender { name: "floor (A/A)", is_ours: false, is_counted: false, command: floor },
        Contender { name: "mio", is_ours: false, is_counted: true, command: mio },
        Contender { name: "evenkeel level", is_ours: true, is_counted: true, command: ours("level", "full") },
        Contender { name: "evenkeel edge", is_ours: true, is_counted: true, command: ours("edge", "full") },
        Contender {
            name: "evenkeel edge, measure off",
            is_ours: false,
            is_counted: false,
            command: ours("edge", "off"),
        },
    ])
}

fn evenkeel(trigger: &str, measure: &str, core: usize) -> Vec<OsString> {
    let mut command = vec![env!("CARGO_BIN_EXE_evenkeel").into()];
    let fixed = "echo --listen 127.0.0.1:0 --workers 1 --report none".split(' ');
    command.extend(fixed.map(OsString::from));
    command.extend(["--cores".into(), core.to_string().into()]);
    command.extend(["--trigger", trigger, "--measure", measure].map(OsString::from));
    command
}

fn compile_floor(directory: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/floor/floor.c");
    let executable = directory.join("floor");
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    let run = Command::new(&compiler).args(["-O2", "-o"]).arg(&executable).arg(source).output();
    let Output { status, stderr, .. } = run.map_err(|error| {
        format!(
            "the floor is a C program, and the compiler {} did not start: {error}. Install a C compiler (gcc \
             or clang), or name one in the environment variable CC",
            compiler.display()
        )
    })?;
    if !status.success() {
        return Err(format!("{source} does not compile: {}", String::from_utf8_lossy(&stderr)).into());
    }
    Ok(executable)
}
