//! Whether the box does its work, for monitoring: /health and /metrics.
//!
//! Cameras, unsaved visits and what keeps them from the CRM are read from the counters; the rest is told by the composition root.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::Problem;
use super::routes::Site;
use super::turn::in_turn;
use super::view::{CameraStateView, CameraView, ErrorBody, wire_time};
use crate::greeter::CrmTrouble;
use crate::trouble::{self, DeliveryTrouble};

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
    /// The kind of CRM, as the configuration names it: `none`, `webhook`, …
    pub crm: String,
    /// Whether the CRM answered when it was last asked.
    pub connected: bool,
    pub depth: u64,
    /// Of the event that has waited longest.
    pub oldest_age: Option<Duration>,
    /// Events that were refused for good and wait for a person.
    pub dead: u64,
    /// Customers without a contact in the CRM: their visits wait.
    pub unlinked: u64,
    /// Visits that are held because no consent covers them now.
    pub held: u64,
    /// What CRMs that are no longer configured must still take back or forget.
    pub debts: u64,
    /// When the CRM last took something.
    pub last_success: Option<Timestamp>,
    /// Of the last failure, until something succeeds again: throttled, auth, transient, …
    pub error_class: Option<&'static str>,
    /// That failure in our own words; no secret, and nothing about a person.
    pub error: Option<String>,
    /// Until when nothing is sent, because the CRM wants to be left alone.
    pub blocked_until: Option<Timestamp>,
    /// What somebody should see to although the CRM answers, and what to do.
    pub notes: Vec<(DeliveryTrouble, String)>,
}

/// Whether the box does its work.
#[derive(Debug, Serialize, ToSchema)]
pub struct HealthView {
    status: HealthStatus,
    /// What is wrong. With none but those that begin with crm_, and dead_letters, the status is `degraded`, with any
    /// other `trouble`.
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
    /// It greets and records; visits do not reach the CRM as they should.
    Degraded,
    Trouble,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Trouble {
    CameraLost,
    /// Its pictures come, and none can be decoded.
    CameraUnreadable,
    /// The same picture comes over and over.
    CameraFrozen,
    WritesDelayed,
    ConfigRefused,
    Overloaded,
    /// The database cannot be read: damaged, or the disk fails.
    StoreUnreadable,
    /// The database is empty or gone although the box had one.
    StoreLost,
    /// The device key is gone although values are sealed with it.
    KeyMissing,
    /// The device key is not the one that the database's values are sealed with.
    KeyMismatch,
    /// Single customers cannot be read.
    RowUnreadable,
    /// The clock cannot be right.
    Clock,
    /// The CRM does not accept the login.
    CrmRefused,
    /// The CRM takes nothing for hours.
    CrmBlocked,
    /// Visits wait too long for the CRM.
    CrmLate,
    /// Events were refused for good and wait for a person.
    DeadLetters,
    /// Visits wait long for their customer's contact in the CRM.
    CrmUnlinked,
    /// A person must say which contact a customer is.
    CrmUnclear,
    /// Another store has another company key.
    CrmOtherKey,
    /// The box's clock and the CRM's are far apart.
    CrmSkew,
}

impl Trouble {
    /// What lies with the CRM is listed and is no reason to take the box for broken: it greets, and no visit is lost.
    fn breaks_the_box(&self) -> bool {
        match self {
            Self::CrmRefused | Self::CrmBlocked | Self::CrmLate | Self::DeadLetters => false,
            Self::CrmUnlinked | Self::CrmUnclear | Self::CrmOtherKey | Self::CrmSkew => false,
            _ => true,
        }
    }

    fn of(trouble: trouble::Trouble) -> Self {
        match trouble {
            trouble::Trouble::StoreUnreadable => Self::StoreUnreadable,
            trouble::Trouble::StoreLost => Self::StoreLost,
            trouble::Trouble::KeyMissing => Self::KeyMissing,
            trouble::Trouble::KeyMismatch => Self::KeyMismatch,
            trouble::Trouble::RowUnreadable => Self::RowUnreadable,
            trouble::Trouble::Clock => Self::Clock,
        }
    }
}

/// Events on their way to the CRM.
#[derive(Debug, Serialize, ToSchema)]
pub struct OutboxView {
    /// The kind of CRM; `none` where there is none.
    #[schema(example = "bitrix24")]
    crm: String,
    /// Whether the CRM answered when it was last asked.
    connected: bool,
    /// Events that the CRM has not confirmed yet, without the dead ones.
    depth: u64,
    oldest_age_s: Option<u64>,
    /// Events that were refused for good and wait for a person.
    dead: u64,
    /// Customers without a contact in the CRM: their visits wait.
    unlinked: u64,
    /// Visits that are held because their customer's consent does not cover them now.
    held: u64,
    /// What CRMs that are no longer configured must still take back or forget.
    debts: u64,
    /// When the CRM last took something.
    #[schema(format = DateTime)]
    last_success: Option<String>,
    /// Of the last failure, until something succeeds again.
    #[schema(example = "auth")]
    error_class: Option<&'static str>,
    /// What is wrong and what to do.
    error: Option<String>,
    /// Until when nothing is sent, because the CRM wants to be left alone.
    #[schema(format = DateTime)]
    blocked_until: Option<String>,
    /// What somebody should see to although the CRM answers, each with what to do.
    notes: Vec<String>,
}

impl OutboxView {
    pub fn of(outbox: OutboxHealth) -> Self {
        Self {
            crm: outbox.crm,
            connected: outbox.connected,
            depth: outbox.depth,
            oldest_age_s: outbox.oldest_age.map(|age| age.as_secs()),
            dead: outbox.dead,
            unlinked: outbox.unlinked,
            held: outbox.held,
            debts: outbox.debts,
            last_success: outbox.last_success.map(wire_time),
            error_class: outbox.error_class,
            error: outbox.error,
            blocked_until: outbox.blocked_until.map(wire_time),
            notes: outbox.notes.into_iter().map(|(_, said)| said).collect(),
        }
    }
}

/// 200 when the box does its work, 503 when a camera is lost or gives nothing to look at, visits are not being written, the configuration cannot
/// be used, the box is too slow for its cameras, or its database, key or clock cannot be trusted. What lies with the CRM (crm_…,
/// dead_letters) is among the troubles and leaves it at 200: the box greets and keeps every visit, and whoever
/// restarts boxes or sends screens elsewhere after a 503 would mend nothing.
#[utoipa::path(get, path = "/health", tag = "operation",
    responses((status = 200, body = HealthView), (status = 503, body = HealthView),
              (status = 504, body = ErrorBody, description = "The store does not answer")))]
pub async fn health(State(site): State<Arc<Site>>) -> Result<(StatusCode, Json<HealthView>), Problem> {
    let report = Arc::clone(&site.parts.health);
    let report = in_turn(&site.health_turn, move || report()).await?;
    let view = view_of(&site, report);
    let status = match view.status {
        HealthStatus::Fine | HealthStatus::Degraded => StatusCode::OK,
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

fn view_of(site: &Site, report: HealthReport) -> HealthView {
    let mut cameras = Vec::new();
    let mut unsaved_visits = 0;
    let (mut crm, mut own) = (None, Vec::new());
    for counter in site.parts.counters.names() {
        let Some(pictures) = site.parts.counters.watch(counter) else { continue };
        let state = pictures.borrow();
        unsaved_visits += state.unsaved_visits;
        crm = crm.or(state.crm_trouble);
        own.clone_from(&state.troubles);
        cameras.extend(state.cameras.iter().map(|(camera, state)| CameraView::of(camera, state)));
    }
    let mut troubles = Vec::new();
    let blind = |camera: &CameraView| {
        matches!(camera.state, CameraStateView::Lost | CameraStateView::Stalled | CameraStateView::Refused)
    };
    if cameras.iter().any(blind) {
        troubles.push(Trouble::CameraLost);
    }
    for (state, trouble) in
        [(CameraStateView::Unreadable, Trouble::CameraUnreadable), (CameraStateView::Frozen, Trouble::CameraFrozen)]
    {
        if cameras.iter().any(|camera| camera.state == state) {
            troubles.push(trouble);
        }
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
    troubles.extend(own.into_iter().map(|(trouble, _)| Trouble::of(trouble)));
    // As the screens are told it, so that an operator and a cashier never hear two different things.
    troubles.extend(crm.map(|trouble| match trouble {
        CrmTrouble::Refused => Trouble::CrmRefused,
        CrmTrouble::Blocked => Trouble::CrmBlocked,
        CrmTrouble::Late { .. } => Trouble::CrmLate,
    }));
    if report.outbox.dead > 0 {
        troubles.push(Trouble::DeadLetters);
    }
    troubles.extend(report.outbox.notes.iter().map(|(trouble, _)| match trouble {
        DeliveryTrouble::Unlinked => Trouble::CrmUnlinked,
        DeliveryTrouble::Unclear => Trouble::CrmUnclear,
        DeliveryTrouble::OtherKey => Trouble::CrmOtherKey,
        DeliveryTrouble::Skew => Trouble::CrmSkew,
    }));
    let status = match troubles.as_slice() {
        [] => HealthStatus::Fine,
        some if some.iter().any(Trouble::breaks_the_box) => HealthStatus::Trouble,
        _ => HealthStatus::Degraded,
    };
    HealthView {
        status,
        troubles,
        version: env!("CARGO_PKG_VERSION"),
        pack: report.pack,
        gallery_customers: report.customers,
        cameras,
        unsaved_visits,
        outbox: OutboxView::of(report.outbox),
        clock_synchronised: report.clock_synchronised,
        uptime_s: report.uptime.as_secs(),
    }
}
