//! A webhook of the company's own: events as signed JSON, posted to one address.
//!
//! What its answers mean is `wire`'s, trying it out is `probe`'s. The receiver is told a key of each event and takes each
//! key once, so everything may be sent again. It keeps no contacts for Snova: visits bear the customer's id.

mod probe;
pub mod settings;
mod wire;

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::crm::{
    Changes, Contact, ContactId, Creation, CrmConnector, CrmSettings, Failure, FailureClass, Finding, Forgotten,
    Heartbeat, Http, Manners, NewContact, RecordId, Reply, Request, Seek, SentVisit, Standing, Told, Tools,
    VisitRecord,
};

/// The key that both sides sign with.
pub const SECRETS: &[&str] = &["crm/webhook/key"];

/// A receiver of the shop's own need not be fast.
const INTERVAL: Duration = Duration::from_millis(200);
/// Visits of one request: some 15 kB.
const BATCH: usize = 50;

/// `[crm.webhook]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `https://crm.example.com/snova`.
    pub url: String,
}

/// The connector.
pub struct Webhook {
    settings: Settings,
    http: Http,
    tools: Tools,
}

impl Webhook {
    pub fn new(settings: &Settings, common: &CrmSettings, tools: &Tools) -> Result<Self, Failure> {
        let http = Http::new(&common.http, tools, INTERVAL)?;
        Ok(Self { settings: settings.clone(), http, tools: tools.clone() })
    }

    fn signing_key(&self) -> Result<String, Failure> {
        let key = self.tools.secrets.secret(SECRETS[0]).map_err(Failure::auth)?;
        key.map(|key| key.trim().to_owned()).filter(|key| !key.is_empty()).ok_or_else(|| {
            Failure::auth(format!("no signing key is kept; give it with `snova crm secret {}`", SECRETS[0]))
        })
    }

    fn request(&self, kind: &str, events: &[Value]) -> Request {
        // Text by text: what is signed is what is sent.
        let body = Value::Array(events.to_vec()).to_string();
        Request::post(&self.settings.url)
            .header("snova-event", kind)
            .header("idempotency-key", wire::request_key(events))
            .body("application/json", body)
    }

    async fn post(&mut self, kind: &str, events: &[Value], key: &str) -> Result<Reply, Failure> {
        let at = self.tools.clock.wall().at.as_second().to_string();
        let request = self.request(kind, events);
        let signature = wire::signature(key.as_bytes(), &at, request.payload());
        self.http.send(&request.header("snova-timestamp", at).header("snova-signature", signature)).await
    }

    /// Sends events of one kind; what became of each, in their order.
    async fn send(&mut self, kind: &str, events: &[Value]) -> Result<Vec<Result<RecordId, Failure>>, Failure> {
        let key = self.signing_key()?;
        let reply = self.post(kind, events, &key).await?;
        wire::outcomes(&reply, events, &*self.tools.clock)
    }

    async fn send_one(&mut self, kind: &str, event: Value) -> Result<(), Failure> {
        let outcomes = self.send(kind, &[event]).await?;
        outcomes.into_iter().next().unwrap_or(Ok(RecordId(String::new()))).map(|_| ())
    }
}

fn no_contacts() -> Failure {
    Failure::blocked(
        "a webhook's receiver keeps no contacts for Snova; nobody is linked, created or told of there",
        None,
    )
}

#[async_trait]
impl CrmConnector for Webhook {
    fn manners(&self) -> Manners {
        Manners {
            keyed: true,
            batch: BATCH,
            keyed_contacts: true,
            settle: Duration::ZERO,
            needs_contact: false,
            mark_chars: 255,
        }
    }

    async fn record(&mut self, visits: &[VisitRecord]) -> Result<Vec<Result<RecordId, Failure>>, Failure> {
        let events: Vec<Value> = visits.iter().map(wire::visit).collect();
        match self.send("visit", &events).await {
            // Refused as a whole: one of them is to blame, and the others must not share its fate.
            Err(failure) if failure.class == FailureClass::Poison && events.len() > 1 => {}
            Err(failure) if failure.class == FailureClass::Poison => return Ok(vec![Err(failure)]),
            outcomes => return outcomes,
        }
        let mut outcomes = Vec::new();
        for event in events {
            outcomes.push(match self.send("visit", &[event]).await {
                Ok(mut one) => one.pop().unwrap_or_else(|| Ok(RecordId(String::new()))),
                Err(failure) if failure.class == FailureClass::Poison => Err(failure),
                Err(failure) => return Err(failure),
            });
        }
        Ok(outcomes)
    }

    /// The receiver cannot be asked. "Not there" only makes the caller send again, which its keys make harmless.
    async fn reconcile(&mut self, visits: &[VisitRecord]) -> Result<Vec<Option<RecordId>>, Failure> {
        Ok(vec![None; visits.len()])
    }

    async fn void(&mut self, visit: &SentVisit) -> Result<(), Failure> {
        self.send_one("void", wire::void(visit)).await
    }

    async fn amend(&mut self, visit: &VisitRecord, _sent: &SentVisit) -> Result<(), Failure> {
        self.send_one("amendment", wire::amendment(visit)).await
    }

    async fn forget(&mut self, gone: &Forgotten) -> Result<(), Failure> {
        self.send_one("erasure", wire::erasure(gone)).await
    }

    async fn find(&mut self, _sought: &Seek) -> Result<Vec<Contact>, Failure> {
        Ok(Vec::new())
    }

    async fn write_mark(&mut self, _contact: &ContactId, _text: &str) -> Result<(), Failure> {
        Err(no_contacts())
    }

    async fn create(&mut self, _new: &NewContact) -> Result<Creation, Failure> {
        Err(no_contacts())
    }

    async fn contact(&mut self, _id: &ContactId) -> Result<Option<Contact>, Failure> {
        Ok(None)
    }

    async fn changed(&mut self, cursor: &str) -> Result<Changes, Failure> {
        Ok(Changes { cursor: cursor.to_owned(), ..Changes::default() })
    }

    async fn retire(&mut self, _younger: &ContactId, _elder: &ContactId) -> Result<(), Failure> {
        Err(no_contacts())
    }

    async fn visits_of(&mut self, _contact: &ContactId) -> Result<Vec<Standing>, Failure> {
        Err(no_contacts())
    }

    async fn tell(&mut self, _told: &[(ContactId, Told)]) -> Result<Vec<Result<(), Failure>>, Failure> {
        Err(no_contacts())
    }

    async fn prepare(&mut self) -> Vec<Finding> {
        vec![Finding::good("nothing: every event says all that Snova knows, and the receiver keeps what it likes")]
    }

    async fn probe(&mut self) -> Vec<Finding> {
        probe::probe(self).await
    }

    async fn heartbeat(&mut self, beat: &Heartbeat) -> Result<bool, Failure> {
        let cameras: Vec<Value> =
            beat.cameras.iter().map(|(name, sees)| json!({ "name": name, "sees": sees })).collect();
        let event = json!({
            "event": "heartbeat",
            "key": self.tools.clock.mint().to_string(),
            "device": beat.device,
            "box": beat.box_id.to_string(),
            "version": beat.version,
            "at": wire::time(beat.at.at),
            "synchronised": beat.at.synchronised,
            "cameras": cameras,
            "outbox": {
                "depth": beat.outbox_depth,
                "oldest_s": beat.outbox_oldest.map(|age| age.as_secs()),
                "dead": beat.outbox_dead,
            },
        });
        self.send_one("heartbeat", event).await.map(|()| true)
    }

    fn preview(&self, visits: &[VisitRecord]) -> Vec<String> {
        let request = |batch: &[VisitRecord]| {
            let events: Vec<Value> = batch.iter().map(wire::visit).collect();
            self.request("visit", &events).in_words()
        };
        visits.chunks(BATCH).map(request).collect()
    }
}
