//! The memory of an idle connection, in the server's process.

use std::error::Error;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::client::Client;
use crate::contender::{Contender, Field};
use crate::process::Memory;
use crate::server::Tool;

const CONNECTIONS: usize = 9000;
/// What client and server each have open besides.
const OTHER_FDS: u64 = 100;

/// Prints what each connection adds to a server that has echoed one message on each and then rests.
pub fn print(field: &Field) -> Result<(), Box<dyn Error>> {
    raise_fd_limit()?;
    println!("memory of an idle connection: {CONNECTIONS} connections less none, each used once");
    println!("  {:<28}{:>12}{:>12}{:>18}", "", "RSS bytes", "PSS bytes", "start-up RSS KiB");
    for contender in field.contenders.iter().filter(|contender| contender.is_counted) {
        let (empty, full) = measure(field, contender)?;
        let each = |full: u64, empty: u64| (full as f64 - empty as f64) / CONNECTIONS as f64;
        println!(
            "  {:<28}{:>12.0}{:>12.0}{:>18}",
            contender.name,
            each(full.rss_bytes, empty.rss_bytes),
            each(full.pss_bytes, empty.pss_bytes),
            empty.rss_bytes / 1024,
        );
    }
    Ok(())
}

/// Memory without and with connections. One connection comes and goes before, so that what is set up once,
/// at the first connection, counts as start-up.
fn measure(field: &Field, contender: &Contender) -> Result<(Memory, Memory), Box<dyn Error>> {
    let server = field.start(contender, &Tool::None)?;
    Client::connect(server.address, 1)?.exchange(1)?;
    let empty = Memory::read(server.pid)?;
    let mut client = Client::connect(server.address, CONNECTIONS)?;
    client.exchange(CONNECTIONS)?;
    let full = Memory::read(server.pid)?;
    drop(client);
    server.stop()?;
    Ok((empty, full))
}

/// Raises the soft limit, which the servers inherit, to the hard one.
fn raise_fd_limit() -> Result<(), Box<dyn Error>> {
    let limit = getrlimit(Resource::Nofile);
    let needed = CONNECTIONS as u64 + OTHER_FDS;
    if limit.maximum.is_some_and(|maximum| maximum < needed) {
        return Err(format!("{needed} open files are needed: raise the hard limit (ulimit -Hn)").into());
    }
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(())
}
