//! The visits on record: those of a day, and one of them voided, hours or days after it left the screen.
//!
//! What is kept and told to the CRM is not here: [`VisitBook`] is the composition root's. Receipts are `super::till`'s.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use jiff::civil::Date;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::error::Problem;
use super::routes::Site;
use super::turn::in_turn;
use super::view::{ErrorBody, NameView, wire_time};
use crate::customer::{CustomerId, HowKnown, PersonName, Receipt, Verdict, VisitId};
use crate::face::CounterId;
use crate::greeter::AnswerError;

/// The visits on record. Every call may block for a while (it reads or writes the store); it is made off the runtime's
/// threads, one at a time. Each may be repeated.
pub trait VisitBook: Send + Sync {
    /// The visits that began on that day of the shop, at one counter or at all.
    fn of_day(&self, day: Date, counter: Option<&CounterId>) -> Result<Vec<BookedVisit>, BookError>;

    /// Voids a visit of the last 7 days, or moves it to `other`. Gives for whom it counts now.
    fn void(&self, visit: VisitId, other: Option<CustomerId>) -> Result<Option<CustomerId>, BookError>;

    fn receipt(&self, visit: VisitId, receipt: &Receipt) -> Result<(), BookError>;

    /// Keeps a receipt of whoever is `shown` at the counter, or was there lately; gives which visit that is.
    fn receipt_at(&self, counter: &CounterId, shown: &[VisitId], receipt: &Receipt) -> Result<VisitId, BookError>;
}

/// A visit on record.
#[derive(Clone, Debug)]
pub struct BookedVisit {
    pub visit: VisitId,
    pub customer: CustomerId,
    pub counter: CounterId,
    /// As they are greeted; `None` where it cannot be read.
    pub name: Option<PersonName>,
    pub how: HowKnown,
    pub opened_at: Timestamp,
    pub closed_at: Option<Timestamp>,
    pub state: BookedState,
    pub receipt: Option<Receipt>,
}

/// `open`: at a counter. `waiting`: on its way to the CRM. `delivered`: the CRM has it. `void`: it was somebody else.
/// `refused`: the CRM does not take it. `here`: the customer did not agree that the CRM hears of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BookedState {
    Open,
    Waiting,
    Delivered,
    Void,
    Refused,
    Here,
}

/// Why the book did not do what was asked. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BookError {
    #[error("no visit has this id; its customer may have been erased, or it is not on the disk yet")]
    UnknownVisit,
    #[error("there is no such customer")]
    UnknownCustomer,
    #[error("this customer's consent has ended or does not cover the visit; ask them for a new one")]
    NoConsent,
    #[error("the visit began more than 7 days ago; correct its record in the CRM by hand")]
    TooOld,
    #[error("nobody who is known is at this counter, or was within 10 minutes; give the visit's id")]
    NobodyThere,
    #[error("several customers are at this counter; give the visit's id")]
    SeveralThere,
    #[error("the calendar does not go so far")]
    NoSuchDay,
    #[error("the store could not be asked; see the log and try again")]
    Store,
}

/// The visits of a day.
#[derive(Debug, Serialize, ToSchema)]
pub struct DayView {
    #[schema(example = "2026-05-12")]
    day: String,
    /// In the order in which they began. Nothing of anybody who was erased.
    visits: Vec<BookedView>,
}

/// A visit on record.
#[derive(Debug, Serialize, ToSchema)]
pub struct BookedView {
    visit_id: Uuid,
    #[schema(example = "till-1")]
    counter: String,
    customer_id: Uuid,
    /// As they are greeted; null where it cannot be read.
    name: Option<NameView>,
    /// `match`: by a camera. `confirmed`: by the cashier. `entered`: by card or phone.
    #[schema(example = "match")]
    how: &'static str,
    #[schema(format = DateTime)]
    opened_at: String,
    #[schema(format = DateTime)]
    closed_at: Option<String>,
    state: BookedState,
    receipt: Option<BookedReceiptView>,
}

/// What was bought.
#[derive(Debug, Serialize, ToSchema)]
pub struct BookedReceiptView {
    number: String,
    /// In hundredths of the shop's currency.
    sum: i64,
}

/// Whose visit it was; without a body, or without a customer, nobody's who is enrolled.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VoidBody {
    customer_id: Option<Uuid>,
}

/// The visit is corrected; the CRM hears of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct VoidedView {
    visit_id: Uuid,
    /// For whom it counts now; null for nobody.
    customer_id: Option<Uuid>,
}

/// The visits of a day, today's if none is given, at one counter or at all.
#[utoipa::path(get, path = "/api/v1/visits", tag = "visits",
    params(("day" = Option<String>, Query, description = "A day of the shop's calendar: 2026-05-12"),
           ("counter" = Option<String>, Query, description = "The counter at which they began")),
    responses((status = 200, body = DayView), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody),
              (status = 503, body = ErrorBody), (status = 504, body = ErrorBody)))]
pub async fn of_day(State(site): State<Arc<Site>>, RawQuery(query): RawQuery) -> Result<Json<DayView>, Problem> {
    let (mut day, mut counter) = (site.parts.clock.wall().at.to_zoned(site.parts.time_zone.clone()).date(), None);
    for asked in query.iter().flat_map(|query| query.split('&')).filter(|asked| !asked.is_empty()) {
        let refused = || Problem::bad_request("bad_query", "ask for ?day=YYYY-MM-DD&counter=NAME, or without either");
        let (name, value) = asked.split_once('=').ok_or_else(refused)?;
        let value = value.replace('+', " ");
        let value = percent_decode_str(&value).decode_utf8().map_err(|_| refused())?;
        match name {
            "day" => day = value.parse().map_err(|_| refused())?,
            "counter" => counter = Some(site.named(&value)?.0),
            _ => return Err(refused()),
        }
    }
    let visits = ask(&site, move |book| book.of_day(day, counter.as_ref())).await?;
    Ok(Json(DayView { day: day.to_string(), visits: visits.into_iter().map(BookedView::of).collect() }))
}

/// Says that a visit was somebody else's: what was told to the CRM is taken back. The same again changes nothing.
#[utoipa::path(post, path = "/api/v1/visits/{visit_id}/void", tag = "visits",
    params(("visit_id" = Uuid, Path, description = "As given in a counter's picture or in the list of visits")),
    request_body = Option<VoidBody>,
    responses((status = 200, body = VoidedView), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody),
              (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 413, body = ErrorBody),
              (status = 415, body = ErrorBody), (status = 503, body = ErrorBody), (status = 504, body = ErrorBody)))]
pub async fn void(
    State(site): State<Arc<Site>>,
    path: Result<Path<String>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<VoidedView>, Problem> {
    let visit = visit_of(path)?;
    let body = body?;
    let VoidBody { customer_id } = if body.is_empty() {
        VoidBody::default()
    } else {
        serde_json::from_slice(&body).map_err(|_| {
            Problem::bad_request("bad_json", "the body is not understood; send {\"customer_id\": \"…\"}, or nothing")
        })?
    };
    let other = customer_id.map(CustomerId);
    // Whoever is at a counter leaves its screen, as by «не он» there.
    let word = other.map_or(Verdict::No, Verdict::Other);
    let at_desk = tokio::time::timeout(site.parts.limits.answer, site.parts.counters.answer(visit, word)).await;
    let was_at_desk = match at_desk.unwrap_or(Err(AnswerError::Busy)) {
        Ok(()) => true,
        Err(AnswerError::UnknownVisit) => false,
        Err(AnswerError::UnknownCustomer) => return Err(BookError::UnknownCustomer.into()),
        Err(refusal @ AnswerError::Busy) => return Err(Problem::unavailable("busy", refusal.to_string())),
    };
    let counts_for = match correct(&site, visit, other).await? {
        // What the desk took is on its way to the disk.
        Err(BookError::UnknownVisit) if was_at_desk => other,
        outcome => outcome?,
    };
    tracing::info!(%visit, "a visit was voided or moved by hand");
    Ok(Json(VoidedView { visit_id: visit.0, customer_id: counts_for.map(|customer| customer.0) }))
}

/// Voids a visit on record, or moves it.
pub(super) async fn correct(
    site: &Site,
    visit: VisitId,
    other: Option<CustomerId>,
) -> Result<Result<Option<CustomerId>, BookError>, Problem> {
    let book = Arc::clone(&site.parts.visits);
    in_turn(&site.book_turn, move || book.void(visit, other)).await
}

pub(super) fn visit_of(path: Result<Path<String>, PathRejection>) -> Result<VisitId, Problem> {
    let Path(visit) = path?;
    visit.parse().map_err(|_| Problem::bad_request("bad_visit_id", "the visit's id is not a UUID"))
}

pub(super) async fn ask<T: Send + 'static>(
    site: &Site,
    question: impl FnOnce(&dyn VisitBook) -> Result<T, BookError> + Send + 'static,
) -> Result<T, Problem> {
    let book = Arc::clone(&site.parts.visits);
    in_turn(&site.book_turn, move || question(&*book)).await?.map_err(Problem::from)
}

impl From<BookError> for Problem {
    fn from(refusal: BookError) -> Self {
        let (status, code) = match refusal {
            BookError::UnknownVisit => (StatusCode::NOT_FOUND, "unknown_visit"),
            BookError::UnknownCustomer => (StatusCode::NOT_FOUND, "no_such_customer"),
            BookError::NoConsent => (StatusCode::FORBIDDEN, "consent_ended"),
            BookError::TooOld => (StatusCode::CONFLICT, "visit_too_old"),
            BookError::NobodyThere => (StatusCode::NOT_FOUND, "nobody_there"),
            BookError::SeveralThere => (StatusCode::CONFLICT, "several_there"),
            BookError::NoSuchDay => (StatusCode::BAD_REQUEST, "bad_day"),
            BookError::Store => (StatusCode::SERVICE_UNAVAILABLE, "store_failed"),
        };
        Self::new(status, code, refusal.to_string())
    }
}

impl BookedView {
    fn of(booked: BookedVisit) -> Self {
        Self {
            visit_id: booked.visit.0,
            counter: booked.counter.to_string(),
            customer_id: booked.customer.0,
            name: booked.name.as_ref().map(NameView::of),
            how: booked.how.as_str(),
            opened_at: wire_time(booked.opened_at),
            closed_at: booked.closed_at.map(wire_time),
            state: booked.state,
            receipt: booked.receipt.map(|receipt| BookedReceiptView { number: receipt.number, sum: receipt.sum }),
        }
    }
}
