//! Getting into Creatio: a token of the identity service, or the cookies of a form's login; and noticing the end of it.
//!
//! When to log in anew is the connector's.

use std::time::Duration;

use serde_json::json;

use super::{Login, SECRETS, Settings, wire};
use crate::clock::Monotonic;
use crate::crm::{Failure, Http, Reply, Request, Token, Tools};

/// What makes requests ours. Never written anywhere.
pub(super) enum Session {
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

fn set_cookies(reply: &Reply) -> Vec<(String, String)> {
    let cookie = |line: &str| {
        let (name, value) = line.split(';').next()?.split_once('=')?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    };
    reply.headers("set-cookie").filter_map(cookie).filter(|(_, value)| !value.is_empty()).collect()
}

/// Whether the answer shows that the session has ended: a refusal, a way to the login page, or that page itself.
pub(super) fn is_lost(reply: &Reply) -> bool {
    matches!(reply.status, 401 | 300..=399) || (reply.is_success() && reply.is_html())
}

pub(super) async fn log_in(http: &mut Http, settings: &Settings, tools: &Tools) -> Result<Session, Failure> {
    let name = match settings.login {
        Login::Client { .. } => SECRETS[0],
        Login::Form { .. } => SECRETS[1],
    };
    let secret = tools.secrets.secret(name).map_err(Failure::auth)?.ok_or_else(|| {
        Failure::auth(format!("no secret is kept for Creatio; give it with `snova crm secret {name}`"))
    })?;
    match &settings.login {
        Login::Client { identity_url, client_id } => {
            let fields = [("grant_type", "client_credentials"), ("client_id", client_id), ("client_secret", &*secret)];
            let reply = http.send(&Request::post(format!("{identity_url}/connect/token")).form(&fields)).await?;
            token(&reply, tools)
        }
        Login::Form { user } => {
            // At the site's root, never below /0.
            let request = Request::post(format!("{}/ServiceModel/AuthService.svc/Login", settings.url))
                .header("accept", "application/json")
                .json(&json!({ "UserName": user, "UserPassword": secret }));
            let reply = http.send(&request).await?;
            cookies(&reply, tools)
        }
    }
}

fn token(reply: &Reply, tools: &Tools) -> Result<Session, Failure> {
    if matches!(reply.status, 400 | 401) {
        let code = reply.json().ok().and_then(|body| body["error"].as_str().map(str::to_owned)).unwrap_or_default();
        return Err(Failure::auth(
            "Creatio's identity service refused the login; check client_id and the client secret",
        )
        .with_code(&code));
    }
    if reply.status == 404 {
        return Err(Failure::auth("there is no identity service at identity_url; copy its address from Creatio"));
    }
    wire::done(reply, &*tools.clock)?;
    let body = reply.json()?;
    let value = body["access_token"].as_str();
    let value = value.ok_or_else(|| Failure::transient("the identity service's answer holds no token"))?;
    let lasts = body["expires_in"].as_u64().map(Duration::from_secs);
    Ok(Session::Bearer(Token::new(value, tools.clock.monotonic(), lasts)))
}

fn cookies(reply: &Reply, tools: &Tools) -> Result<Session, Failure> {
    let refused = || Failure::auth("Creatio refused the login; check user and the password");
    if matches!(reply.status, 401 | 403) && !reply.is_html() {
        return Err(refused());
    }
    if reply.status == 404 {
        return Err(Failure::auth("there is no Creatio at url; give the site's root, without /0"));
    }
    if !reply.is_success() {
        wire::done(reply, &*tools.clock)?;
    }
    // 200 says nothing: the code does.
    let body = reply.json()?;
    match body["Code"].as_i64() {
        Some(0) => {}
        Some(code) => return Err(refused().with_code(&code.to_string())),
        None => return Err(Failure::transient("Creatio's login answer does not say whether it was accepted")),
    }
    let cookies = set_cookies(reply);
    if cookies.is_empty() {
        return Err(Failure::transient("Creatio accepted the login and gave no session"));
    }
    Ok(Session::Cookies(cookies))
}
