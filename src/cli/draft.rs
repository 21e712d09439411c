//! What has been asked for so far: a configuration file's or the defaults, then the flags, then checked as a whole.

use std::time::Duration;

use super::settings::report::Reporting;
use crate::{
    config::Options,
    control::{Setup, output::Output, run::Plan},
    service::{Kind, Spec},
};

/// A setup in the making.
#[derive(Clone, Debug)]
pub struct Draft {
    /// How the loops run.
    pub options: Options,
    /// What is said of the run.
    pub reporting: Reporting,
    /// What is served.
    pub services: Vec<Spec>,
    /// `--drain`, which goes before what services have.
    pub drain: Option<Duration>,
    /// Somebody runs a configuration file.
    pub has_file: bool,
    /// `--quiet`
    pub quiet: bool,
    /// `--verbose`
    pub verbose: bool,
}

impl Draft {
    /// The defaults, with these services.
    pub fn new(reporting: Reporting, services: Vec<Spec>) -> Self {
        Self {
            options: Options::default(),
            reporting,
            services,
            drain: None,
            has_file: false,
            quiet: false,
            verbose: false,
        }
    }

    /// The setup, checked.
    ///
    /// # Errors
    /// A sentence: what does not go together, and what to do.
    pub fn finish(mut self) -> Result<Setup, String> {
        if let Some(drain) = self.drain {
            self.services.iter_mut().for_each(|service| set_drain(service, drain));
        }
        let plan = Plan {
            duration: self.reporting.duration,
            drain: self.drain,
            report_every: self.reporting.report_every,
            output: Output { stdout: self.reporting.stdout()?, file: self.reporting.report_file },
            hlog: self.reporting.hlog,
            access_log: self.reporting.access_log,
            log_format: self.reporting.log_format,
            has_file: self.has_file,
            quiet: self.quiet,
            verbose: self.verbose,
        };
        let longest = self.services.iter().filter_map(drain_of).max();
        let drain = self.drain.or(longest).unwrap_or(self.options.drain);
        let setup = Setup { options: Options { drain, ..self.options }, plan, services: self.services };
        setup.validate()?;
        Ok(setup)
    }
}

fn set_drain(service: &mut Spec, drain: Duration) {
    if let Kind::Proxy(proxy) = &mut service.kind {
        proxy.timeouts.drain = drain;
    }
}

/// An echo service has none of its own: its sessions without a backlog end at once.
fn drain_of(service: &Spec) -> Option<Duration> {
    match &service.kind {
        Kind::Echo(_) => None,
        Kind::Proxy(proxy) => Some(proxy.timeouts.drain),
    }
}
