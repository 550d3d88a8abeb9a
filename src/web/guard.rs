//! What every request must pass and every answer must carry, whatever the route.
//!
//! Bounds on connections are `super::server`'s.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, ORIGIN, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::Problem;
use super::routes::Site;

/// Scripts, styles and connections of our own only; nothing inline, no frames, no forms.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, HeaderValue); 6] = [
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), microphone=(), geolocation=()"),
    ),
];

/// Checks the request, bounds its time, dresses the answer.
pub async fn guard(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let limit = site.parts.limits.request;
    let mut response = match check(&site.parts.host_names, &request) {
        Err(problem) => problem.into_response(),
        Ok(()) => match tokio::time::timeout(limit, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "too_slow",
                format!("the request was not complete within {} s", limit.as_secs()),
            )
            .into_response(),
        },
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, value);
    }
    // Assets say for themselves; all else may be about a person.
    if headers.get(CACHE_CONTROL).is_none_or(|told| told != super::page::REVALIDATE) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

fn check(names: &[String], request: &Request) -> Result<(), Problem> {
    let host = host_of(names, request.uri(), request.headers())?;
    if request.method() != Method::GET && request.method() != Method::HEAD {
        same_origin(host, request.headers())?;
        json_only(request.headers())?;
    }
    Ok(())
}

/// The host asked for, if it is one of ours. A web site that points its own name at the box (DNS rebinding)
/// still sends its own name here.
fn host_of<'r>(names: &[String], uri: &'r Uri, headers: &'r HeaderMap) -> Result<&'r str, Problem> {
    let missing = || Problem::bad_request("no_host", "the request has no single Host header");
    let mut given = headers.get_all(HOST).iter();
    let host = given.next().and_then(|h| h.to_str().ok()).ok_or_else(missing)?;
    if given.next().is_some() {
        return Err(missing());
    }
    let absolute = uri.authority().map(axum::http::uri::Authority::as_str);
    if is_ours(host, names) && absolute.is_none_or(|a| a.eq_ignore_ascii_case(host)) {
        return Ok(host);
    }
    Err(Problem::new(
        StatusCode::MISDIRECTED_REQUEST,
        "unknown_host",
        "this box is not known under that name; open it by its IP address, or add the name to the configuration",
    ))
}

fn is_ours(host: &str, names: &[String]) -> bool {
    let Some(name) = without_port(host) else { return false };
    if let Some(v6) = name.strip_prefix('[') {
        return v6.strip_suffix(']').is_some_and(|v6| v6.parse::<Ipv6Addr>().is_ok());
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    name.parse::<Ipv4Addr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || names.iter().any(|own| own.eq_ignore_ascii_case(name))
}

fn without_port(host: &str) -> Option<&str> {
    // The last colon, unless it is inside an IPv6 address's brackets.
    match host.rfind(':') {
        Some(colon) if !host[colon..].contains(']') => {
            host[colon + 1..].parse::<u16>().ok()?;
            Some(&host[..colon])
        }
        _ => Some(host),
    }
}

/// A browser names the origin of whatever changes something; a program that is no browser names none, and
/// carries no one's credentials either.
fn same_origin(host: &str, headers: &HeaderMap) -> Result<(), Problem> {
    let site = headers.get("sec-fetch-site").is_none_or(|site| site == "same-origin");
    let origin = headers.get(ORIGIN).is_none_or(|origin| {
        let origin = origin.to_str().unwrap_or("");
        let named = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        named.is_some_and(|named| named.eq_ignore_ascii_case(host))
    });
    if site && origin {
        return Ok(());
    }
    Err(Problem::new(StatusCode::FORBIDDEN, "cross_site", "only this box's own pages may do that"))
}

/// A form of another site cannot send this type without asking first, and nobody answers that question.
fn json_only(headers: &HeaderMap) -> Result<(), Problem> {
    let told = headers.get(CONTENT_TYPE).and_then(|t| t.to_str().ok()).unwrap_or("");
    let kind = told.split(';').next().unwrap_or("").trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "not_json",
        "send JSON with the header Content-Type: application/json",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_localhost_and_configured_names_are_ours() {
        let names = ["till.shop.lan".to_owned()];
        for host in ["127.0.0.1", "192.168.1.7:8080", "[::1]:8080", "[fe80::1]", "LOCALHOST:80", "Till.shop.lan.:80"] {
            assert!(is_ours(host, &names), "{host}");
        }
        for host in
            ["evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "[::1", ""]
        {
            assert!(!is_ours(host, &names), "{host}");
        }
        for host in ["127.0.0.1:port", "127.0.0.1:99999", "till.shop.lan:", "::1"] {
            assert!(!is_ours(host, &names), "{host}");
        }
    }

    #[test]
    fn origin_is_compared_with_the_port() {
        let with = |origin: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ORIGIN, HeaderValue::from_static(origin));
            same_origin("192.168.1.7:8080", &headers).is_ok()
        };
        assert!(with("http://192.168.1.7:8080"));
        assert!(!with("http://192.168.1.7"));
        assert!(!with("http://192.168.1.7:8081"));
        assert!(!with("null"));
        assert!(!with("http://evil.example"));
    }
}
