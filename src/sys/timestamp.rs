//! When the kernel received what a read brings: SO_TIMESTAMPNS (socket(7)), told by recvmsg(2) beside the bytes.
//!
//! What a stamp is, and isn't (Linux 6.18, each tried):
//! - It is of CLOCK_REALTIME, hence [`realtime_ns`], and of the last segment that was merged into what is read. So the
//!   time since is a lower bound of how long the bytes have waited, exact with one message in flight.
//! - The kernel stamps segments only while some socket wants it, and begins a few milliseconds after the first one said
//!   so (`net_enable_timestamp` in net/core/dev.c): what came before has no stamp.
//! - A connection inherits the option from its listener. Unix sockets take it, and have no stamps on streams.

use std::{
    mem::{MaybeUninit, size_of},
    os::fd::{AsFd, AsRawFd},
    ptr,
};

use rustix::time::{ClockId, clock_gettime};

use super::{
    Errno,
    socket::{last_error, retry},
};

/// `SO_TIMESTAMPNS_NEW` of include/uapi/asm-generic/socket.h, and the type of the message that carries the stamp:
/// 64-bit seconds on every architecture. libc doesn't name it.
const TIMESTAMPNS_NEW: libc::c_int = 64;

/// Seconds and nanoseconds, as the message has them (`struct __kernel_timespec`).
type Stamp = [i64; 2];

/// Room for the one control message that is asked for, aligned as its header wants it.
#[repr(C)]
union Control {
    _aligned: libc::cmsghdr,
    bytes: [u8; 64],
}

/// Has the kernel stamp what a socket receives from now on; a listener's connections too, if they have yet to come.
///
/// # Errors
/// ENOTSOCK, EBADF.
pub fn enable(socket: impl AsFd) -> Result<(), Errno> {
    let on: libc::c_int = 1;
    let len = size_of::<libc::c_int>() as libc::socklen_t;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open; the kernel reads one int, of that length, and keeps no reference.
    let status =
        unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, TIMESTAMPNS_NEW, (&raw const on).cast(), len) };
    if status == 0 { Ok(()) } else { Err(last_error()) }
}

/// Reads what is there, and says when the kernel received the last of it, in nanoseconds of CLOCK_REALTIME; 0 bytes are
/// the end of the stream. `None`: it has no stamp.
///
/// # Errors
/// Those of recv(2): EAGAIN where nothing is there; ECONNRESET and others, told once.
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> Result<(usize, Option<u64>), Errno> {
    let fd = socket.as_fd().as_raw_fd();
    let mut control = MaybeUninit::<Control>::uninit();
    let mut bytes = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: an all-zero msghdr is a valid value of this plain C struct.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut bytes;
    message.msg_iovlen = 1;
    let len = retry(|| {
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of::<Control>() as _;
        // SAFETY: the descriptor is open; the kernel writes at most `iov_len` bytes to the buffer and `msg_controllen`
        // to the control messages, both of which live and are nobody else's, and says in the header how much it was.
        let len = unsafe { libc::recvmsg(fd, &raw mut message, 0) };
        usize::try_from(len).map_err(|_| last_error())
    })?;
    Ok((len, stamp_of(&message)))
}

/// Now, on the clock that stamps are of, in nanoseconds. It may be set back while we look: subtract with care.
#[inline]
pub fn realtime_ns() -> u64 {
    let now = clock_gettime(ClockId::Realtime);
    nanos([now.tv_sec, now.tv_nsec]).unwrap_or(0)
}

/// The stamp among the control messages that the kernel has just filled in.
fn stamp_of(message: &libc::msghdr) -> Option<u64> {
    // SAFETY: the header is one that recvmsg has filled in, with a control buffer that still lives.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !header.is_null() {
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR return null or a whole header within what the kernel has written.
        let libc::cmsghdr { cmsg_level, cmsg_type, cmsg_len, .. } = unsafe { *header };
        // SAFETY: it computes a length, and reads nothing.
        let needed = unsafe { libc::CMSG_LEN(size_of::<Stamp>() as u32) };
        if (cmsg_level, cmsg_type) == (libc::SOL_SOCKET, TIMESTAMPNS_NEW) && cmsg_len >= needed as _ {
            // SAFETY: the message is long enough to hold a stamp; its data need not be aligned for one.
            return nanos(unsafe { ptr::read_unaligned(libc::CMSG_DATA(header).cast::<Stamp>()) });
        }
        // SAFETY: `header` is one of this message's.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    None
}

/// `None` for a time before 1970, or after 2554.
fn nanos([seconds, nanos]: Stamp) -> Option<u64> {
    u64::try_from(seconds).ok()?.checked_mul(1_000_000_000)?.checked_add(u64::try_from(nanos).ok()?)
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        net::{TcpListener, TcpStream},
        os::unix::net::UnixStream,
        thread::sleep,
        time::{Duration, Instant},
    };

    use super::*;

    /// A client, and its connection on a listener that wants stamps, or doesn't.
    fn pair(stamped: bool) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of the loopback interface");
        if stamped {
            enable(&listener).expect("it is a socket");
        }
        let client = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
        client.set_nodelay(true).expect("a TCP socket");
        (client, listener.accept().expect("a client is there").0)
    }

    /// The stamp of a message that was sent just now and lay in the socket for so long, between the times before it was
    /// sent and after it was read.
    fn stamped(client: &mut impl Write, server: &impl AsFd, wait: Duration) -> (u64, Option<u64>, u64) {
        let before = realtime_ns();
        client.write_all(b"message").expect("there is room");
        sleep(wait);
        let mut buffer = [0; 64];
        let (len, stamp) = receive(server, &mut buffer).expect("a message is there");
        assert_eq!(&buffer[..len], b"message");
        (before, stamp, realtime_ns())
    }

    #[test]
    fn a_stamp_is_of_the_arrival_not_of_the_read() {
        let (mut client, server) = pair(true);
        let start = Instant::now();
        let wait = Duration::from_millis(5);
        let (before, stamp, after) = loop {
            match stamped(&mut client, &server, wait) {
                (before, Some(stamp), after) => break (before, stamp, after),
                _ => assert!(start.elapsed() < Duration::from_secs(30), "no stamp ever"),
            }
        };
        // Nothing is said of how soon it came: half of the wait is left for that.
        assert!(before <= stamp && stamp + wait.as_nanos() as u64 / 2 <= after, "{before} {stamp} {after}");
    }

    #[test]
    fn who_has_not_asked_gets_none() {
        let (mut client, server) = pair(false);
        assert_eq!(stamped(&mut client, &server, Duration::ZERO).1, None);
        let (mut client, server) = UnixStream::pair().expect("two descriptors");
        enable(&server).expect("it is a socket");
        assert_eq!(stamped(&mut client, &server, Duration::ZERO).1, None);
    }

    #[test]
    fn an_end_and_an_empty_socket_are_told_as_by_a_read() {
        let (client, server) = pair(true);
        server.set_nonblocking(true).expect("a socket");
        assert_eq!(receive(&server, &mut [0; 8]), Err(Errno::AGAIN));
        drop(client);
        server.set_nonblocking(false).expect("a socket");
        assert_eq!(receive(&server, &mut [0; 8]), Ok((0, None)));
    }

    #[test]
    fn what_is_no_socket_is_refused() {
        let file = std::fs::File::open("/dev/null").expect("it is always there");
        assert_eq!(enable(&file), Err(Errno::NOTSOCK));
        assert_eq!(receive(&file, &mut [0; 8]), Err(Errno::NOTSOCK));
    }
}
