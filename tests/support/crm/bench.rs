//! A connector at its fake: what a vendor's own tests stand on.
//!
//! The contract that every connector keeps is in `tests/crm_contract.rs`, over the whole road from the outbox.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use snova::clock::{Clock, SimulatedClock, WallTime, mint_at};
use snova::config::Config;
use snova::crm::{ContactId, CrmConnector, Secrets, Timer, Tools, VisitRecord};
use snova::customer::{CustomerId, HowKnown};
use snova::face::CounterId;
use snova::vendors::Configured;

use super::{FakeCrm, FakeServer};

/// Secrets in memory.
#[derive(Default)]
pub struct Pocket(pub Mutex<BTreeMap<String, String>>);

impl Secrets for Pocket {
    fn secret(&self, name: &str) -> Result<Option<String>, String> {
        Ok(self.0.lock().unwrap().get(name).cloned())
    }
    fn keep(&self, name: &str, value: &str) -> Result<(), String> {
        self.0.lock().unwrap().insert(name.to_owned(), value.to_owned());
        Ok(())
    }
}

/// Waiting moves the simulated clock instead.
pub struct Leap(pub Arc<SimulatedClock>);

#[async_trait]
impl Timer for Leap {
    async fn wait(&self, time: Duration) {
        self.0.advance(time);
        tokio::task::yield_now().await;
    }
}

pub const START: &str = "2026-03-02T09:00:00Z";

/// A fake, its server, and a connector to it, on one simulated clock.
pub struct Bench {
    pub clock: Arc<SimulatedClock>,
    pub server: FakeServer,
    pub secrets: Arc<Pocket>,
    pub settings: Configured,
    pub connector: Box<dyn CrmConnector>,
}

impl Bench {
    pub async fn of(crm: Arc<Mutex<dyn FakeCrm>>) -> Self {
        Self::with(crm, |config| config).await
    }

    /// With a change of the configuration's text.
    pub async fn with(crm: Arc<Mutex<dyn FakeCrm>>, change: impl Fn(String) -> String) -> Self {
        let clock = Arc::new(SimulatedClock::starting_at(START.parse().unwrap()));
        let server = FakeServer::start(crm, Arc::clone(&clock) as Arc<dyn Clock>).await;
        let secrets = Arc::new(Pocket::default());
        for (name, value) in server.crm.lock().unwrap().secrets() {
            secrets.keep(name, &value).unwrap();
        }
        let text = change(server.config());
        let settings = Config::parse(&text, Path::new("snova.toml")).unwrap_or_else(|e| panic!("{e}\n{text}")).crm;
        let tools = Tools {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            timer: Arc::new(Leap(Arc::clone(&clock))),
            secrets: Arc::clone(&secrets) as Arc<dyn Secrets>,
            server_clock: Arc::default(),
        };
        let connector = settings.open(&tools).unwrap().expect("a CRM is configured");
        Self { clock, server, secrets, settings, connector }
    }

    /// A visit of ten minutes ending now, of that contact, at `till-1`.
    pub fn visit(&self, contact: &str) -> VisitRecord {
        self.visit_at(contact, "till-1")
    }

    pub fn visit_at(&self, contact: &str, counter: &str) -> VisitRecord {
        let now = self.clock.wall();
        let opened = WallTime { at: now.at.checked_sub(Duration::from_secs(600)).unwrap(), ..now };
        VisitRecord {
            key: mint_at(now.at),
            contact: ContactId(contact.to_owned()),
            customer: CustomerId(mint_at(now.at)),
            shop: "shop-7".to_owned(),
            box_id: uuid::Uuid::nil(),
            counter: CounterId::new(counter),
            opened_at: opened,
            closed_at: now,
            how: HowKnown::Match,
            greeting: None,
            served_by: None,
            receipt: None,
            skew: None,
            tried_at: None,
        }
    }
}
