//! The socket before a fake CRM: TLS with a certificate of its own, requests in pieces that are easy to look at, and
//! faults between the answer and the network.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde_json::Value;
use snova::clock::Clock;
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};

use super::FakeCrm;
pub use super::certificates::certificate_files;
use super::certificates::certificates;

/// A request, whole.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    /// Decoded, without the query.
    pub path: String,
    /// Decoded, in order.
    pub query: Vec<(String, String)>,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// An answer, whole.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The vendor's own "too many requests"; nothing is done.
    Throttled,
    /// The vendor's 403 with a page, or its refusal of the tenant; nothing is done.
    Blocked,
    /// 503 from a proxy, with a page; nothing is done.
    Unavailable,
    /// The connection is cut before anything is done.
    CutBefore,
    /// It is done, and no answer ever comes.
    SilentAfter,
    /// It is done, and the connection is cut before the answer.
    CutAfter,
    /// It is done, and half of the answer comes.
    HalfAnswer,
    /// It is done, and the answer is 200 with something that is none.
    Garbage,
    /// It is done, and the answer says that the server failed.
    ErrorAfter,
    /// All tokens expire just before this request is looked at.
    TokenExpired,
    /// The connection is cut, and so many seconds later it is done nevertheless: something on the way held the request.
    Late(u64),
}

/// Which requests a fault waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hits {
    VisitWrites,
    Everything,
    /// The one that comes after so many others.
    After(usize),
}

struct Planned {
    fault: Fault,
    hits: Hits,
    left: usize,
}

/// A running fake. It goes when this is dropped.
pub struct FakeServer {
    pub address: SocketAddr,
    pub crm: Arc<Mutex<dyn FakeCrm>>,
    pub ca_file: PathBuf,
    state: Arc<State>,
    accepting: tokio::task::JoinHandle<()>,
    _dir: tempfile::TempDir,
}

struct State {
    crm: Arc<Mutex<dyn FakeCrm>>,
    clock: Mutex<Arc<dyn Clock>>,
    /// How far the vendor's clock is ahead of the box's.
    ahead: Mutex<jiff::SignedDuration>,
    planned: Mutex<Vec<Planned>>,
    down: Mutex<bool>,
    /// Between the deed and its answer.
    delay: Mutex<Duration>,
    /// Requests that are held somewhere, each until its time.
    held: Mutex<Vec<(Timestamp, Asked)>>,
    log: Mutex<Vec<Asked>>,
    forgotten: Mutex<usize>,
}

impl FakeServer {
    /// Starts on a free port of this machine. `clock` is the box's: the fake shares it.
    pub async fn start(crm: Arc<Mutex<dyn FakeCrm>>, clock: Arc<dyn Clock>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (config, ca) = certificates();
        let ca_file = dir.path().join("ca.pem");
        std::fs::write(&ca_file, ca).unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            crm: Arc::clone(&crm),
            clock: Mutex::new(clock),
            ahead: Mutex::default(),
            planned: Mutex::default(),
            down: Mutex::default(),
            delay: Mutex::default(),
            held: Mutex::default(),
            log: Mutex::default(),
            forgotten: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                if *shared.down.lock().unwrap() {
                    continue;
                }
                let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, shared).await;
                    }
                });
            }
        });
        Self { address, crm, ca_file, state, accepting, _dir: dir }
    }

    /// By name, since that is what the certificate says.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// The `[crm]` sections of a box that uses this fake.
    pub fn config(&self) -> String {
        self.crm.lock().unwrap().config(&self.url(), &self.ca_file.display().to_string())
    }

    /// The next `times` requests that it hits suffer `fault`.
    pub fn plan(&self, fault: Fault, hits: Hits, times: usize) {
        self.state.planned.lock().unwrap().push(Planned { fault, hits, left: times });
    }

    /// Forgets the faults that have not come.
    pub fn calm(&self) {
        self.state.planned.lock().unwrap().clear();
    }

    /// No connection is taken while it is down.
    pub fn set_down(&self, down: bool) {
        *self.state.down.lock().unwrap() = down;
    }

    /// Every answer comes so long after what it tells was done.
    pub fn set_delay(&self, delay: Duration) {
        *self.state.delay.lock().unwrap() = delay;
    }

    /// From now on the fake lives by another clock.
    pub fn set_clock(&self, clock: Arc<dyn Clock>) {
        *self.state.clock.lock().unwrap() = clock;
    }

    pub fn set_clock_ahead(&self, ahead: jiff::SignedDuration) {
        *self.state.ahead.lock().unwrap() = ahead;
    }

    /// Does what was held on the way and whose time has come; every request that comes does so too.
    pub fn carry_out_late(&self) {
        self.state.carry_out_late();
    }

    /// Every request so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.state.log.lock().unwrap().clone()
    }

    pub fn forget_asked(&self) {
        self.count_and_forget();
        *self.state.forgotten.lock().unwrap() = 0;
    }

    pub fn asked_so_far(&self) -> usize {
        self.state.log.lock().unwrap().len()
    }

    /// How many requests there were since [`FakeServer::forget_asked`]; none of them is kept.
    pub fn count_and_forget(&self) -> usize {
        let mut forgotten = self.state.forgotten.lock().unwrap();
        *forgotten += std::mem::take(&mut *self.state.log.lock().unwrap()).len();
        *forgotten
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// One connection. hyper speaks into a pipe, so that a fault can cut what comes out of it.
async fn serve(mut stream: tokio_rustls::server::TlsStream<TcpStream>, state: Arc<State>) {
    let (mut ours, theirs): (DuplexStream, DuplexStream) = tokio::io::duplex(1 << 16);
    let (cut, mut is_cut) = tokio::sync::mpsc::channel::<()>(1);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (state, cut) = (Arc::clone(&state), cut.clone());
        async move { Ok::<_, Infallible>(respond(request, &state, &cut).await) }
    });
    let http = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(theirs), service);
    let copying = async {
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut stream, &mut ours) => {}
            _ = is_cut.recv() => {}
        }
        let _ = stream.shutdown().await;
    };
    tokio::select! {
        _ = http => {
            // What hyper wrote last must still leave.
            tokio::task::yield_now().await;
        }
        () = copying => {}
    }
}

type Body = http_body_util::Full<hyper::body::Bytes>;

async fn respond(
    request: hyper::Request<Incoming>,
    state: &State,
    cut: &tokio::sync::mpsc::Sender<()>,
) -> hyper::Response<Body> {
    let asked = Asked::read(request).await;
    state.log.lock().unwrap().push(asked.clone());
    state.carry_out_late();
    let fault = state.next_fault(&asked);
    let now = state.now();
    let answer = {
        let mut crm = state.crm.lock().unwrap();
        match fault {
            Some(Fault::Throttled) => crm.throttled(),
            Some(Fault::Blocked) => crm.blocked(),
            Some(Fault::Unavailable) => Answer::html(503, "<html><h1>503 Service Unavailable</h1></html>"),
            Some(Fault::CutBefore) => Answer::empty(200),
            Some(Fault::Late(seconds)) => {
                let due = now.checked_add(Duration::from_secs(seconds)).unwrap();
                state.held.lock().unwrap().push((due, asked.clone()));
                Answer::empty(200)
            }
            Some(Fault::TokenExpired) => {
                crm.expire_tokens();
                crm.answer(&asked, now)
            }
            _ => crm.answer(&asked, now),
        }
    };
    let delay = *state.delay.lock().unwrap();
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    match fault {
        Some(Fault::CutBefore | Fault::CutAfter | Fault::Late(_)) => {
            let _ = cut.send(()).await;
            std::future::pending().await
        }
        Some(Fault::SilentAfter) => std::future::pending().await,
        Some(Fault::HalfAnswer) => {
            // The length promises more than comes; the connection ends by itself.
            let whole = answer.body.len().max(2);
            let mut half = answer.clone();
            half.body.truncate(whole / 2);
            let mut response = half.into_response(now);
            response.headers_mut().insert("content-length", whole.into());
            response.headers_mut().insert("connection", hyper::header::HeaderValue::from_static("close"));
            response
        }
        Some(Fault::Garbage) => Answer::html(200, "<!doctype html><title>Welcome</title>It works!").into_response(now),
        Some(Fault::ErrorAfter) => Answer::html(500, "<html>Internal error</html>").into_response(now),
        _ => answer.into_response(now),
    }
}

impl State {
    /// By the vendor's clock.
    fn now(&self) -> Timestamp {
        self.clock.lock().unwrap().wall().at.checked_add(*self.ahead.lock().unwrap()).unwrap()
    }

    fn carry_out_late(&self) {
        let now = self.now();
        let due: Vec<_> = self.held.lock().unwrap().extract_if(.., |(at, _)| *at <= now).collect();
        for (at, asked) in due {
            let _ = self.crm.lock().unwrap().answer(&asked, at);
        }
    }

    fn next_fault(&self, asked: &Asked) -> Option<Fault> {
        let is_write = self.crm.lock().unwrap().is_visit_write(asked);
        let mut planned = self.planned.lock().unwrap();
        for plan in planned.iter_mut().filter(|plan| plan.left > 0) {
            match &mut plan.hits {
                Hits::After(0) | Hits::Everything => {}
                Hits::After(more) => {
                    *more -= 1;
                    continue;
                }
                Hits::VisitWrites if !is_write => continue,
                Hits::VisitWrites => {}
            }
            plan.left -= 1;
            return Some(plan.fault);
        }
        None
    }
}

impl Asked {
    async fn read(request: hyper::Request<Incoming>) -> Self {
        let (head, body) = request.into_parts();
        let body = http_body_util::BodyExt::collect(body).await.map(|body| body.to_bytes().to_vec());
        let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        let pairs = |text: &str| form(text);
        Self {
            method: head.method.to_string(),
            path: decode(head.uri.path()),
            query: head.uri.query().map(pairs).unwrap_or_default(),
            headers: head
                .headers
                .iter()
                .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
                .collect(),
            body: body.unwrap_or_default(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// A value of the query.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The body as a form.
    pub fn form(&self) -> Vec<(String, String)> {
        form(&String::from_utf8_lossy(&self.body))
    }

    pub fn form_value(&self, name: &str) -> Option<String> {
        self.form().into_iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The token after `Bearer `.
    pub fn bearer(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }
}

/// Pairs of a query or form, decoded.
pub fn form(text: &str) -> Vec<(String, String)> {
    let decode =
        |text: &str| percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    };
    text.split('&').filter(|part| !part.is_empty()).map(pair).collect()
}

impl Answer {
    pub fn json(status: u16, body: &Value) -> Self {
        let headers = vec![("content-type".to_owned(), "application/json; charset=utf-8".to_owned())];
        Self { status, headers, body: body.to_string().into_bytes() }
    }

    pub fn html(status: u16, body: &str) -> Self {
        let headers = vec![("content-type".to_owned(), "text/html".to_owned())];
        Self { status, headers, body: body.as_bytes().to_vec() }
    }

    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Answered at `now` by the server's clock.
    fn into_response(self, now: Timestamp) -> hyper::Response<Body> {
        let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let mut response = hyper::Response::builder().status(self.status);
        if !self.headers.iter().any(|(name, _)| name == "date") {
            response = response.header("date", date);
        }
        for (name, value) in &self.headers {
            response = response.header(name, value);
        }
        response.body(Body::new(self.body.into())).unwrap()
    }
}
