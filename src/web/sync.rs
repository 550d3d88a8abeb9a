//! The way of visits into the company's CRM as an operator sees it: how far it is, what was refused for good, and
//! what a person decides about that.
//!
//! What is kept and sent is not here: [`SyncDesk`] is the composition root's.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::error::Problem;
use super::health::{OutboxHealth, OutboxView};
use super::routes::Site;
use super::turn::in_turn;
use super::view::{ErrorBody, wire_time};

/// The most dead letters of one answer.
const MOST_DEAD: usize = 500;

/// The outbox in the hands of an operator. Every call may block for a while (it reads or writes the store); it is
/// made off the runtime's threads, one at a time.
pub trait SyncDesk: Send + Sync {
    /// The same truth that `/health` is told.
    fn report(&self) -> Result<OutboxHealth, SyncError>;

    /// Events that were refused for good, the oldest first, at most `most`.
    fn dead(&self, most: usize) -> Result<Vec<DeadLetter>, SyncError>;

    /// Lets one dead letter be sent again.
    fn retry(&self, event: Uuid) -> Result<(), SyncError>;

    /// Lets all dead letters be sent again and ends every wait: that after a failure, and that of a CRM which refused
    /// the login or blocked the box. Gives how many events are due now.
    fn retry_all(&self) -> Result<u64, SyncError>;

    /// Gives a dead letter up: the CRM will never hear of it. The visit itself stays in the box's own records.
    fn discard(&self, event: Uuid) -> Result<(), SyncError>;
}

/// An event that was refused for good and waits for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    pub event: Uuid,
    /// What it would have told the CRM: `visit`, `correction`, `amendment`, `erasure`.
    pub kind: String,
    pub visit: Option<Uuid>,
    pub customer: Uuid,
    pub created_at: Timestamp,
    pub attempts: u32,
    pub error_class: Option<String>,
    /// In our own words; no secret, and nothing about a person.
    pub error: Option<String>,
}

/// Why the outbox did not do what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyncError {
    /// It was sent or discarded meanwhile, or never was.
    #[error("no dead letter has this id; look at the list again")]
    UnknownEvent,
    #[error("the store could not be asked; see the log and try again")]
    Store,
}

/// Events that were refused for good.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeadListView {
    /// The oldest first, at most 500; `dead` of the report is the number of all.
    dead: Vec<DeadLetterView>,
}

/// An event that the CRM will not take as it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeadLetterView {
    event_id: Uuid,
    /// What it would have told the CRM: a visit, that a visit was somebody else's, what became known of it later, or that a
    /// customer is to be forgotten.
    #[schema(example = "visit")]
    kind: String,
    /// Of a visit's events.
    visit_id: Option<Uuid>,
    customer_id: Uuid,
    #[schema(format = DateTime)]
    created_at: String,
    attempts: u32,
    #[schema(example = "poison")]
    error_class: Option<String>,
    /// What is wrong and what to do.
    error: Option<String>,
}

/// What is due again.
#[derive(Debug, Serialize, ToSchema)]
pub struct RetriedView {
    /// How many events are sent now.
    retried: u64,
}

/// What was given up.
#[derive(Debug, Serialize, ToSchema)]
pub struct DiscardedView {
    event_id: Uuid,
}

/// How far visits are on their way into the CRM.
#[utoipa::path(get, path = "/api/v1/sync", tag = "sync",
    responses((status = 200, body = OutboxView), (status = 503, body = ErrorBody), (status = 504, body = ErrorBody)))]
pub async fn report(State(site): State<Arc<Site>>) -> Result<Json<OutboxView>, Problem> {
    Ok(Json(OutboxView::of(ask(&site, |desk| desk.report()).await?)))
}

/// Events that were refused for good and wait for a person.
#[utoipa::path(get, path = "/api/v1/sync/dead", tag = "sync",
    responses((status = 200, body = DeadListView), (status = 503, body = ErrorBody), (status = 504, body = ErrorBody)))]
pub async fn dead(State(site): State<Arc<Site>>) -> Result<Json<DeadListView>, Problem> {
    let dead = ask(&site, |desk| desk.dead(MOST_DEAD)).await?;
    Ok(Json(DeadListView { dead: dead.into_iter().take(MOST_DEAD).map(DeadLetterView::of).collect() }))
}

/// Sends one dead letter again, once what was wrong is mended.
#[utoipa::path(post, path = "/api/v1/sync/dead/{event}/retry", tag = "sync",
    params(("event" = Uuid, Path, description = "As given in the list of dead letters")),
    responses((status = 200, body = RetriedView), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody),
              (status = 404, body = ErrorBody), (status = 415, body = ErrorBody), (status = 503, body = ErrorBody),
              (status = 504, body = ErrorBody)))]
pub async fn retry(
    State(site): State<Arc<Site>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<RetriedView>, Problem> {
    let event = event_of(path)?;
    ask(&site, move |desk| desk.retry(event)).await?;
    tracing::info!(%event, "an operator lets a dead letter be sent again");
    Ok(Json(RetriedView { retried: 1 }))
}

/// Sends everything that waits now: dead letters, and what waits for a CRM that refused the login or blocked the box.
#[utoipa::path(post, path = "/api/v1/sync/retry", tag = "sync",
    responses((status = 200, body = RetriedView), (status = 403, body = ErrorBody), (status = 415, body = ErrorBody),
              (status = 503, body = ErrorBody), (status = 504, body = ErrorBody)))]
pub async fn retry_all(State(site): State<Arc<Site>>) -> Result<Json<RetriedView>, Problem> {
    let retried = ask(&site, |desk| desk.retry_all()).await?;
    tracing::info!(events = retried, "an operator lets all waiting events be sent now");
    Ok(Json(RetriedView { retried }))
}

/// Gives a dead letter up: the CRM will never hear of it.
#[utoipa::path(post, path = "/api/v1/sync/dead/{event}/discard", tag = "sync",
    params(("event" = Uuid, Path, description = "As given in the list of dead letters")),
    responses((status = 200, body = DiscardedView), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody),
              (status = 404, body = ErrorBody), (status = 415, body = ErrorBody), (status = 503, body = ErrorBody),
              (status = 504, body = ErrorBody)))]
pub async fn discard(
    State(site): State<Arc<Site>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<DiscardedView>, Problem> {
    let event = event_of(path)?;
    ask(&site, move |desk| desk.discard(event)).await?;
    tracing::warn!(%event, "an operator discarded a dead letter: the CRM will not hear of it");
    Ok(Json(DiscardedView { event_id: event }))
}

fn event_of(path: Result<Path<String>, PathRejection>) -> Result<Uuid, Problem> {
    let Path(event) = path?;
    event.parse().map_err(|_| Problem::bad_request("bad_event_id", "the event's id is not a UUID"))
}

async fn ask<T: Send + 'static>(
    site: &Site,
    question: impl FnOnce(&dyn SyncDesk) -> Result<T, SyncError> + Send + 'static,
) -> Result<T, Problem> {
    let desk = Arc::clone(&site.parts.sync);
    in_turn(&site.sync_turn, move || question(&*desk)).await?.map_err(Problem::from)
}

impl From<SyncError> for Problem {
    fn from(refusal: SyncError) -> Self {
        let (status, code) = match refusal {
            SyncError::UnknownEvent => (StatusCode::NOT_FOUND, "unknown_event"),
            SyncError::Store => (StatusCode::SERVICE_UNAVAILABLE, "store_failed"),
        };
        Self::new(status, code, refusal.to_string())
    }
}

impl DeadLetterView {
    fn of(letter: DeadLetter) -> Self {
        Self {
            event_id: letter.event,
            kind: letter.kind,
            visit_id: letter.visit,
            customer_id: letter.customer,
            created_at: wire_time(letter.created_at),
            attempts: letter.attempts,
            error_class: letter.error_class,
            error: letter.error,
        }
    }
}
