//! Everything that a run was asked for, as one value.
//!
//! The command line and the configuration file both end here, and what runs knows of neither.

use std::collections::HashSet;

use super::run::Plan;
use crate::{
    config::{Listened, Measure, Options},
    service::{Kind, Spec},
};

/// What to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    /// How the runtime is built and how its loops run.
    pub options: Options,
    /// What the main thread does beside serving.
    pub plan: Plan,
    /// What is served; at least one.
    pub services: Vec<Spec>,
}

impl Setup {
    /// The most services of one process.
    pub const SERVICES_MAX: usize = 1024;

    /// What can't be seen by looking at one value at a time.
    ///
    /// # Errors
    /// A sentence that names the values and what to do.
    pub fn validate(&self) -> Result<(), String> {
        self.options.validate()?;
        if self.plan.hlog.is_some() && self.options.measure != Measure::Full {
            let measure = self.options.measure;
            return Err(format!(
                "with --measure {measure} nothing is timed, so --hlog has nothing to log: leave out one"
            ));
        }
        if self.services.is_empty() {
            return Err("there is nothing to serve: name a service".into());
        }
        if self.services.len() > Self::SERVICES_MAX {
            let (count, most) = (self.services.len(), Self::SERVICES_MAX);
            return Err(format!("{count} services are too many for one process: use at most {most}"));
        }
        let (mut names, mut listened) = (HashSet::new(), Listened::default());
        for service in &self.services {
            if !names.insert(&service.name) {
                return Err(format!("two services have the name '{}': give each its own", service.name));
            }
            if service.listen.is_empty() {
                return Err(format!("service '{}' listens nowhere: give it an address", service.name));
            }
            service.listen.iter().try_for_each(|address| listened.add(address))?;
            if let Kind::Proxy(proxy) = &service.kind {
                proxy.validate()?;
            }
        }
        Ok(())
    }
}
