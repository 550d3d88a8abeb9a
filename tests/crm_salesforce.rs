//! The Salesforce connector at its fake: what is this vendor's alone. What all must keep is in `crm_contract`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

#[path = "support/crm/mod.rs"]
mod crm;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crm::bench::Bench;
use crm::salesforce::FakeSalesforce;
use crm::server::Hits;
use crm::{FakeContact, FakeCrm, Fault, POISON_TILL};
use jiff::civil::date;
use snova::clock::Clock;
use snova::crm::{
    ConsentWord, Contact, ContactId, Creation, FailureClass, Finding, Forgotten, Greeting, Mark, NewContact, Receipt,
    Seek, SentVisit, Told, Verdict, VisitRecord,
};
use snova::customer::CustomerId;
use uuid::Uuid;

const OURS: CustomerId = CustomerId(Uuid::from_u128(7));
const ANOTHERS: CustomerId = CustomerId(Uuid::from_u128(8));

async fn org() -> Bench {
    Bench::of(crm::vendor("salesforce")).await
}

/// With the fake itself, and with every field that the configuration may name.
async fn whole_org() -> (Bench, Arc<Mutex<FakeSalesforce>>) {
    let fake = Arc::new(Mutex::new(FakeSalesforce::default()));
    let told = fake.lock().unwrap().told_config();
    let shared = Arc::clone(&fake) as Arc<Mutex<dyn FakeCrm>>;
    (Bench::with(shared, |config| format!("{config}{told}")).await, fake)
}

fn ivan() -> FakeContact {
    FakeContact::named("Иван", "Петрович", "Соколов", "8 (912) 345-67-89")
}

fn add(bench: &Bench, contact: FakeContact) -> String {
    let now = bench.clock.wall().at;
    bench.server.crm.lock().unwrap().add_contact(contact, now)
}

fn of(id: &str) -> ContactId {
    ContactId(id.to_owned())
}

fn sent(visit: &VisitRecord) -> SentVisit {
    SentVisit { key: visit.key, record: None, contact: visit.contact.clone(), written_at: visit.opened_at.at }
}

fn new(customer: CustomerId, key: u128) -> NewContact {
    NewContact {
        key: Uuid::from_u128(key),
        customer,
        mark: Mark::default().with(customer, "3f9a1c22").text(),
        given: "Елена".to_owned(),
        patronymic: None,
        family: None,
        phone: Some("+79123456789".to_owned()),
        email: None,
    }
}

fn made(creation: Creation) -> String {
    match creation {
        Creation::Made(id) => id.0,
        Creation::Taken(there) => panic!("{there:?} was there"),
    }
}

fn taken(creation: Creation) -> Contact {
    match creation {
        Creation::Taken(there) => *there,
        Creation::Made(id) => panic!("{id} is a second one"),
    }
}

#[tokio::test]
async fn a_visit_sent_twice_is_one_row_and_a_poisoned_row_does_not_hold_up_the_rest() {
    let mut bench = org().await;
    let contact = add(&bench, ivan());
    let visits = [bench.visit(&contact), bench.visit_at(&contact, POISON_TILL), bench.visit(&contact)];
    for _ in 0..2 {
        let rows = bench.connector.record(&visits).await.unwrap();
        assert!(rows[0].is_ok() && rows[2].is_ok());
        let refused = rows[1].as_ref().unwrap_err();
        assert_eq!(refused.class, FailureClass::Poison);
        assert!(refused.said().contains("REQUIRED_FIELD_MISSING"), "{refused}");
    }
    let there = bench.server.crm.lock().unwrap().visits();
    assert_eq!(there.len(), 2);
    assert_eq!(there[0].opened_at, Some(visits[0].opened_at.at));
    let found = bench.connector.reconcile(&visits).await.unwrap();
    assert!(found[0].is_some() && found[1].is_none() && found[2].is_some());
}

#[tokio::test]
async fn a_phone_is_found_however_it_was_typed_and_never_by_a_part_of_it() {
    let mut bench = org().await;
    let contact = add(&bench, ivan());
    add(&bench, FakeContact { phone: "8 (912) 345-67-80".to_owned(), ..ivan() });
    let found = bench.connector.find(&Seek::Phone("+79123456789".to_owned())).await.unwrap();
    assert_eq!(found.iter().map(|c| c.id.clone()).collect::<Vec<_>>(), [contact]);
    assert_eq!(found[0].patronymic.as_deref(), Some("Петрович"));
    assert!(bench.connector.find(&Seek::Phone("+79123450000".to_owned())).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_contact_is_found_by_any_word_of_its_mark_old_or_new() {
    let mut bench = org().await;
    let both = Mark::default().with(ANOTHERS, "3f9a1c22").with(OURS, "3f9a1c22").text();
    let marked = add(&bench, FakeContact { external_id: both, ..ivan() });
    let found = async |bench: &mut Bench, customer| {
        let found = bench.connector.find(&Seek::Mark(customer)).await.unwrap();
        found.into_iter().map(|contact| contact.id).collect::<Vec<_>>()
    };
    assert_eq!(found(&mut bench, OURS).await, [&*marked]);
    assert_eq!(found(&mut bench, ANOTHERS).await, [&*marked]);
    let old = CustomerId(Uuid::from_u128(9));
    assert!(found(&mut bench, old).await.is_empty());
    let by_old = add(&bench, FakeContact { external_id: old.to_string(), ..ivan() });
    assert_eq!(found(&mut bench, old).await, [by_old]);
}

#[tokio::test]
async fn a_mark_is_written_whole_and_not_upon_a_contact_that_is_gone() {
    let mut bench = org().await;
    let contact = add(&bench, ivan());
    let text = Mark::default().with(OURS, "3f9a1c22").text();
    bench.connector.write_mark(&of(&contact), &text).await.unwrap();
    assert_eq!(bench.server.crm.lock().unwrap().contact(&contact).unwrap().external_id, text);
    bench.connector.write_mark(&of(&contact), "").await.unwrap();
    assert_eq!(bench.server.crm.lock().unwrap().contact(&contact).unwrap().external_id, "");
    let now = bench.clock.wall().at;
    bench.server.crm.lock().unwrap().bin_contact(&contact, now);
    for gone in [&*contact, "003000000999999999", "57"] {
        let failure = bench.connector.write_mark(&of(gone), &text).await.unwrap_err();
        assert!(failure.contact_gone, "{gone}: {failure}");
    }
    let long = bench.connector.write_mark(&of(&add(&bench, ivan())), &"x".repeat(256)).await.unwrap_err();
    assert!(!long.contact_gone && long.said().contains("STRING_TOO_LONG"), "{long}");
}

#[tokio::test]
async fn a_key_makes_one_contact_and_what_is_there_is_told_and_never_overwritten() {
    let mut bench = org().await;
    let first = made(bench.connector.create(&new(OURS, 1)).await.unwrap());
    let before = bench.server.crm.lock().unwrap().contact(&first).unwrap();
    assert_eq!((&*before.phone, &*before.family), ("+79123456789", "Елена"));
    // Another box, or this one after an answer that was lost.
    for customer in [ANOTHERS, OURS] {
        let there = taken(bench.connector.create(&new(customer, 1)).await.unwrap());
        assert!(there.id == first && there.mark().bears(OURS) && !there.deleted);
    }
    assert_eq!(bench.server.crm.lock().unwrap().contact(&first).unwrap(), before);
    assert_ne!(made(bench.connector.create(&new(ANOTHERS, 2)).await.unwrap()), first);
    let now = bench.clock.wall().at;
    bench.server.crm.lock().unwrap().bin_contact(&first, now);
    let there = taken(bench.connector.create(&new(OURS, 1)).await.unwrap());
    assert!(there.id == first && there.deleted);
}

#[tokio::test]
async fn a_duplicate_rule_is_said_and_not_broken() {
    let (mut bench, fake) = whole_org().await;
    fake.lock().unwrap().duplicate_rule = true;
    let refused = bench.connector.create(&new(OURS, 1)).await.unwrap_err();
    assert_eq!(refused.class, FailureClass::Poison, "the other customers are not held up");
    assert!(refused.said().contains("duplicate rule") && refused.said().contains("snova crm link"), "{refused}");
    fake.lock().unwrap().duplicate_rule = false;
    let id = made(bench.connector.create(&new(OURS, 1)).await.unwrap());
    assert_eq!(fake.lock().unwrap().told(&id).source.as_deref(), Some("Snova"));
}

#[tokio::test]
async fn a_contact_that_is_deleted_or_merged_says_so_and_is_told_as_changed() {
    let mut bench = org().await;
    let [lost, loser, survivor] = [(); 3].map(|()| add(&bench, ivan()));
    bench.clock.advance(Duration::from_secs(60));
    let begin = bench.connector.changed("").await.unwrap();
    bench.clock.advance(Duration::from_secs(60));
    let visits = [bench.visit(&lost), bench.visit(&loser)];
    bench.connector.record(&visits).await.unwrap();
    let now = bench.clock.wall().at;
    bench.server.crm.lock().unwrap().bin_contact(&lost, now);
    bench.server.crm.lock().unwrap().merge_contacts(&loser, &survivor, now);
    let one = bench.connector.contact(&of(&lost)).await.unwrap().unwrap();
    assert!(one.deleted && one.master.is_none());
    let one = bench.connector.contact(&of(&loser)).await.unwrap().unwrap();
    assert!(one.deleted && one.master == Some(of(&survivor)));
    for never in ["003000000999999999", "57", "x' OR Id != '"] {
        assert_eq!(bench.connector.contact(&of(never)).await.unwrap(), None);
    }
    let changed = bench.connector.changed(&begin.cursor).await.unwrap().contacts;
    let gone: Vec<_> = changed.iter().filter(|one| one.deleted).map(|one| one.id.clone()).collect();
    assert_eq!(gone, [lost.clone(), loser.clone()]);
    assert!(bench.connector.find(&Seek::Phone("+79123456789".to_owned())).await.unwrap().len() == 1);
    // Visits of theirs that come later are not refused for themselves.
    for gone in [&*lost, &*loser, "003000000999999999"] {
        let visits = [bench.visit(gone), bench.visit(&survivor)];
        let rows = bench.connector.record(&visits).await.unwrap();
        assert!(rows[1].is_ok());
        let refused = rows[0].as_ref().unwrap_err();
        assert!(refused.contact_gone && refused.said().contains("contact"), "{refused}");
    }
}

#[tokio::test]
async fn what_is_the_orgs_fault_blocks_the_lane_with_its_cause() {
    let (mut bench, fake) = whole_org().await;
    let contact = add(&bench, ivan());
    let visit = bench.visit(&contact);
    bench.connector.record(std::slice::from_ref(&visit)).await.unwrap();
    fake.lock().unwrap().take_right(true);
    let row = bench.connector.record(&[bench.visit(&contact)]).await.unwrap().remove(0).unwrap_err();
    assert_eq!(row.class, FailureClass::TenantBlocked);
    assert!(row.said().contains("INSUFFICIENT_ACCESS"), "{row}");
    let gone = Forgotten { key: visit.key, customer: OURS, visits: vec![sent(&visit)] };
    for refused in [bench.connector.void(&sent(&visit)).await, bench.connector.forget(&gone).await] {
        assert_eq!(
            refused.unwrap_err().class,
            FailureClass::TenantBlocked,
            "a right that is missing is not an absence"
        );
    }
    let probed = bench.connector.probe().await;
    assert!(probed.iter().any(|finding| finding.verdict == Verdict::Missing && finding.what.contains("the right")));
    fake.lock().unwrap().take_right(false);
    fake.lock().unwrap().demand_field(true);
    let row = bench.connector.record(&[bench.visit(&contact)]).await.unwrap().remove(0).unwrap_err();
    assert_eq!(row.class, FailureClass::Poison, "Salesforce says it of the row alone");
    assert!(row.said().ends_with("(REQUIRED_FIELD_MISSING) (Cashier_Code__c)"), "{row}");
    // A field that the org does not have.
    let unknown = |config: String| format!("{config}[crm.salesforce.record]\nstore = \"Nowhere__c\"\n");
    let mut bench = Bench::with(crm::vendor("salesforce"), unknown).await;
    let contact = add(&bench, ivan());
    let row = bench.connector.record(&[bench.visit(&contact)]).await.unwrap().remove(0).unwrap_err();
    assert!(row.class == FailureClass::TenantBlocked && row.said().contains("Nowhere__c"), "{row}");
}

#[tokio::test]
async fn a_visit_says_store_receipt_and_greeting_and_is_amended_voided_and_forgotten() {
    let (mut bench, fake) = whole_org().await;
    let contact = add(&bench, ivan());
    let mut visit = VisitRecord { served_by: Some("Анна К.".to_owned()), ..bench.visit(&contact) };
    let id = bench.connector.record(std::slice::from_ref(&visit)).await.unwrap().remove(0).unwrap();
    let row = |fake: &Arc<Mutex<FakeSalesforce>>| -> serde_json::Value {
        serde_json::from_str(&crm::FakeRecords::raw(&*fake.lock().unwrap(), &id.0).unwrap()).unwrap()
    };
    let before = row(&fake);
    for (field, value) in
        [("Store__c", "shop-7"), ("Till__c", "till-1"), ("Served_By__c", "Анна К."), ("Known__c", "match")]
    {
        assert_eq!(before[field], value, "{field}");
    }
    assert!(before.get("Receipt__c").is_none() && before.get("Greeting__c").is_none());
    bench.connector.void(&sent(&visit)).await.unwrap();
    visit.receipt = Some(Receipt { number: "A-77".to_owned(), sum: 123_450 });
    visit.greeting = Some(Greeting::Wrong);
    // Whoever else has it by now, and whatever contact we knew.
    visit.contact = of("003000000999999999");
    bench.connector.amend(&visit, &sent(&visit)).await.unwrap();
    let after = row(&fake);
    assert_eq!((&after["Receipt__c"], after["Sum__c"].as_f64()), (&"A-77".into(), Some(1234.5)));
    assert_eq!((&after["Greeting__c"], &after["Void__c"]), (&"wrong".into(), &true.into()));
    assert_eq!(after["Contact__c"], *contact);
    let never = bench.visit(&contact);
    bench.connector.amend(&never, &sent(&never)).await.unwrap();
    let gone = Forgotten { key: visit.key, customer: OURS, visits: vec![sent(&visit), sent(&never)] };
    for _ in 0..2 {
        bench.connector.forget(&gone).await.unwrap();
        bench.connector.void(&sent(&visit)).await.unwrap();
        bench.connector.amend(&visit, &sent(&visit)).await.unwrap();
    }
    assert!(fake.lock().unwrap().visits().is_empty());
}

#[tokio::test]
async fn the_visits_of_a_contact_are_listed_to_the_last_page_whichever_box_wrote_them() {
    let (mut bench, _fake) = whole_org().await;
    let (contact, other) = (add(&bench, ivan()), add(&bench, ivan()));
    let visits: Vec<VisitRecord> = (0..2100).map(|_| bench.visit(&contact)).collect();
    for batch in visits.chunks(200) {
        bench.connector.record(batch).await.unwrap();
    }
    bench.connector.record(&[bench.visit(&other)]).await.unwrap();
    bench.connector.void(&sent(&visits[1])).await.unwrap();
    let there = bench.connector.visits_of(&of(&contact)).await.unwrap();
    assert_eq!(there.len(), 2100);
    assert_eq!((there[0].key, there[0].opened_at), (visits[0].key, visits[0].opened_at.at));
    assert_eq!(there.iter().filter(|one| one.void).map(|one| one.key).collect::<Vec<_>>(), [visits[1].key]);
    assert_eq!(there[0].store.as_deref(), Some("shop-7"));
    // Without a field of its own the store is in the counter's.
    let mut plain = org().await;
    let contact = add(&plain, ivan());
    plain.connector.record(&[plain.visit(&contact)]).await.unwrap();
    assert_eq!(plain.connector.visits_of(&of(&contact)).await.unwrap()[0].store.as_deref(), Some("shop-7"));
    assert!(plain.connector.visits_of(&of("57")).await.unwrap().is_empty());
}

#[tokio::test]
async fn contacts_are_told_two_hundred_in_a_call_and_read_back() {
    let (mut bench, fake) = whole_org().await;
    let contacts: Vec<String> = (0..201).map(|_| add(&bench, ivan())).collect();
    let at = |text: &str| text.parse().unwrap();
    let whole = Told {
        first_visit: Some(at("2026-01-12T11:05:00Z")),
        last_visit: Some(at("2026-03-01T09:00:00Z")),
        late_since: Some(date(2026, 3, 20)),
        consent: Some(ConsentWord::Ended),
        consent_until: Some(date(2027, 1, 1)),
        source: Some("Snova".to_owned()),
        visits_30: Some(4),
        visits_90: Some(11),
        home_store: Some("Тверская 7".to_owned()),
    };
    let mut told: Vec<_> = contacts.iter().map(|id| (of(id), whole.clone())).collect();
    told.push((of("57"), whole.clone()));
    bench.server.forget_asked();
    let rows = bench.connector.tell(&told).await.unwrap();
    assert!(rows[..201].iter().all(Result::is_ok) && rows[201].as_ref().unwrap_err().contact_gone);
    assert_eq!(bench.server.asked_so_far(), 3, "a login and two calls");
    assert_eq!(fake.lock().unwrap().told(&contacts[200]), whole);
    assert_eq!(bench.connector.contact(&of(&contacts[0])).await.unwrap().unwrap().told, whole);
    bench.connector.tell(&[(of(&contacts[0]), Told::default())]).await.unwrap();
    assert_eq!(fake.lock().unwrap().told(&contacts[0]), Told::default());
    let mut plain = org().await;
    assert_eq!(plain.connector.tell(&[(of("57"), whole)]).await.unwrap(), [Ok(())]);
    assert_eq!(plain.server.asked_so_far(), 0, "nothing has a name, nothing is written");
}

fn in_words(findings: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let verdict = if finding.verdict == Verdict::Good { "good     " } else { "warning  " };
        let remedy = if finding.remedy.is_empty() {
            String::new()
        } else {
            format!("\n         {}", finding.remedy.replace('\n', "\n         "))
        };
        format!("{verdict}{}{remedy}\n", finding.what)
    };
    findings.iter().map(line).collect()
}

#[tokio::test]
async fn fields_are_made_named_or_found_and_only_what_is_seen_is_ready_to_be_named() {
    let fake = Arc::new(Mutex::new(FakeSalesforce::default()));
    let mut bench = Bench::of(Arc::clone(&fake) as Arc<Mutex<dyn FakeCrm>>).await;
    let last = |findings: &[Finding]| findings.last().unwrap().remedy.clone();
    // The user may not.
    let named = bench.connector.prepare().await;
    assert!(named.iter().any(|one| one.remedy.contains("make it in Setup") && one.remedy.contains("Date/Time")));
    assert_eq!(last(&named), "none yet");
    assert_eq!(bench.server.asked().iter().filter(|asked| asked.path.contains("tooling")).count(), 1, "asked once");
    fake.lock().unwrap().customizes = true;
    let made = bench.connector.prepare().await;
    let by = |findings: &[Finding], word: &str| findings.iter().filter(|one| one.remedy.starts_with(word)).count();
    assert_eq!((by(&made, "it was made"), by(&made, "make it in")), (15, 0), "{made:#?}");
    assert_eq!(last(&made), "none yet", "nobody sees them yet");
    let again = bench.connector.prepare().await;
    assert_eq!((by(&again, "it was made"), by(&again, "it is there and")), (0, 15));
    fake.lock().unwrap().grant_fields();
    let ready = bench.connector.prepare().await;
    assert!(ready.iter().all(|finding| finding.verdict == Verdict::Good), "{ready:#?}");
    let lines = last(&ready);
    let mut whole = Bench::with(fake, |config| format!("{config}{lines}\n")).await;
    let findings = whole.connector.probe().await;
    assert!(findings.iter().all(|finding| finding.verdict == Verdict::Good), "{findings:#?}");
    let guide = include_str!("../docs/crm/salesforce.md");
    for (said, findings) in [("made", made), ("ready", ready)] {
        assert!(guide.contains(&in_words(&findings)), "the guide shows what is {said}:\n{}", in_words(&findings));
    }
}

#[tokio::test]
async fn changed_cards_come_once_page_by_page() {
    let mut bench = org().await;
    let contact = add(&bench, ivan());
    let begin = bench.connector.changed("").await.unwrap();
    bench.clock.advance(Duration::from_secs(60));
    let now = bench.clock.wall().at;
    bench.server.crm.lock().unwrap().change_contact(&contact, &|c| c.tier = "gold".to_owned(), now);
    let page = bench.connector.changed(&begin.cursor).await.unwrap();
    assert_eq!(page.contacts.len(), 1);
    assert_eq!((page.contacts[0].tier.as_deref(), page.more), (Some("gold"), false));
    for number in 0..2100 {
        add(&bench, FakeContact { phone: format!("+7900{number:07}"), ..ivan() });
    }
    let (mut seen, mut cursor) = (0, page.cursor);
    loop {
        let page = bench.connector.changed(&cursor).await.unwrap();
        seen += page.contacts.len();
        cursor = page.cursor;
        if !page.more {
            break;
        }
    }
    assert!(seen >= 2100, "{seen}");
}

#[tokio::test]
async fn an_expired_session_is_renewed_and_a_wrong_secret_is_said() {
    let mut bench = org().await;
    let contact = add(&bench, ivan());
    bench.server.plan(Fault::TokenExpired, Hits::VisitWrites, 1);
    let visit = bench.visit(&contact);
    assert!(bench.connector.record(std::slice::from_ref(&visit)).await.unwrap()[0].is_ok());
    bench.server.plan(Fault::Throttled, Hits::VisitWrites, 1);
    let full = bench.connector.record(std::slice::from_ref(&visit)).await.unwrap_err();
    assert_eq!(full.class, FailureClass::TenantBlocked);
    assert!(full.wait.is_some());
    let findings = bench.connector.probe().await;
    assert!(findings.iter().all(|finding| finding.verdict == Verdict::Good), "{findings:#?}");
    bench.secrets.0.lock().unwrap().insert("crm/salesforce/client-secret".to_owned(), "wrong".to_owned());
    bench.server.crm.lock().unwrap().expire_tokens();
    let refused = bench.connector.record(&[visit]).await.unwrap_err();
    assert_eq!(refused.class, FailureClass::Auth);
    assert!(refused.said().contains("invalid_client"), "{refused}");
}
