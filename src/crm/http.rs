//! One request after another to a CRM: paced, bounded in time and size, with errors that quote no address.
//!
//! What an answer means is each connector's. Redirects are not followed: a CRM that sends a login page instead of an
//! answer has not answered. Proxies are used only where the configuration names one.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, StatusCode, header};
use serde_json::Value;

use super::{Failure, ServerClock, Timer, Tools};
use crate::clock::{Clock, Monotonic};

/// The most of an answer that is read: a page of 500 contacts is a tenth of it.
const MOST_BYTES: usize = 8 << 20;
/// However slow a CRM wants us, a request goes out so often.
const SLOWEST: Duration = Duration::from_secs(30);
/// After so many answers in a row the pace is taken up again by half.
const CALM: u32 = 50;

/// RFC 3986's unreserved characters stay; all else is encoded, so that `+7…` arrives as it was meant.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// How requests are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSettings {
    /// For a whole request with its answer.
    pub timeout: Duration,
    /// Certificates in PEM, by which alone the CRM's is checked; `None` takes the system's.
    pub ca_file: Option<PathBuf>,
    /// `http://host:port`.
    pub proxy: Option<String>,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(60), ca_file: None, proxy: None }
    }
}

/// A client that keeps a pace. One connector has one.
pub struct Http {
    client: reqwest::Client,
    clock: Arc<dyn Clock>,
    server: Arc<ServerClock>,
    timer: Arc<dyn Timer>,
    timeout: Duration,
    least_interval: Duration,
    interval: Duration,
    next_at: Monotonic,
    calm: u32,
}

/// A request before it is sent.
#[derive(Clone)]
pub struct Request {
    method: Method,
    url: String,
    headers: Vec<(&'static str, String)>,
    body: Option<(&'static str, Vec<u8>)>,
}

/// An answer of any status.
pub struct Reply {
    pub status: u16,
    headers: header::HeaderMap,
    pub body: Vec<u8>,
}

/// A text as one segment of a path or one value of a query.
pub fn quoted_path(text: &str) -> String {
    utf8_percent_encode(text, KEPT).to_string()
}

impl Http {
    /// A client for one CRM that sends at most one request each `interval`.
    pub fn new(settings: &HttpSettings, tools: &Tools, interval: Duration) -> Result<Self, Failure> {
        // A provider that another part has installed already does as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .timeout(settings.timeout)
            .connect_timeout(settings.timeout.min(Duration::from_secs(15)))
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("snova/", env!("CARGO_PKG_VERSION")))
            .no_proxy();
        if let Some(path) = &settings.ca_file {
            let refuse = |why: String| {
                Failure::auth(format!(
                    "the CA file {} cannot be used ({why}); give PEM certificates in ca_file",
                    path.display()
                ))
            };
            let pem = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|_| refuse("not PEM".to_owned()))?;
            if certificates.is_empty() {
                return Err(refuse("no certificate in it".to_owned()));
            }
            builder = builder.tls_certs_only(certificates);
        }
        if let Some(proxy) = &settings.proxy {
            let proxy = reqwest::Proxy::all(proxy)
                .map_err(|_| Failure::auth("the proxy's address cannot be used; correct proxy in [crm]"))?;
            builder = builder.proxy(proxy);
        }
        let client = builder.build().map_err(|error| {
            Failure::auth(format!("HTTPS cannot be set up ({}); install the system's CA certificates", cause(&error)))
        })?;
        Ok(Self {
            client,
            clock: Arc::clone(&tools.clock),
            server: Arc::clone(&tools.server_clock),
            timer: Arc::clone(&tools.timer),
            timeout: settings.timeout,
            least_interval: interval,
            interval,
            next_at: Monotonic::default(),
            calm: 0,
        })
    }

    /// Sends when its turn has come. Any answer is `Ok`, whatever its status; an error means that the CRM may have
    /// done what was asked, or not.
    pub async fn send(&mut self, request: &Request) -> Result<Reply, Failure> {
        let wait = self.next_at.since(self.clock.monotonic());
        if !wait.is_zero() {
            self.timer.wait(wait).await;
        }
        self.next_at = self.clock.monotonic() + self.interval;
        let reply = self.exchange(request).await?;
        if let Some(said) = reply.date() {
            self.clock.hear(said);
            self.server.hear(self.clock.monotonic(), said);
        }
        match reply.status {
            429 => self.slow_down(),
            200..=399 => self.speed_up(),
            _ => {}
        }
        Ok(reply)
    }

    /// What the CRM's own clock says now; `None` before its first answer.
    pub fn server_time(&self) -> Option<Timestamp> {
        self.server.at(self.clock.monotonic())
    }

    /// Halves the rate: the CRM says that it was too much.
    pub fn slow_down(&mut self) {
        self.calm = 0;
        self.interval = (self.interval * 2).clamp(Duration::from_millis(100), SLOWEST);
        self.next_at = self.clock.monotonic() + self.interval;
    }

    fn speed_up(&mut self) {
        self.calm += 1;
        if self.calm >= CALM && self.interval > self.least_interval {
            self.calm = 0;
            self.interval = (self.interval / 2).max(self.least_interval);
        }
    }

    async fn exchange(&self, request: &Request) -> Result<Reply, Failure> {
        let host = request.host();
        let failed = |error: reqwest::Error| {
            let seconds = self.timeout.as_secs_f32();
            if error.is_timeout() {
                Failure::transient(format!(
                    "{host} did not answer within {seconds} s; it may be busy or the network down"
                ))
            } else if error.is_connect() {
                Failure::transient(format!("{host} cannot be reached ({}); check network and address", cause(&error)))
            } else {
                Failure::transient(format!("the connection to {host} broke off ({})", cause(&error)))
            }
        };
        let mut sent = self.client.request(request.method.clone(), &request.url);
        for (name, value) in &request.headers {
            sent = sent.header(*name, value);
        }
        if let Some((kind, body)) = &request.body {
            sent = sent.header(header::CONTENT_TYPE, *kind).body(body.clone());
        }
        let mut answer = sent.send().await.map_err(failed)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(failed)? {
            if body.len() + part.len() > MOST_BYTES {
                return Err(Failure::transient(format!(
                    "{host} sent more than {} MB; that is no answer",
                    MOST_BYTES >> 20
                )));
            }
            body.extend_from_slice(&part);
        }
        Ok(Reply { status: status.as_u16(), headers, body })
    }
}

/// The innermost cause, which names no address.
fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let text = innermost.to_string();
    if text.contains("://") { "see the network".to_owned() } else { text.replace('\n', " ") }
}

impl Request {
    fn new(method: Method, url: impl Into<String>) -> Self {
        Self { method, url: url.into(), headers: Vec::new(), body: None }
    }

    pub fn get(url: impl Into<String>) -> Self {
        Self::new(Method::GET, url)
    }

    pub fn post(url: impl Into<String>) -> Self {
        Self::new(Method::POST, url)
    }

    pub fn patch(url: impl Into<String>) -> Self {
        Self::new(Method::PATCH, url)
    }

    pub fn put(url: impl Into<String>) -> Self {
        Self::new(Method::PUT, url)
    }

    pub fn delete(url: impl Into<String>) -> Self {
        Self::new(Method::DELETE, url)
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Adds to the query; values are encoded, names are taken as they are (`$filter`, `filter[id]`).
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.url.push(if self.url.contains('?') { '&' } else { '?' });
        self.url.push_str(name);
        self.url.push('=');
        self.url.push_str(&quoted_path(value));
        self
    }

    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    /// As an HTML form would send it.
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let pairs: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}={}", quoted_path(name), quoted_path(value))).collect();
        self.body("application/x-www-form-urlencoded", pairs.join("&"))
    }

    pub fn body(mut self, kind: &'static str, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some((kind, body.into()));
        self
    }

    /// The body as it will be sent.
    pub fn payload(&self) -> &[u8] {
        self.body.as_ref().map(|(_, body)| body.as_slice()).unwrap_or_default()
    }

    fn host(&self) -> String {
        let parsed = reqwest::Url::parse(&self.url).ok();
        parsed.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_else(|| "the CRM".to_owned())
    }

    /// For a person: method, path and body. Headers, and with them the login, are left out.
    pub fn in_words(&self) -> String {
        let path = self.url.split_once("://").map_or(&*self.url, |(_, rest)| rest);
        let path = path.find('/').map_or("/", |at| &path[at..]);
        let body = self.body.as_ref().map(|(_, body)| String::from_utf8_lossy(body).into_owned()).unwrap_or_default();
        let pretty = serde_json::from_str::<Value>(&body).map(|json| format!("{json:#}")).unwrap_or(body);
        format!("{} {path}\n{pretty}", self.method).trim_end().to_owned()
    }
}

/// Without address, headers and body: each may hold a secret.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {}, …)", self.method, self.host())
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({}, {} bytes)", self.status, self.body.len())
    }
}

impl Reply {
    pub fn is_success(&self) -> bool {
        StatusCode::from_u16(self.status).is_ok_and(|status| status.is_success())
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Every value of a header that may come several times (`set-cookie`).
    pub fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok())
    }

    /// The body as JSON. What is none is a fault that passes: a proxy's page, half an answer, a server in trouble.
    pub fn json(&self) -> Result<Value, Failure> {
        serde_json::from_slice(&self.body).map_err(|_| {
            Failure::transient(format!("the answer (HTTP {}) is not JSON; nothing is taken from it", self.status))
        })
    }

    /// Whether the body is a page for people.
    pub fn is_html(&self) -> bool {
        let typed = self.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
        typed || self.body.trim_ascii_start().starts_with(b"<")
    }

    /// When the CRM says that it answered.
    fn date(&self) -> Option<Timestamp> {
        Some(jiff::fmt::rfc2822::parse(self.header("date")?.trim()).ok()?.timestamp())
    }

    /// How long to wait by `Retry-After`, in seconds or as a date.
    pub fn retry_after(&self, clock: &dyn Clock) -> Option<Duration> {
        let value = self.header("retry-after")?.trim();
        if let Ok(seconds) = value.parse::<u64>() {
            return Some(Duration::from_secs(seconds));
        }
        let at = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
        Some(Duration::try_from(at.duration_since(clock.wall().at)).unwrap_or_default())
    }

    /// The failure of a status that means the same with every vendor; `None` for 2xx and for statuses whose meaning
    /// is the vendor's (400, 403, 404, 409, 412 …).
    pub fn common_failure(&self, clock: &dyn Clock) -> Option<Failure> {
        match self.status {
            401 => Some(Failure::auth("the CRM does not accept the login (HTTP 401)")),
            402 => Some(Failure::blocked("the CRM's account is not paid for (HTTP 402)", None)),
            429 => Some(Failure::throttled("the CRM asks for fewer requests (HTTP 429)", self.retry_after(clock))),
            503 => Some(Failure::transient("the CRM is not available (HTTP 503)").after(self.retry_after(clock))),
            408 | 500..=599 => Some(Failure::transient(format!("the CRM failed (HTTP {})", self.status))),
            300..=399 => Some(Failure::transient(format!(
                "the CRM sent us to another address (HTTP {}); check url in its section",
                self.status
            ))),
            _ => None,
        }
    }
}
