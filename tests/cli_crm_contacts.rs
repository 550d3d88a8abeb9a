//! What a person says of contacts, with the real program at a fake CRM: whom a customer is, and the key that all stores share.
//!
//! What Snova finds out by itself is `crm_identity`'s.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

#[path = "support/command_line.rs"]
#[allow(dead_code, reason = "each test uses its part of the support code")]
mod command_line;
#[path = "support/crm/mod.rs"]
mod crm;

use std::sync::Arc;

use command_line::{Ended, Shop};
use crm::{FakeContact, FakeServer};
use snova::clock::{Clock, SystemClock};
use snova::crm::Mark;
use snova::customer::{CustomerId, PersonName};
use snova::store::{Link, Store, Why};
use uuid::Uuid;

/// The word of another store's box.
const OF_EIGHT: CustomerId = CustomerId(Uuid::from_u128(8));
const PHONE: &str = "+79120000077";

struct Session {
    shop: Shop,
    server: FakeServer,
    store: Store,
    peter: CustomerId,
    maria: String,
}

impl Session {
    /// Пётр is enrolled by the phone of Мария, whom another store knows.
    async fn begin() -> Self {
        let clock = SystemClock::new();
        let server = FakeServer::start(crm::vendor("salesforce"), Arc::new(SystemClock::new()) as Arc<dyn Clock>).await;
        let shop = Shop::open();
        shop.configure(&format!("[device]\nname = \"shop-7\"\n{}", server.config()));
        let store = crm::road::open_store(&shop.data());
        let secrets = server.crm.lock().unwrap().secrets();
        secrets.iter().for_each(|(name, value)| store.set_secret(name, value).unwrap());
        let peter = crm::road::enrol(&store, &clock, PersonName::given("Пётр"), PHONE);
        let key = snova::sync::Company::of(&store).unwrap().fingerprint();
        let mark = Mark::default().with(OF_EIGHT, &key).text();
        let there =
            FakeContact { external_id: mark, ..FakeContact::named("Мария", "Павловна", "Муж", PHONE) };
        let maria = server.crm.lock().unwrap().add_contact(there, clock.wall().at);
        Self { shop, server, store, peter, maria }
    }

    async fn snova(&self, arguments: &[&str]) -> Ended {
        tokio::task::block_in_place(|| self.shop.snova(arguments))
    }

    fn mark(&self) -> Mark {
        Mark::read(&self.server.crm.lock().unwrap().contact(&self.maria).unwrap().external_id)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_says_who_a_contact_is_and_nobody_elses_word_goes() {
    let session = Session::begin().await;
    let (peter, maria) = (session.peter.to_string(), session.maria.clone());
    let unsure = session.snova(&["crm", "link", &peter]).await;
    assert_eq!(unsure.code, Some(1), "{}", unsure.err);
    assert!(unsure.out.contains("contact of another name"), "{}", unsure.out);
    let listed = session.snova(&["crm", "unclear"]).await;
    assert_eq!(listed.code, Some(1));
    let wanted = format!("{peter}  Пётр (contacts {maria}): their phone");
    assert!(listed.out.starts_with(&wanted), "{}", listed.out);
    let json = session.snova(&["crm", "unclear", "--json"]).await;
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["unclear"][0]["why"], Why::AnotherName.as_str());
    session.snova(&["crm", "link", &peter, &maria]).await.fails_with(&["another name", "--force"]);
    assert_eq!(session.mark().customers(), [OF_EIGHT], "nothing is written meanwhile");
    let forced = session.snova(&["crm", "link", &peter, &maria, "--force"]).await;
    assert_eq!(forced.code, Some(0), "{}", forced.err);
    assert!(forced.out.contains("1 more of Snova's words"), "{}", forced.out);
    assert_eq!(session.mark().customers(), [OF_EIGHT, session.peter], "beside the other store's");
    assert_eq!(session.store.link(session.peter).unwrap(), Some(Link::Linked(maria)));
    let unlinked = session.snova(&["crm", "unlink", &peter]).await;
    assert_eq!((unlinked.code, session.mark().customers()), (Some(0), &[OF_EIGHT][..]), "{}", unlinked.err);
    let clear = session.snova(&["crm", "unclear"]).await;
    assert_eq!(clear.code, Some(0), "{}", clear.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_company_key_is_shown_to_the_owner_alone_and_taken_over_whole() {
    let session = Session::begin().await;
    let shown = session.snova(&["crm", "company-key"]).await;
    let key = session.snova(&["crm", "company-key", "--reveal"]).await.out;
    assert_eq!(key.trim().len(), 64);
    assert!(!shown.out.contains(key.trim()), "only its fingerprint");
    let minted = session.snova(&["crm", "company-key", "--new"]).await;
    assert!(minted.code == Some(0) && minted.out != shown.out, "{}", minted.out);
    // A store that this box knows nothing of marks with a key that it never held.
    let target = session.store.current_target().unwrap();
    session.store.note_other_key(target, "0badc0de", &session.maria).unwrap();
    let told = session.snova(&["crm", "company-key"]).await;
    assert_eq!(told.code, Some(1));
    assert!(told.out.contains("0badc0de") && told.out.contains("--set"), "{}", told.out);
    let probed = session.snova(&["crm", "probe"]).await;
    assert!(probed.out.contains("0badc0de"), "{}", probed.out);
    let taken = session.snova(&["crm", "company-key", "--gone", "0badc0de"]).await;
    assert_eq!((taken.code, session.store.other_company_key(target).unwrap()), (Some(0), None), "{}", taken.err);
    let both = session.snova(&["crm", "company-key", "--reveal", "--new"]).await;
    assert!(both.err.contains("cannot be used with"), "{}", both.err);
}
