//! A box whose owner points it at another CRM: what the old one has stays the old one's, whatever still waits.
//!
//! What every connector keeps of its own CRM is `crm_contract.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

#[path = "support/crm/mod.rs"]
mod crm;

use std::time::Duration;

use crm::road::Road;
use crm::{FakeContact, FakeServer};
use jiff::Timestamp;
use snova::clock::Clock;
use snova::customer::Verdict;

const HOUR: Duration = Duration::from_secs(3600);

fn know(server: &FakeServer, number: u32, now: Timestamp) {
    let phone = format!("+791200000{number:02}");
    let contact = FakeContact::named(&format!("Имя{number}"), "Петрович", "Соколов", &phone);
    server.crm.lock().unwrap().add_contact(contact, now);
}

async fn a_change_of_crm(vendor: &str) {
    // The new CRM has records of other people, made in the same order: where ids are counted, they are the same ids.
    let mut production = Road::to(crm::vendor(vendor)).await;
    let others: Vec<_> = (1..=2).map(|number| production.regular(number)).collect();
    for other in &others {
        production.visit(*other, "till-9");
        production.visit(*other, "till-9");
    }
    production.work(HOUR).await;
    let theirs = production.in_crm();
    assert_eq!(theirs.len(), 4, "{vendor}");

    let mut road = Road::to(crm::vendor(vendor)).await;
    let (ivan, elena) = (road.regular(3), road.regular(4));
    let (wrong, _right) = (road.visit(elena, "till-1"), road.visit(elena, "till-1"));
    road.visit(ivan, "till-1");
    road.work(HOUR).await;
    assert_eq!(road.in_crm().len(), 3, "{vendor}");
    // They wait when the CRM is changed: a void, a tombstone, and a visit that nobody has heard of.
    let (now, today) = (road.clock.wall(), road.today());
    road.store.answer_visit(wrong, Verdict::No, now, today).unwrap();
    road.store.erase(ivan, now).unwrap();
    let old: Vec<String> =
        ["visit", "correction", "erasure"].iter().flat_map(|kind| road.events(kind)).map(|(key, _)| key).collect();
    assert_eq!(old.len(), 4, "{vendor}: two of hers, one taken back, one customer gone");
    road.visit(elena, "till-2");
    let (pilot, secrets) = (road.settings.clone(), road.secrets());

    know(&production.server, 4, road.now());
    production.server.forget_asked();
    road.point_at(&production.server);
    road.work(HOUR).await;
    road.idle(HOUR).await;
    let now_there = production.in_crm();
    assert_eq!(now_there.len(), 5, "{vendor}: what was never tried went to the new one: {now_there:?}");
    // She is erased after the change: each CRM is to hear of its own records, and the new one does.
    road.store.erase(elena, road.clock.wall()).unwrap();
    road.work(HOUR).await;
    let (kept, gone): (Vec<_>, Vec<_>) =
        production.in_crm().into_iter().partition(|visit| theirs.iter().any(|other| other.key == visit.key));
    assert_eq!(kept, theirs, "{vendor}: other people's records are as they were");
    assert!(gone.iter().all(|visit| visit.erased), "{vendor}: {gone:?}");
    for asked in production.server.asked() {
        let said = format!("{} {:?} {}", asked.path, asked.query, asked.text());
        for key in &old {
            assert!(!said.contains(key), "{vendor}: the new CRM hears of {key}: {said}");
        }
    }

    // The old one is owed a void, and two people to be forgotten.
    let debts = road.store.debts().unwrap();
    assert_eq!(debts.len(), 1, "{vendor}: {debts:?}");
    assert_eq!((debts[0].identity.clone(), debts[0].in_doubt), (pilot.common.identity.clone(), 0), "{vendor}");
    assert!(debts[0].records >= 3, "{vendor}: {debts:?}");
    assert_eq!(road.store.outbox_status().unwrap().debts as usize, debts[0].events.len());
    assert!(road.in_crm().iter().all(|visit| !visit.void && !visit.erased), "{vendor}: it has not heard yet");
    road.server.set_clock(std::sync::Arc::clone(&road.clock) as std::sync::Arc<dyn Clock>);
    road.settle(&pilot, secrets).await;
    assert!(road.in_crm().iter().all(|visit| visit.erased), "{vendor}: {:?}", road.in_crm());
    assert_eq!(road.store.debts().unwrap(), [], "{vendor}: {:?}", road.store.sync_state());
    assert_eq!(production.in_crm().iter().filter(|visit| !visit.erased).count(), 4, "{vendor}");
}

#[tokio::test]
async fn a_change_of_crm_tells_the_new_one_nothing_of_the_old_ones_ids() {
    for vendor in crm::VENDORS {
        a_change_of_crm(vendor).await;
    }
}
