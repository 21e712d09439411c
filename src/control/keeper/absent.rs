//! A build without health checks and discovery: nobody is kept an eye on, and who asks for it is told so.

use super::{Kept, View};
use crate::{
    config::{Options, ProxyOptions},
    control::Log,
    runtime::{mailbox::Sender, message::Message},
    upstream::loads::Loads,
};

/// Whoever would keep an eye on members. There is none.
#[derive(Debug)]
pub enum Keeper {}

impl Keeper {
    /// Refuses what needs one.
    ///
    /// # Errors
    /// A sentence.
    pub fn refuse(options: &ProxyOptions) -> Result<(), String> {
        if Self::is_needed(options) {
            return Err(
                "this build has no health checks and asks for no names (dns:, srv:): build it with the \
                        feature 'control', or leave them out"
                    .into(),
            );
        }
        Ok(())
    }

    /// There is none to start.
    ///
    /// # Errors
    /// Always, with a sentence: what needs one was to be refused.
    pub fn start(
        _: Vec<Kept>,
        _: &Options,
        _: Vec<Sender<Message>>,
        _: Loads,
        _: Log,
    ) -> Result<Self, String> {
        Err("this build has no health checks and asks for no names".into())
    }

    /// What reports say of a service.
    pub fn view(&self, _: usize) -> Option<View> {
        match *self {}
    }

    /// Ends it.
    pub fn stop(self) -> bool {
        match self {}
    }
}
