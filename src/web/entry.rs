//! A card, code or phone given at a counter, handed to the greeter.
//!
//! Whose it is and what follows is `crate::greeter`'s. What was entered is in no answer, no address and no log.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::error::Problem;
use super::routes::Site;
use super::view::ErrorBody;
use crate::face::CounterId;
use crate::greeter::EntryError;

/// What the customer gave.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EntryBody {
    /// A card's code, the text of a barcode or QR code, or a phone number, as it was scanned or typed.
    #[schema(example = "4820000123456")]
    entered: String,
    /// Minted anew for each card that is given. Sent again with the same key, it is the same entry: one visit, the same
    /// answer.
    key: Option<Uuid>,
}

/// The customer is greeted: the counter's picture shows them.
#[derive(Debug, Serialize, ToSchema)]
pub struct EntryView {
    visit_id: Uuid,
    /// Whether the visit is on the disk, or waits in memory, where a power cut would take it.
    record: RecordView,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RecordView {
    Recorded,
    Waiting,
}

/// Greets whoever has this card or phone, without a camera. At most 30 that nobody has are taken a minute.
#[utoipa::path(post, path = "/api/v1/counters/{counter}/entries", tag = "counters",
    params(("counter" = String, Path, description = "The counter's name")),
    request_body = EntryBody,
    responses((status = 200, body = EntryView), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody),
              (status = 404, body = ErrorBody), (status = 413, body = ErrorBody), (status = 415, body = ErrorBody),
              (status = 429, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn enter(
    State(site): State<Arc<Site>>,
    path: Result<Path<String>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<EntryView>, Problem> {
    let Path(name) = path?;
    let (counter, _) = site.named(&name)?;
    take(&site, &counter, &body?).await
}

/// The same at the only counter.
#[utoipa::path(post, path = "/api/v1/counter/entries", tag = "counters", request_body = EntryBody,
    responses((status = 200, body = EntryView), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody),
              (status = 404, body = ErrorBody), (status = 413, body = ErrorBody), (status = 415, body = ErrorBody),
              (status = 429, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn enter_only(
    State(site): State<Arc<Site>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<EntryView>, Problem> {
    let (counter, _) = site.only()?;
    take(&site, &counter, &body?).await
}

async fn take(site: &Site, counter: &CounterId, body: &[u8]) -> Result<Json<EntryView>, Problem> {
    // The parser's words may quote the text, so they are not passed on.
    let EntryBody { entered, key } = serde_json::from_slice(body)
        .map_err(|_| Problem::bad_request("bad_json", "the entry is not understood; send {\"entered\": \"…\"}"))?;
    let entry = site.parts.counters.enter(counter, entered, key);
    let outcome = tokio::time::timeout(site.parts.limits.answer, entry).await;
    let refusal = match outcome.unwrap_or(Err(EntryError::Busy)) {
        Ok(taken) => {
            let record = if taken.recorded { RecordView::Recorded } else { RecordView::Waiting };
            return Ok(Json(EntryView { visit_id: taken.visit.0, record }));
        }
        Err(refusal) => refusal,
    };
    let (status, code) = match refusal {
        EntryError::Unknown => (StatusCode::NOT_FOUND, "unknown_entry"),
        EntryError::ConsentEnded => (StatusCode::FORBIDDEN, "consent_ended"),
        EntryError::TooMany => (StatusCode::TOO_MANY_REQUESTS, "too_many_entries"),
        EntryError::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
    };
    Err(Problem::new(status, code, refusal.to_string()))
}
