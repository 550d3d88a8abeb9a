//! Whether the box does its work, for monitoring: /health and /metrics.
//!
//! Cameras and unsaved visits are read from the counters; the rest is told by the composition root.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::Problem;
use super::routes::Site;
use super::view::{CameraStateView, CameraView, ErrorBody};

/// A store that does not answer for so long is a trouble of its own.
const PATIENCE: Duration = Duration::from_secs(3);

/// What the counters cannot tell.
#[derive(Clone, Debug)]
pub struct HealthReport {
    /// The model pack in use.
    pub pack: String,
    /// Customers in the gallery.
    pub customers: usize,
    pub outbox: OutboxHealth,
    pub clock_synchronised: bool,
    /// The configuration file cannot be used; the last good one holds.
    pub config_refused: bool,
    /// Whether a live camera is looked at too rarely.
    pub overloaded: bool,
    pub uptime: Duration,
}

/// Events on their way to the CRM.
#[derive(Clone, Debug, Default)]
pub struct OutboxHealth {
    pub depth: u64,
    /// Of the event that has waited longest.
    pub oldest_age: Option<Duration>,
    /// Events that were refused for good and wait for a person.
    pub dead: u64,
}

/// Whether the box does its work.
#[derive(Debug, Serialize, ToSchema)]
pub struct HealthView {
    status: HealthStatus,
    /// What is wrong: camera_lost, writes_delayed, config_refused, overloaded.
    troubles: Vec<Trouble>,
    version: &'static str,
    pack: String,
    gallery_customers: usize,
    cameras: Vec<CameraView>,
    unsaved_visits: usize,
    outbox: OutboxView,
    clock_synchronised: bool,
    uptime_s: u64,
}

#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum HealthStatus {
    Fine,
    Trouble,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Trouble {
    CameraLost,
    WritesDelayed,
    ConfigRefused,
    Overloaded,
}

#[derive(Debug, Serialize, ToSchema)]
struct OutboxView {
    depth: u64,
    oldest_age_s: Option<u64>,
    dead: u64,
}

/// 200 when the box does its work, 503 when a camera is lost, visits are not being written, or the box is too slow for
/// its cameras.
#[utoipa::path(get, path = "/health", tag = "operation",
    responses((status = 200, body = HealthView), (status = 503, body = HealthView),
              (status = 504, body = ErrorBody, description = "The store does not answer")))]
pub async fn health(State(site): State<Arc<Site>>) -> Result<(StatusCode, Json<HealthView>), Problem> {
    let report = tokio::time::timeout(PATIENCE, ask(&site)).await.ok().flatten().ok_or_else(|| {
        Problem::new(StatusCode::GATEWAY_TIMEOUT, "store_silent", "the store did not answer in time; see the log")
    })?;
    let view = view_of(&site, report);
    let status = match view.status {
        HealthStatus::Fine => StatusCode::OK,
        HealthStatus::Trouble => StatusCode::SERVICE_UNAVAILABLE,
    };
    Ok((status, Json(view)))
}

/// Every number, in the text form that Prometheus reads.
#[utoipa::path(get, path = "/metrics", tag = "operation",
    responses((status = 200, content_type = "application/openmetrics-text", body = String)))]
pub async fn metrics(State(site): State<Arc<Site>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], site.parts.metrics.encode())
}

/// One question at a time: a stuck disk must not eat a thread for each poll.
async fn ask(site: &Site) -> Option<HealthReport> {
    let turn = site.health_turn.clone().lock_owned().await;
    let report = site.parts.health.clone();
    let asked = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        report()
    });
    asked.await.ok()
}

fn view_of(site: &Site, report: HealthReport) -> HealthView {
    let mut cameras = Vec::new();
    let mut unsaved_visits = 0;
    for counter in site.parts.counters.names() {
        let Some(pictures) = site.parts.counters.watch(counter) else { continue };
        let state = pictures.borrow();
        unsaved_visits += state.unsaved_visits;
        cameras.extend(state.cameras.iter().map(|(camera, state)| CameraView::of(camera, state)));
    }
    let mut troubles = Vec::new();
    let blind = |camera: &CameraView| {
        matches!(camera.state, CameraStateView::Lost | CameraStateView::Stalled | CameraStateView::Refused)
    };
    if cameras.iter().any(blind) {
        troubles.push(Trouble::CameraLost);
    }
    if unsaved_visits > 0 {
        troubles.push(Trouble::WritesDelayed);
    }
    if report.config_refused {
        troubles.push(Trouble::ConfigRefused);
    }
    if report.overloaded {
        troubles.push(Trouble::Overloaded);
    }
    HealthView {
        status: if troubles.is_empty() { HealthStatus::Fine } else { HealthStatus::Trouble },
        troubles,
        version: env!("CARGO_PKG_VERSION"),
        pack: report.pack,
        gallery_customers: report.customers,
        cameras,
        unsaved_visits,
        outbox: OutboxView {
            depth: report.outbox.depth,
            oldest_age_s: report.outbox.oldest_age.map(|age| age.as_secs()),
            dead: report.outbox.dead,
        },
        clock_synchronised: report.clock_synchronised,
        uptime_s: report.uptime.as_secs(),
    }
}
