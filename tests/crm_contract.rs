//! What every connector keeps, over the whole road from the outbox to its CRM: each visit is there exactly once, and
//! none is missing, whatever fails between. Asserted on the rows of the fakes.
//!
//! What is one vendor's alone is in that vendor's own tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

#[path = "support/crm/mod.rs"]
mod crm;

use snova::customer::Verdict;
use std::time::Duration;

use crm::road::Road;
use crm::server::Hits;
use crm::{FakeContact, Fault, POISON_TILL};
use jiff::SignedDuration;
use snova::clock::Clock;
use snova::store::{Link, Why};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Three regulars with two visits each: more than one batch of some vendors, one of most.
async fn busy_road(vendor: &str) -> Road {
    let road = Road::to(crm::vendor(vendor)).await;
    let regulars: Vec<_> = (1..=3).map(|number| road.regular(number)).collect();
    for _ in 0..2 {
        for regular in &regulars {
            road.visit(*regular, "till-1");
            road.clock.advance(Duration::from_secs(1));
        }
    }
    road
}

async fn all_arrives(vendor: &str) {
    let mut road = busy_road(vendor).await;
    road.work(HOUR).await;
    road.assert_each_once(vendor);
    let times: Vec<_> = road.in_crm().iter().map(|visit| visit.opened_at).collect();
    assert!(times.iter().all(Option::is_some), "{vendor}: an event time is missing: {times:?}");
    assert!(road.store.sync_state().unwrap().last_success.is_some());
    assert!(crm::leaks::lines() > 0, "the log is read along");
}

async fn one_fault(vendor: &str, fault: Fault, times: usize) {
    let mut road = busy_road(vendor).await;
    road.server.plan(fault, Hits::VisitWrites, times);
    road.work(DAY).await;
    road.assert_each_once(&format!("{vendor}, {fault:?} {times} times"));
}

/// The same fault at every place of the first conversation: login, search, link, visit.
async fn fault_anywhere(vendor: &str, fault: Fault) {
    for place in 0..8 {
        let mut road = Road::to(crm::vendor(vendor)).await;
        let regular = road.regular(7);
        road.visit(regular, "till-1");
        road.server.plan(fault, Hits::After(place), 1);
        road.work(DAY).await;
        road.assert_each_once(&format!("{vendor}, {fault:?} at request {place}"));
    }
}

async fn a_crash_between_send_and_acknowledgement(vendor: &str) {
    let mut road = Road::to(crm::vendor(vendor)).await;
    let regulars: Vec<_> = (1..=3).map(|number| road.regular(number)).collect();
    // Linked first, so that what is under way at the crash is a visit.
    road.idle(Duration::from_secs(60)).await;
    for _ in 0..3 {
        for regular in &regulars {
            road.visit(*regular, "till-1");
        }
        // The row is written, the answer never comes, and the power is cut. Where it was one of the doubtful, sent again,
        // it goes through, and the next one is cut.
        let mut cut = false;
        for _ in 0..20 {
            let before = road.in_crm().len();
            road.server.plan(Fault::SilentAfter, Hits::VisitWrites, 1);
            let hung = tokio::time::timeout(Duration::from_millis(250), road.courier.step()).await.is_err();
            road.server.calm();
            cut = hung && road.in_crm().len() > before;
            if cut {
                break;
            }
            road.restart();
            road.clock.advance(Duration::from_secs(90));
            road.step().await;
        }
        assert!(cut, "{vendor}: a visit was under way");
        assert!(road.events("visit").iter().any(|(_, state)| state == "sending"), "{vendor}: and is not acknowledged");
        road.restart();
        road.clock.advance(Duration::from_secs(90));
    }
    road.work(DAY).await;
    road.assert_each_once(vendor);
    assert_eq!(road.in_crm().len(), 9, "{vendor}");
}

async fn the_same_visit_handed_over_twice(vendor: &str) {
    let mut road = busy_road(vendor).await;
    road.work(HOUR).await;
    // The acknowledgements are lost: the box believes that it may have sent them.
    let connection = rusqlite::Connection::open(road.dir.path().join(snova::store::FILE_NAME)).unwrap();
    connection.execute("UPDATE deliveries SET state = 'new'", []).unwrap();
    road.work(HOUR).await;
    road.assert_each_once(vendor);
}

async fn one_poison_row(vendor: &str) {
    let mut road = busy_road(vendor).await;
    let regular = road.regular(9);
    let poison = road.visit(regular, POISON_TILL);
    let other = road.regular(10);
    road.visit(other, "till-2");
    road.work(HOUR).await;
    let letters = road.store.dead_letters(10).unwrap();
    assert_eq!(letters.len(), 1, "{vendor}: {letters:?} {:?}", road.store.sync_state());
    assert_eq!(letters[0].visit, Some(poison.0));
    assert_eq!(letters[0].class.as_deref(), Some("poison"), "{letters:?}");
    assert_eq!(road.in_crm().len(), 7, "{vendor}: all others are there");
    // A person mends it, and takes it up again.
    let connection = rusqlite::Connection::open(road.dir.path().join(snova::store::FILE_NAME)).unwrap();
    connection.execute("UPDATE visits SET counter = 'till-1' WHERE counter = ?1", [POISON_TILL]).unwrap();
    assert_eq!(road.store.retry(Some(letters[0].event)).unwrap(), 1);
    road.work(HOUR).await;
    road.assert_each_once(vendor);
}

async fn a_clock_five_minutes_off(vendor: &str) {
    for seconds in [300, -300] {
        let mut road = busy_road(vendor).await;
        road.server.set_clock_ahead(SignedDuration::from_secs(seconds));
        road.server.plan(Fault::SilentAfter, Hits::VisitWrites, 2);
        road.work(DAY).await;
        road.assert_each_once(&format!("{vendor}, {seconds} s ahead"));
    }
}

async fn down_for_three_days(vendor: &str) {
    let mut road = busy_road(vendor).await;
    let regular = road.regular(11);
    road.server.set_down(true);
    for _ in 0..36 {
        road.visit(regular, "till-1");
        road.idle(2 * HOUR).await;
    }
    assert!(road.in_crm().is_empty());
    assert_eq!(road.store.outbox_status().unwrap().dead, 0, "an outage kills no letter");
    road.server.set_down(false);
    road.work(HOUR).await;
    road.assert_each_once(vendor);
    assert_eq!(road.in_crm().len(), 42);
}

async fn corrections_follow(vendor: &str) {
    let mut road = Road::to(crm::vendor(vendor)).await;
    let (ivan, elena) = (road.regular(1), road.regular(2));
    let (wrong, moved, right) = (road.visit(ivan, "till-1"), road.visit(ivan, "till-1"), road.visit(elena, "till-1"));
    road.work(HOUR).await;
    assert_eq!(road.in_crm().iter().filter(|visit| !visit.void).count(), 3, "{vendor}");
    let (now, today) = (road.clock.wall(), road.today());
    road.store.answer_visit(wrong, Verdict::No, now, today).unwrap();
    road.store.answer_visit(moved, Verdict::Other(elena), now, today).unwrap();
    road.store.answer_visit(right, Verdict::Yes, now, today).unwrap();
    road.work(HOUR).await;
    let valid: Vec<_> = road.in_crm().into_iter().filter(|visit| !visit.void && !visit.erased).collect();
    assert_eq!(valid.len(), 2, "{vendor}: {:?}", road.in_crm());
    assert_eq!(valid[0].contact, valid[1].contact, "{vendor}: both are Elena's now");
    assert_eq!(road.events("correction").iter().filter(|(_, state)| state == "done").count(), 2);
}

async fn erasure_reaches_the_crm(vendor: &str) {
    let mut road = Road::to(crm::vendor(vendor)).await;
    let (ivan, elena) = (road.regular(1), road.regular(2));
    for who in [ivan, ivan, elena] {
        road.visit(who, "till-1");
    }
    road.work(HOUR).await;
    let contact = match road.store.link(ivan).unwrap() {
        Some(Link::Linked(contact)) => Some(contact),
        _ => None,
    };
    road.store.erase(ivan, road.clock.wall()).unwrap();
    road.server.plan(Fault::SilentAfter, Hits::After(0), 1);
    road.work(HOUR).await;
    let left: Vec<_> = road.in_crm().into_iter().filter(|visit| !visit.erased).collect();
    assert_eq!(left.len(), 1, "{vendor}: only Elena's is left: {left:?}");
    if let Some(contact) = contact {
        let crm = road.server.crm.lock().unwrap();
        assert_eq!(crm.contact(&contact).expect("the contact is the company's").external_id, "", "{vendor}");
    }
    let sealed: i64 = rusqlite::Connection::open(road.dir.path().join(snova::store::FILE_NAME))
        .unwrap()
        .query_row("SELECT count(*) FROM outbox WHERE sealed NOT NULL", [], |row| row.get(0))
        .unwrap();
    assert_eq!(sealed, 0, "the tombstone forgets too");
}

async fn no_visit_without_consent(vendor: &str) {
    let mut road = Road::to(crm::vendor(vendor)).await;
    let (ivan, elena) = (road.regular(1), road.regular(2));
    road.visit(ivan, "till-1");
    road.visit(elena, "till-1");
    // His is under way when he takes his consent back: what may be there is taken back too.
    while road.in_crm().is_empty() {
        road.server.plan(Fault::SilentAfter, Hits::VisitWrites, 1);
        road.step().await;
        road.server.calm();
    }
    road.store.withdraw_consent(ivan, road.clock.wall()).unwrap();
    road.visit(elena, "till-1");
    road.work(DAY).await;
    let valid: Vec<_> = road.in_crm().into_iter().filter(|visit| !visit.void && !visit.erased).collect();
    assert_eq!(valid.len(), 2, "{vendor}: only Elena's count: {:?}", road.in_crm());
}

async fn a_contact_is_created_once(vendor: &str) {
    for place in 0..8 {
        let mut road =
            Road::with(crm::vendor(vendor), |config| config.replacen("[crm]", "[crm]\ncreate_contacts = true", 1))
                .await;
        let ivan = road.enrol("Иван", "+79120000077");
        road.visit(ivan, "till-1");
        road.server.plan(Fault::SilentAfter, Hits::After(place), 1);
        road.work(DAY).await;
        road.assert_each_once(&format!("{vendor}, request {place}"));
        let contacts = road.server.crm.lock().unwrap().contacts();
        assert!(contacts <= 1, "{vendor}: {contacts} contacts after a lost answer at request {place}");
    }
}

async fn a_strangers_contact_is_never_taken(vendor: &str) {
    let mut road = Road::to(crm::vendor(vendor)).await;
    // Two people share a phone; a third has one that only holds the digits.
    let ivan = road.enrol("Иван", "+79120000001");
    let add = |road: &Road, phone: &str| {
        let contact = FakeContact::named("Пётр", "", "Чужой", phone);
        road.server.crm.lock().unwrap().add_contact(contact, road.now())
    };
    let both = [add(&road, "8 912 000-00-01"), add(&road, "+7 (912) 000-00-01"), add(&road, "+380912000000199")];
    road.visit(ivan, "till-1");
    road.idle(3 * HOUR).await;
    if vendor == "webhook" {
        return;
    }
    assert!(matches!(road.store.link(ivan).unwrap(), Some(Link::Unclear { why: Why::AnotherName, .. })), "{vendor}");
    assert!(road.in_crm().is_empty());
    let crm = road.server.crm.lock().unwrap();
    for contact in both {
        assert_eq!(crm.contact(&contact).unwrap().external_id, "", "{vendor}: nothing was written on a stranger");
    }
    assert_eq!(road.store.sync_state().unwrap().unlinked, 1);
}

async fn cards_are_pulled(vendor: &str) {
    let mut road = Road::to(crm::vendor(vendor)).await;
    let ivan = road.regular(1);
    road.idle(2 * HOUR).await;
    let Some(Link::Linked(contact)) = road.store.link(ivan).unwrap() else { return };
    let change = |there: &mut FakeContact| {
        there.family = "Иоаннов".to_owned();
        there.patronymic = "Петрович".to_owned();
        there.tier = "gold".to_owned();
        there.notes = "берёт без сахара".to_owned();
        there.offer = "Кофе в подарок".to_owned();
        there.birthday = "1980-05-17".to_owned();
        there.owner = "Анна Менеджерова".to_owned();
        there.visits = 41;
    };
    let now = road.now();
    road.server.crm.lock().unwrap().change_contact(&contact, &change, now);
    road.idle(HOUR).await;
    let customer = road.store.customer(ivan).unwrap().unwrap();
    assert_eq!(customer.name.family.as_deref(), Some("Иоаннов"), "{vendor}");
    assert_eq!(customer.card.tier.as_deref(), Some("gold"), "{vendor}");
    assert_eq!(customer.card.note.as_deref(), Some("берёт без сахара"), "{vendor}");
    let card = customer.card.crm.expect("the CRM's card");
    assert_eq!(card.offer.as_deref(), Some("Кофе в подарок"), "{vendor}");
    assert_eq!((card.visits, card.birthday), (Some(41), Some(jiff::civil::date(1980, 5, 17))), "{vendor}");
    assert!(card.as_of > now);
}

/// Signs of life reach the CRM, where it has a place for them, and never stand in the way of visits.
async fn signs_of_life_arrive(vendor: &str) {
    let road = |config: String| config.replacen("heartbeat_s = 0", "heartbeat_s = 300", 1);
    let mut road = Road::with(crm::vendor(vendor), road).await;
    let regular = road.regular(1);
    road.visit(regular, "till-1");
    road.idle(HOUR).await;
    road.assert_each_once(vendor);
    let told = road.server.crm.lock().unwrap().heartbeats();
    let has_a_place = !["amocrm", "sugarcrm", "suitecrm", "suitecrm-legacy"].contains(&vendor);
    assert_eq!(told > 0, has_a_place, "{vendor}: {told}");
}

#[tokio::test]
async fn the_beacon_is_lit_while_the_crm_is_down_and_a_silent_receiver_holds_up_nothing() {
    let watch =
        crm::FakeServer::start(crm::vendor("webhook"), std::sync::Arc::new(snova::clock::SystemClock::new())).await;
    let (url, ca) = (format!("{}{}", watch.url(), crm::webhook::PATH), watch.ca_file.clone());
    let road = |config: String| {
        config.replacen("heartbeat_s = 0", &format!("heartbeat_s = 300\nheartbeat_url = \"{url}\""), 1)
    };
    let mut road = Road::with(crm::vendor("amocrm"), road).await;
    // One box trusts one CA file: here it holds both.
    let both = [std::fs::read(&ca).unwrap(), std::fs::read(&road.server.ca_file).unwrap()].concat();
    std::fs::write(&road.server.ca_file, both).unwrap();
    let key = watch.crm.lock().unwrap().secrets().remove(0);
    road.store.set_secret(key.0, &key.1).unwrap();
    road.restart();
    watch.set_clock(std::sync::Arc::clone(&road.clock) as std::sync::Arc<dyn Clock>);
    road.server.set_down(true);
    let regular = road.regular(1);
    road.visit(regular, "till-1");
    road.idle(HOUR).await;
    let told = watch.crm.lock().unwrap().heartbeats();
    assert!((10..=14).contains(&told), "one each five minutes of an hour, not {told}");
    assert!(road.in_crm().is_empty());
    road.server.set_down(false);
    watch.set_down(true);
    road.work(HOUR).await;
    road.assert_each_once("amocrm");
}

/// The suite for one vendor.
macro_rules! contract {
    ($vendor:ident, $name:literal) => {
        mod $vendor {
            use super::*;

            #[tokio::test]
            async fn every_visit_arrives_with_its_time() {
                all_arrives($name).await;
            }
            #[tokio::test]
            async fn the_same_key_twice_is_one_visit() {
                the_same_visit_handed_over_twice($name).await;
            }
            #[tokio::test]
            async fn a_crash_between_send_and_acknowledgement_doubles_nothing() {
                a_crash_between_send_and_acknowledgement($name).await;
            }
            #[tokio::test]
            async fn a_time_out_after_the_row_was_written_doubles_nothing() {
                one_fault($name, Fault::SilentAfter, 2).await;
                one_fault($name, Fault::CutAfter, 3).await;
                one_fault($name, Fault::ErrorAfter, 3).await;
            }
            #[tokio::test]
            async fn too_many_requests_and_an_unavailable_server_lose_nothing() {
                one_fault($name, Fault::Throttled, 3).await;
                one_fault($name, Fault::Unavailable, 3).await;
                one_fault($name, Fault::CutBefore, 2).await;
            }
            #[tokio::test]
            async fn a_403_with_a_page_stops_the_lane_and_loses_nothing() {
                one_fault($name, Fault::Blocked, 2).await;
            }
            #[tokio::test]
            async fn a_token_that_expires_in_mid_batch_is_renewed() {
                one_fault($name, Fault::TokenExpired, 2).await;
            }
            #[tokio::test]
            async fn half_an_answer_and_garbage_are_no_answer() {
                one_fault($name, Fault::HalfAnswer, 2).await;
                one_fault($name, Fault::Garbage, 2).await;
            }
            #[tokio::test]
            async fn a_fault_anywhere_in_the_first_conversation_loses_nothing() {
                for fault in [Fault::SilentAfter, Fault::Garbage, Fault::HalfAnswer, Fault::Throttled, Fault::Blocked] {
                    fault_anywhere($name, fault).await;
                }
            }
            #[tokio::test]
            async fn one_poison_row_does_not_hold_up_the_rest_and_can_be_repaired() {
                one_poison_row($name).await;
            }
            #[tokio::test]
            async fn a_clock_five_minutes_off_loses_and_doubles_nothing() {
                a_clock_five_minutes_off($name).await;
            }
            #[tokio::test]
            async fn an_outage_of_three_days_loses_nothing() {
                down_for_three_days($name).await;
            }
            #[tokio::test]
            async fn the_cashiers_corrections_follow_the_visit() {
                corrections_follow($name).await;
            }
            #[tokio::test]
            async fn an_erased_customer_is_forgotten_by_the_crm() {
                erasure_reaches_the_crm($name).await;
            }
            #[tokio::test]
            async fn a_visit_without_consent_is_not_sent() {
                no_visit_without_consent($name).await;
            }
            #[tokio::test]
            async fn a_contact_is_created_once_whatever_answer_is_lost() {
                a_contact_is_created_once($name).await;
            }
            #[tokio::test]
            async fn a_strangers_contact_is_never_taken_for_a_customer() {
                a_strangers_contact_is_never_taken($name).await;
            }
            #[tokio::test]
            async fn signs_of_life_hold_up_no_visit() {
                signs_of_life_arrive($name).await;
            }
            #[tokio::test]
            async fn the_card_is_the_crms_card() {
                cards_are_pulled($name).await;
            }
        }
    };
}
contract!(amocrm, "amocrm");
contract!(bitrix24, "bitrix24");
contract!(creatio, "creatio");
contract!(dynamics, "dynamics");
contract!(salesforce, "salesforce");
contract!(sugarcrm, "sugarcrm");
contract!(suitecrm, "suitecrm");
contract!(suitecrm_legacy, "suitecrm-legacy");
contract!(webhook, "webhook");

/// Every road of this suite looks through the log and the kept errors when it ends; this shows that it would find them.
#[test]
fn no_secret_phone_or_name_is_logged_at_any_level() {
    for leak in ["said to Имя7", "phone=+79120000077", "8 (912) 000-00-77", "tel 89120000077"] {
        assert!(crm::leaks::leak_in(leak).is_some(), "{leak}");
    }
    for secret in crm::leaks::secrets() {
        assert!(crm::leaks::leak_in(&format!("POST /x?y={secret} HTTP/1.1")).is_some(), "{secret}");
    }
    for harmless in ["visit 019c3b7a-912a-7000-8f00-0123456789ab opened", "wait_s=912000", "elapsed 9120001"] {
        assert_eq!(crm::leaks::leak_in(harmless), None, "{harmless}");
    }
}

#[test]
fn every_vendor_keeps_the_contract() {
    let suite = include_str!("crm_contract.rs");
    for vendor in crm::VENDORS {
        assert!(suite.contains(&format!("contract!({}, \"{vendor}\")", vendor.replace('-', "_"))), "{vendor}");
    }
}
