//! What the point of sale says: what was bought at a visit, and who serves at a counter.
//!
//! Where it is kept is the composition root's ([`super::VisitBook`]) and `crate::greeter`'s. Who serves is in no log.

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
use super::visits::{ask, visit_of};
use crate::customer::{Receipt, VisitId};
use crate::greeter::{CounterState, Greeted};

/// The longest name of one who serves.
const MOST_CHARACTERS: usize = 80;

/// What was bought.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiptBody {
    /// At most 64 printable characters.
    #[schema(example = "A-1734")]
    number: String,
    /// In hundredths of the shop's currency; below zero for what was brought back.
    #[schema(example = 123450)]
    sum: i64,
}

/// The receipt is kept. Of two of one visit the last holds.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReceiptView {
    visit_id: Uuid,
    number: String,
    sum: i64,
}

/// Who serves.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ServedByBody {
    /// At most 80 printable characters; empty for nobody who is named.
    #[schema(example = "Анна")]
    who: String,
}

/// Visits that open at this counter from now on bear that name.
#[derive(Serialize, ToSchema)]
pub struct ServedByView {
    counter: String,
    who: Option<String>,
}

/// Keeps the receipt of a visit. If the CRM has the visit already, its record is amended. The same again changes nothing.
#[utoipa::path(post, path = "/api/v1/visits/{visit_id}/receipt", tag = "till",
    params(("visit_id" = Uuid, Path, description = "As given in a counter's picture")),
    request_body = ReceiptBody,
    responses((status = 200, body = ReceiptView), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody),
              (status = 404, body = ErrorBody), (status = 413, body = ErrorBody), (status = 415, body = ErrorBody),
              (status = 503, body = ErrorBody), (status = 504, body = ErrorBody)))]
pub async fn receipt(
    State(site): State<Arc<Site>>,
    path: Result<Path<String>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<ReceiptView>, Problem> {
    let (visit, receipt) = (visit_of(path)?, receipt_of(&body?)?);
    let kept = receipt.clone();
    ask(&site, move |book| book.receipt(visit, &kept)).await?;
    Ok(ReceiptView::of(visit, receipt))
}

/// Keeps the receipt of whoever is at the counter, or was there within 10 minutes, for a point of sale that knows no
/// visits. The same number again from there is the same receipt for a day, whoever is there by then.
#[utoipa::path(post, path = "/api/v1/counters/{counter}/receipt", tag = "till",
    params(("counter" = String, Path, description = "The counter's name")),
    request_body = ReceiptBody,
    responses((status = 200, body = ReceiptView), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody),
              (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 413, body = ErrorBody),
              (status = 415, body = ErrorBody), (status = 503, body = ErrorBody), (status = 504, body = ErrorBody)))]
pub async fn receipt_at(
    State(site): State<Arc<Site>>,
    path: Result<Path<String>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<ReceiptView>, Problem> {
    let Path(name) = path?;
    let (counter, pictures) = site.named(&name)?;
    let receipt = receipt_of(&body?)?;
    let (shown, kept) = (named_at(&pictures.borrow()), receipt.clone());
    let visit = ask(&site, move |book| book.receipt_at(&counter, &shown, &kept)).await?;
    Ok(ReceiptView::of(visit, receipt))
}

/// Says who serves at the counter from now on, until it is said anew or the box restarts.
#[utoipa::path(put, path = "/api/v1/counters/{counter}/served-by", tag = "till",
    params(("counter" = String, Path, description = "The counter's name")),
    request_body = ServedByBody,
    responses((status = 200, body = ServedByView), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody),
              (status = 404, body = ErrorBody), (status = 413, body = ErrorBody), (status = 415, body = ErrorBody)))]
pub async fn served_by(
    State(site): State<Arc<Site>>,
    path: Result<Path<String>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<ServedByView>, Problem> {
    let Path(name) = path?;
    let (counter, _) = site.named(&name)?;
    let Some(shifts) = site.parts.counters.shifts() else {
        let off = "visits bear no names of the staff; the owner switches that on with served_by = true in [visit]";
        return Err(Problem::new(StatusCode::FORBIDDEN, "served_by_off", off));
    };
    // The parser's words may quote the name, so they are not passed on.
    let ServedByBody { who } = serde_json::from_slice(&body?)
        .map_err(|_| Problem::bad_request("bad_json", "the body is not understood; send {\"who\": \"…\"}"))?;
    let who = who.trim();
    if who.chars().count() > MOST_CHARACTERS || who.chars().any(char::is_control) {
        return Err(Problem::bad_request("bad_name", "who serves has at most 80 printable characters"));
    }
    let who = (!who.is_empty()).then(|| who.to_owned());
    shifts.set(&counter, who.clone());
    Ok(Json(ServedByView { counter: counter.to_string(), who }))
}

fn receipt_of(body: &[u8]) -> Result<Receipt, Problem> {
    let ReceiptBody { number, sum } = serde_json::from_slice(body).map_err(|_| {
        let wanted = "the receipt is not understood; send {\"number\": \"…\", \"sum\": 123450}, the sum in hundredths";
        Problem::bad_request("bad_json", wanted)
    })?;
    Receipt::checked(&number, sum).map_err(|refusal| Problem::bad_request("bad_receipt", refusal.to_string()))
}

/// The visits of those whom the counter names.
fn named_at(picture: &CounterState) -> Vec<VisitId> {
    let named = picture.present.iter().filter(|present| matches!(present.who, Greeted::Match { .. }));
    named.map(|present| present.visit).collect()
}

impl ReceiptView {
    fn of(visit: VisitId, receipt: Receipt) -> Json<Self> {
        Json(Self { visit_id: visit.0, number: receipt.number, sum: receipt.sum })
    }
}
