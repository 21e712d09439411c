//! The memory of an idle connection, in the server's process.

use std::error::Error;
use std::fmt::Write;

use rustix::process::{Resource, getrlimit};

use crate::client::{Client, PING_PONG};
use crate::contender::{Contender, Field};
use crate::process::Memory;
use crate::server::Tool;

const CONNECTIONS: usize = 9000;
/// What client and server each have open besides.
const OTHER_FDS: u64 = 100;

/// A table of what each connection adds to a server that has echoed one message on each and then rests.
pub fn table(field: &Field) -> Result<String, Box<dyn Error>> {
    check_fd_limit(field)?;
    let mut table =
        format!("memory of an idle connection: {CONNECTIONS} connections less none, each used once\n");
    writeln!(table, "  {:<28}{:>12}{:>12}{:>18}", "", "RSS bytes", "PSS bytes", "start-up RSS KiB")?;
    for contender in field.counted() {
        let (empty, full) = measure(field, contender)?;
        let each = |full: u64, empty: u64| (full as f64 - empty as f64) / CONNECTIONS as f64;
        writeln!(
            table,
            "  {:<28}{:>12.0}{:>12.0}{:>18}",
            contender.name,
            each(full.rss_bytes, empty.rss_bytes),
            each(full.pss_bytes, empty.pss_bytes),
            empty.rss_bytes / 1024,
        )?;
    }
    Ok(table)
}

/// Memory without and with connections. One connection comes and goes before, so that what is set up once,
/// at the first connection, counts as start-up.
fn measure(field: &Field, contender: &Contender) -> Result<(Memory, Memory), Box<dyn Error>> {
    let server = field.start(contender, &Tool::None)?;
    Client::connect(server.address, 1, PING_PONG)?.exchange(1)?;
    let empty = Memory::read(server.pid)?;
    let mut client = Client::connect(server.address, CONNECTIONS, PING_PONG)?;
    client.exchange(CONNECTIONS)?;
    let full = Memory::read(server.pid)?;
    drop(client);
    server.stop()?;
    Ok((empty, full))
}

fn check_fd_limit(field: &Field) -> Result<(), Box<dyn Error>> {
    let sockets_each = if field.has_upstream() { 2 } else { 1 };
    let needed = sockets_each * CONNECTIONS as u64 + OTHER_FDS;
    match getrlimit(Resource::Nofile).maximum {
        Some(maximum) if maximum < needed => {
            Err(format!("{needed} open files are needed: raise the hard limit (ulimit -Hn)").into())
        }
        _ => Ok(()),
    }
}
