//! A service without its database: page, /health and metrics are there all the same and say why, until it is back.
//!
//! What the database lacks is `crate::store`'s to say; how it is served once it is there, `app::start`'s.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Result;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use super::visit_book::NoBook;
use super::{Settings, Supervision, keeper, lookout};
use crate::clock::Clock;
use crate::greeter::{CounterState, Counters};
use crate::shutdown;
use crate::store::{Store, StoreError};
use crate::telemetry::Metrics;
use crate::trouble::{Teller, Trouble, Troubles};
use crate::web::{self, DeadLetter, HealthReport, OutboxHealth, SyncDesk, SyncError};

/// Between tries to open the database.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// Whether it is worth waiting for the database rather than to end: nothing but a person's hand brings it back, and
/// until then the screen must say so.
pub fn can_wait(error: &StoreError) -> bool {
    error.is_damage() || matches!(error, StoreError::Lost { .. })
}

/// What the waiting service is made of.
pub struct WaitingRoom<'a> {
    pub settings: &'a Settings,
    /// The name of the configured pack.
    pub pack: &'a str,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub supervision: Supervision,
    pub troubles: Troubles,
}

impl WaitingRoom<'_> {
    /// Serves page, health and metrics and tries `open` until it gives the database; `why` is its first error. Ends with
    /// an error that cannot be waited for, or when it is dropped.
    pub async fn wait(
        self,
        why: StoreError,
        dir: &Path,
        open: impl Fn() -> Result<Arc<Store>, StoreError> + Send + Sync + 'static,
    ) -> Result<Arc<Store>> {
        let open = Arc::new(open);
        let listener = web::bind(self.settings.listen).await?;
        let (stop_web, web_stop) = shutdown::channel();
        let (screens, parts) = self.web();
        let web = tokio::spawn(web::serve(listener, parts, web_stop));
        let (mut error, mut said, mut is_aside) = (why, String::new(), false);
        let store = loop {
            self.tell(&error, &screens);
            let text = error.to_string();
            if text != said {
                tracing::error!("{text}");
                said = text;
            }
            if error.is_damage() && !std::mem::replace(&mut is_aside, true) {
                lookout::set_aside(dir);
            }
            // Trying is the progress that the watchdog asks for.
            if let Some(alive) = &self.supervision.alive {
                alive();
            }
            tokio::time::sleep(TRY_AGAIN).await;
            let open = Arc::clone(&open);
            match tokio::task::spawn_blocking(move || open()).await? {
                Ok(store) => break Ok(store),
                Err(next) if can_wait(&next) || matches!(next, StoreError::Busy { .. }) => error = next,
                Err(next) => break Err(next.into()),
            }
        };
        for trouble in [Trouble::StoreLost, Trouble::StoreUnreadable] {
            self.troubles.set(Teller::Keeper, trouble, false);
        }
        stop_web.stop();
        // Its port is needed by the service itself.
        let _ = web.await;
        store
    }

    fn tell(&self, error: &StoreError, screens: &[watch::Sender<Arc<CounterState>>]) {
        let lost = matches!(error, StoreError::Lost { .. });
        self.troubles.set(Teller::Keeper, Trouble::StoreLost, lost);
        self.troubles.set(Teller::Keeper, Trouble::StoreUnreadable, !lost);
        keeper::count_troubles(&self.troubles, &self.metrics);
        for screen in screens {
            screen.send_replace(Arc::new(CounterState { troubles: self.troubles.all(), ..CounterState::default() }));
        }
    }

    fn web(&self) -> (Vec<watch::Sender<Arc<CounterState>>>, web::WebParts) {
        let (mut screens, mut seen) = (Vec::new(), BTreeMap::new());
        for (counter, _) in &self.settings.desk.counters {
            let (screen, receiver) = watch::channel(Arc::default());
            screens.push(screen);
            seen.insert(counter.clone(), receiver);
        }
        // Nobody takes answers and cards: whoever gives one is told to try again.
        let counters = Counters::new(seen, mpsc::channel(1).0, mpsc::channel(1).0);
        let outbox = OutboxHealth { crm: self.settings.crm.vendor.as_str().to_owned(), ..OutboxHealth::default() };
        let (pack, clock) = (self.pack.to_owned(), Arc::clone(&self.clock));
        let (config_refused, started) = (Arc::clone(&self.supervision.config_refused), clock.monotonic());
        let health = move || HealthReport {
            pack: pack.clone(),
            customers: 0,
            outbox: outbox.clone(),
            clock_synchronised: clock.wall().synchronised,
            config_refused: config_refused.load(Ordering::Relaxed),
            overloaded: false,
            uptime: clock.monotonic().since(started),
        };
        let parts = web::WebParts {
            counters,
            languages: self.settings.desk.counters.iter().cloned().collect(),
            time_zone: self.settings.desk.time_zone.clone(),
            clock: Arc::clone(&self.clock),
            health: Arc::new(health),
            sync: Arc::new(NoOutbox),
            visits: Arc::new(NoBook),
            stale_after: self.settings.crm.common.stale_after,
            metrics: Arc::clone(&self.metrics),
            host_names: vec![self.settings.device_name.clone()],
            limits: web::Limits::default(),
        };
        (screens, parts)
    }
}

/// The outbox of a box whose database is not there.
struct NoOutbox;

impl SyncDesk for NoOutbox {
    fn report(&self) -> Result<OutboxHealth, SyncError> {
        Err(SyncError::Store)
    }

    fn dead(&self, _: usize) -> Result<Vec<DeadLetter>, SyncError> {
        Err(SyncError::Store)
    }

    fn retry(&self, _: Uuid) -> Result<(), SyncError> {
        Err(SyncError::Store)
    }

    fn retry_all(&self) -> Result<u64, SyncError> {
        Err(SyncError::Store)
    }

    fn discard(&self, _: Uuid) -> Result<(), SyncError> {
        Err(SyncError::Store)
    }
}
