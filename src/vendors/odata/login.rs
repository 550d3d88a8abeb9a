//! What makes requests ours: a token of OAuth's client credentials, or a session's cookies.
//!
//! Where they are asked for is each vendor's, when anew the connector's.

use std::time::Duration;

use super::wire;
use crate::clock::Monotonic;
use crate::crm::{Failure, Http, Reply, Request, Token, Tools};

/// Never written anywhere.
pub enum Session {
    Bearer(Token),
    Cookies(Vec<(String, String)>),
}

impl Session {
    /// Cookies do not say how long they last.
    pub(super) fn is_fresh(&self, now: Monotonic) -> bool {
        match self {
            Self::Bearer(token) => token.is_fresh(now),
            Self::Cookies(_) => true,
        }
    }

    pub(super) fn sign(&self, request: Request) -> Request {
        match self {
            Self::Bearer(token) => request.bearer(&token.value),
            Self::Cookies(cookies) => {
                let all: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
                let request = request.header("cookie", all.join("; ")).header("ForceUseSession", "true");
                // Against requests that another site makes a browser send; how the cookie is called varies in case.
                match cookies.iter().find(|(name, _)| name.eq_ignore_ascii_case("BPMCSRF")) {
                    Some((_, value)) => request.header("BPMCSRF", value.as_str()),
                    None => request,
                }
            }
        }
    }

    /// Takes the cookies that an answer renews.
    pub(super) fn follow(&mut self, reply: &Reply) {
        if let Self::Cookies(cookies) = self {
            for (name, value) in set_cookies(reply) {
                cookies.retain(|(own, _)| *own != name);
                cookies.push((name, value));
            }
        }
    }
}

pub(super) fn set_cookies(reply: &Reply) -> Vec<(String, String)> {
    let cookie = |line: &str| {
        let (name, value) = line.split(';').next()?.split_once('=')?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    };
    reply.headers("set-cookie").filter_map(cookie).filter(|(_, value)| !value.is_empty()).collect()
}

/// A secret of the login.
pub(super) fn secret(tools: &Tools, vendor: &str, name: &str) -> Result<String, Failure> {
    let kept = tools.secrets.secret(name).map_err(Failure::auth)?;
    kept.ok_or_else(|| Failure::auth(format!("no secret is kept for {vendor}; give it with `snova crm secret {name}`")))
}

/// Asks for a token. `refused` and `nowhere` say what to check.
pub(super) async fn client_credentials(
    http: &mut Http,
    tools: &Tools,
    url: &str,
    fields: &[(&str, &str)],
    (vendor, refused, nowhere): (&str, &str, &str),
) -> Result<Session, Failure> {
    let all = [&[("grant_type", "client_credentials")], fields].concat();
    let reply = http.send(&Request::post(url).form(&all)).await?;
    if matches!(reply.status, 400 | 401) {
        let code = reply.json().ok().and_then(|body| body["error"].as_str().map(str::to_owned)).unwrap_or_default();
        return Err(Failure::auth(refused).with_code(&code));
    }
    if reply.status == 404 {
        return Err(Failure::auth(nowhere));
    }
    let body = wire::read(vendor, &reply, &*tools.clock)?;
    let value = body["access_token"].as_str();
    let value = value.ok_or_else(|| Failure::transient("the login's answer holds no token"))?;
    let lasts = body["expires_in"].as_u64().map(Duration::from_secs);
    Ok(Session::Bearer(Token::new(value, tools.clock.monotonic(), lasts)))
}
