//! One check of a member: connect, say what is to be said, look at the answer.
//!
//! A check goes where sessions would go, from the address that they would come from. Of a member with several
//! addresses one that passes is enough. What fails for want of something on this side (descriptors, memory, local
//! ports) says nothing of the member, and counts neither way.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream, UnixStream},
    time::timeout,
};

use super::exam::{Exam, Expected, Mark};
use crate::{
    config::HealthOptions,
    service::proxy::preread::own_header,
    sys::{self, Errno, socket::ConnectOptions},
    upstream::{Target, self_connect},
};

/// How one member is checked.
#[derive(Clone, Debug)]
pub(super) struct Check {
    targets: Box<[Target]>,
    connect: ConnectOptions,
    timeout: Duration,
    /// What is said first.
    opening: Vec<u8>,
    expected: Expected,
}

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    /// A few words: why.
    Failed(String),
    /// It could not be tried; why.
    Untried(String),
}

impl Check {
    /// Of a member with these addresses, which a request by HTTP calls `host`.
    pub fn new(health: &HealthOptions, connect: ConnectOptions, targets: &[Target], host: &str) -> Self {
        let at_port = |target: &Target| match (target, health.port) {
            (Target::Tcp(address), Some(port)) => Target::Tcp(SocketAddr::new(address.ip(), port)),
            (target, _) => target.clone(),
        };
        let expected = match (&health.http, &health.expect) {
            (Some(_), _) => Expected::Status(health.http_status.clone()),
            (None, Some(bytes)) => Expected::Bytes(bytes.clone()),
            (None, None) => Expected::Nothing,
        };
        Self {
            targets: targets.iter().map(at_port).collect(),
            connect,
            timeout: health.timeout,
            opening: opening(health, host),
            expected,
        }
    }

    /// Checks it: at each address in turn until one passes, all within the time that a check may take.
    pub async fn run(&self) -> Outcome {
        let began = Instant::now();
        let mut outcome = Outcome::Failed("it has no address".into());
        for (index, target) in self.targets.iter().enumerate() {
            let left = self.timeout.saturating_sub(began.elapsed());
            let others = u32::try_from(self.targets.len() - index).unwrap_or(u32::MAX);
            outcome = self.visit(target, left / others).await;
            if outcome == Outcome::Passed {
                break;
            }
        }
        outcome
    }

    async fn visit(&self, target: &Target, patience: Duration) -> Outcome {
        let began = Instant::now();
        let stream = match timeout(patience, self.reach(target)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return trouble(&error),
            Err(_) => return Outcome::Failed("it did not accept the connection in time".into()),
        };
        let left = patience.saturating_sub(began.elapsed());
        let mark = match stream {
            Stream::Tcp(stream) => timeout(left, self.ask(stream)).await,
            Stream::Unix(stream) => timeout(left, self.ask(stream)).await,
        };
        match mark {
            Ok(Ok(Mark::Failed(why))) => Outcome::Failed(why),
            Ok(Ok(Mark::Passed | Mark::More)) => Outcome::Passed,
            Ok(Err(error)) => trouble(&error),
            Err(_) => Outcome::Failed("it did not answer in time".into()),
        }
    }

    async fn reach(&self, target: &Target) -> io::Result<Stream> {
        let address = match target {
            Target::Tcp(address) => *address,
            Target::Unix(path) => return Ok(Stream::Unix(UnixStream::connect(path).await?)),
        };
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(source) = self.connect.source {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        let stream = socket.connect(address).await?;
        // Nobody listens there: the socket has met itself (simultaneous open, RFC 9293, 3.5).
        if self_connect::is_self(&stream.local_addr()?, &stream.peer_addr()?) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        Ok(Stream::Tcp(stream))
    }

    /// Never `More`: either end of an answer decides.
    async fn ask(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<Mark> {
        stream.write_all(&self.opening).await?;
        let mut exam = Exam::new(&self.expected);
        let mut mark = exam.feed(b"");
        let mut buffer = [0; 1024];
        while mark == Mark::More {
            mark = match stream.read(&mut buffer).await? {
                0 => exam.end(),
                len => exam.feed(&buffer[..len]),
            };
        }
        Ok(mark)
    }
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What is said once the connection is there.
fn opening(health: &HealthOptions, host: &str) -> Vec<u8> {
    let mut opening = health.proxy.map_or_else(Vec::new, own_header);
    match (&health.http, &health.send) {
        (Some(target), _) => {
            let request = format!("GET {target} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: evenkeel\r\n\r\n");
            opening.extend(request.into_bytes());
        }
        (None, Some(bytes)) => opening.extend(bytes),
        (None, None) => {}
    }
    opening
}

fn trouble(error: &io::Error) -> Outcome {
    let why = sys::reason(error);
    let is_ours = sys::is_exhausted(error) || Errno::from_io_error(error) == Some(Errno::ADDRNOTAVAIL);
    if is_ours { Outcome::Untried(why) } else { Outcome::Failed(why) }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        os::unix::net::UnixListener,
        thread,
    };

    use tokio::runtime;

    use super::*;
    use crate::config::ProxyVersion;

    fn health() -> HealthOptions {
        HealthOptions { timeout: Duration::from_secs(20), ..HealthOptions::default() }
    }

    fn run(health: &HealthOptions, targets: &[Target]) -> Outcome {
        let check = Check::new(health, ConnectOptions::default(), targets, "web:80");
        let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(check.run())
    }

    fn listen() -> (TcpListener, Target) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        (listener, Target::Tcp(address))
    }

    /// What a check says to a member that answers so and closes, and what comes of it.
    fn exchange(health: &HealthOptions, answer: &'static [u8]) -> (Vec<u8>, Outcome) {
        let (listener, target) = listen();
        let said_len = opening(health, "web:80").len();
        let member = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("the check connects");
            let mut said = vec![0; said_len];
            stream.read_exact(&mut said).expect("the whole of it");
            stream.write_all(answer).expect("the check waits for it");
            said
        });
        let outcome = run(health, &[target]);
        (member.join().expect("no panic"), outcome)
    }

    fn nobody() -> Target {
        // A port that nobody has asked for, with a listener just gone.
        listen().1
    }

    #[test]
    fn a_connection_is_enough_where_nothing_else_is_asked_for() {
        let (_listener, target) = listen();
        assert_eq!(run(&health(), std::slice::from_ref(&target)), Outcome::Passed);
        assert_eq!(run(&health(), &[nobody()]), Outcome::Failed("connection refused".into()));
        assert_eq!(run(&health(), &[nobody(), target]), Outcome::Passed, "one of its addresses");
        assert_eq!(run(&health(), &[]), Outcome::Failed("it has no address".into()));
    }

    #[test]
    fn the_port_of_a_check_is_that_of_the_check() {
        let (listener, _) = listen();
        let port = listener.local_addr().expect("it is bound").port();
        assert_eq!(run(&HealthOptions { port: Some(port), ..health() }, &[nobody()]), Outcome::Passed);
    }

    #[test]
    fn what_is_sent_is_what_was_said_to_send_and_the_answer_is_looked_at() {
        let ping =
            HealthOptions { send: Some(b"PING\r\n".to_vec()), expect: Some(b"+PONG".to_vec()), ..health() };
        assert_eq!(exchange(&ping, b"+PONG\r\n"), (b"PING\r\n".to_vec(), Outcome::Passed));
        let (_, outcome) = exchange(&ping, b"-LOADING\r\n");
        assert_eq!(outcome, Outcome::Failed("its answer has not what is expected".into()));
    }

    #[test]
    fn a_request_names_the_host_and_the_status_decides() {
        let http = HealthOptions { http: Some("/health".into()), ..health() };
        let (said, outcome) = exchange(&http, b"HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(said, b"GET /health HTTP/1.0\r\nHost: web:80\r\nUser-Agent: evenkeel\r\n\r\n");
        assert_eq!(outcome, Outcome::Passed);
        let (_, outcome) = exchange(&http, b"HTTP/1.1 503 Service Unavailable\r\n\r\n");
        assert_eq!(outcome, Outcome::Failed("it answered with status 503".into()));
    }

    #[test]
    fn a_proxy_header_comes_first() {
        let send = |proxy| HealthOptions { proxy: Some(proxy), send: Some(b"x".to_vec()), ..health() };
        let (said, _) = exchange(&send(ProxyVersion::V1), b"");
        assert_eq!(said, b"PROXY UNKNOWN\r\nx");
        let (said, _) = exchange(&send(ProxyVersion::V2), b"");
        assert_eq!(said, b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0x");
    }

    #[test]
    fn silence_is_a_failure_in_the_end() {
        let (_listener, target) = listen();
        let quick =
            HealthOptions { expect: Some(b"x".to_vec()), timeout: Duration::from_millis(20), ..health() };
        assert_eq!(run(&quick, &[target]), Outcome::Failed("it did not answer in time".into()));
    }

    #[test]
    fn a_unix_socket_is_checked_as_any() {
        let name = format!("evenkeel-check-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let target = || [Target::Unix(path.clone())];
        assert!(matches!(run(&health(), &target()), Outcome::Failed(_)));
        let listener = UnixListener::bind(&path).expect("a path of its own");
        assert_eq!(run(&health(), &target()), Outcome::Passed);
        drop(listener);
        std::fs::remove_file(&path).expect("it is there");
        assert_eq!(run(&health(), &target()), Outcome::Failed("no such file or directory".into()));
    }

    #[test]
    fn what_is_missing_here_says_nothing_of_the_member() {
        let error = |errno: Errno| trouble(&errno.into());
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::ADDRNOTAVAIL] {
            assert!(matches!(error(errno), Outcome::Untried(_)), "{errno}");
        }
        for errno in [Errno::CONNREFUSED, Errno::CONNRESET, Errno::HOSTUNREACH, Errno::NETUNREACH] {
            assert!(matches!(error(errno), Outcome::Failed(_)), "{errno}");
        }
    }
}
