//! The ledger's writer: a thread that turns entries into lines, so that no worker ever waits for a disk.

use crate::{measure::ledger::Entry, runtime::mailbox::Sender};

/// The sending end, for workers: `send` never blocks, and gives the entry back where the writer is behind.
pub type JournalSender = Sender<Entry>;
