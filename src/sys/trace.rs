//! Stops one thread of a child process, and lets it go on: what a core that was taken away looks like from outside.
//!
//! SIGSTOP stops a whole process; ptrace(2) stops a thread alone. PTRACE_SEIZE and PTRACE_INTERRUPT send it no signal,
//! so it sees nothing of it but that time has passed, and a system call that was interrupted is begun anew (epoll_wait
//! may return EINTR in place of that, see signal(7)).

use std::{io, marker::PhantomData, ptr};

/// A thread that stands still until this is dropped. It can't be sent: the kernel takes ptrace calls only from the
/// thread that made the first one.
#[derive(Debug)]
pub struct Stopped {
    tid: i32,
    /// A signal that was about to be delivered when it stopped; 0 for none.
    signal: i32,
    _not_send: PhantomData<*const ()>,
}

impl Stopped {
    /// Stops the thread of this id, which is one of `/proc/PID/task`, and returns when it stands. Not the first thread
    /// of a process whose end somebody waits for meanwhile: a wait would tell of the stop.
    ///
    /// # Errors
    /// ESRCH where there is no such thread; EPERM where it can't be traced, by us or because somebody else does.
    pub fn stop(tid: i32) -> io::Result<Self> {
        ptrace(libc::PTRACE_SEIZE as _, tid, 0)?;
        // Detaches, should anything fail from here on.
        let mut stopped = Self { tid, signal: 0, _not_send: PhantomData };
        ptrace(libc::PTRACE_INTERRUPT as _, tid, 0)?;
        stopped.signal = wait_for_stop(tid)?;
        Ok(stopped)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // ESRCH: it has been killed since.
        let _ = ptrace(libc::PTRACE_DETACH as _, self.tid, self.signal);
    }
}

fn ptrace(request: libc::c_uint, tid: i32, data: i32) -> io::Result<()> {
    let (address, data) = (ptr::null_mut::<libc::c_void>(), data as usize as *mut libc::c_void);
    // SAFETY: none of the three requests has the kernel read or write our memory; `data` is a number here.
    let status = unsafe { libc::ptrace(request as _, tid, address, data) };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Waits until the thread stands, and returns the signal that it was about to get, which is to be passed on.
fn wait_for_stop(tid: i32) -> io::Result<i32> {
    let mut status = 0;
    loop {
        // SAFETY: the kernel writes one int to where the pointer leads. (rustix has no __WALL, without which there is
        // no waiting for a thread that isn't the first of its process.)
        let waited = unsafe { libc::waitpid(tid, &raw mut status, libc::__WALL) };
        match waited {
            -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            -1 => return Err(io::Error::last_os_error()),
            _ if !libc::WIFSTOPPED(status) => return Err(io::Error::from_raw_os_error(libc::ESRCH)),
            // The event is in the next byte: PTRACE_EVENT_STOP is our own doing, or a group's stop; none is a signal's.
            _ => return Ok(if status >> 16 == 0 { libc::WSTOPSIG(status) } else { 0 }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        process::{Child, Command},
    };

    use rustix::process::{Pid, Signal, kill_process};

    use super::*;

    /// A child that does nothing for a minute; killed when it is dropped.
    struct Sleeper(Child);

    impl Sleeper {
        fn start() -> Self {
            Self(Command::new("sleep").arg("60").spawn().expect("sleep(1) is there"))
        }

        fn tid(&self) -> i32 {
            self.0.id() as i32
        }

        fn state(&self) -> char {
            let stat = fs::read_to_string(format!("/proc/{}/stat", self.tid())).expect("it runs");
            stat.rsplit(") ").next().and_then(|rest| rest.chars().next()).expect("a state behind its name")
        }
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            // Fails where it has ended already, which is as well.
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn forbidden(error: &io::Error) -> bool {
        error.kind() == io::ErrorKind::PermissionDenied
    }

    #[test]
    fn it_stands_while_it_is_held_and_goes_on_after() {
        let sleeper = Sleeper::start();
        match Stopped::stop(sleeper.tid()) {
            Ok(stopped) => {
                assert_eq!(sleeper.state(), 't', "stopped by a tracer");
                drop(stopped);
                assert_ne!(sleeper.state(), 't');
            }
            Err(error) => assert!(forbidden(&error), "{error}"),
        }
    }

    #[test]
    fn a_signal_that_comes_meanwhile_is_not_lost() {
        let mut sleeper = Sleeper::start();
        match Stopped::stop(sleeper.tid()) {
            Ok(stopped) => {
                kill_process(Pid::from_child(&sleeper.0), Signal::TERM).expect("it is our child");
                drop(stopped);
                assert!(!sleeper.0.wait().expect("it is our child").success());
            }
            Err(error) => assert!(forbidden(&error), "{error}"),
        }
    }

    #[test]
    fn a_thread_that_is_not_there_is_refused() {
        let mut sleeper = Sleeper::start();
        sleeper.0.kill().expect("it is our child");
        sleeper.0.wait().expect("it is our child");
        for tid in [sleeper.tid(), 0, -1] {
            assert!(Stopped::stop(tid).is_err(), "{tid}");
        }
    }
}
