//! The lane to the CRM when what is refused is nobody's row, when clocks disagree, and when a lost request comes late:
//! what must hold of every connector, over the whole road from the outbox.
//!
//! What the store makes of refusals is `store_delivery.rs`; faults that pass are `crm_contract.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

#[path = "support/crm/mod.rs"]
mod crm;

use std::time::Duration;

use crm::road::Road;
use crm::server::Hits;
use crm::{FakeVisit, Fault, POISON_TILL};
use jiff::SignedDuration;
use snova::clock::Clock;
use snova::customer::{CustomerId, Verdict};
use snova::store::FILE_NAME;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// A receiver of the company's own has neither mandatory fields nor rights.
const NOT_YET: &[&str] = &["webhook"];

/// A road whose regulars have their contacts, so that what goes wrong goes wrong with a visit.
async fn linked(vendor: &str, regulars: u32) -> (Road, Vec<CustomerId>) {
    let mut road = Road::to(crm::vendor(vendor)).await;
    let regulars = (1..=regulars).map(|number| road.regular(number)).collect();
    road.idle(MINUTE * 2).await;
    (road, regulars)
}

/// Steps until the fake was asked for a visit's record.
async fn until_written(road: &mut Road) {
    for _ in 0..50 {
        let before = road.server.asked().len();
        road.step().await;
        let crm = road.server.crm.lock().unwrap();
        if road.server.asked()[before..].iter().any(|asked| crm.is_visit_write(asked)) {
            return;
        }
    }
    panic!("no visit was written");
}

fn valid(road: &Road) -> Vec<FakeVisit> {
    road.in_crm().into_iter().filter(|visit| !visit.void && !visit.erased).collect()
}

/// The bad value is mended in the shop: the row is good from now on.
fn mend_rows(road: &Road) {
    let connection = rusqlite::Connection::open(road.dir.path().join(FILE_NAME)).unwrap();
    connection.execute("UPDATE visits SET counter = 'till-1' WHERE counter = ?1", [POISON_TILL]).unwrap();
}

/// Everything is refused for a while, since `spoil` says so, and then it is mended.
async fn a_spoilt_lane(vendor: &str, till: &str, spoil: impl Fn(&Road, bool)) {
    let (mut road, regulars) = linked(vendor, 5).await;
    road.visit(regulars[0], "till-1");
    road.work(HOUR).await;
    spoil(&road, true);
    for regular in &regulars {
        road.visit(*regular, till);
    }
    road.work(HOUR).await;
    let (status, state) = (road.store.outbox_status().unwrap(), road.store.sync_state().unwrap());
    assert_eq!((status.dead, status.depth), (0, 5), "{vendor}: none is lost: {state:?}");
    assert_eq!(state.error_class.as_deref(), Some("tenant-blocked"), "{vendor}: {state:?}");
    assert!(status.late_since.is_some(), "{vendor}");
    // A crash of the box does not make it hammer, or forget.
    road.restart();
    road.server.forget_asked();
    road.visit(regulars[1], till);
    road.work(HOUR * 2).await;
    let asked = road.server.asked().len();
    assert!((1..100).contains(&asked), "{vendor}: it is tried now and then: {asked} requests in two hours");
    assert_eq!(road.store.outbox_status().unwrap().dead, 0, "{vendor}");
    assert_eq!(road.in_crm().len(), 1, "{vendor}");

    spoil(&road, false);
    road.work(MINUTE * 40).await;
    road.assert_each_once(vendor);
    assert_eq!(road.store.sync_state().unwrap().error_class, None, "{vendor}");
}

async fn everything_refused_stops_the_lane_and_it_goes_on_by_itself(vendor: &str) {
    a_spoilt_lane(vendor, POISON_TILL, |road, spoilt| {
        if !spoilt {
            mend_rows(road)
        }
    })
    .await;
    if NOT_YET.contains(&vendor) {
        return;
    }
    a_spoilt_lane(vendor, "till-1", |road, spoilt| road.server.crm.lock().unwrap().demand_field(spoilt)).await;
    a_spoilt_lane(vendor, "till-1", |road, spoilt| road.server.crm.lock().unwrap().take_right(spoilt)).await;
}

async fn a_persons_word_ends_the_stop_at_once(vendor: &str) {
    let (mut road, regulars) = linked(vendor, 4).await;
    for regular in &regulars {
        road.visit(*regular, POISON_TILL);
    }
    road.work(HOUR * 3).await;
    mend_rows(&road);
    road.store.retry(None).unwrap();
    road.work(MINUTE).await;
    road.assert_each_once(vendor);
}

async fn one_bad_row_in_a_quiet_shop_holds_up_nobody(vendor: &str) {
    let (mut road, regulars) = linked(vendor, 2).await;
    road.visit(regulars[0], POISON_TILL);
    road.work(HOUR).await;
    assert_eq!(road.store.outbox_status().unwrap().dead, 0, "{vendor}: it may be the lane");
    let state = road.store.sync_state().unwrap();
    assert_eq!(state.error_class.as_deref(), Some("tenant-blocked"), "{vendor}: and that is said: {state:?}");
    for regular in &regulars {
        road.visit(*regular, "till-1");
    }
    road.work(MINUTE).await;
    let state = road.store.sync_state().unwrap();
    assert_eq!(road.in_crm().len(), 2, "{vendor}: the others, and his own next one, go beside it: {state:?}");
    let letters = road.store.dead_letters(9).unwrap();
    assert_eq!((letters.len(), letters.first().map(|letter| letter.customer)), (1, Some(regulars[0])), "{vendor}");
    assert_eq!(state.error_class, None, "{vendor}: {state:?}");
}

async fn a_box_clock_three_hours_ahead_doubles_nothing(vendor: &str) {
    for restarts in [false, true] {
        let (mut road, regulars) = linked(vendor, 2).await;
        if vendor == "webhook" {
            // Its receiver refuses what is signed at another time than its own: nothing is sent, and so nothing twice.
            return;
        }
        road.server.set_clock_ahead(SignedDuration::from_hours(-3));
        // The connector hears the CRM's clock, as every day, before the answer that is lost.
        road.visit(regulars[1], "till-1");
        road.work(HOUR).await;
        road.visit(regulars[0], "till-1");
        road.server.plan(Fault::SilentAfter, Hits::VisitWrites, 1);
        until_written(&mut road).await;
        if restarts {
            road.restart();
        }
        road.work(HOUR).await;
        road.assert_each_once(&format!("{vendor}, restarted: {restarts}"));
    }
}

/// A lost request that is carried out after the customer is gone, or the visit taken back.
async fn a_lost_request_that_comes_late_leaves_nothing(vendor: &str) {
    for (erased, resent, restarts) in
        [(true, false, false), (true, true, false), (true, false, true), (false, false, false), (false, true, false)]
    {
        let said = format!("{vendor}: erased {erased}, sent again before {resent}, restarted {restarts}");
        let (mut road, regulars) = linked(vendor, 1).await;
        let visit = road.visit(regulars[0], "till-1");
        road.server.plan(Fault::Late(20), Hits::VisitWrites, 1);
        until_written(&mut road).await;
        if resent {
            road.work(MINUTE / 6).await;
        }
        if restarts {
            road.restart();
        }
        if erased {
            road.store.erase(regulars[0], road.clock.wall()).unwrap();
        } else {
            road.store.answer_visit(visit, Verdict::No, road.clock.wall(), road.today()).unwrap();
        }
        road.work(HOUR).await;
        road.clock.advance(MINUTE);
        assert_eq!(valid(&road), [], "{said}");
        assert_eq!(road.store.outbox_status().unwrap().depth, 0, "{said}");
    }
}

/// The request that creates a contact is lost and carried out 50 s later; the customer is erased in between.
async fn a_creation_that_comes_late_leaves_no_mark_of_the_erased(vendor: &str) {
    if vendor == "webhook" {
        return;
    }
    let mut made = 0;
    for place in 0..8 {
        let crm = crm::vendor(vendor);
        let creating = |config: String| config.replacen("[crm]", "[crm]\ncreate_contacts = true", 1);
        let mut road = Road::with(crm, creating).await;
        let customer = road.enrol_named("Пётр Сергеевич Орлов", "+79120000077");
        road.server.plan(Fault::Late(50), Hits::After(place), 1);
        for _ in 0..3 {
            // No time passes: what rests, rests still.
            road.courier.step().await;
        }
        road.store.erase(customer, road.clock.wall()).unwrap();
        road.work(HOUR).await;
        road.clock.advance(MINUTE);
        road.idle(MINUTE).await;
        let words = snova::crm::Mark::words(customer);
        let contacts = road.server.crm.lock().unwrap().all_contacts();
        made += contacts.len();
        let marked =
            contacts.iter().filter(|(_, there)| words.iter().any(|word| there.external_id.contains(word))).count();
        assert_eq!(marked, 0, "{vendor}, request {place}: {contacts:?}");
    }
    assert!(made > 0, "{vendor}: contacts were made");
}

macro_rules! lane {
    ($vendor:ident, $name:literal) => {
        mod $vendor {
            #[tokio::test]
            async fn a_creation_that_comes_late_leaves_no_mark_of_the_erased() {
                super::a_creation_that_comes_late_leaves_no_mark_of_the_erased($name).await;
            }
            #[tokio::test]
            async fn everything_refused_stops_the_lane_and_it_goes_on_by_itself() {
                super::everything_refused_stops_the_lane_and_it_goes_on_by_itself($name).await;
            }
            #[tokio::test]
            async fn a_persons_word_ends_the_stop_at_once() {
                super::a_persons_word_ends_the_stop_at_once($name).await;
            }
            #[tokio::test]
            async fn one_bad_row_in_a_quiet_shop_holds_up_nobody() {
                super::one_bad_row_in_a_quiet_shop_holds_up_nobody($name).await;
            }
            #[tokio::test]
            async fn a_box_clock_three_hours_ahead_doubles_nothing() {
                super::a_box_clock_three_hours_ahead_doubles_nothing($name).await;
            }
            #[tokio::test]
            async fn a_lost_request_that_comes_late_leaves_nothing() {
                super::a_lost_request_that_comes_late_leaves_nothing($name).await;
            }
        }
    };
}
lane!(amocrm, "amocrm");
lane!(bitrix24, "bitrix24");
lane!(creatio, "creatio");
lane!(dynamics, "dynamics");
lane!(salesforce, "salesforce");
lane!(sugarcrm, "sugarcrm");
lane!(suitecrm, "suitecrm");
lane!(suitecrm_legacy, "suitecrm-legacy");
lane!(webhook, "webhook");

#[test]
fn every_vendor_keeps_it() {
    let suite = include_str!("crm_lane.rs");
    for vendor in crm::VENDORS {
        assert!(suite.contains(&format!("lane!({}, \"{vendor}\")", vendor.replace('-', "_"))), "{vendor}");
    }
}
