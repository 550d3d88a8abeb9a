//! The cashier's word on a suggestion or a greeting, handed to the greeter.
//!
//! What follows from it (the visit, the blocked pair) is `crate::greeter`'s.

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
use super::{BookError, visits};
use crate::customer::{CustomerId, Verdict, VisitId};
use crate::greeter::{AnswerError, Counters, Greeted};

/// What the cashier says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerBody {
    verdict: VerdictView,
    /// With `other`: who it is, required. With the others: whom the screen showed; if the counter has moved
    /// on since, the answer is refused with 409 instead of being taken for somebody else.
    customer_id: Option<Uuid>,
}

/// `yes`: the greeting or the first candidate is right. `no`: nobody of those shown. `other`: another customer.
/// `done`: they are served and may leave the screen.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerdictView {
    Yes,
    No,
    Other,
    Done,
}

/// The answer was taken.
#[derive(Debug, Serialize, ToSchema)]
pub struct AnswerView {
    visit_id: Uuid,
    verdict: VerdictView,
}

/// Says whether a suggestion was right.
#[utoipa::path(post, path = "/api/v1/visits/{visit_id}/answer", tag = "counters",
    params(("visit_id" = Uuid, Path, description = "As given in the counter's picture")),
    request_body = AnswerBody,
    responses((status = 200, body = AnswerView), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody),
              (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 413, body = ErrorBody),
              (status = 415, body = ErrorBody), (status = 503, body = ErrorBody), (status = 504, body = ErrorBody)))]
pub async fn answer(
    State(site): State<Arc<Site>>,
    path: Result<Path<String>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<AnswerView>, Problem> {
    let Path(visit) = path?;
    let visit: VisitId =
        visit.parse().map_err(|_| Problem::bad_request("bad_visit_id", "the visit's id is not a UUID"))?;
    let body: AnswerBody = serde_json::from_slice(&body?)
        .map_err(|error| Problem::bad_request("bad_json", format!("the answer is not understood: {error}")))?;
    let customer = body.customer_id.map(CustomerId);
    let verdict = match (body.verdict, customer) {
        (VerdictView::Other, None) => {
            return Err(Problem::bad_request("customer_missing", "the verdict \"other\" needs a customer_id"));
        }
        (VerdictView::Other, Some(customer)) => Verdict::Other(customer),
        (VerdictView::Yes, shown) => still_shown(&site.parts.counters, visit, shown).map(|()| Verdict::Yes)?,
        (VerdictView::No, shown) => still_shown(&site.parts.counters, visit, shown).map(|()| Verdict::No)?,
        (VerdictView::Done, shown) => still_shown(&site.parts.counters, visit, shown).map(|()| Verdict::Done)?,
    };
    let outcome = tokio::time::timeout(site.parts.limits.answer, site.parts.counters.answer(visit, verdict)).await;
    match outcome.unwrap_or(Err(AnswerError::Busy)) {
        Err(AnswerError::UnknownVisit) if has_voided(&site, visit, verdict).await? => {
            Ok(Json(AnswerView { visit_id: visit.0, verdict: body.verdict }))
        }
        Ok(()) => Ok(Json(AnswerView { visit_id: visit.0, verdict: body.verdict })),
        Err(refusal @ AnswerError::UnknownVisit) => Err(Problem::not_found("visit_gone", refusal.to_string())),
        Err(refusal @ AnswerError::UnknownCustomer) => Err(Problem::not_found("no_such_customer", refusal.to_string())),
        Err(refusal @ AnswerError::Busy) => Err(Problem::unavailable("busy", refusal.to_string())),
    }
}

/// «Не он», said when the visit has left the screen: the record is corrected all the same.
async fn has_voided(site: &Site, visit: VisitId, verdict: Verdict) -> Result<bool, Problem> {
    let other = match verdict {
        Verdict::No => None,
        Verdict::Other(customer) => Some(customer),
        Verdict::Yes | Verdict::Done => return Ok(false),
    };
    match visits::correct(site, visit, other).await? {
        Ok(_) => Ok(true),
        Err(BookError::UnknownVisit | BookError::TooOld) => Ok(false),
        Err(refusal) => Err(refusal.into()),
    }
}

/// Between the look at the screen and the tap the picture may change under the finger.
fn still_shown(counters: &Counters, visit: VisitId, shown: Option<CustomerId>) -> Result<(), Problem> {
    let Some(shown) = shown else { return Ok(()) };
    match first_named(counters, visit) {
        Some(first) if first != shown => Err(Problem::new(
            StatusCode::CONFLICT,
            "picture_changed",
            "the counter shows somebody else by now; look again",
        )),
        _ => Ok(()),
    }
}

/// Whom a visit is taken for: the match, or the likeliest candidate.
fn first_named(counters: &Counters, visit: VisitId) -> Option<CustomerId> {
    counters.names().filter_map(|counter| counters.watch(counter)).find_map(|pictures| {
        let state = pictures.borrow();
        let present = state.present.iter().find(|present| present.visit == visit)?;
        match &present.who {
            Greeted::Match { customer, .. } => Some(*customer),
            Greeted::Maybe { candidates } => candidates.first().map(|first| first.customer),
        }
    })
}
