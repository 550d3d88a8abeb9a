//! The thread that delivers: opens the configured connector and runs the courier until the stop is asked.
//!
//! What it delivers and how is `crate::sync`'s. A CRM that cannot be used never keeps the box from greeting.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::tz::TimeZone;

use crate::clock::Clock;
use crate::crm::{Failure, Heartbeat, SystemTimer, Tools};
use crate::shutdown::Shutdown;
use crate::store::Store;
use crate::sync::{Courier, CourierParts, StoreSecrets};
use crate::telemetry::Metrics;
use crate::vendors::Configured;

/// Between tries to open what the configuration names.
const REOPEN: Duration = Duration::from_secs(60);

pub(super) struct Dispatch {
    pub store: Arc<Store>,
    pub settings: Configured,
    pub clock: Arc<dyn Clock>,
    pub time_zone: TimeZone,
    pub metrics: Arc<Metrics>,
    pub heartbeat: Arc<dyn Fn() -> Heartbeat + Send + Sync>,
    pub stop: Shutdown,
}

impl Dispatch {
    /// Until the stop is asked; at once where no CRM is configured.
    pub fn run(self) -> Result<()> {
        if !self.settings.is_some() {
            return Ok(());
        }
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build().context("the network cannot be used")?;
        loop {
            match self.courier() {
                Ok(courier) => {
                    runtime.block_on(courier.run(self.stop.clone()));
                    return Ok(());
                }
                Err(error) => tracing::error!("visits wait for the CRM: {error:#}"),
            }
            if self.stop.wait_for(REOPEN) {
                return Ok(());
            }
        }
    }

    fn courier(&self) -> Result<Courier> {
        let tools = Tools {
            clock: Arc::clone(&self.clock),
            timer: Arc::new(SystemTimer),
            secrets: Arc::new(StoreSecrets(Some(Arc::clone(&self.store)))),
            server_clock: Arc::default(),
        };
        let opened = self.settings.open(&tools);
        let connector = opened.map_err(|failure| self.refused(failure))?.context("no CRM is configured")?;
        let beacon = self.settings.open_beacon(&tools).map_err(|failure| self.refused(failure))?;
        Ok(Courier::new(CourierParts {
            store: Arc::clone(&self.store),
            connector,
            beacon,
            settings: self.settings.common.clone(),
            clock: Arc::clone(&self.clock),
            server_clock: tools.server_clock,
            time_zone: self.time_zone.clone(),
            metrics: Arc::clone(&self.metrics),
            heartbeat: Arc::clone(&self.heartbeat),
        })?)
    }

    /// Makes a configuration that cannot be used known to the screens and to `snova sync status`.
    fn refused(&self, failure: Failure) -> Failure {
        let now = self.clock.wall().at;
        let until = now.checked_add(REOPEN).unwrap_or(now);
        let kept = self
            .store
            .current_target()
            .and_then(|target| self.store.keep_failure(target, failure.class.as_str(), failure.said(), until, now));
        if let Err(error) = kept {
            tracing::error!(%error, "the failure cannot be kept");
        }
        failure
    }
}
