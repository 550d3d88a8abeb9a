//! What holds of SugarCRM, by an administrator and by a user, and of SuiteCRM by both of its APIs alike, each at its fake.
//!
//! What is one vendor's alone is in its own file, what all vendors must keep in `crm_contract`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

#[path = "support/crm/mod.rs"]
mod crm;

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crm::beans::{Bean, Beans};
use crm::bench::Bench;
use crm::sugarcrm::FakeSugar;
use crm::suitecrm::FakeSuite;
use crm::suitecrm_legacy::FakeLegacySuite;
use crm::{FakeContact, FakeCrm, FakeVisit};
use jiff::Timestamp;
use snova::clock::Clock;
use snova::crm::{
    ConsentWord, Contact, ContactId, Creation, FailureClass, Forgotten, Greeting, Mark, NewContact, Receipt, Seek,
    SentVisit, Told, Verdict, VisitRecord,
};
use snova::customer::CustomerId;
use uuid::Uuid;

const FAMILY: [&str; 4] = ["sugarcrm", "sugarcrm-user", "suitecrm", "suitecrm-legacy"];
const OURS: CustomerId = CustomerId(Uuid::from_u128(7));

type Look = Box<dyn Fn(&mut dyn FnMut(&mut Beans))>;

/// A bench whose fake's rows can be looked into.
struct Tenant {
    bench: Bench,
    beans: Look,
}

impl Deref for Tenant {
    type Target = Bench;
    fn deref(&self) -> &Bench {
        &self.bench
    }
}

impl DerefMut for Tenant {
    fn deref_mut(&mut self) -> &mut Bench {
        &mut self.bench
    }
}

impl Tenant {
    fn with_beans<T>(&self, mut look: impl FnMut(&mut Beans) -> T) -> T {
        let mut seen = None;
        (self.beans)(&mut |beans| seen = Some(look(beans)));
        seen.unwrap()
    }

    /// The meetings, every field.
    fn rows(&self) -> Vec<Bean> {
        self.with_beans(|beans| beans.all("Meetings").to_vec())
    }
}

/// A tenant in which the administrator has made the fields that Snova writes, or has not.
async fn tenant(vendor: &str, told: bool) -> Tenant {
    macro_rules! fake {
        ($fake:expr) => {{
            let fake = Arc::new(Mutex::new($fake));
            let crm: Arc<Mutex<dyn FakeCrm>> = fake.clone();
            let beans: Look = Box::new(move |look| look(&mut fake.lock().unwrap().beans));
            (crm, beans)
        }};
    }
    let (crm, beans) = match vendor {
        "sugarcrm" => fake!(FakeSugar::of(true)),
        "sugarcrm-user" => fake!(FakeSugar::of(false)),
        "suitecrm" => fake!(FakeSuite::default()),
        _ => fake!(FakeLegacySuite::default()),
    };
    let told = if told { crm.lock().unwrap().told_config() } else { String::new() };
    Tenant { bench: Bench::with(crm, |config| format!("{config}{told}")).await, beans }
}

fn ivan() -> FakeContact {
    FakeContact::named("Иван", "Петрович", "О'Соколов", "8 (912) 345-67-89")
}

fn add(bench: &Bench, contact: FakeContact) -> ContactId {
    ContactId(bench.server.crm.lock().unwrap().add_contact(contact, bench.clock.wall().at))
}

fn bin(bench: &Bench, contact: &ContactId) {
    bench.server.crm.lock().unwrap().bin_contact(&contact.0, bench.clock.wall().at);
}

fn there(bench: &Bench) -> Vec<FakeVisit> {
    bench.server.crm.lock().unwrap().visits()
}

fn sent(visit: &VisitRecord) -> SentVisit {
    SentVisit { key: visit.key, record: None, contact: visit.contact.clone(), written_at: visit.closed_at.at }
}

fn elena() -> NewContact {
    let customer = CustomerId(Uuid::from_u128(8));
    NewContact {
        key: Uuid::from_u128(0xe1e7a << 64 | 5),
        customer,
        mark: Mark::default().with(customer, "3f9a1c22").text(),
        given: "Елена".to_owned(),
        patronymic: Some("Олеговна".to_owned()),
        family: None,
        phone: Some("+79120000001".to_owned()),
        email: Some("elena@example.com".to_owned()),
    }
}

async fn recorded(bench: &mut Tenant, contact: &ContactId) -> VisitRecord {
    let visit = bench.visit(&contact.0);
    bench.connector.record(std::slice::from_ref(&visit)).await.unwrap()[0].as_ref().unwrap();
    bench.clock.advance(Duration::from_secs(60));
    visit
}

#[tokio::test]
async fn a_contact_made_under_a_key_is_made_once_and_is_never_written_over() {
    for vendor in FAMILY {
        let mut bench = tenant(vendor, true).await;
        let new = elena();
        let Creation::Made(made) = bench.connector.create(&new).await.unwrap() else { panic!("{vendor}") };
        let other = NewContact { given: "Пётр".to_owned(), mark: "snova:other".to_owned(), ..new.clone() };
        let Creation::Taken(taken) = bench.connector.create(&other).await.unwrap() else { panic!("{vendor}") };
        assert_eq!((taken.id.as_str(), taken.given.as_deref(), taken.deleted), (&*made.0, Some("Елена"), false));
        assert!(taken.mark().bears(new.customer), "{vendor}: a lost answer is known by it");
        assert_eq!((taken.emails.len(), taken.phones.len(), taken.patronymic.is_some()), (1, 1, true), "{vendor}");
        assert_eq!(taken.told.source.as_deref(), Some("Snova"), "{vendor}");
        let found = bench.connector.find(&Seek::Email("elena@example.com".to_owned())).await.unwrap();
        assert_eq!(found.iter().map(|c| c.id.as_str()).collect::<Vec<_>>(), [made.0.as_str()], "{vendor}");
        bin(&bench, &made);
        let Creation::Taken(binned) = bench.connector.create(&new).await.unwrap() else { panic!("{vendor}") };
        assert!(binned.deleted, "{vendor}: its key is used up");
        assert_eq!(bench.server.crm.lock().unwrap().contacts(), 0, "{vendor}");
    }
}

#[tokio::test]
async fn a_mark_of_many_boxes_is_written_whole_found_by_any_of_them_and_refused_for_one_who_is_gone() {
    for vendor in FAMILY {
        let mut bench = tenant(vendor, false).await;
        let contact = add(&bench, ivan());
        let (theirs, old) = (CustomerId(Uuid::from_u128(9)), CustomerId(Uuid::from_u128(10)));
        let mark = Mark::read(&format!("ERP-77 {}", old.0)).with(OURS, "3f9a1c22").with(theirs, "3f9a1c22");
        bench.connector.write_mark(&contact, &mark.text()).await.unwrap();
        let uuid = add(&bench, FakeContact { external_id: format!("{}", old.0), ..ivan() });
        for (customer, ids) in [(OURS, vec![&contact]), (theirs, vec![&contact]), (old, vec![&contact, &uuid])] {
            let found = bench.connector.find(&Seek::Mark(customer)).await.unwrap();
            let found: Vec<_> = found.iter().map(|c| c.id.as_str()).collect();
            assert_eq!(found, ids.iter().map(|id| id.0.as_str()).collect::<Vec<_>>(), "{vendor}");
        }
        bench.connector.write_mark(&contact, "").await.unwrap();
        assert_eq!(bench.server.crm.lock().unwrap().contact(&contact.0).unwrap().external_id, "", "{vendor}");
        bin(&bench, &contact);
        let nobody = ContactId("5ca1ab1e-0000-4000-8000-00000000ffff".to_owned());
        for gone in [contact, nobody] {
            let refused = bench.connector.write_mark(&gone, "snova:x").await.unwrap_err();
            assert!(refused.contact_gone, "{vendor}: {refused}");
        }
    }
}

#[tokio::test]
async fn a_visit_of_a_contact_in_the_bin_is_nobodys_and_goes_to_the_survivor_once() {
    for vendor in FAMILY {
        let mut bench = tenant(vendor, false).await;
        let (loser, survivor) = (add(&bench, ivan()), add(&bench, ivan()));
        let earlier = recorded(&mut bench, &loser).await;
        let now = bench.clock.wall().at;
        bench.server.crm.lock().unwrap().merge_contacts(&loser.0, &survivor.0, now);
        let nobody = ContactId("00000000-0000-0000-0000-000000000000".to_owned());
        let visit = bench.visit(&loser.0);
        let of_nobody = VisitRecord { contact: nobody, ..bench.visit("") };
        for visit in [&visit, &of_nobody] {
            let refused = bench.connector.record(std::slice::from_ref(visit)).await.unwrap().remove(0).unwrap_err();
            assert!(refused.contact_gone && !refused.said().contains("Иван"), "{vendor}: {refused}");
        }
        let moved = VisitRecord { contact: survivor.clone(), ..visit };
        bench.connector.record(std::slice::from_ref(&moved)).await.unwrap()[0].as_ref().unwrap();
        let visits = there(&bench);
        assert!(visits.iter().all(|visit| visit.contact == survivor.0), "{vendor}: {visits:?}");
        let standing = bench.connector.visits_of(&survivor).await.unwrap();
        assert_eq!(standing.iter().map(|visit| visit.key).collect::<Vec<_>>(), [earlier.key, moved.key], "{vendor}");
    }
}

#[tokio::test]
async fn a_contact_that_goes_between_look_and_tie_leaves_a_meeting_that_is_found_moved_and_forgotten() {
    for vendor in FAMILY {
        let mut bench = tenant(vendor, false).await;
        let (gone, other) = (add(&bench, ivan()), add(&bench, ivan()));
        recorded(&mut bench, &gone).await;
        let visit = bench.visit(&gone.0);
        bench.with_beans(|beans| beans.goes_meanwhile = Some(gone.0.clone()));
        // What the look before had found out is no more: the answer may be that it is gone, never that it is recorded.
        let refused = bench.connector.record(std::slice::from_ref(&visit)).await.unwrap().remove(0).unwrap_err();
        assert!(refused.contact_gone || refused.class == FailureClass::Transient, "{vendor}: {refused}");
        let refused = bench.connector.record(std::slice::from_ref(&visit)).await.unwrap().remove(0).unwrap_err();
        assert!(refused.contact_gone, "{vendor}: {refused}");
        assert_eq!(there(&bench).len(), 2, "{vendor}: the meeting is there, in nobody's list");
        assert!(bench.connector.reconcile(std::slice::from_ref(&visit)).await.unwrap()[0].is_some(), "{vendor}");
        let moved = VisitRecord { contact: other.clone(), ..visit.clone() };
        bench.connector.record(std::slice::from_ref(&moved)).await.unwrap()[0].as_ref().unwrap();
        assert_eq!((there(&bench).len(), there(&bench)[1].contact.as_str()), (2, other.0.as_str()), "{vendor}");
        let forgotten = Forgotten { key: visit.key, customer: OURS, visits: vec![sent(&visit)] };
        bench.connector.forget(&forgotten).await.unwrap();
        assert!(there(&bench)[1].erased, "{vendor}");
    }
}

#[tokio::test]
async fn a_contact_in_the_bin_is_told_and_so_is_the_deletion_among_the_changes() {
    for vendor in FAMILY {
        let mut bench = tenant(vendor, false).await;
        let (kept, gone, other) = (add(&bench, ivan()), add(&bench, ivan()), add(&bench, ivan()));
        bench.clock.advance(Duration::from_secs(3600));
        let begin = bench.connector.changed("").await.unwrap();
        bench.clock.advance(Duration::from_secs(60));
        bin(&bench, &gone);
        bin(&bench, &other);
        let now = bench.clock.wall().at;
        bench.server.crm.lock().unwrap().change_contact(&kept.0, &|c| c.tier = "gold & more".to_owned(), now);
        let page = bench.connector.changed(&begin.cursor).await.unwrap();
        let deleted: Vec<_> = page.contacts.iter().filter(|c| c.deleted).map(|c| c.id.as_str()).collect();
        assert_eq!(deleted, [gone.0.as_str(), other.0.as_str()], "{vendor}");
        let live: Vec<&Contact> = page.contacts.iter().filter(|c| !c.deleted).collect();
        assert_eq!((live.len(), live[0].tier.as_deref(), page.more), (1, Some("gold & more"), false), "{vendor}");
        // V8 cannot show one: it is gone there.
        let read = bench.connector.contact(&gone).await.unwrap();
        assert!(read.map_or(vendor == "suitecrm", |contact| contact.deleted), "{vendor}");
    }
}

#[tokio::test]
async fn a_visit_bears_shop_owner_and_receipt_and_a_later_word_amends_it_once() {
    for vendor in FAMILY {
        let mut bench = tenant(vendor, true).await;
        let contact = add(&bench, ivan());
        let visit = VisitRecord { served_by: Some("Ольга".to_owned()), ..bench.visit(&contact.0) };
        bench.connector.record(std::slice::from_ref(&visit)).await.unwrap()[0].as_ref().unwrap();
        let raw = |bench: &Tenant| {
            let rows = bench.rows();
            assert_eq!(rows.len(), 1, "{vendor}");
            rows[0].clone()
        };
        let row = raw(&bench);
        assert_eq!(row["assigned_user_id"], "u-snova", "{vendor}: the contact has no owner");
        assert!(row["name"].contains("shop-7"), "{vendor}");
        let written = [("store", "shop-7"), ("counter", "till-1"), ("how", "match"), ("served_by", "Ольга")];
        for (key, value) in written {
            assert_eq!(row[&format!("snova_{key}_c")], value, "{vendor}: {key}");
        }
        bench.connector.void(&sent(&visit)).await.unwrap();
        let later = VisitRecord {
            receipt: Some(Receipt { number: "17-4".to_owned(), sum: 123_450 }),
            greeting: Some(Greeting::Wrong),
            ..visit.clone()
        };
        for _ in 0..2 {
            bench.connector.amend(&later, &sent(&visit)).await.unwrap();
        }
        let row = raw(&bench);
        let read = ["receipt", "sum", "greeting"].map(|key| row[&format!("snova_{key}_c")].clone());
        assert_eq!(read, ["17-4", "1234.50", "wrong"], "{vendor}");
        assert!(row["description"].contains("17-4") && row["description"].contains(&visit.mark()), "{vendor}");
        assert!(there(&bench)[0].void, "{vendor}: it stays taken back");
        let standing = bench.connector.visits_of(&contact).await.unwrap();
        let own = (standing[0].key, standing[0].opened_at, standing[0].store.as_deref(), standing[0].void);
        assert_eq!(own, (visit.key, visit.opened_at.at, Some("shop-7"), true), "{vendor}");
        let unknown = bench.visit(&contact.0);
        bench.connector.amend(&unknown, &sent(&unknown)).await.unwrap();
        assert_eq!(there(&bench).len(), 1, "{vendor}: what is not there is not made");
        let owned = add(&bench, ivan());
        bench.with_beans(|beans| {
            let owner = [("assigned_user_id".to_owned(), "u-olga".to_owned())].into();
            beans.update("Contacts", &owned.0, &owner, Timestamp::UNIX_EPOCH);
        });
        recorded(&mut bench, &owned).await;
        assert_eq!(bench.rows()[1]["assigned_user_id"], "u-olga", "{vendor}");
    }
}

#[tokio::test]
async fn all_meetings_of_ours_on_a_contact_are_listed_and_nobody_elses() {
    for vendor in FAMILY {
        let mut bench = tenant(vendor, false).await;
        let (contact, now) = (add(&bench, ivan()), bench.clock.wall().at);
        bench.server.crm.lock().unwrap().plant("57c0ffee-0000-4000-8000-000000000913", &contact.0, now);
        let mut keys = Vec::new();
        for _ in 0..130 {
            keys.push(recorded(&mut bench, &contact).await.key);
        }
        let standing = bench.connector.visits_of(&contact).await.unwrap();
        let mut listed: Vec<Uuid> = standing.iter().map(|visit| visit.key).collect();
        listed.sort();
        assert_eq!(listed, keys, "{vendor}");
        bin(&bench, &contact);
        let refused = bench.connector.visits_of(&contact).await.unwrap_err();
        assert!(refused.contact_gone, "{vendor}: {refused}");
    }
}

#[tokio::test]
async fn what_is_told_of_a_contact_is_read_back_emptied_again_and_refused_for_one_who_is_gone() {
    let at = |text: &str| -> Timestamp { text.parse().unwrap() };
    let whole = Told {
        first_visit: Some(at("2025-11-02T09:00:00Z")),
        last_visit: Some(at("2026-03-01T17:30:00Z")),
        late_since: Some("2026-03-20".parse().unwrap()),
        consent: Some(ConsentWord::Live),
        consent_until: Some("2027-11-02".parse().unwrap()),
        source: Some("Snova".to_owned()),
        visits_30: Some(4),
        visits_90: Some(11),
        home_store: Some("Тверская 7".to_owned()),
    };
    for vendor in FAMILY {
        let mut bench = tenant(vendor, true).await;
        let (contact, gone) = (add(&bench, ivan()), add(&bench, ivan()));
        bin(&bench, &gone);
        let part = Told { consent: Some(ConsentWord::Ended), ..Told::default() };
        for told in [&whole, &part] {
            let all = [(contact.clone(), told.clone()), (gone.clone(), told.clone())];
            let rows = bench.connector.tell(&all).await.unwrap();
            assert!(rows[0].is_ok() && rows[1].as_ref().unwrap_err().contact_gone, "{vendor}: {rows:?}");
            assert_eq!(bench.server.crm.lock().unwrap().told(&contact.0), *told, "{vendor}");
            assert_eq!(bench.connector.contact(&contact).await.unwrap().unwrap().told, *told, "{vendor}");
        }
        let kept = bench.server.crm.lock().unwrap().contact(&contact.0).unwrap();
        assert_eq!(kept.given, "Иван", "{vendor}: nothing else is written");
    }
}

#[tokio::test]
async fn a_field_that_is_not_there_stops_the_lane_and_is_named_by_the_probe() {
    for vendor in FAMILY {
        let fields = |config: String| config.replace("fields]\n", "fields]\nexternal_id = \"nowhere_c\"\n");
        let mut bench = Bench::with(crm::vendor(vendor), fields).await;
        let contact = add(&bench, ivan());
        let mut refused = vec![bench.connector.write_mark(&contact, "snova:x").await.unwrap_err()];
        if vendor != "suitecrm-legacy" {
            refused.push(bench.connector.find(&Seek::Mark(OURS)).await.unwrap_err());
        }
        assert!(refused.iter().all(|f| f.class == FailureClass::TenantBlocked), "{vendor}: {refused:?}");
        let missing = |bench: Vec<snova::crm::Finding>| {
            let missing = bench.into_iter().filter(|f| f.verdict == Verdict::Missing);
            missing.map(|f| f.what).collect::<Vec<_>>().join(", ")
        };
        let found = missing(bench.connector.probe().await);
        assert!(found.contains("nowhere_c"), "{vendor}: {found}");
        // A field to be written that nobody has made.
        let told = |config: String| {
            let section = if vendor.starts_with("sugar") { "sugarcrm" } else { "suitecrm" };
            format!("{config}[crm.{section}.told]\nsource = \"unmade_c\"\n")
        };
        let mut bench = Bench::with(crm::vendor(vendor), told).await;
        let contact = add(&bench, ivan());
        let rows = bench.connector.tell(&[(contact, Told::default())]).await;
        let refused = rows.map_or_else(|failure| failure, |mut rows| rows.remove(0).unwrap_err());
        assert_eq!(refused.class, FailureClass::TenantBlocked, "{vendor}: {refused}");
        let found = missing(bench.connector.probe().await);
        assert!(found.contains("unmade_c"), "{vendor}: {found}");
    }
}

#[tokio::test]
async fn what_the_tenant_takes_away_kills_no_visit_and_all_go_once_it_is_mended() {
    for vendor in FAMILY {
        let mut bench = tenant(vendor, false).await;
        let contact = add(&bench, ivan());
        recorded(&mut bench, &contact).await;
        for right in [true, false] {
            let visit = bench.visit(&contact.0);
            let set = |bench: &Tenant, on: bool| {
                let mut crm = bench.server.crm.lock().unwrap();
                if right { crm.take_right(on) } else { crm.demand_field(on) }
            };
            set(&bench, true);
            for _ in 0..4 {
                let rows = bench.connector.record(std::slice::from_ref(&visit)).await;
                let refused = rows.map_or_else(|failure| failure, |mut rows| rows.remove(0).unwrap_err());
                let class = refused.class;
                if right {
                    assert_eq!(class, FailureClass::TenantBlocked, "{vendor}: {refused}");
                    assert!(refused.said().contains("right"), "{vendor}: {refused}");
                } else {
                    // Sugar's upsert and V8 do not say whose fault it is; the lane finds that out.
                    let names_none = vendor != "sugarcrm-user";
                    let is_poison = class == FailureClass::Poison;
                    assert_eq!(is_poison, names_none, "{vendor}: {refused}");
                }
                assert!(!refused.said().contains("Ivan"), "{vendor}: {refused}");
            }
            set(&bench, false);
            assert!(bench.connector.record(std::slice::from_ref(&visit)).await.unwrap()[0].is_ok(), "{vendor}");
        }
        assert_eq!(there(&bench).len(), 3, "{vendor}");
    }
}

#[tokio::test]
async fn a_tenant_without_the_fields_is_told_each_and_one_with_them_has_all_well() {
    for vendor in FAMILY {
        let mut bench = tenant(vendor, false).await;
        let found = bench.connector.prepare().await;
        let (last, fields) = found.split_last().unwrap();
        assert_eq!(fields.len(), 1 + 9 + 7, "{vendor}");
        assert!(fields[1..].iter().all(|f| f.verdict == Verdict::Warning && f.remedy.contains("Studio")), "{vendor}");
        // The guide shows it as it is.
        let sugar = vendor.starts_with("sugar");
        let guide =
            if sugar { include_str!("../docs/crm/sugarcrm.md") } else { include_str!("../docs/crm/suitecrm.md") };
        for finding in &fields[1..] {
            let line = format!("warning  {}: {}\n", finding.what, finding.remedy);
            assert!(guide.contains(&line), "{vendor}: {line}");
        }
        assert!(guide.contains(&last.remedy), "{vendor}");
        // What is to be pasted is what the fake has once the administrator has made the fields.
        assert_eq!(last.remedy, bench.server.crm.lock().unwrap().told_config(), "{vendor}");
        let mut bench = tenant(vendor, true).await;
        for found in [bench.connector.prepare().await, bench.connector.probe().await] {
            assert!(found.iter().all(|finding| finding.verdict == Verdict::Good), "{vendor}: {found:#?}");
        }
    }
}

#[tokio::test]
async fn a_double_of_our_own_is_taken_back() {
    let mut bench = tenant("sugarcrm-user", false).await;
    let (elder, younger) = (add(&bench, ivan()), add(&bench, ivan()));
    for _ in 0..2 {
        bench.connector.retire(&younger, &elder).await.unwrap();
    }
    assert_eq!(bench.server.crm.lock().unwrap().all_contacts().len(), 1);
}
