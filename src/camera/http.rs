//! One GET of a network camera: connection, login, redirections, all with limits in time and number.
//!
//! What is in the answer is not here: see `mjpeg.rs`.

use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::header::{ACCEPT, AUTHORIZATION, HOST, LOCATION, USER_AGENT};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::http_login::{HttpLogin, REMEDY};
use super::{NetworkConfig, SourceError};

/// In a shop's network a camera answers within milliseconds; one that wakes up may need a lost packet or two.
const CONNECT_WITHIN: Duration = Duration::from_secs(4);

/// For the head of the answer. Together with the connection it stays below the 10 s in which a person who checks a
/// camera expects to hear something.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);

/// A kept connection is ready at once, or never.
const KEPT_READY_WITHIN: Duration = Duration::from_millis(100);

const MOST_REDIRECTIONS: u32 = 3;

/// A camera's address, with a connection that is used again where the camera keeps it.
pub(super) struct HttpCamera {
    address: Uri,
    login: HttpLogin,
    line: Option<Line>,
}

/// An open connection; dropping it closes it.
struct Line {
    place: (String, u16),
    requests: SendRequest<String>,
    driver: JoinHandle<()>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl HttpCamera {
    /// Reads the address; nothing is sent.
    pub fn new(config: &NetworkConfig) -> Result<Self, SourceError> {
        let unusable =
            || SourceError::new("a camera's address cannot be used; give one such as http://192.168.1.20/video");
        let address: Uri = config.url.parse().map_err(|_| unusable())?;
        place_of(&address).ok_or_else(unusable)?;
        Ok(Self { address, login: HttpLogin::new(config.login.clone()), line: None })
    }

    /// Gets the camera's answer of success, whose body is still to come.
    pub async fn get(&mut self) -> Result<Response<Incoming>, SourceError> {
        let (mut address, mut asked, mut redirections) = (self.address.clone(), false, 0);
        loop {
            let name = name_of(&address);
            let response = self.ask(&address, &name).await?;
            let status = response.status();
            if status.is_success() {
                return Ok(response);
            }
            // What else is said in this answer is not waited for, so the connection is no longer of use.
            self.line = None;
            match status {
                // A nonce that has become old is asked anew, too: the second 401 in a row is the refusal.
                StatusCode::UNAUTHORIZED if !asked => self.login.ask(response.headers(), &name)?,
                StatusCode::UNAUTHORIZED => {
                    return Err(SourceError::refused(format!("{name} did not accept the user or password; {REMEDY}")));
                }
                StatusCode::FORBIDDEN => {
                    let who = if self.login.is_given() { "this user" } else { "anybody without a password" };
                    return Err(SourceError::refused(format!("{name} does not let {who} see its pictures; {REMEDY}")));
                }
                status if status.is_redirection() && redirections < MOST_REDIRECTIONS => {
                    address = self.redirected(&address, &response)?;
                    redirections += 1;
                }
                status => {
                    let text = format!("{name} answers {status}; check the path in its address");
                    return Err(SourceError::new(text));
                }
            }
            asked = status == StatusCode::UNAUTHORIZED;
        }
    }

    /// Where a redirection leads. A login is never carried to another host.
    fn redirected(&self, from: &Uri, response: &Response<Incoming>) -> Result<Uri, SourceError> {
        let name = name_of(from);
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let to = resolve(from, location).ok_or_else(|| {
            SourceError::new(format!("{name} sends us to an address that is not plain http; give its final address"))
        })?;
        if self.login.is_given() && to.host() != from.host() {
            let text = format!("{name} sends us to another host, which must not see its password");
            return Err(SourceError::new(format!("{text}; give the final address")));
        }
        Ok(to)
    }

    /// Sends one request and waits for the head of its answer.
    async fn ask(&mut self, address: &Uri, name: &str) -> Result<Response<Incoming>, SourceError> {
        let place = place_of(address).unwrap_or_default();
        if let Some(mut line) = self.line.take().filter(|line| line.place == place) {
            let request = self.request(address, name)?;
            // A kept connection may have been closed in this very moment: that is no fault yet.
            if let Ok(Ok(())) = timeout(KEPT_READY_WITHIN, line.requests.ready()).await
                && let Ok(Ok(response)) = timeout(ANSWER_WITHIN, line.requests.send_request(request)).await
            {
                self.line = Some(line);
                return Ok(response);
            }
        }
        let request = self.request(address, name)?;
        let mut line = connect(place, name).await?;
        match timeout(ANSWER_WITHIN, line.requests.send_request(request)).await {
            Ok(Ok(response)) => {
                self.line = Some(line);
                Ok(response)
            }
            Ok(Err(error)) => {
                let text = format!("{name} does not answer as a web server does ({error}); check its address");
                Err(SourceError::new(text))
            }
            Err(_) => {
                let limit_s = ANSWER_WITHIN.as_secs();
                Err(SourceError::new(format!(
                    "{name} does not answer within {limit_s} s; check its address or restart it"
                )))
            }
        }
    }

    fn request(&mut self, address: &Uri, name: &str) -> Result<Request<String>, SourceError> {
        let path = address.path_and_query().map_or("/", |path| path.as_str());
        let host = address.authority().map_or("", |authority| authority.as_str());
        let request = Request::get(path).header(HOST, host).header(USER_AGENT, "snova").header(ACCEPT, "*/*");
        let mut request = request
            .body(String::new())
            .map_err(|_| SourceError::new(format!("the address of {name} cannot be sent; check it")))?;
        if let Some(answer) = self.login.answer(path, name)? {
            request.headers_mut().insert(AUTHORIZATION, answer);
        }
        Ok(request)
    }

    /// How texts name the camera.
    pub fn name(&self) -> String {
        name_of(&self.address)
    }
}

async fn connect(place: (String, u16), name: &str) -> Result<Line, SourceError> {
    let advice = "check its power, its cable and its address";
    let stream = match timeout(CONNECT_WITHIN, TcpStream::connect((place.0.as_str(), place.1))).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(SourceError::new(format!("{name} cannot be reached: {error}; {advice}"))),
        Err(_) => {
            let limit_s = CONNECT_WITHIN.as_secs();
            return Err(SourceError::new(format!("{name} cannot be reached within {limit_s} s; {advice}")));
        }
    };
    // Cameras' web servers are home-made: what can be understood is.
    let mut builder = Builder::new();
    builder.ignore_invalid_headers_in_responses(true).allow_spaces_after_header_name_in_responses(true);
    let (requests, connection) = builder
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| SourceError::new(format!("{name} cannot be asked: {error}; {advice}")))?;
    // Its errors reach us through the request or the body that they end.
    let driver = tokio::spawn(async move { drop(connection.await) });
    Ok(Line { place, requests, driver })
}

/// Host and port; `None` if the address is not plain http, or carries a user.
fn place_of(address: &Uri) -> Option<(String, u16)> {
    let authority = address.authority().filter(|authority| !authority.as_str().contains('@'))?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let plain = address.scheme_str() == Some("http") && !host.is_empty();
    plain.then(|| (host.to_owned(), authority.port_u16().unwrap_or(80)))
}

/// Host and port alone: a path or its query may hold a password.
fn name_of(address: &Uri) -> String {
    format!("the camera at {}", address.authority().map_or("", |authority| authority.as_str()))
}

/// The address that a `Location` means: whole, or on the same host, or beside the path.
fn resolve(from: &Uri, location: &str) -> Option<Uri> {
    let authority = from.authority()?.as_str();
    let text = if location.contains("://") {
        location.to_owned()
    } else if let Some(rest) = location.strip_prefix("//") {
        format!("http://{rest}")
    } else if location.starts_with('/') {
        format!("http://{authority}{location}")
    } else {
        let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("http://{authority}{folder}/{location}")
    };
    let to: Uri = text.parse().ok()?;
    place_of(&to).map(|_| to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn camera(url: &str) -> Result<HttpCamera, SourceError> {
        HttpCamera::new(&NetworkConfig { url: url.to_owned(), login: None })
    }

    #[test]
    fn addresses_are_plain_http_with_a_host_and_without_a_user() {
        for url in ["http://192.168.1.20/video", "http://cam:8080", "http://[::1]:81/a?b=c"] {
            assert!(camera(url).is_ok(), "{url}");
        }
        for url in ["https://cam/", "http://", "cam/video", "/video", "http://a:b@cam/", "rtsp://cam/", ""] {
            let error = camera(url).err().expect(url).to_string();
            assert!(error.contains("give one such as"), "{error}");
        }
        assert_eq!(place_of(&"http://[::1]:81/".parse().unwrap()), Some(("::1".to_owned(), 81)));
    }

    #[test]
    fn a_camera_is_named_without_what_may_be_secret() {
        let camera = camera("http://cam:8080/secret/video?user=a&pwd=b").unwrap();
        assert_eq!(camera.name(), "the camera at cam:8080");
    }

    #[test]
    fn redirections_are_resolved_as_browsers_do() {
        let from = "http://cam:81/a/video?x=1".parse().unwrap();
        for (location, wanted) in [
            ("http://other/b", Some("http://other/b")),
            ("//other/b", Some("http://other/b")),
            ("/b?y=2", Some("http://cam:81/b?y=2")),
            ("b", Some("http://cam:81/a/b")),
            ("https://cam/b", None),
            ("http://a:b@cam/", None),
            ("ftp://cam/", None),
            ("http://", None),
        ] {
            assert_eq!(resolve(&from, location).map(|to| to.to_string()).as_deref(), wanted, "{location}");
        }
    }
}
