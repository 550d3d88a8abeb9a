//! The delivery: brings the outbox to the CRM, each event once, and the CRM's cards to the box.
//!
//! One thing at a time, by one worker a box: claim and commit, then send outside of any transaction, then commit what
//! became of it. What was under way when the box stopped is in doubt: a CRM with a key of ours is simply told again, any
//! other is asked first. What a CRM wants to be told how is `crate::crm`'s; the rows are `crate::store`'s.

mod backoff;
mod batch;
mod cards;
mod deliver;
mod doubles;
mod identity;
mod lane;
mod link;
mod marking;
mod notes;
mod rollup;
mod secrets;
mod settling;
mod signs;
mod told;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

pub use deliver::about_to_be_sent;
pub use identity::compare as compare_names;
pub use link::{LinkBook, LinkError, Linked, link_customer};
pub use marking::{Marked, add as mark_contact, remove as unmark_contacts};
pub use notes::notes;
pub use secrets::{COMPANY_KEY, Company, StoreSecrets};

use self::backoff::Backoff;
use self::link::Looked;
use self::settling::Settling;
use crate::clock::{Clock, Days, Monotonic};
use crate::crm::{CrmConnector, CrmSettings, Heartbeat, Manners, ServerClock};
use crate::shutdown::Shutdown;
use crate::store::{Conclusion, Lane, Store, StoreError, TargetId};
use crate::telemetry::Metrics;
use uuid::Uuid;

/// How often the outbox is looked at while nothing happens; it is also written by other processes.
const POLL: Duration = Duration::from_secs(1);
/// How long the delivery rests when the store itself is in trouble.
const STORE_TROUBLE: Duration = Duration::from_secs(5);
/// How long a step under way may still take once the stop is asked. What it does not finish is in doubt, no more.
const LAST_STEP: Duration = Duration::from_secs(3);
/// Who was looked for in vain is looked for again after this.
const SEEK_AGAIN: Duration = Duration::from_secs(3600);
/// Customers looked for, and cards fetched, in one step: visits must not wait for them long.
const SOME: usize = 5;

/// What a worker is made of.
pub struct CourierParts {
    pub store: Arc<Store>,
    pub connector: Box<dyn CrmConnector>,
    /// Hears signs of life beside the CRM.
    pub beacon: Option<Box<dyn CrmConnector>>,
    pub settings: CrmSettings,
    pub clock: Arc<dyn Clock>,
    /// The CRM's, as the connector hears it.
    pub server_clock: Arc<ServerClock>,
    pub time_zone: TimeZone,
    pub metrics: Arc<Metrics>,
    /// What the box says of itself; it is asked just before it is sent.
    pub heartbeat: Arc<dyn Fn() -> Heartbeat + Send + Sync>,
}

/// The worker.
pub struct Courier {
    parts: CourierParts,
    /// The CRM that the connector talks to.
    target: TargetId,
    /// It is not the current one: nothing but what it is owed is brought to it.
    settles: bool,
    /// Which box says so.
    box_id: Uuid,
    manners: Manners,
    /// Visits of the next call: halved after a failure of the whole, doubled by a success.
    batch: usize,
    backoff: Backoff,
    settling: Settling,
    /// What the CRM's last answers say of it.
    lane: Lane,
    /// A failure of the whole is written down.
    failing: bool,
    /// What the CRM has answered and the disk has not taken.
    unwritten: Vec<(Uuid, Conclusion)>,
    /// A step ended in the middle because the database failed: what it had claimed is in doubt.
    broken_off: bool,
    wakes: u64,
    next_pull: Monotonic,
    next_beat: Monotonic,
    next_beacon: Monotonic,
    takes_heartbeats: bool,
}

impl Courier {
    /// Takes up the outbox where the last run left it. To be called once a run, before anything is sent.
    pub fn new(parts: CourierParts) -> Result<Self, StoreError> {
        let target = parts.store.use_crm(&parts.settings.identity)?;
        Self::to(parts, target, false)
    }

    /// A worker that brings a former CRM what it is owed, and nothing else.
    pub fn settling(parts: CourierParts, target: TargetId) -> Result<Self, StoreError> {
        parts.store.take_up_debts(target)?;
        Self::to(parts, target, true)
    }

    fn to(parts: CourierParts, target: TargetId, settles: bool) -> Result<Self, StoreError> {
        let manners = parts.connector.manners();
        let doubtful = parts.store.recover_sending(target, manners.settle)?;
        if doubtful > 0 {
            tracing::info!(events = doubtful, "events were under way when the last run ended; they are in doubt");
        }
        let now = parts.clock.monotonic();
        let box_id = parts.store.box_id(parts.clock.wall().at)?;
        let state = parts.store.sync_state_of(target)?;
        let seed = parts.clock.mint().as_u64_pair().1;
        Ok(Self {
            target,
            settles,
            box_id,
            batch: manners.batch.max(1),
            manners,
            backoff: Backoff::new(seed),
            settling: Settling::new(if manners.keyed { Duration::ZERO } else { manners.settle }, now),
            lane: state.lane,
            failing: state.error_class.is_some(),
            unwritten: Vec::new(),
            broken_off: false,
            wakes: state.wakes,
            next_pull: now,
            next_beat: now,
            next_beacon: now,
            takes_heartbeats: !parts.settings.heartbeat_every.is_zero(),
            parts,
        })
    }

    /// Until the stop is asked.
    pub async fn run(mut self, stop: Shutdown) {
        loop {
            let wait = {
                let step = self.step();
                tokio::pin!(step);
                tokio::select! {
                    wait = &mut step => wait,
                    () = stop.clone().asked() => {
                        if tokio::time::timeout(LAST_STEP, step).await.is_err() {
                            tracing::info!("the delivery was stopped in the middle; what was under way is in doubt");
                        }
                        return;
                    }
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait.min(POLL)) => {}
                () = stop.clone().asked() => return,
            }
        }
    }

    /// Brings what is due now, and no more: what fails waits for another call.
    pub async fn settle(mut self) {
        while self.step().await.is_zero() {}
    }

    /// Does the next thing that is due. Returns how long nothing more can be done, as far as is known now.
    pub async fn step(&mut self) -> Duration {
        match self.work().await {
            Ok(wait) => wait,
            Err(error) => {
                self.broken_off = true;
                tracing::error!(%error, "the delivery to the CRM cannot use the database; trying again");
                STORE_TROUBLE
            }
        }
    }

    async fn work(&mut self) -> Result<Duration, StoreError> {
        let (now, days) = (self.now(), self.days());
        // Before anything else is sent, or it would be forgotten that it was.
        self.write(Vec::new())?;
        if self.broken_off {
            // Nothing is under way now: this is the only worker.
            self.parts.store.recover_sending(self.target, self.manners.settle)?;
            self.broken_off = false;
        }
        if self.settles {
            let state = self.parts.store.sync_state_of(self.target)?;
            if let Some(wait) = self.blocked(&state, now) {
                return Ok(wait);
            }
            let claimed = self.parts.store.claim(&self.ask(&state, now, days))?;
            let idle = claimed.is_empty();
            self.deliver(claimed).await?;
            return Ok(if idle { POLL } else { Duration::ZERO });
        }
        // Also while the CRM takes nothing: then most of all.
        self.light_beacon().await;
        let state = self.parts.store.sync_state_of(self.target)?;
        if let Some(wait) = self.blocked(&state, now) {
            return Ok(wait);
        }
        if self.beat().await? {
            return Ok(Duration::ZERO);
        }
        // A few at a time: a box full of new customers must not keep its visits waiting.
        let looked = if self.manners.needs_contact { self.link_some(now, days).await? } else { Looked::ForNobody };
        if looked == Looked::InVain {
            return Ok(Duration::ZERO);
        }
        let claimed = self.parts.store.claim(&self.ask(&state, now, days))?;
        if !claimed.is_empty() {
            self.deliver(claimed).await?;
            return Ok(Duration::ZERO);
        }
        if looked == Looked::ForSome {
            return Ok(Duration::ZERO);
        }
        if self.manners.needs_contact && (self.fetch_cards(now).await? || self.tell_some(now).await?) {
            return Ok(Duration::ZERO);
        }
        Ok(POLL)
    }

    fn now(&self) -> Timestamp {
        self.parts.clock.wall().at
    }

    /// The shop's date.
    fn days(&self) -> Days {
        self.parts.clock.days(&self.parts.time_zone)
    }
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}
