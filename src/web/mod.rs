//! The box's face to people and programs: the cashier's page, its JSON and event stream, health and metrics.
//!
//! It shows what `crate::greeter` says and hands back what the cashier answers; it decides nothing and stores
//! nothing. Every type on the wire is this room's own (`view`), so no domain type can leak by a derive.

mod answer;
mod card;
mod counters;
mod entry;
mod error;
mod guard;
mod health;
mod page;
mod routes;
mod server;
mod stream;
mod sync;
mod till;
mod turn;
mod view;
mod visits;
mod words;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::clock::Clock;
use crate::face::CounterId;
use crate::greeter::Counters;
use crate::i18n::Language;
use crate::shutdown::Shutdown;
use crate::telemetry::Metrics;

pub use health::{HealthReport, OutboxHealth};
pub use sync::{DeadLetter, SyncDesk, SyncError};
pub use visits::{BookError, BookedState, BookedVisit, VisitBook};

/// What the screens are made of.
pub struct WebParts {
    pub counters: Counters,
    /// The language of each counter's page; Russian for one that is not listed.
    pub languages: BTreeMap<CounterId, Language>,
    /// The shop's own time zone, for the page's clock and dates.
    pub time_zone: jiff::tz::TimeZone,
    pub clock: Arc<dyn Clock>,
    /// May block for a while (it reads the store): it is called off the runtime's threads, one at a time.
    pub health: Arc<dyn Fn() -> HealthReport + Send + Sync>,
    /// The outbox in the hands of an operator.
    pub sync: Arc<dyn SyncDesk>,
    /// The visits on record.
    pub visits: Arc<dyn VisitBook>,
    /// How long after the CRM was last heard of a customer their card is said to be old.
    pub stale_after: Duration,
    pub metrics: Arc<Metrics>,
    /// Names by which browsers reach this box, besides IP addresses and `localhost`. A request under any other
    /// name is refused, or a web site could point its own name at the box and read the screen.
    pub host_names: Vec<String>,
    pub limits: Limits,
}

/// How much of the box the web may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open connections in all.
    pub connections: usize,
    /// Open connections of one address, so that one machine cannot shut out the rest.
    pub connections_per_address: usize,
    /// Screens that listen at once.
    pub streams: usize,
    /// For a request's headers to arrive; an idle connection is closed after as long.
    pub header_read: Duration,
    /// For a request's body to arrive and its answer to be ready.
    pub request: Duration,
    /// For the greeter's word on an answer.
    pub answer: Duration,
    /// Between signs of life on a screen's stream. A page that hears nothing for 2½ of these shows nobody.
    pub ping: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 128,
            connections_per_address: 32,
            streams: 48,
            header_read: Duration::from_secs(10),
            request: Duration::from_secs(10),
            answer: Duration::from_secs(5),
            ping: Duration::from_secs(4),
        }
    }
}

/// Why the web cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    #[error("web: {0} is in use by another program; stop that program or give another address")]
    InUse(SocketAddr),
    #[error("web: this machine has no address {0}; give one of its own, or 0.0.0.0 for all of them")]
    NoSuchAddress(SocketAddr),
    #[error("web: {0} is not allowed to this user; give a port from 1024 up")]
    NotAllowed(SocketAddr),
    #[error("web: cannot listen on {address}: {cause}")]
    Bind { address: SocketAddr, cause: std::io::Error },
    #[error("web: no connection can be accepted any more: {0}; raise the limit of open files and restart")]
    Accept(std::io::Error),
}

/// Opens the socket for [`serve`].
pub async fn bind(address: SocketAddr) -> Result<TcpListener, WebError> {
    use std::io::ErrorKind;
    TcpListener::bind(address).await.map_err(|cause| match cause.kind() {
        ErrorKind::AddrInUse => WebError::InUse(address),
        ErrorKind::AddrNotAvailable => WebError::NoSuchAddress(address),
        ErrorKind::PermissionDenied => WebError::NotAllowed(address),
        _ => WebError::Bind { address, cause },
    })
}

/// Serves until the stop is asked, then ends the streams, lets running requests finish for a short while and
/// returns.
pub async fn serve(listener: TcpListener, parts: WebParts, shutdown: Shutdown) -> Result<(), WebError> {
    let limits = parts.limits;
    let router = routes::router(parts, shutdown.clone());
    server::run(listener, router, limits, shutdown).await
}
