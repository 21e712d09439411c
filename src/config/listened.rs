//! The addresses of a configuration that are listened on: none twice, and none within another.

use std::collections::{HashMap, HashSet};

use super::Address;

/// The addresses so far.
#[derive(Debug, Default)]
pub struct Listened {
    /// By port, so that a file with very many addresses takes no longer than it should.
    ports: HashMap<u16, Port>,
    paths: HashSet<Address>,
}

/// Those at one port.
#[derive(Debug, Default)]
struct Port {
    all: HashSet<Address>,
    /// Every address of a family, or of both: three at most.
    wide: Vec<Address>,
}

impl Listened {
    /// Adds an address. Any port is another one each time: the kernel chooses.
    ///
    /// # Errors
    /// A sentence, where it is there already, takes in another or is within it: the kernel would refuse it.
    pub fn add(&mut self, address: &Address) -> Result<(), String> {
        let Some(port) = address.port() else {
            return once(address, self.paths.insert(address.clone()));
        };
        if port == 0 {
            return Ok(());
        }
        let there = self.ports.entry(port).or_default();
        once(address, there.all.insert(address.clone()))?;
        let within = |wide: &Address, narrow: &Address| {
            Err(format!("{wide} takes in {narrow}: name one of them, or another port"))
        };
        if let Some(wide) = there.wide.iter().find(|wide| wide.takes_in(address)) {
            return within(wide, address);
        }
        if address.is_wide() {
            there.wide.push(address.clone());
            if let Some(narrow) = there.all.iter().find(|narrow| address.takes_in(narrow)) {
                return within(address, narrow);
            }
        }
        Ok(())
    }
}

fn once(address: &Address, is_new: bool) -> Result<(), String> {
    if is_new { Ok(()) } else { Err(format!("{address} is listened on twice: name it once")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(addresses: &[&str]) -> Result<(), String> {
        let mut listened = Listened::default();
        addresses.iter().try_for_each(|address| listened.add(&address.parse().unwrap()))
    }

    #[test]
    fn each_is_there_once() {
        assert_eq!(
            add(&["unix:/a", "127.0.0.1:80", "127.0.0.1:81", "[::1]:80", "127.0.0.1:0", "127.0.0.1:0"]),
            Ok(())
        );
        for twice in ["unix:/a", "127.0.0.1:80", ":80", "localhost:80"] {
            assert_eq!(add(&[twice, twice]), Err(format!("{twice} is listened on twice: name it once")));
        }
    }

    #[test]
    fn none_is_within_another() {
        for [wide, narrow] in [["0.0.0.0:80", "10.0.0.1:80"], ["[::]:80", "[::1]:80"], [":80", "0.0.0.0:80"]]
        {
            let expected = Err(format!("{wide} takes in {narrow}: name one of them, or another port"));
            assert_eq!(add(&[wide, narrow]), expected);
            assert_eq!(add(&[narrow, wide]), expected);
        }
        assert_eq!(add(&["0.0.0.0:80", "[::1]:80", "0.0.0.0:81", "[::]:82"]), Ok(()));
    }
}
