//! A DNS server that the test plays: A, AAAA and SRV records by UDP, and every way to fail.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

const A: u16 = 1;
const AAAA: u16 = 28;
const SRV: u16 = 33;

const NO_ERROR: u8 = 0;
const SERVER_FAILURE: u8 = 2;
const NO_SUCH_NAME: u8 = 3;

/// How it behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Well,
    /// It takes questions, and answers none.
    Silent,
    /// SERVFAIL to everything.
    Failing,
}

pub struct Dns {
    pub address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    questions: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

struct Zone {
    mood: Mood,
    ttl_s: u32,
    /// By name and type: the data of each record.
    records: HashMap<(String, u16), Vec<Vec<u8>>>,
}

impl Dns {
    pub fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().expect("an address"))
    }

    pub fn start_at(address: SocketAddr) -> Self {
        let socket = UdpSocket::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a positive timeout");
        let address = socket.local_addr().expect("it is bound");
        let zone = Arc::new(Mutex::new(Zone { mood: Mood::Well, ttl_s: 1, records: HashMap::new() }));
        let (questions, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let thread = {
            let (zone, questions, is_over) =
                (Arc::clone(&zone), Arc::clone(&questions), Arc::clone(&is_over));
            thread::spawn(move || {
                let mut buffer = [0; 1500];
                while !is_over.load(SeqCst) {
                    let Ok((len, from)) = socket.recv_from(&mut buffer) else { continue };
                    questions.fetch_add(1, SeqCst);
                    let answer = zone.lock().expect("nobody panics with it").answer(&buffer[..len]);
                    if let Some(answer) = answer {
                        let _ = socket.send_to(&answer, from);
                    }
                }
            })
        };
        Self { address, zone, questions, is_over, thread: Some(thread) }
    }

    pub fn be(&self, mood: Mood) {
        self.zone().mood = mood;
    }

    /// The addresses of a name.
    pub fn set(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|text| text.parse::<IpAddr>().expect("an address"));
        let data = |address: &IpAddr| match address {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = addresses.partition(IpAddr::is_ipv4);
        let mut zone = self.zone();
        zone.records.insert((name.into(), A), v4.iter().map(data).collect());
        zone.records.insert((name.into(), AAAA), v6.iter().map(data).collect());
    }

    /// The records of a service: priority, weight, port and host of each.
    pub fn set_services(&self, name: &str, services: &[(u16, u16, u16, &str)]) {
        let data = |(priority, weight, port, host): &(u16, u16, u16, &str)| {
            let numbers = [priority, weight, port].map(|number| number.to_be_bytes()).concat();
            [numbers, labels(host)].concat()
        };
        self.zone().records.insert((name.into(), SRV), services.iter().map(data).collect());
    }

    /// How often it was asked.
    pub fn questions(&self) -> usize {
        self.questions.load(SeqCst)
    }

    /// Nobody listens there any more; where that was.
    pub fn kill(mut self) -> SocketAddr {
        self.end();
        self.address
    }

    fn end(&mut self) {
        self.is_over.store(true, SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }

    fn zone(&self) -> MutexGuard<'_, Zone> {
        self.zone.lock().expect("nobody panics with it")
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.end();
    }
}

impl Zone {
    /// RFC 1035, section 4: header, question, and the answer's records with a pointer to the question's name.
    fn answer(&self, question: &[u8]) -> Option<Vec<u8>> {
        let (name, end) = name_at(question, 12)?;
        let kind = u16::from_be_bytes(question.get(end..end + 2)?.try_into().ok()?);
        let is_known = self.records.keys().any(|(known, _)| *known == name);
        let (code, records) = match (self.mood, self.records.get(&(name, kind))) {
            (Mood::Silent, _) => return None,
            (Mood::Failing, _) => (SERVER_FAILURE, &[][..]),
            (Mood::Well, Some(records)) => (NO_ERROR, &records[..]),
            (Mood::Well, None) if is_known => (NO_ERROR, &[][..]),
            (Mood::Well, None) => (NO_SUCH_NAME, &[][..]),
        };
        let count = (records.len() as u16).to_be_bytes();
        let mut answer = question[..2].to_vec();
        answer.extend([0x81, 0x80 | code, 0, 1, count[0], count[1], 0, 0, 0, 0]);
        answer.extend(&question[12..end + 4]);
        for data in records {
            answer.extend([0xc0, 12]);
            answer.extend(kind.to_be_bytes());
            answer.extend([0, 1]);
            answer.extend(self.ttl_s.to_be_bytes());
            answer.extend((data.len() as u16).to_be_bytes());
            answer.extend(data);
        }
        Some(answer)
    }
}

/// A name of a question, in lower case without its last dot, and where it ends.
fn name_at(message: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut parts = Vec::new();
    loop {
        let len = usize::from(*message.get(at)?);
        at += 1;
        if len == 0 {
            return Some((parts.join("."), at));
        }
        parts.push(String::from_utf8_lossy(message.get(at..at + len)?).to_lowercase());
        at += len;
    }
}

fn labels(name: &str) -> Vec<u8> {
    let mut labels: Vec<u8> = Vec::new();
    for label in name.split('.') {
        labels.push(label.len() as u8);
        labels.extend(label.as_bytes());
    }
    labels.push(0);
    labels
}
