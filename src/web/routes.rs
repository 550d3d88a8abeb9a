//! Every route, registered once for both the router and the OpenAPI document, so that they cannot drift.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use tokio::sync::Semaphore;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::Problem;
use super::stream::Ping;
use super::turn::Turn;
use super::{WebParts, answer, counters, entry, guard, health, page, sync, till, visits};
use crate::face::CounterId;
use crate::i18n::Language;
use crate::shutdown::Shutdown;

/// An answer is a hundred bytes, an entry not many more; more is neither.
const MAX_BODY_BYTES: usize = 16 * 1024;

/// What the handlers share.
pub struct Site {
    pub parts: WebParts,
    pub streams: Arc<Semaphore>,
    pub health_turn: Turn,
    pub sync_turn: Turn,
    pub book_turn: Turn,
    pub shutdown: Shutdown,
    openapi: String,
}

impl Site {
    pub fn language(&self, counter: &CounterId) -> Language {
        self.parts.languages.get(counter).copied().unwrap_or(Language::Russian)
    }

    /// The counter of a box that has only one.
    pub fn only_counter(&self) -> Option<CounterId> {
        let mut names = self.parts.counters.names();
        match (names.next(), names.next()) {
            (Some(only), None) => Some(only.clone()),
            _ => None,
        }
    }
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Snova", description = "Who is at the counter now, and whether the box does its work."),
    components(schemas(Ping))
)]
struct Document;

pub fn router(parts: WebParts, shutdown: Shutdown) -> Router {
    let (router, document) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(page::home))
        .routes(routes!(page::cashier))
        .routes(routes!(page::asset))
        .routes(routes!(counters::list))
        .routes(routes!(counters::only_picture))
        .routes(routes!(counters::only_events))
        .routes(routes!(counters::picture))
        .routes(routes!(counters::events))
        .routes(routes!(answer::answer))
        .routes(routes!(entry::enter))
        .routes(routes!(entry::enter_only))
        .routes(routes!(visits::of_day))
        .routes(routes!(visits::void))
        .routes(routes!(till::receipt))
        .routes(routes!(till::receipt_at))
        .routes(routes!(till::served_by))
        .routes(routes!(sync::report))
        .routes(routes!(sync::dead))
        .routes(routes!(sync::retry))
        .routes(routes!(sync::retry_all))
        .routes(routes!(sync::discard))
        .routes(routes!(health::health))
        .routes(routes!(health::metrics))
        .routes(routes!(openapi))
        .split_for_parts();
    let site = Arc::new(Site {
        streams: Arc::new(Semaphore::new(parts.limits.streams)),
        health_turn: Arc::default(),
        sync_turn: Arc::default(),
        book_turn: Arc::default(),
        shutdown,
        openapi: document.to_json().unwrap_or_else(|error| {
            tracing::error!(%error, "web: the OpenAPI document cannot be written");
            "{}".to_owned()
        }),
        parts,
    });
    router
        .fallback(async || Problem::not_found("no_such_page", "there is nothing at this address; / is the screen"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", "this address does not take that method")
        })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn_with_state(site.clone(), guard::guard))
        .with_state(site)
}

/// This document.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "operation",
    responses((status = 200, content_type = "application/json", description = "OpenAPI 3.1")))]
async fn openapi(State(site): State<Arc<Site>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], site.openapi.clone())
}
