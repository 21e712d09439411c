//! Upstreams that the test plays: sessions at one port, checks at another, and what is said to each in its hands.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

use serde_json::Value;

use crate::support::{
    PATIENCE, Server,
    client::{Client, Target},
    eventually,
};

/// A listener with a thread that hands each connection to a handler, on a thread of its own.
pub struct Listening {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
}

impl Listening {
    /// Each connection comes with its number, from 0 on.
    pub fn start(listener: TcpListener, handle: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> Self {
        let address = listener.local_addr().expect("it is bound");
        let (connections, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, over, handle) = (Arc::clone(&connections), Arc::clone(&is_over), Arc::new(handle));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if over.load(SeqCst) {
                    return;
                }
                let (number, handle) = (count.fetch_add(1, SeqCst), Arc::clone(&handle));
                thread::spawn(move || handle(number, stream));
            }
        });
        Self { address, connections, is_over }
    }

    /// How many connections it has had.
    pub fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }

    /// Nobody listens there any more.
    pub fn close(&self) {
        self.is_over.store(true, SeqCst);
        // What wakes its accept is the last that it takes.
        drop(TcpStream::connect(self.address));
        eventually("the listener is gone", || TcpStream::connect(self.address).is_err().then_some(()));
    }
}

/// A listener at any port of an address, or of the loopback's when that is taken by chance.
pub fn listen_at(address: IpAddr, port: u16) -> Option<TcpListener> {
    TcpListener::bind((address, port)).ok()
}

/// Addresses of the loopback that nobody else uses, all with the same two ports free: for sessions, and for checks.
pub fn listeners(count: u8) -> Vec<(TcpListener, TcpListener)> {
    let address = |number: u8| IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11 + number));
    eventually("two ports are free at all addresses", || {
        let first = listen_at(address(0), 0)?;
        let checks = listen_at(address(0), 0)?;
        let port = |listener: &TcpListener| listener.local_addr().expect("it is bound").port();
        let (session_port, check_port) = (port(&first), port(&checks));
        let others = (1..count).map(|number| {
            Some((listen_at(address(number), session_port)?, listen_at(address(number), check_port)?))
        });
        std::iter::once(Some((first, checks))).chain(others).collect()
    })
}

/// An upstream that greets each session with its number, and then echoes nothing but waits for the end.
pub fn greeter(listener: TcpListener, number: u8) -> Listening {
    Listening::start(listener, move |_, stream| greet(stream, number))
}

/// Says a number, and waits for the end of a session.
pub fn greet(mut stream: TcpStream, number: u8) {
    let _ = stream.write_all(&[b'0' + number]);
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
}

/// The number of the upstream that a session of a proxy went to; `None`: it was refused, or cut off.
pub fn greeted(client: &Client) -> Option<u8> {
    let mut number = [0];
    match client.receive(&mut number) {
        Ok(1) => Some(number[0] - b'0'),
        _ => None,
    }
}

/// So many sessions, one after the other; how many went to each of so many upstreams.
pub fn shares<const N: usize>(proxy: &Server, sessions: usize) -> [usize; N] {
    let target = Target::parse(&proxy.listening()[0]);
    let mut shares = [0; N];
    for _ in 0..sessions {
        let number = greeted(&Client::connect(&target)).expect("somebody serves");
        shares[usize::from(number)] += 1;
    }
    shares
}

/// Answers checks by HTTP, each with the status that it is told, not before it is told.
#[derive(Clone, Default)]
pub struct Nurse(Arc<(Mutex<Orders>, Condvar)>);

#[derive(Default)]
struct Orders {
    /// For checks to come, in their order.
    next: Vec<u16>,
    /// For all after them; without it they wait.
    always: Option<u16>,
    /// What checks have said.
    heard: Vec<String>,
}

impl Nurse {
    /// From now on each check is answered with this status.
    pub fn always(&self, status: u16) {
        self.orders().always = Some(status);
        self.0.1.notify_all();
    }

    /// The next checks are answered so.
    pub fn next(&self, statuses: &[u16]) {
        self.orders().next.extend(statuses);
        self.0.1.notify_all();
    }

    /// What checks have said, the earliest first.
    pub fn heard(&self) -> Vec<String> {
        self.orders().heard.clone()
    }

    /// Serves at this listener.
    pub fn serve(&self, listener: TcpListener) -> Listening {
        let nurse = self.clone();
        Listening::start(listener, move |_, stream| nurse.answer(stream))
    }

    fn answer(&self, mut stream: TcpStream) {
        let said = read_request(&mut stream);
        self.orders().heard.push(said);
        let status = self.status();
        let _ = stream.write_all(format!("HTTP/1.0 {status} Whatever\r\n\r\n").as_bytes());
        let _ = stream.shutdown(Shutdown::Write);
    }

    fn status(&self) -> u16 {
        let waits = |orders: &mut Orders| orders.next.is_empty() && orders.always.is_none();
        let waited = self.0.1.wait_timeout_while(self.orders(), PATIENCE, waits);
        let (mut orders, _) = waited.expect("nobody panics with it");
        if orders.next.is_empty() { orders.always.unwrap_or(500) } else { orders.next.remove(0) }
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.0.0.lock().expect("nobody panics with it")
    }
}

/// A request up to its empty line, or to where it ends.
fn read_request(stream: &mut TcpStream) -> String {
    let (mut said, mut byte) = (Vec::new(), [0]);
    while !said.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        said.push(byte[0]);
    }
    String::from_utf8_lossy(&said).into_owned()
}

/// What a report says of the upstream whose address contains this.
pub fn upstream<'a>(report: &'a Value, address: &str) -> Option<&'a Value> {
    let upstreams = report["upstreams"].as_array().expect("they are an array");
    upstreams.iter().find(|upstream| upstream["address"].as_str().is_some_and(|it| it.contains(address)))
}

/// The state of that upstream; empty where there is none.
pub fn state(proxy: &mut Server, address: &str) -> String {
    let report = proxy.report_now();
    upstream(&report, address).and_then(|upstream| upstream["state"].as_str()).unwrap_or_default().to_owned()
}

/// Waits until it has this state.
pub fn until(proxy: &mut Server, address: &str, wanted: &str) {
    eventually(&format!("{address} is {wanted}"), || (state(proxy, address) == wanted).then_some(()));
}

/// How many checks it has passed, and failed.
pub fn checks(proxy: &mut Server, address: &str) -> (u64, u64) {
    let report = proxy.report_now();
    let count =
        |name: &str| upstream(&report, address).and_then(|upstream| upstream[name].as_u64()).unwrap_or(0);
    (count("checks_passed"), count("checks_failed"))
}
