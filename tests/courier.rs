//! The courier when its own box is in trouble; what CRMs do to it is `crm_contract.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

#[path = "support/crm/mod.rs"]
mod crm;

use std::time::Duration;

use crm::road::Road;
use snova::store::FILE_NAME;

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
