//! Who takes part: programs of one kind that are given the same work, the floor first.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::load::{self, Load};
use crate::options::Options;
use crate::server::{Cores, Server, Tool, raise_fd_limit};
use crate::{echo, proxy};

/// What is compared with its own floor.
#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
pub enum Kind {
    /// Echo servers.
    Echo,
    /// Layer-4 proxies, before an echo server.
    Proxy,
}

impl Kind {
    /// What its contenders are put under, one after the other.
    pub fn loads(self) -> &'static [Load] {
        match self {
            Self::Echo => &[load::ECHO],
            Self::Proxy => &[load::SMALL, load::BULK, load::CHURN],
        }
    }
}

/// One server program with its options.
pub struct Contender {
    /// Its name in the tables.
    pub name: &'static str,
    /// What it is to us.
    pub role: Role,
    /// What starts it.
    pub command: Vec<OsString>,
    /// Where it listens, if it can't tell by itself.
    pub address: Option<SocketAddr>,
}

/// What a contender is to us.
#[derive(Clone, Copy, PartialEq)]
pub enum Role {
    /// evenkeel as users run it: its instructions are kept.
    Ours,
    /// Something to compare with.
    Yardstick,
    /// The same, from a package that need not be installed.
    Rival,
    /// Another one once more or varied, not worth counting.
    Variation,
}

/// The contenders, the floor first, and what is needed to start them.
pub struct Field {
    /// In the order of the tables. The first one is the floor.
    pub contenders: Vec<Contender>,
    /// Where servers and the client run.
    pub cores: Cores,
    /// Holds the floor's executable, logs and the tools' files.
    pub directory: PathBuf,
    /// What the contenders are proxies for, if they are.
    upstream: Option<Server>,
}

impl Field {
    /// Compiles the floor and makes sure that each contender starts.
    pub fn gather(kind: Kind, cores: Cores, options: &Options) -> Result<Self, Box<dyn Error>> {
        raise_fd_limit()?;
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("floor");
        fs::create_dir_all(&directory)?;
        let mut field = Self { contenders: Vec::new(), cores, directory, upstream: None };
        field.contenders = match kind {
            Kind::Echo => echo::contenders(&field)?,
            Kind::Proxy => {
                let upstream = field.upstream.insert(proxy::start_upstream(&field.directory, cores)?).address;
                proxy::contenders(&field, upstream)?
            }
        };
        field.try_each(options.allow_missing)?;
        cores.pin_client()?;
        Ok(field)
    }

    /// Starts a contender's server under `tool`.
    pub fn start(&self, contender: &Contender, tool: &Tool) -> Result<Server, Box<dyn Error>> {
        let log = self.directory.join(format!("{}.log", contender.file_name()));
        let server = Server::start(&contender.command, contender.address, tool, self.cores, &log);
        server.map_err(|error| format!("{}: {error}", contender.name).into())
    }

    /// Those worth counting.
    pub fn counted(&self) -> impl Iterator<Item = &Contender> {
        self.contenders.iter().filter(|contender| contender.role != Role::Variation)
    }

    /// Whether a server of ours runs beside the client.
    pub fn has_upstream(&self) -> bool {
        self.upstream.is_some()
    }

    /// Compiles one of the C programs beside this file.
    pub fn compile(&self, program: &str) -> Result<PathBuf, Box<dyn Error>> {
        let source = format!("{}/benches/floor/{program}.c", env!("CARGO_MANIFEST_DIR"));
        let executable = self.directory.join(program);
        let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
        let run = Command::new(&compiler).args(["-O2", "-o"]).arg(&executable).arg(&source).output();
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

    fn try_each(&mut self, allow_missing: bool) -> Result<(), Box<dyn Error>> {
        let mut missing = Vec::new();
        for contender in &self.contenders {
            match self.start(contender, &Tool::None).and_then(Server::stop) {
                Ok(()) => {}
                Err(error) if allow_missing || contender.role == Role::Rival => {
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
    /// A server that tells on stderr where it listens.
    pub fn new(name: &'static str, role: Role, command: Vec<OsString>) -> Self {
        Self { name, role, command, address: None }
    }

    /// Its name, fit for a file.
    pub fn file_name(&self) -> String {
        self.name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-")
    }
}

/// evenkeel with one worker on this core, and more words.
pub fn evenkeel(command: &str, core: usize, words: &[&str]) -> Vec<OsString> {
    let core = core.to_string();
    let fixed = [command, "--listen", "127.0.0.1:0", "--workers", "1", "--report", "none", "--cores", &core];
    let all = [env!("CARGO_BIN_EXE_evenkeel")].iter().chain(&fixed).chain(words);
    all.map(OsString::from).collect()
}
