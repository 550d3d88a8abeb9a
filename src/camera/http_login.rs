//! Showing a network camera its user and password, after it has asked and in the way that it asks for.
//!
//! Requests are not here: see `http.rs`.

use http_auth::{PasswordClient, PasswordParams};
use hyper::HeaderMap;
use hyper::header::{HeaderValue, WWW_AUTHENTICATE};

use super::{Login, SourceError};

/// What every refusal ends with: the one command that mends it.
pub(super) const REMEDY: &str = "set it with `snova cameras password NAME`";

/// A login and how the camera wants to see it.
pub(super) struct HttpLogin {
    login: Option<Login>,
    /// The camera's latest wish.
    asked: Option<PasswordClient>,
}

impl HttpLogin {
    pub fn new(login: Option<Login>) -> Self {
        Self { login, asked: None }
    }

    pub fn is_given(&self) -> bool {
        self.login.is_some()
    }

    /// Takes the camera's wish from a 401. Digest goes before Basic where both are offered; Basic over plain HTTP
    /// shows the password to whoever listens in the network, but many cameras have nothing better.
    pub fn ask(&mut self, headers: &HeaderMap, camera: &str) -> Result<(), SourceError> {
        if self.login.is_none() {
            return Err(SourceError::refused(format!("{camera} wants a user and a password; {REMEDY}")));
        }
        let challenges = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let asked = challenges.fold(PasswordClient::builder(), |builder, challenge| builder.challenges(challenge));
        self.asked = Some(asked.build().map_err(|_| {
            let how = "in a way that is neither Basic nor Digest; choose one of these in its settings";
            SourceError::refused(format!("{camera} wants its password {how}"))
        })?);
        Ok(())
    }

    /// The `Authorization` of a GET for `path`, if the camera has asked for one.
    pub fn answer(&mut self, path: &str, camera: &str) -> Result<Option<HeaderValue>, SourceError> {
        let (Some(login), Some(asked)) = (&self.login, &mut self.asked) else { return Ok(None) };
        let Login { user, password } = login;
        let shown = PasswordParams { username: user, password, uri: path, method: "GET", body: Some(&[]) };
        // The reasons are not quoted: they may hold what was given.
        let unusable = || SourceError::refused(format!("this user or password cannot be sent to {camera}; {REMEDY}"));
        let answer = asked.respond(&shown).map_err(|_| unusable())?;
        let mut answer = HeaderValue::from_str(&answer).map_err(|_| unusable())?;
        // Left out wherever headers are printed.
        answer.set_sensitive(true);
        Ok(Some(answer))
    }
}
