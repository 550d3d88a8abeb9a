//! A delivered visit that is corrected or added to at the shop: what every CRM then has of it, over the whole road.
//!
//! What the store makes of it is `store_visits.rs`; the rest of what every connector keeps, `crm_contract`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

#[path = "support/crm/mod.rs"]
mod crm;

use std::time::Duration;

use crm::road::Road;
use crm::server::Hits;
use crm::{FakeContact, Fault, VENDORS};
use snova::clock::Clock;
use snova::customer::{CustomerId, Receipt, Verdict, VisitId};
use snova::store::FILE_NAME;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Vendors whose records are rewritten; each adds its name here. The webhook's receiver is told an amendment, and does with it
/// what it likes: `crm_webhook`.
const AMENDING: &[&str] =
    &["amocrm", "bitrix24", "creatio", "dynamics", "salesforce", "sugarcrm", "suitecrm", "suitecrm-legacy"];
/// Here a receipt has fields of its own, and is not in words.
const IN_FIELDS: &[&str] = &["bitrix24", "salesforce"];

async fn road(vendor: &str) -> Road {
    let crm = crm::vendor(vendor);
    let fields = if IN_FIELDS.contains(&vendor) { crm.lock().unwrap().told_config() } else { String::new() };
    Road::with(crm, |config| format!("{config}\n{fields}")).await
}

/// A regular whom the CRM knows under the same name.
fn regular(road: &Road, given: &str, phone: &str) -> CustomerId {
    let contact = FakeContact::named(given, "Петрович", "Соколов", phone);
    road.server.crm.lock().unwrap().add_contact(contact, road.now());
    road.enrol_named(&format!("{given} Петрович Соколов"), phone)
}

/// One regular's visit that has arrived.
async fn delivered(vendor: &str) -> (Road, VisitId) {
    let mut road = road(vendor).await;
    let ivan = regular(&road, "Иван", "+79120000001");
    let visit = road.visit(ivan, "till-1");
    road.work(HOUR).await;
    road.assert_each_once(vendor);
    (road, visit)
}

fn receipt(number: &str) -> Receipt {
    Receipt::checked(number, 123_450).unwrap()
}

/// The visit's record as the vendor has it, whole.
fn raw(road: &Road) -> String {
    let connection = rusqlite::Connection::open(road.dir.path().join(FILE_NAME)).unwrap();
    let sql = "SELECT record FROM records WHERE state <> 'absent'";
    let record: Option<String> = connection.query_row(sql, [], |row| row.get(0)).unwrap();
    let crm = road.server.crm.lock().unwrap();
    record.and_then(|record| crm.raw(&record)).expect("the record is there")
}

#[tokio::test]
async fn a_visit_is_voided_a_day_after_it_was_delivered_and_an_answer_that_is_lost_voids_it_once() {
    for vendor in VENDORS {
        let (mut road, visit) = delivered(vendor).await;
        road.idle(DAY).await;
        let (now, today) = (road.clock.wall(), road.today());
        for _ in 0..2 {
            road.store.void_visit(visit, None, now, today).unwrap();
        }
        road.server.plan(Fault::SilentAfter, Hits::After(0), 1);
        road.work(DAY).await;
        let there = road.in_crm();
        assert!(there.len() == 1 && there[0].void, "{vendor}: {there:?}");
        assert_eq!(road.events("correction").len(), 1, "{vendor}: the same again is one");
    }
}

#[tokio::test]
async fn a_visit_moved_after_it_was_delivered_is_the_others_and_void_for_the_first() {
    for vendor in VENDORS {
        let (mut road, visit) = delivered(vendor).await;
        let pyotr = regular(&road, "Пётр", "+79120000002");
        road.store.void_visit(visit, Some(pyotr), road.clock.wall(), road.today()).unwrap();
        road.work(DAY).await;
        let void: Vec<bool> = road.in_crm().iter().map(|there| there.void).collect();
        assert_eq!(void, [true, false], "{vendor}: {:?}", road.in_crm());
    }
}

#[tokio::test]
async fn a_receipt_that_comes_before_the_visit_leaves_is_on_its_record() {
    for vendor in VENDORS {
        let mut road = road(vendor).await;
        let ivan = regular(&road, "Иван", "+79120000001");
        let visit = road.visit(ivan, "till-1");
        road.store.put_receipt(visit, &receipt("A-1734"), road.now()).unwrap();
        road.work(HOUR).await;
        assert!(raw(&road).contains("A-1734"), "{vendor}: {}", raw(&road));
        assert_eq!(road.events("amendment"), [], "{vendor}");
    }
}

#[tokio::test]
async fn a_receipt_and_a_yes_that_come_later_are_on_the_record_once_whatever_fails_between() {
    for vendor in AMENDING {
        for fault in [Fault::SilentAfter, Fault::Unavailable] {
            let (mut road, visit) = delivered(vendor).await;
            let (now, today) = (road.clock.wall(), road.today());
            road.store.put_receipt(visit, &receipt("A-1734"), now.at).unwrap();
            road.store.put_receipt(visit, &receipt("A-1735"), now.at).unwrap();
            road.store.answer_visit(visit, Verdict::Yes, now, today).unwrap();
            road.server.plan(fault, Hits::After(0), 1);
            road.work(DAY).await;
            let record = raw(&road);
            assert!(record.contains("A-1735") && !record.contains("A-1734"), "{vendor}, {fault:?}: {record}");
            assert_eq!(road.in_crm().len(), 1, "{vendor}: amended, not made anew");
            let events: Vec<_> = road.events("amendment").into_iter().map(|(_, state)| state).collect();
            assert_eq!(events, ["done"], "{vendor}, {fault:?}");
            road.store.void_visit(visit, None, road.clock.wall(), today).unwrap();
            road.work(DAY).await;
            assert!(road.in_crm()[0].void, "{vendor}: an amended visit is voided like any other");
        }
    }
}
