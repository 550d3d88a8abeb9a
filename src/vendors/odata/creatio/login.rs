//! Getting into Creatio: a token of the identity service, or the cookies of a form's login.
//!
//! When to log in anew is the connector's.

use serde_json::json;

use super::{Login, SECRETS, Settings};
use crate::crm::{Failure, Http, Reply, Request, Tools};
use crate::vendors::odata::login::{Session, client_credentials, secret, set_cookies};
use crate::vendors::odata::wire;

pub(super) async fn log_in(http: &mut Http, settings: &Settings, tools: &Tools) -> Result<Session, Failure> {
    match &settings.login {
        Login::Client { identity_url, client_id } => {
            let secret = secret(tools, "Creatio", SECRETS[0])?;
            let fields = [("client_id", &**client_id), ("client_secret", &*secret)];
            let said = (
                "Creatio",
                "Creatio's identity service refused the login; check client_id and the client secret",
                "there is no identity service at identity_url; copy its address from Creatio",
            );
            client_credentials(http, tools, &format!("{identity_url}/connect/token"), &fields, said).await
        }
        Login::Form { user } => {
            let secret = secret(tools, "Creatio", SECRETS[1])?;
            // At the site's root, never below /0.
            let request = Request::post(format!("{}/ServiceModel/AuthService.svc/Login", settings.url))
                .header("accept", "application/json")
                .json(&json!({ "UserName": user, "UserPassword": secret }));
            let reply = http.send(&request).await?;
            cookies(&reply, tools)
        }
    }
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
        wire::read("Creatio", reply, &*tools.clock)?;
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
