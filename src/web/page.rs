//! The pages and what they are made of, embedded in the binary: plain HTML, CSS and JavaScript modules.
//!
//! A page holds no data about anybody: the cashier's page fetches its picture from the event stream.

use std::fmt::Write;
use std::sync::{Arc, LazyLock};

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::error::Problem;
use super::routes::Site;
use super::view::ErrorBody;
use super::words;
use crate::face::CounterId;
use crate::i18n::Language;

/// An asset may be kept, but must be asked about at every use: after an update no screen shows old code.
pub const REVALIDATE: &str = "public, no-cache";

const CASHIER: &str = include_str!("assets/cashier.html");
const LIST: &str = include_str!("assets/list.html");

struct Asset {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

const ASSETS: [Asset; 9] = [
    Asset { name: "snova.css", kind: "text/css; charset=utf-8", text: include_str!("assets/snova.css") },
    Asset { name: "snova.svg", kind: "image/svg+xml", text: include_str!("assets/snova.svg") },
    Asset { name: "cashier.js", kind: SCRIPT, text: include_str!("assets/cashier.js") },
    Asset { name: "stream.js", kind: SCRIPT, text: include_str!("assets/stream.js") },
    Asset { name: "people.js", kind: SCRIPT, text: include_str!("assets/people.js") },
    Asset { name: "entry.js", kind: SCRIPT, text: include_str!("assets/entry.js") },
    Asset { name: "fit.js", kind: SCRIPT, text: include_str!("assets/fit.js") },
    Asset { name: "status.js", kind: SCRIPT, text: include_str!("assets/status.js") },
    Asset { name: "words.js", kind: SCRIPT, text: include_str!("assets/words.js") },
];

static ETAGS: LazyLock<Vec<String>> =
    LazyLock::new(|| ASSETS.iter().map(|asset| format!("\"{}\"", digest([asset.text]))).collect());

static BUILD: LazyLock<String> =
    LazyLock::new(|| digest(ASSETS.iter().map(|asset| asset.text).chain([CASHIER, env!("CARGO_PKG_VERSION")])));

/// What the cashier's page is made of, in 16 hex digits.
pub fn build() -> &'static str {
    &BUILD
}

/// The screen of the only counter, or the list of counters.
#[utoipa::path(get, path = "/", tag = "pages", responses((status = 200, content_type = "text/html", body = String)))]
pub async fn home(State(site): State<Arc<Site>>) -> Html<String> {
    match site.only_counter() {
        Some(counter) => Html(cashier_page(&site, &counter)),
        None => {
            let first = site.parts.counters.names().next();
            let language = first.map_or(Language::Russian, |counter| site.language(counter));
            Html(list_page(&site, language, words::of(language).choose_counter))
        }
    }
}

/// The cashier's page of a counter.
#[utoipa::path(get, path = "/counters/{counter}", tag = "pages",
    params(("counter" = String, Path, description = "The counter's name")),
    responses((status = 200, content_type = "text/html", body = String),
              (status = 404, content_type = "text/html", body = String)))]
pub async fn cashier(
    State(site): State<Arc<Site>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<(StatusCode, Html<String>), Problem> {
    let Path(name) = path?;
    let counter = CounterId::new(name);
    if site.parts.counters.watch(&counter).is_some() {
        return Ok((StatusCode::OK, Html(cashier_page(&site, &counter))));
    }
    let language = site.parts.counters.names().next().map_or(Language::Russian, |first| site.language(first));
    Ok((StatusCode::NOT_FOUND, Html(list_page(&site, language, words::of(language).unknown_counter))))
}

/// A part of the pages.
#[utoipa::path(get, path = "/assets/{file}", tag = "pages",
    params(("file" = String, Path, description = "The file's name")),
    responses((status = 200, content_type = "text/plain", body = String),
              (status = 304, description = "What the browser has is still right"),
              (status = 404, body = ErrorBody)))]
pub async fn asset(path: Result<Path<String>, PathRejection>, asked: HeaderMap) -> Result<Response, Problem> {
    let Path(file) = path?;
    let found = ASSETS.iter().zip(ETAGS.iter()).find(|(asset, _)| asset.name == file);
    let (asset, tag) = found.ok_or_else(|| Problem::not_found("no_such_page", "there is no such asset"))?;
    let headers = [(ETAG, tag.as_str()), (CACHE_CONTROL, REVALIDATE), (CONTENT_TYPE, asset.kind)];
    let known = asked.get(IF_NONE_MATCH).and_then(|known| known.to_str().ok()).unwrap_or("");
    if known.split(',').any(|known| known.trim().trim_start_matches("W/") == tag) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    Ok((headers, asset.text).into_response())
}

fn cashier_page(site: &Site, counter: &CounterId) -> String {
    let language = site.language(counter);
    let words = words::of(language);
    let table = serde_json::to_string(words).unwrap_or_default();
    let silence = (site.parts.limits.ping.saturating_mul(5) / 2).as_millis().to_string();
    let address = |what| escape(&format!("/api/v1/counters/{}/{what}", percent_encode(counter.as_str())));
    fill(
        CASHIER,
        &[
            ("lang", language.code()),
            ("title", words.title),
            ("counter", &escape(counter.as_str())),
            ("events", &address("events")),
            ("entries", &address("entries")),
            ("zone", &escape(site.parts.time_zone.iana_name().unwrap_or(""))),
            ("silence_ms", &silence),
            ("now", &site.parts.clock.wall().at.to_string()),
            ("build", build()),
            ("no_script", words.no_script),
            ("connecting", words.connecting),
            ("by_card", words.by_card),
            ("by_card_short", words.by_card_short),
            ("entry_label", words.entry_label),
            ("find", words.find),
            ("cancel", words.cancel),
            // A data block ends at the first "</script", so no "<" may stand in it.
            ("words", &table.replace('<', "\\u003c")),
        ],
    )
}

fn list_page(site: &Site, language: Language, heading: &str) -> String {
    let words = words::of(language);
    let mut links = String::new();
    for counter in site.parts.counters.names() {
        let path = percent_encode(counter.as_str());
        // Writing to a String cannot fail.
        let _ = write!(links, "<li><a href=\"/counters/{path}\">{}</a></li>", escape(counter.as_str()));
    }
    if links.is_empty() {
        links = format!("<li>{}</li>", words.no_counters);
    }
    fill(LIST, &[("lang", language.code()), ("title", words.title), ("heading", heading), ("links", &links)])
}

/// Fills the template's `{{places}}` in one pass, so that no value can name another place.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut page = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        page.push_str(before);
        let Some((place, after)) = after.split_once("}}") else { break };
        page.push_str(values.iter().find(|(name, _)| *name == place).map_or("", |(_, value)| value));
        rest = after;
    }
    page + rest
}

fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ => safe.push(c),
        }
    }
    safe
}

fn percent_encode(segment: &str) -> String {
    let mut path = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(path, "%{byte:02X}");
        }
    }
    path
}

fn digest(texts: impl IntoIterator<Item = &'static str>) -> String {
    let mut hash = Sha256::new();
    texts.into_iter().for_each(|text| hash.update(text));
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_cannot_name_another_place() {
        assert_eq!(fill("<{{a}}|{{b}}>", &[("a", "{{b}}"), ("b", "x")]), "<{{b}}|x>");
    }

    #[test]
    fn counter_with_any_name_has_an_address() {
        assert_eq!(percent_encode("каса 1/2"), "%D0%BA%D0%B0%D1%81%D0%B0%201%2F2");
        assert_eq!(escape("<a href='x'>&\""), "&lt;a href=&#39;x&#39;&gt;&amp;&quot;");
    }

    #[test]
    fn every_place_of_the_pages_is_filled() {
        for (page, places) in [
            (
                CASHIER,
                &[
                    "lang",
                    "title",
                    "counter",
                    "events",
                    "entries",
                    "by_card",
                    "by_card_short",
                    "entry_label",
                    "find",
                    "cancel",
                    "zone",
                    "silence_ms",
                    "now",
                    "build",
                    "no_script",
                    "connecting",
                    "words",
                ][..],
            ),
            (LIST, &["lang", "title", "heading", "links"]),
        ] {
            let mut found: Vec<&str> =
                page.split("{{").skip(1).map(|rest| rest.split("}}").next().unwrap_or("")).collect();
            found.sort_unstable();
            found.dedup();
            let mut places = places.to_vec();
            places.sort_unstable();
            assert_eq!(found, places);
        }
    }
}
