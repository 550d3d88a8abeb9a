//! The courier when its own box is in trouble, or a contact is; what else CRMs do to it is `crm_contract.rs`, `crm_lane.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

#[path = "support/crm/mod.rs"]
mod crm;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crm::FakeContact;
use crm::road::Road;
use crm::suitecrm::FakeSuite;
use jiff::SignedDuration;
use snova::store::{FILE_NAME, Link};

#[tokio::test]
async fn a_database_that_fails_in_mid_step_leaves_nothing_under_way_for_ever() {
    for vendor in ["salesforce", "amocrm"] {
        let mut road = Road::to(crm::vendor(vendor)).await;
        let (ivan, elena) = (road.regular(1), road.regular(2));
        road.idle(Duration::from_secs(60)).await;
        road.visit(ivan, "till-1");
        // As a step leaves it that ends after its claim: only a restart, or the courier itself, takes it up again.
        assert_eq!(road.store.claim(&road.ask(9)).unwrap().len(), 1);
        road.visit(elena, "till-1");
        let other = rusqlite::Connection::open(road.dir.path().join(FILE_NAME)).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        road.step().await;
        assert!(road.in_crm().is_empty(), "nothing is sent that cannot be written down");
        other.execute_batch("ROLLBACK").unwrap();
        road.work(Duration::from_secs(3600)).await;
        road.assert_each_once(vendor);
        assert_eq!(road.in_crm().len(), 2);
    }
}

#[tokio::test]
async fn a_clock_put_forward_sends_nothing_in_doubt_before_its_request_has_had_its_time() {
    let mut road = Road::to(crm::vendor("amocrm")).await;
    let ivan = road.regular(1);
    road.idle(Duration::from_secs(60)).await;
    road.visit(ivan, "till-1");
    // A request that is under way when the program ends.
    assert_eq!(road.store.claim(&road.ask(9)).unwrap().len(), 1);
    road.restart();
    // The first time server that answers puts the clock forward by hours: no second has passed.
    road.clock.step_wall(road.now() + Duration::from_secs(5 * 3600));
    for _ in 0..5 {
        road.step().await;
    }
    assert!(road.in_crm().is_empty(), "the request may still be carried out");
    road.work(Duration::from_secs(3600)).await;
    road.assert_each_once("amocrm");
    assert_eq!(road.in_crm().len(), 1);
}

#[tokio::test]
async fn a_visit_whose_contact_is_gone_is_held_against_nobody_and_goes_to_the_one_that_is_found_instead() {
    let suite = Arc::new(Mutex::new(FakeSuite::default()));
    let mut road = Road::to(suite.clone()).await;
    let ivan = road.regular(1);
    road.idle(Duration::from_secs(60)).await;
    let Some(Link::Linked(old)) = road.store.link(ivan).unwrap() else { panic!("he is known there") };
    suite.lock().unwrap().beans.remove("Contacts", &old, road.now());
    road.visit(ivan, "till-1");
    road.work(Duration::from_secs(600)).await;
    assert_eq!((road.store.outbox_status().unwrap().dead, road.store.sync_state().unwrap().lane.refused), (0, 0));
    assert!(!matches!(road.store.link(ivan).unwrap(), Some(Link::Linked(_))), "he is looked for anew");
    let now = road.now();
    let again = FakeContact::named("Имя1", "Петрович", "Соколов", "8 (912) 000-00-01");
    let new = road.server.crm.lock().unwrap().add_contact(again, now);
    road.store.retry(None).unwrap();
    road.work(Duration::from_secs(2 * 3600)).await;
    road.assert_each_once("suitecrm");
    assert_eq!(road.in_crm()[0].contact, new);
    // It may stand on the former one: both are asked if he is erased.
    let connection = rusqlite::Connection::open(road.dir.path().join(FILE_NAME)).unwrap();
    let elders: String = connection.query_row("SELECT elders FROM records", [], |row| row.get(0)).unwrap();
    assert_eq!(elders, old);
}

#[tokio::test]
async fn a_visit_under_a_clock_that_differs_much_from_the_crms_says_so() {
    for (minutes, told) in [(-4, false), (-11, true)] {
        let mut road = Road::to(crm::vendor("suitecrm")).await;
        road.server.set_clock_ahead(SignedDuration::from_mins(minutes));
        let ivan = road.regular(1);
        road.visit(ivan, "till-1");
        road.work(Duration::from_secs(3600)).await;
        let key = road.in_crm()[0].key.clone();
        let record = road.server.crm.lock().unwrap().raw(&key).unwrap();
        assert_eq!(record.contains("11 мин"), told, "{record}");
    }
}
