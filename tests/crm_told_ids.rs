//! A connector deletes or rewrites by an id that it was told only what bears our mark. The id may be another CRM's, where
//! it is somebody else's: the fakes hold such records, and they stay as they are byte for byte.
//!
//! The rest of what every connector keeps is in `crm_contract`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

#[path = "support/crm/mod.rs"]
mod crm;

use crm::bench::Bench;
use crm::server::Hits;
use crm::{FakeContact, Fault};
use snova::clock::Clock;
use snova::crm::{ContactId, FailureClass, Forgotten, RecordId, SentVisit, VisitRecord};
use snova::customer::CustomerId;
use uuid::Uuid;

const OURS: CustomerId = CustomerId(Uuid::from_u128(7));
/// Here the key is the primary key or the id in every address: nothing is ever asked by a told id.
const BY_KEY: &[&str] = &["creatio", "dynamics", "salesforce", "suitecrm", "suitecrm-legacy", "webhook"];

/// Ids as the vendor has them: such as another portal has told.
fn told_ids(vendor: &str) -> &'static [&'static str] {
    match vendor {
        "amocrm" => &["57"],
        "bitrix24" | "bitrix24-comments" => &["57", "comment:913"],
        "salesforce" => &["a0X000000000000057"],
        "webhook" => &["row-1"],
        _ => &["57c0ffee-0000-4000-8000-000000000913"],
    }
}

async fn bench(vendor: &str) -> Bench {
    Bench::of(crm::vendor(vendor)).await
}

fn contact(bench: &Bench, number: u32, external_id: &str) -> String {
    let named = FakeContact::named("Иван", "Петрович", "Соколов", &format!("8 (912) 345-67-{number:02}"));
    let now = bench.clock.wall().at;
    let contact = FakeContact { external_id: external_id.to_owned(), ..named };
    bench.server.crm.lock().unwrap().add_contact(contact, now)
}

async fn recorded(bench: &mut Bench, contact: &str) -> (VisitRecord, RecordId) {
    let visit = bench.visit(contact);
    let id = bench.connector.record(std::slice::from_ref(&visit)).await.unwrap()[0].clone().unwrap();
    (visit, id)
}

fn told(visit: &VisitRecord, record: &str, contact: &str) -> SentVisit {
    let (key, record) = (visit.key, Some(RecordId(record.to_owned())));
    SentVisit { key, record, contact: ContactId(contact.to_owned()), written_at: visit.opened_at.at }
}

fn gone(bench: &Bench, visits: Vec<SentVisit>) -> Forgotten {
    Forgotten { key: bench.clock.mint(), customer: OURS, visits }
}

fn raw(bench: &Bench, record: &str) -> Option<String> {
    bench.server.crm.lock().unwrap().raw(record)
}

/// Whether the visit was voided, and whether it was erased, by deletion or emptied.
fn state(bench: &Bench, visit: &VisitRecord) -> (bool, bool) {
    let there = bench.server.crm.lock().unwrap().visits();
    let own = there.iter().find(|there| there.key == visit.key.to_string());
    own.map_or((false, true), |own| (own.void, own.erased))
}

async fn a_told_id_that_is_anothers_record(vendor: &str) {
    for record in told_ids(vendor) {
        let mut bench = bench(vendor).await;
        let (ours, strangers) = (contact(&bench, 1, ""), contact(&bench, 2, ""));
        let (visit, _) = recorded(&mut bench, &ours).await;
        let now = bench.clock.wall().at;
        bench.server.crm.lock().unwrap().plant(record, &strangers, now);
        let before = raw(&bench, record).expect("it lies there");
        bench.server.forget_asked();
        // The contact was told with it, and is another's here as well; or it is ours; or there is none.
        for of in [&*strangers, &*ours, ""] {
            let nowhere = bench.visit(of);
            bench.connector.void(&told(&nowhere, record, of)).await.unwrap();
            let erasure = gone(&bench, vec![told(&nowhere, record, of)]);
            bench.connector.forget(&erasure).await.unwrap();
            assert_eq!(raw(&bench, record).as_ref(), Some(&before), "{vendor}: {record} of {of:?} is another's");
        }
        // Ours is found by its key or mark all the same.
        bench.connector.void(&told(&visit, record, &ours)).await.unwrap();
        assert_eq!(state(&bench, &visit), (true, false), "{vendor}: voided, told {record}");
        let erasure = gone(&bench, vec![told(&visit, record, &ours)]);
        bench.connector.forget(&erasure).await.unwrap();
        assert!(state(&bench, &visit).1, "{vendor}: erased, told {record}");
        assert_eq!(raw(&bench, record), Some(before), "{vendor}: {record} is another's");
        if BY_KEY.contains(&vendor) {
            let names_it = |asked: &crm::Asked| format!("{asked:?} {}", asked.text()).contains(record);
            assert!(!bench.server.asked().iter().any(names_it), "{vendor}: nothing is asked by a told id");
        }
    }
}

async fn a_record_that_lost_its_mark(vendor: &str) {
    let another = Uuid::from_u128(55).to_string();
    for key in ["", &*another] {
        let mut bench = bench(vendor).await;
        let ours = contact(&bench, 1, "");
        let (visit, id) = recorded(&mut bench, &ours).await;
        if !bench.server.crm.lock().unwrap().remark(&id.0, key) {
            assert!(BY_KEY.contains(&vendor), "{vendor}: the key is the record's id, and is never lost");
            return;
        }
        let before = raw(&bench, &id.0);
        assert!(before.is_some());
        for of in [&*ours, ""] {
            bench.connector.void(&told(&visit, &id.0, of)).await.unwrap();
            let erasure = gone(&bench, vec![told(&visit, &id.0, of)]);
            bench.connector.forget(&erasure).await.unwrap();
        }
        assert_eq!(raw(&bench, &id.0), before, "{vendor}: it bears {key:?}");
    }
}

/// Whatever request fails, in whatever way: what says that it is done has done it, and what is not done is not given up.
async fn a_read_that_fails(vendor: &str, erases: bool) {
    let faults =
        [Fault::Unavailable, Fault::Throttled, Fault::Blocked, Fault::Garbage, Fault::HalfAnswer, Fault::CutBefore];
    for fault in faults {
        for place in 0.. {
            let mut bench = bench(vendor).await;
            let ours = contact(&bench, 1, &OURS.to_string());
            let (first, id) = recorded(&mut bench, &ours).await;
            let (second, _) = recorded(&mut bench, &ours).await;
            // The first is told without its contact, as of a customer whose link was undone.
            let first_told = told(&first, &id.0, "");
            let second_told = SentVisit { record: None, ..told(&second, "", &ours) };
            let erasure = gone(&bench, vec![first_told.clone(), second_told]);
            bench.server.forget_asked();
            bench.server.plan(fault, Hits::After(place), 1);
            let outcome = match erases {
                true => bench.connector.forget(&erasure).await,
                false => bench.connector.void(&first_told).await,
            };
            let was_hit = bench.server.asked_so_far() > place;
            bench.server.calm();
            let said = format!("{vendor}, {fault:?} at request {place}");
            let is_done = |bench: &Bench| {
                let is_erased = [&first, &second].iter().all(|visit| state(bench, visit).1);
                let is_void = state(bench, &first) == (true, false);
                if erases { is_erased } else { is_void }
            };
            match outcome {
                Ok(()) => assert!(is_done(&bench), "{said}: done, it says"),
                Err(failure) => {
                    assert_ne!(failure.class, FailureClass::Poison, "{said}: {failure}");
                    bench.clock.advance(std::time::Duration::from_secs(3600));
                    match erases {
                        true => bench.connector.forget(&erasure).await.unwrap(),
                        false => bench.connector.void(&first_told).await.unwrap(),
                    }
                    assert!(is_done(&bench), "{said}: the second time");
                }
            }
            if !was_hit {
                assert!(place > 0, "{said}: at least one request was made");
                break;
            }
        }
    }
}

/// The suite for one vendor, or one mode of it.
macro_rules! told_ids {
    ($vendor:ident, $name:literal) => {
        mod $vendor {
            use super::*;

            #[tokio::test]
            async fn a_told_id_that_is_anothers_record_is_neither_deleted_nor_rewritten() {
                a_told_id_that_is_anothers_record($name).await;
            }
            #[tokio::test]
            async fn a_record_that_lost_its_mark_is_left_alone() {
                a_record_that_lost_its_mark($name).await;
            }
            #[tokio::test]
            async fn a_read_that_fails_keeps_the_erasure_waiting() {
                a_read_that_fails($name, true).await;
            }
            #[tokio::test]
            async fn a_read_that_fails_keeps_the_correction_waiting() {
                a_read_that_fails($name, false).await;
            }
        }
    };
}
told_ids!(amocrm, "amocrm");
told_ids!(bitrix24, "bitrix24");
told_ids!(bitrix24_comments, "bitrix24-comments");
told_ids!(creatio, "creatio");
told_ids!(dynamics, "dynamics");
told_ids!(salesforce, "salesforce");
told_ids!(sugarcrm, "sugarcrm");
told_ids!(sugarcrm_user, "sugarcrm-user");
told_ids!(suitecrm, "suitecrm");
told_ids!(suitecrm_legacy, "suitecrm-legacy");
told_ids!(webhook, "webhook");

#[test]
fn every_vendor_is_asked() {
    let suite = include_str!("crm_told_ids.rs");
    for vendor in crm::VENDORS {
        assert!(suite.contains(&format!("told_ids!({}, \"{vendor}\")", vendor.replace('-', "_"))), "{vendor}");
    }
}
