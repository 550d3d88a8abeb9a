//! A network camera of the tests' own, over HTTP: what it answers is the test's to say, faults included.
//!
//! What Snova makes of it is not here: see `tests/mjpeg_camera.rs`.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use snova::camera::{Login, NetworkConfig, SourceSpec};

/// The user and the password that the camera knows, and another.
pub const USER: &str = "till";
pub const PASSWORD: &str = "pa:ss \"w\u{f6}rd\" 7781";

/// One answer: what was asked, and where to write. An error ends the connection.
type Answer = Arc<dyn Fn(&Request, &mut TcpStream) -> io::Result<()> + Send + Sync>;

pub struct MjpegServer {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

struct Shared {
    answer: Mutex<Answer>,
    requests: Mutex<Vec<Request>>,
    /// Connections that are open, and all that there were.
    open: AtomicUsize,
    accepted: AtomicUsize,
    streams: Mutex<Vec<(SocketAddr, TcpStream)>>,
    closing: AtomicBool,
}

#[derive(Clone)]
pub struct Request {
    pub path: String,
    pub headers: Vec<(String, String)>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

impl MjpegServer {
    pub fn start(answer: impl Fn(&Request, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let shared = Arc::new(Shared {
            answer: Mutex::new(Arc::new(answer)),
            requests: Mutex::default(),
            open: AtomicUsize::new(0),
            accepted: AtomicUsize::new(0),
            streams: Mutex::default(),
            closing: AtomicBool::new(false),
        });
        let address = listener.local_addr().unwrap();
        let mut server = Self { address, shared, listening: None };
        server.listen(listener);
        server
    }

    fn listen(&mut self, listener: TcpListener) {
        let shared = Arc::clone(&self.shared);
        shared.closing.store(false, Ordering::SeqCst);
        let listen = move || {
            while let Ok((stream, from)) = listener.accept() {
                if shared.closing.load(Ordering::SeqCst) {
                    return;
                }
                shared.accepted.fetch_add(1, Ordering::SeqCst);
                shared.open.fetch_add(1, Ordering::SeqCst);
                shared.streams.lock().unwrap().push((from, stream.try_clone().unwrap()));
                let shared = Arc::clone(&shared);
                named("connection", move || {
                    // An error is the other side's going, or ours.
                    let _ = shared.serve(stream);
                    // The last handle: now it is closed, or reset.
                    shared.streams.lock().unwrap().retain(|(other, _)| *other != from);
                    shared.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        };
        self.listening = Some(named("listener", listen));
    }

    /// Answers otherwise from now on; connections that are open go on as they were.
    pub fn answer_with(&self, answer: impl Fn(&Request, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static) {
        *self.shared.answer.lock().unwrap() = Arc::new(answer);
    }

    /// The camera loses its power.
    pub fn go_away(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        self.hang_up();
        // Wakes the listener, which looks whether it is to close.
        drop(TcpStream::connect(self.address));
        if let Some(listening) = self.listening.take() {
            listening.join().unwrap();
        }
    }

    /// It has its power again.
    pub fn come_back(&mut self) {
        let bound = (0..100).find_map(|_| {
            thread::sleep(Duration::from_millis(10));
            TcpListener::bind(self.address).ok()
        });
        self.listen(bound.expect("the port is free again"));
    }

    /// Ends every open connection.
    pub fn hang_up(&self) {
        for (_, stream) in self.shared.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub fn open_connections(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    pub fn accepted_connections(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How Snova is told of this camera.
    pub fn spec(&self, login: Option<(&str, &str)>) -> SourceSpec {
        let login = login.map(|(user, password)| Login { user: user.to_owned(), password: password.to_owned() });
        SourceSpec::Mjpeg(NetworkConfig { url: self.url("/video?stream=1"), login })
    }
}

impl Drop for MjpegServer {
    fn drop(&mut self) {
        if self.listening.is_some() {
            self.go_away();
        }
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        while let Some(request) = read_request(&mut reader)? {
            self.requests.lock().unwrap().push(request.clone());
            let answer = Arc::clone(&self.answer.lock().unwrap());
            answer(&request, &mut stream)?;
        }
        Ok(())
    }
}

fn named<T: Send + 'static>(name: &str, run: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    thread::Builder::new().name(name.to_owned()).spawn(run).unwrap()
}

fn read_request(from: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    loop {
        line.clear();
        from.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Ok(Some(Request { path, headers }))
}

/// A picture of one grey, which can be read from its middle again.
pub fn grey_jpeg(grey: u8, size: (u32, u32)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let picture = image::RgbImage::from_pixel(size.0, size.1, image::Rgb([grey; 3]));
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 90).encode_image(&picture).unwrap();
    bytes
}

pub fn begin_stream(to: &mut TcpStream) -> io::Result<()> {
    to.write_all(b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=--cam\r\n\r\n")
}

pub fn send_part(to: &mut TcpStream, jpeg: &[u8]) -> io::Result<()> {
    let head = format!("--cam\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", jpeg.len());
    to.write_all(&[head.as_bytes(), jpeg, b"\r\n"].concat())
}

/// A good stream of 64×48 pictures, 50 a second, whose grey counts up.
pub fn good_stream(to: &mut TcpStream) -> io::Result<()> {
    begin_stream(to)?;
    for number in 0_u8.. {
        send_part(to, &grey_jpeg(number % 200, (64, 48)))?;
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Says nothing more until the other side goes.
pub fn keep_silent(to: &mut TcpStream) -> io::Result<()> {
    to.read(&mut [0; 1]).map(|_| ())
}

/// Ends the connection by a reset, as a camera that restarts does.
pub fn reset(to: &TcpStream) -> io::Result<()> {
    socket2::SockRef::from(to).set_linger(Some(Duration::ZERO))?;
    Err(io::Error::other("reset"))
}

pub fn say(to: &mut TcpStream, status: &str, headers: &str, body: &[u8]) -> io::Result<()> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    to.write_all(&[head.as_bytes(), body].concat())
}

/// Lets in who shows the password by Basic (RFC 7617), in UTF-8.
pub fn basic_or_refused(request: &Request, to: &mut TcpStream) -> io::Result<bool> {
    let wanted = format!("Basic {}", of_program("base64", &["-w0"], &format!("{USER}:{PASSWORD}")));
    let known = request.header("authorization").is_some_and(|shown| shown == wanted);
    if !known {
        say(to, "401 Unauthorized", "WWW-Authenticate: Basic realm=\"shop camera\"\r\n", b"no")?;
    }
    Ok(known)
}

const NONCE: &str = "dcd98b7102dd2f0e8b11d0f600bfb0c093";

/// Lets in who shows the password by Digest (RFC 7616) with MD5; `Basic` is offered beside it.
pub fn digest_or_refused(request: &Request, to: &mut TcpStream) -> io::Result<bool> {
    let known = request.header("authorization").is_some_and(|shown| digest_is_right(request, shown));
    if !known {
        let digest = format!("Digest realm=\"shop camera\", nonce=\"{NONCE}\", qop=\"auth\", algorithm=MD5");
        let headers = format!("WWW-Authenticate: Basic realm=\"x\"\r\nWWW-Authenticate: {digest}\r\n");
        say(to, "401 Unauthorized", &headers, b"no")?;
    }
    Ok(known)
}

fn digest_is_right(request: &Request, shown: &str) -> bool {
    let Some(shown) = shown.strip_prefix("Digest ") else { return false };
    let field = |name: &str| {
        let fields = shown.split(", ").filter_map(|field| field.split_once('='));
        fields
            .into_iter()
            .find(|(other, _)| *other == name)
            .map(|(_, value)| value.trim_matches('"'))
            .unwrap_or_default()
    };
    // The program of the system: not the code under test.
    let md5 = |text: String| of_program("md5sum", &[], &text)[..32].to_owned();
    let who = md5(format!("{USER}:shop camera:{PASSWORD}"));
    let what = md5(format!("GET:{}", request.path));
    let (count, own) = (field("nc"), field("cnonce"));
    let right = md5(format!("{who}:{NONCE}:{count}:{own}:auth:{what}"));
    field("uri") == request.path && field("nonce") == NONCE && field("response") == right
}

fn of_program(program: &str, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}
