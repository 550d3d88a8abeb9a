//! A child process that writes pictures to its standard output, read so that nothing can hold us up.
//!
//! What the bytes mean is not here: that is the source's which started the child.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::StopHandle;

/// How often a wait for bytes looks whether it was told to stop. Killing the child ends the wait at once;
/// this is for a child stuck in a driver, which even SIGKILL does not end.
const LOOK: Duration = Duration::from_millis(50);

/// How long a child gets to go before it is left to the kernel: dropping a source must not wait for ever.
const GRACE: Duration = Duration::from_millis(500);

/// A running child. Reading gives its standard output; its standard error is read beside it, so that a
/// talkative child never blocks; its first and its last line are kept. Dropping it kills and reaps it. The kernel
/// kills it too when the thread that started it ends, so start it on the thread that reads it.
pub(super) struct PictureChild {
    child: Arc<Mutex<Child>>,
    stdout: ChildStdout,
    stderr: Option<ChildStderr>,
    said: Said,
    stopped: Arc<AtomicBool>,
}

impl PictureChild {
    /// The most bytes of input: a pipe takes so many at once, so writing them never waits for the child.
    pub const MOST_INPUT_BYTES: usize = 4096;

    /// Starts `program`; the error is the system's (`NotFound` when it is not installed).
    pub fn start<A: AsRef<OsStr>>(program: &OsStr, arguments: impl IntoIterator<Item = A>) -> io::Result<Self> {
        Self::start_with_input(program, arguments, &[])
    }

    /// Starts `program` with something to read on its standard input, which nobody else can see: arguments stand in
    /// the system's process list.
    pub fn start_with_input<A: AsRef<OsStr>>(
        program: &OsStr,
        arguments: impl IntoIterator<Item = A>,
        input: &[u8],
    ) -> io::Result<Self> {
        if input.len() > Self::MOST_INPUT_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "there is more input than a child is given"));
        }
        let mut command = Command::new(program);
        let stdin = if input.is_empty() { Stdio::null() } else { Stdio::piped() };
        command.args(arguments).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Out of our process group: Ctrl-C in a terminal is for us, and we stop the child in our order.
        command.process_group(0);
        let parent = std::process::id();
        // SAFETY: between fork and exec only async-signal-safe calls are allowed; prctl and getppid are,
        // and making an error from a number allocates nothing.
        unsafe { command.pre_exec(move || die_with_parent(parent)) };
        let mut child = command.spawn()?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        if let Some(mut stdin) = child.stdin.take() {
            // An error means that the child is gone already; its own words say why.
            let _ = stdin.write_all(input);
        }
        let stdout = stdout.ok_or_else(|| io::Error::other("the child has no standard output"))?;
        Ok(Self {
            child: Arc::new(Mutex::new(child)),
            stdout,
            stderr,
            said: Said::default(),
            stopped: Arc::new(AtomicBool::new(false)),
        })
    }

    /// Ends a waiting read from another thread.
    pub fn stop_handle(&self) -> StopHandle {
        let (child, stopped) = (Arc::clone(&self.child), Arc::clone(&self.stopped));
        StopHandle::new(move || {
            stopped.store(true, Ordering::Release);
            // An error means that it is gone already.
            let _ = lock(&child).kill();
        })
    }

    /// Whether the stop handle was used.
    pub fn was_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Waits for the end of a child whose output has ended: how it ended (`None`: it would not go by
    /// itself) and the last line of its standard error.
    pub fn finish(&mut self) -> (Option<ExitStatus>, String) {
        while let Some(stderr) = &mut self.stderr {
            if !wait_readable(&[stderr.as_raw_fd()], GRACE).unwrap_or(false) || !self.said.read_from(stderr) {
                self.stderr = None;
            }
        }
        (self.reap(), self.said.last.text())
    }

    /// The first line of its standard error so far: of a start that failed it says the most.
    pub fn first_words(&self) -> String {
        self.said.first.text()
    }

    fn reap(&self) -> Option<ExitStatus> {
        const NAP: Duration = Duration::from_millis(5);
        let mut waited = Duration::ZERO;
        loop {
            // The lock is never held while waiting, so the stop handle always gets through.
            match lock(&self.child).try_wait() {
                Ok(None) if waited < GRACE => {}
                Ok(status) => return status,
                Err(_) => return None,
            }
            std::thread::sleep(NAP);
            waited += NAP;
        }
    }
}

impl Read for PictureChild {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.was_stopped() {
                return Err(io::Error::other("it was stopped"));
            }
            let out = self.stdout.as_raw_fd();
            let Some(stderr) = &mut self.stderr else {
                if wait_readable(&[out], LOOK)? {
                    return self.stdout.read(buffer);
                }
                continue;
            };
            if !wait_readable(&[out, stderr.as_raw_fd()], LOOK)? {
                continue;
            }
            if wait_readable(&[stderr.as_raw_fd()], Duration::ZERO)? && !self.said.read_from(stderr) {
                self.stderr = None;
            }
            if wait_readable(&[out], Duration::ZERO)? {
                return self.stdout.read(buffer);
            }
        }
    }
}

impl Drop for PictureChild {
    fn drop(&mut self) {
        let _ = lock(&self.child).kill();
        self.reap();
    }
}

fn lock(child: &Mutex<Child>) -> MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks the kernel to kill this (child) process when the thread that started it ends.
fn die_with_parent(parent: u32) -> io::Result<()> {
    // SAFETY: PR_SET_PDEATHSIG takes a signal number and touches no memory; getppid cannot fail.
    let (set, now) = unsafe { (libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL), libc::getppid()) };
    if set != 0 {
        return Err(io::Error::last_os_error());
    }
    // The parent may have gone between fork and prctl; then nobody would ever kill us.
    if u32::try_from(now) == Ok(parent) { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::ESRCH)) }
}

/// Waits until one of the descriptors has bytes or has ended; false when `limit` has passed.
fn wait_readable(descriptors: &[RawFd], limit: Duration) -> io::Result<bool> {
    let mut polled = [libc::pollfd { fd: -1, events: libc::POLLIN, revents: 0 }; 2];
    for (entry, fd) in polled.iter_mut().zip(descriptors) {
        entry.fd = *fd;
    }
    let limit_ms = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the pointer and the count describe one live array; entries with a negative fd are skipped.
    let ready = unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, limit_ms) };
    if ready >= 0 {
        return Ok(ready > 0);
    }
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::Interrupted { Ok(false) } else { Err(error) }
}

/// The first and the last line of a text that is read piece by piece, bounded.
#[derive(Default)]
struct Said {
    first: Line,
    last: Line,
}

#[derive(Default)]
struct Line {
    bytes: Vec<u8>,
    /// Its end has come: the next byte begins a new line.
    complete: bool,
}

impl Said {
    /// Reads once; false when the text has ended.
    fn read_from(&mut self, from: &mut impl Read) -> bool {
        let mut piece = [0; 4096];
        let Ok(length @ 1..) = from.read(&mut piece) else { return false };
        for byte in &piece[..length] {
            if matches!(byte, b'\n' | b'\r') {
                self.first.complete |= !self.first.bytes.is_empty();
                self.last.complete = true;
                continue;
            }
            if !self.first.complete {
                self.first.push(*byte);
            }
            if std::mem::take(&mut self.last.complete) {
                self.last.bytes.clear();
            }
            self.last.push(*byte);
        }
        true
    }
}

impl Line {
    const MOST_BYTES: usize = 300;

    fn push(&mut self, byte: u8) {
        if self.bytes.len() < Self::MOST_BYTES {
            self.bytes.push(byte);
        }
    }

    fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        text.chars().filter(|c| !c.is_control()).collect::<String>().trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> PictureChild {
        PictureChild::start(OsStr::new("sh"), ["-c", script]).unwrap()
    }

    #[test]
    fn output_status_and_last_words_are_kept() {
        let mut child = shell("printf picture; echo first >&2; echo last words >&2; exit 3");
        let mut output = String::new();
        child.read_to_string(&mut output).unwrap();
        let (status, said) = child.finish();
        assert_eq!(output, "picture");
        assert_eq!(status.and_then(|s| s.code()), Some(3));
        assert_eq!(said, "last words");
    }

    #[test]
    fn input_reaches_the_child_and_ends() {
        let started = |input: &[u8]| PictureChild::start_with_input(OsStr::new("cat"), ["-"], input);
        let input = vec![b'x'; PictureChild::MOST_INPUT_BYTES];
        let mut output = Vec::new();
        started(&input).unwrap().read_to_end(&mut output).unwrap();
        assert!(output == input);
        assert!(started(&[input, vec![b'x']].concat()).is_err(), "too long to be written without waiting");
        // A child that does not read it is no fault of ours.
        let mut child = PictureChild::start_with_input(OsStr::new("true"), [""; 0], b"unread").unwrap();
        assert!(child.finish().0.is_some_and(|status| status.success()));
    }

    #[test]
    fn a_talkative_child_does_not_block() {
        // Far more than the 64 KB that a pipe holds, before the first byte of output.
        let mut child = shell(
            "i=0; while [ $i -lt 4000 ]; do echo complaint number $i about the file >&2; i=$((i+1)); done; printf done",
        );
        let mut output = String::new();
        child.read_to_string(&mut output).unwrap();
        assert_eq!(output, "done");
        assert_eq!(child.finish().1, "complaint number 3999 about the file");
    }

    #[test]
    fn a_waiting_read_can_be_stopped() {
        let mut child = shell("exec sleep 600");
        let handle = child.stop_handle();
        let stopper = std::thread::Builder::new().name("stopper".into()).spawn(move || handle.stop()).unwrap();
        // The end of the output or an error, whichever is seen first; without the stop, ten minutes of nothing.
        let _ = child.read(&mut [0; 8]);
        assert!(child.was_stopped());
        assert!(child.read(&mut [0; 8]).is_err(), "every later read says so too");
        stopper.join().unwrap();
    }

    #[test]
    fn a_dropped_child_is_gone_and_reaped() {
        let child = shell("exec sleep 600");
        let pid = lock(&child.child).id();
        assert!(std::path::Path::new(&format!("/proc/{pid}")).exists());
        drop(child);
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    fn first_and_last_line_are_bounded_and_printable() {
        let mut said = Said::default();
        let mut text = io::Cursor::new(format!("\nold\nolder\n\u{1b}[31m{}\n\n", "x".repeat(5_000)));
        while said.read_from(&mut text) {}
        assert_eq!(said.first.text(), "old");
        assert!(said.last.text().starts_with("[31mxxx"));
        assert!(said.last.text().len() <= Line::MOST_BYTES);
    }
}
