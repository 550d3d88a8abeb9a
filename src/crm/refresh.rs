//! Logging in by a refresh token that the vendor exchanges for another one each time.
//!
//! How the exchange is asked for and what its answer means is each connector's.

use std::fmt;
use std::time::Duration;

use super::{Failure, Http, Reply, Request, Token, Tools};

/// What an exchange gives.
pub struct Granted {
    pub access: String,
    /// The next one: the one that was given for it is spent.
    pub refresh: String,
    pub lasts: Option<Duration>,
}

/// The way from a kept refresh token to an access token.
pub struct Exchange {
    secret: &'static str,
    /// Granted, and not yet on the disk.
    unkept: Option<Granted>,
}

impl Exchange {
    /// `secret` is the name under which the refresh token is kept.
    pub fn new(secret: &'static str) -> Self {
        Self { secret, unkept: None }
    }

    /// Exchanges the kept token. The new one is on the disk before anything is done with what came along with it:
    /// a box that loses its power in between would be locked out for good.
    pub async fn log_in(
        &mut self,
        http: &mut Http,
        tools: &Tools,
        ask: impl Fn(&str) -> Request + Send,
        read: impl Fn(&Reply) -> Result<Granted, Failure> + Send,
    ) -> Result<Token, Failure> {
        let granted = match self.unkept.take() {
            Some(granted) => granted,
            None => {
                let reply = http.send(&ask(&kept(tools, self.secret)?)).await?;
                read(&reply)?
            }
        };
        if let Err(why) = tools.secrets.keep(self.secret, &granted.refresh) {
            self.unkept = Some(granted);
            return Err(Failure::transient(format!("the new refresh token cannot be kept ({why}); it is tried again")));
        }
        Ok(Token::new(granted.access, tools.clock.monotonic(), granted.lasts))
    }
}

/// The secret of that name, or how to give it.
pub fn kept(tools: &Tools, name: &str) -> Result<String, Failure> {
    tools
        .secrets
        .secret(name)
        .map_err(Failure::auth)?
        .filter(|secret| !secret.trim().is_empty())
        .map(|secret| secret.trim().to_owned())
        .ok_or_else(|| Failure::auth(format!("no secret {name} is kept; give it with `snova crm secret {name}`")))
}

impl fmt::Debug for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Granted(…)")
    }
}
