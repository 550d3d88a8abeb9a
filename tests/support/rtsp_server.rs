//! A real RTSP server as a camera: GStreamer's, run by `rtsp_server.py`.
//!
//! What Snova makes of it is not here: see `tests/rtsp_camera.rs`.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use snova::camera::{Login, NetworkConfig, SourceSpec};

/// Debian's: its bindings of GStreamer belong to this one, whatever other Python comes first in the path.
const PYTHON: &str = "/usr/bin/python3";

pub struct RtspServer {
    pub port: u16,
    guard: Option<(String, String, String)>,
    child: Child,
    words: Option<ChildStdin>,
}

impl RtspServer {
    /// A camera that anybody may see.
    pub fn start() -> Self {
        Self::with(0, None)
    }

    /// A camera that asks for a password by `way`, "basic" or "digest".
    pub fn guarded(way: &str, user: &str, password: &str) -> Self {
        Self::with(0, Some((way.to_owned(), user.to_owned(), password.to_owned())))
    }

    fn with(port: u16, guard: Option<(String, String, String)>) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/rtsp_server.py");
        let mut command = Command::new(PYTHON);
        command.arg(script).arg(port.to_string());
        if let Some((way, user, password)) = &guard {
            command.args([way, user, password]);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("Debian's python3");
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let port = said.trim().parse().unwrap_or_else(|_| panic!("no RTSP server: run `snova setup --tools test`"));
        let words = child.stdin.take();
        Self { port, guard, child, words }
    }

    /// The camera loses its power.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// It has its power again, at the same address; returns when cameras may connect.
    pub fn come_back(&mut self) {
        *self = Self::with(self.port, self.guard.clone());
    }

    /// It hangs: connections stay, and nothing comes.
    pub fn hang(&self) {
        self.signal(libc::SIGSTOP);
    }

    pub fn go_on(&self) {
        self.signal(libc::SIGCONT);
    }

    fn signal(&self, signal: i32) {
        // SAFETY: a plain system call; the number is that of a child of this process which nobody has reaped.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, signal) }, 0);
    }

    /// Shows "white" or "black" from now on.
    pub fn show(&mut self, pattern: &str) {
        writeln!(self.words.as_mut().unwrap(), "{pattern}").unwrap();
    }

    /// How Snova is told of this camera.
    pub fn spec(&self, path: &str, login: Option<(&str, &str)>) -> SourceSpec {
        let login = login.map(|(user, password)| Login { user: user.to_owned(), password: password.to_owned() });
        SourceSpec::Rtsp(NetworkConfig { url: format!("rtsp://127.0.0.1:{}{path}", self.port), login })
    }
}

impl Drop for RtspServer {
    fn drop(&mut self) {
        // Killed or hanging already, perhaps.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
