//! A company's own receiver of the webhook: checks signature and time, takes each key once, answers for each event.
//!
//! After `docs/crm/webhook.md`, whose example in Python is tested as well.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::Sha256;

use super::{Answer, Asked, FakeContact, FakeCrm, FakeRecords, FakeVisit, POISON_TILL};

const KEY: &str = "whsec-5d1f0c7a9b3e4862d07e";
pub const PATH: &str = "/snova";
/// As the guide says: a box's clock may be five minutes off, and the receiver's as well.
const TOLERANCE_S: i64 = 600;
/// What this receiver lets through: a larger body is refused whole, as a web server before it would.
const MOST_BYTES: usize = 100_000;

/// How the receiver answers what it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    /// With a result for each.
    #[default]
    Results,
    /// With 204 and nothing.
    Silent,
    /// With 400 for the whole, when one is bad.
    AllOrNothing,
    /// Without looking at the signature.
    Careless,
}

/// The receiver's memory.
#[derive(Default)]
pub struct FakeReceiver {
    pub manner: Manner,
    /// Events by key; each once.
    pub taken: BTreeMap<String, Value>,
    /// In the order in which they came.
    order: Vec<String>,
    contacts: BTreeMap<String, FakeContact>,
    /// A field of visits that nobody sends is wanted.
    demands: bool,
    no_right: bool,
}

/// As a receiver would compute it.
fn signature(timestamp: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
    mac.update(format!("{timestamp}.").as_bytes());
    mac.update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("v1={hex}")
}

fn is_uuid(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.parse::<uuid::Uuid>().is_ok())
}

fn is_time(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.parse::<Timestamp>().is_ok())
}

impl FakeReceiver {
    fn refusal(asked: &Asked, now: Timestamp) -> Option<&'static str> {
        let stamp = asked.header("snova-timestamp").unwrap_or_default();
        if asked.header("snova-signature") != Some(&*signature(stamp, &asked.body)) {
            return Some("bad_signature");
        }
        let apart = stamp.parse::<i64>().map_or(i64::MAX, |at| (now.as_second() - at).abs());
        (apart > TOLERANCE_S).then_some("stale_timestamp")
    }

    /// Takes the event, or says by which code it is refused.
    fn take(&mut self, kind: &str, event: &Value) -> Result<(), &'static str> {
        if event["event"] != kind {
            return Err("bad_event");
        }
        let key = event["key"].as_str().filter(|key| !key.is_empty()).ok_or("bad_key")?.to_owned();
        let is_whole = match kind {
            "visit" | "amendment" => {
                is_uuid(&event[if kind == "visit" { "key" } else { "visit" }])
                    && is_uuid(&event["customer"])
                    && is_time(&event["opened_at"])
                    && is_time(&event["closed_at"])
                    && event["shop"].is_string()
                    && event["synchronised"].is_boolean()
                    && event["how"].as_str().is_some_and(|how| ["match", "confirmed", "entered"].contains(&how))
            }
            "void" => is_uuid(&event["visit"]),
            "erasure" => {
                is_uuid(&event["customer"]) && event["visits"].as_array().is_some_and(|v| v.iter().all(is_uuid))
            }
            "heartbeat" => event["device"].is_string() && is_time(&event["at"]) && event["outbox"]["depth"].is_u64(),
            "probe" => is_time(&event["at"]),
            _ => false,
        };
        if !is_whole {
            return Err("bad_event");
        }
        if event["counter"] == POISON_TILL {
            return Err("bad_counter");
        }
        if kind == "visit" && self.demands {
            return Err("missing_field");
        }
        if !self.taken.contains_key(&key) {
            self.order.push(key.clone());
            self.taken.insert(key, event.clone());
        }
        Ok(())
    }

    fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.order.iter().map(|key| &self.taken[key]).filter(move |event| event["event"] == kind)
    }
}

impl FakeRecords for FakeReceiver {
    fn raw(&self, record: &str) -> Option<String> {
        let at: usize = record.strip_prefix("row-")?.parse().ok()?;
        let visit = self.visits().into_iter().find(|visit| visit.key == self.order[at])?;
        Some(format!("{} {visit:?}", self.taken[&visit.key]))
    }

    /// The next row is another box's visit.
    fn plant(&mut self, record: &str, contact: &str, now: Timestamp) {
        let key = "57c0ffee-0000-4000-8000-000000000000";
        assert_eq!(record, format!("row-{}", self.order.len()));
        let visit = json!({ "event": "visit", "key": key, "customer": contact, "opened_at": now.to_string() });
        self.order.push(key.to_owned());
        self.taken.insert(key.to_owned(), visit);
    }

    fn remark(&mut self, _: &str, _: &str) -> bool {
        false
    }
}

impl FakeCrm for FakeReceiver {
    fn answer(&mut self, asked: &Asked, now: Timestamp) -> Answer {
        let date = jiff::fmt::rfc2822::to_string(&now.to_zoned(jiff::tz::TimeZone::UTC)).unwrap();
        let reply = |status, body: &Value| Answer::json(status, body).with("date", &date);
        if asked.path != PATH {
            return Answer::html(404, "<h1>Not Found</h1>");
        }
        if asked.method != "POST" {
            return Answer::html(405, "<h1>Method Not Allowed</h1>");
        }
        if let Some(code) = Self::refusal(asked, now).filter(|_| self.manner != Manner::Careless) {
            return reply(401, &json!({ "code": code, "message": "who are you, Иван?" }));
        }
        if self.no_right {
            return reply(403, &json!({ "code": "no_right" }));
        }
        if asked.body.len() > MOST_BYTES {
            return Answer::html(413, "<h1>Request Entity Too Large</h1>");
        }
        let kind = asked.header("snova-event").unwrap_or_default().to_owned();
        let Some(Value::Array(events)) = asked.json().filter(|_| asked.header("idempotency-key").is_some()) else {
            return reply(400, &json!({ "code": "bad_body" }));
        };
        if self.manner == Manner::AllOrNothing && events.iter().any(|event| event["counter"] == POISON_TILL) {
            return reply(400, &json!({ "code": "bad_batch" }));
        }
        let results = events.iter().map(|event| match self.take(&kind, event) {
            Ok(()) => {
                let id = self.order.iter().position(|key| event["key"] == key.as_str());
                json!({ "key": event["key"], "status": "ok", "id": format!("row-{}", id.unwrap()) })
            }
            Err(code) => json!({ "key": event["key"], "status": "refused", "code": code }),
        });
        let results: Vec<Value> = results.collect();
        match self.manner {
            Manner::Silent => Answer::empty(204),
            _ => reply(200, &json!({ "results": results })),
        }
    }

    fn throttled(&self) -> Answer {
        Answer::html(429, "slow down").with("retry-after", "30")
    }

    fn blocked(&self) -> Answer {
        Answer::html(410, "<h1>Gone</h1>")
    }

    /// There are no tokens.
    fn expire_tokens(&mut self) {}

    fn is_visit_write(&self, asked: &Asked) -> bool {
        asked.header("snova-event") == Some("visit")
    }

    fn visits(&self) -> Vec<FakeVisit> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let visit = |event: &Value| FakeVisit {
            key: text(&event["key"]),
            contact: text(&event["customer"]),
            opened_at: event["opened_at"].as_str().and_then(|at| at.parse().ok()),
            void: self.of_kind("void").any(|void| void["visit"] == event["key"]),
            erased: self
                .of_kind("erasure")
                .any(|gone| gone["visits"].as_array().is_some_and(|visits| visits.contains(&event["key"]))),
        };
        self.of_kind("visit").map(visit).collect()
    }

    fn add_contact(&mut self, contact: FakeContact, _now: Timestamp) -> String {
        let id = format!("contact-{}", self.contacts.len() + 1);
        self.contacts.insert(id.clone(), contact);
        id
    }

    fn change_contact(&mut self, id: &str, change: &dyn Fn(&mut FakeContact), _now: Timestamp) {
        change(self.contacts.get_mut(id).unwrap());
    }

    fn contact(&self, id: &str) -> Option<FakeContact> {
        self.contacts.get(id).cloned()
    }

    fn contacts(&self) -> usize {
        self.contacts.len()
    }

    fn all_contacts(&self) -> Vec<(String, FakeContact)> {
        self.contacts.clone().into_iter().collect()
    }

    fn bin_contact(&mut self, id: &str, _now: Timestamp) {
        self.contacts.remove(id);
    }

    fn merge_contacts(&mut self, loser: &str, _survivor: &str, _now: Timestamp) {
        self.contacts.remove(loser);
    }

    fn demand_field(&mut self, on: bool) {
        self.demands = on;
    }

    fn take_right(&mut self, taken: bool) {
        self.no_right = taken;
    }

    /// There are no contacts on this road, and no fields.
    fn told(&self, _id: &str) -> snova::crm::Told {
        snova::crm::Told::default()
    }

    fn told_config(&mut self) -> String {
        String::new()
    }

    fn heartbeats(&self) -> usize {
        self.of_kind("heartbeat").count()
    }

    fn config(&self, url: &str, ca_file: &str) -> String {
        format!("[crm]\nkind = \"webhook\"\nca_file = \"{ca_file}\"\n[crm.webhook]\nurl = \"{url}{PATH}\"\n")
    }

    fn secrets(&self) -> Vec<(&'static str, String)> {
        vec![("crm/webhook/key", KEY.to_owned())]
    }
}
