//! Cards, phones and secrets in the store: found again, never in plain, gone with the customer; and the update of a
//! database from before there were any.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::Duration;

use snova::customer::{Consent, HowKnown, Identifier, IdentifierKind, Purpose};
use snova::store::{FILE_NAME, KeyState, NewCustomer, Store, StoreError, VisitRecord};
use snova::vault::{KEY_FILE, Seal};

#[path = "support/store_fixture.rs"]
mod store_fixture;
use store_fixture::*;

fn card(code: &str) -> Identifier {
    Identifier::card(code).expect("a code")
}

fn phone(number: &str) -> Identifier {
    Identifier::phone(number, None).expect("a number")
}

/// Somebody who agreed to be greeted by card, and to nothing else.
fn by_card_alone(given: &str, code: &str) -> NewCustomer {
    let consent = Consent { purposes: vec![Purpose::CardGreeting], ..consent() };
    NewCustomer { consent, identifiers: vec![card(code)], ..customer(given) }
}

#[test]
fn a_card_and_a_phone_find_their_customer_and_stand_nowhere_in_plain() {
    let device = fresh();
    let ivan = enrol(&device.store, "Иван");
    let given = [card("SNOVA-4820-7755"), phone("+79123456789")];
    device.store.add_identifiers(ivan, &given, at(10), TODAY).expect("a live consent");
    device.store.add_identifiers(ivan, &given, at(11), TODAY).expect("twice is once");
    drop(device.store);

    let store = open(device.dir.path());
    assert_eq!(store.identified(&card("snova-4820-7755")).expect("readable"), Some(ivan));
    assert_eq!(store.identified(&phone("+79123456789")).expect("readable"), Some(ivan));
    assert_eq!(store.identified(&card("+79123456789")).expect("readable"), None, "a phone is not a card");
    assert_eq!(store.identified(&card("snova-4820-7756")).expect("readable"), None);
    let kept = store.identifiers(ivan).expect("readable");
    assert_eq!(kept.iter().map(|k| k.kind).collect::<Vec<_>>(), [IdentifierKind::Card, IdentifierKind::Phone]);
    assert_eq!(kept.into_iter().filter_map(|k| k.identifier).collect::<Vec<_>>(), given);
    store.verify().expect("everything opens");
    let bytes = bytes_in(device.dir.path());
    for plain in ["4820-7755", "9123456789"] {
        assert!(!contains(&bytes, plain.as_bytes()), "{plain} is in the files");
    }
    assert!(store.remove_identifier(ivan, &given[0]).expect("writable"));
    assert!(!store.remove_identifier(ivan, &given[0]).expect("writable"), "it was not there any more");
    assert_eq!(store.identified(&given[0]).expect("readable"), None);
    assert_eq!(store.remove_identifiers(ivan).expect("writable"), 1);
    assert!(store.identifiers(ivan).expect("readable").is_empty());
}

#[test]
fn a_card_belongs_to_one_customer_and_a_refusal_writes_nothing() {
    let device = fresh();
    let (ivan, olga) = (enrol(&device.store, "Иван"), enrol(&device.store, "Ольга"));
    device.store.add_identifiers(ivan, &[card("4820")], at(10), TODAY).expect("a live consent");
    let both = [phone("+79123456789"), card("4820")];
    let refused = device.store.add_identifiers(olga, &both, at(11), TODAY).expect_err("it is Ivan's");
    let told = refused.to_string();
    assert!(matches!(refused, StoreError::IdentifierTaken { owner, .. } if owner == ivan), "{told}");
    assert!(told.contains("unlink") && !told.contains("4820"), "{told}");
    assert_eq!(device.store.identified(&both[0]).expect("readable"), None, "all or none");

    let third = NewCustomer { identifiers: vec![card("4820")], ..customer("Пётр") };
    let refused = device.store.add_customer(&third, &[template(1)], TODAY);
    assert!(matches!(refused, Err(StoreError::IdentifierTaken { .. })), "{refused:?}");
    assert!(device.store.customer(third.id).expect("readable").is_none());
}

#[test]
fn a_card_needs_a_consent_and_gives_no_template() {
    let device = fresh();
    let olga = by_card_alone("Ольга", "4821");
    device.store.add_customer(&olga, &[], TODAY).expect("a consent to greeting by card is enough");
    assert!(device.store.templates(PACK, TODAY).expect("readable").is_empty());
    let refused = device.store.add_customer(&by_card_alone("Пётр", "4822"), &[template(1)], TODAY);
    assert!(matches!(refused, Err(StoreError::Consent { .. })), "no template without recognition: {refused:?}");
    let visits_only = Consent { purposes: vec![Purpose::VisitRecords], ..consent() };
    let refused =
        device.store.add_customer(&NewCustomer { consent: visits_only, ..by_card_alone("Яна", "4823") }, &[], TODAY);
    assert!(matches!(refused, Err(StoreError::Consent { .. })), "{refused:?}");

    let by = |how| VisitRecord { how, ..visit_of(olga.id, 10) };
    let refused = device.store.open_visit(&by(HowKnown::Match), TODAY);
    assert!(matches!(refused, Err(StoreError::Consent { .. })), "she is not to be recognised: {refused:?}");
    device.store.open_visit(&by(HowKnown::Entered), TODAY).expect("by her card she is");
    assert!(outbox(device.dir.path()).is_empty(), "she did not agree that the CRM hears of it");

    device.store.withdraw_consent(olga.id, at(20)).expect("enrolled");
    let refused = device.store.open_visit(&by(HowKnown::Entered), TODAY);
    assert!(matches!(refused, Err(StoreError::Consent { .. })), "{refused:?}");
    let refused = device.store.add_identifiers(olga.id, &[card("4824")], at(21), TODAY);
    assert!(matches!(refused, Err(StoreError::Consent { .. })), "{refused:?}");
}

#[test]
fn an_entered_visit_is_read_back_as_one() {
    let device = fresh();
    let olga = by_card_alone("Ольга", "4821");
    device.store.add_customer(&olga, &[], TODAY).expect("live");
    let visit = VisitRecord { how: HowKnown::Entered, ..visit_of(olga.id, 10) };
    device.store.open_visit(&visit, TODAY).expect("live");
    assert_eq!(device.store.visit(visit.id).expect("readable").map(|v| v.record), Some(visit));
}

#[test]
fn an_erasure_takes_cards_and_phones_with_it() {
    let device = fresh();
    let olga = by_card_alone("Ольга", "4821");
    device.store.add_customer(&olga, &[], TODAY).expect("live");
    let sealed: Vec<Vec<u8>> = {
        let outside = raw(device.dir.path());
        let mut statement = outside
            .prepare("SELECT blind FROM identifiers UNION ALL SELECT sealed FROM identifiers")
            .expect("the table");
        let rows = statement.query_map([], |row| row.get(0)).expect("readable");
        rows.collect::<Result<_, _>>().expect("bytes")
    };
    assert_eq!(sealed.len(), 2);
    let before = bytes_in(device.dir.path());
    assert!(sealed.iter().all(|bytes| contains(&before, bytes)), "the search would find it if it were there");
    assert!(device.store.erase(olga.id, at(60)).expect("enrolled").scrubbed);
    let after = bytes_in(device.dir.path());
    assert!(sealed.iter().all(|bytes| !contains(&after, bytes)), "not even the sealed bytes are left");
    assert_eq!(device.store.identified(&card("4821")).expect("readable"), None);
    let again = by_card_alone("Яна", "4821");
    device.store.add_customer(&again, &[], TODAY).expect("the card is free for somebody else");
}

#[test]
fn a_secret_is_kept_replaced_listed_and_forgotten_but_never_in_plain() {
    let device = fresh();
    let store = &device.store;
    assert_eq!(store.secret("camera/till-1-left").expect("readable"), None);
    store.set_secret("camera/till-1-left", "fiorello-88").expect("writable");
    store.set_secret("camera/till-1-left", "пароль-77").expect("writable");
    store.set_secret("camera/door", "").expect("writable");
    assert_eq!(store.secret("camera/till-1-left").expect("readable").as_deref(), Some("пароль-77"));
    assert_eq!(store.secret("camera/door").expect("readable").as_deref(), Some(""));
    assert_eq!(store.secret_names().expect("readable"), ["camera/door", "camera/till-1-left"]);
    let bytes = bytes_in(device.dir.path());
    for plain in ["fiorello-88", "пароль-77"] {
        assert!(!contains(&bytes, plain.as_bytes()), "{plain} is in the files");
    }
    assert!(!format!("{:?}", Seal::plain()).contains("пароль"));
    assert!(store.remove_secret("camera/door").expect("writable"));
    assert!(!store.remove_secret("camera/door").expect("writable"));
    assert_eq!(store.secret_names().expect("readable"), ["camera/till-1-left"]);
}

#[test]
fn a_secret_does_not_open_under_another_name() {
    let device = fresh();
    device.store.set_secret("camera/a", "one").expect("writable");
    raw(device.dir.path()).execute("UPDATE secrets SET name = 'camera/b'", []).expect("changed by a stranger");
    assert!(device.store.secret("camera/b").is_err());
}

#[test]
fn a_lost_key_is_said_with_what_to_do_and_everything_can_be_given_again_once_its_loss_is_accepted() {
    let device = fresh();
    let ivan = enrol(&device.store, "Иван");
    device.store.add_identifiers(ivan, &[card("4820")], at(10), TODAY).expect("live");
    device.store.set_secret("camera/till-1-left", "fiorello-88").expect("writable");
    drop(device.store);
    std::fs::remove_file(device.dir.path().join(KEY_FILE)).expect("the key is lost");

    let store = open(device.dir.path());
    let told = store.secret("camera/till-1-left").expect_err("it does not open").to_string();
    assert!(told.contains("camera/till-1-left") && told.contains("`snova cameras password till-1-left`"), "{told}");
    assert!(!told.contains('\n') && told.contains("device.key"), "{told}");
    assert!(store.verify().is_err());
    assert_eq!(store.identified(&card("4820")).expect("readable"), None);
    let kept = store.identifiers(ivan).expect("what does not open is listed all the same");
    assert!(matches!(&kept[..], [one] if one.kind == IdentifierKind::Card && one.identifier.is_none()), "{kept:?}");
    assert_eq!(store.remove_identifiers(ivan).expect("writable"), 1);
    assert_eq!(store.key_state().expect("readable"), KeyState::Missing);
    let refused = store.add_identifiers(ivan, &[card("4820")], at(20), TODAY).expect_err("nothing to seal it with");
    assert!(refused.to_string().contains("accept-loss"), "{refused}");
    assert!(store.set_secret("camera/till-1-left", "fiorello-89").is_err());
    assert!(!device.dir.path().join(KEY_FILE).exists(), "no new key beside sealed values");
    assert_eq!(store.accept_lost_key().expect("writable"), Some(1));
    assert_eq!(store.accept_lost_key().expect("writable"), None, "nothing is lost any more");
    store.add_identifiers(ivan, &[card("4820")], at(20), TODAY).expect("live");
    store.set_secret("camera/till-1-left", "fiorello-89").expect("writable");
    assert_eq!(store.secret("camera/till-1-left").expect("readable").as_deref(), Some("fiorello-89"));
    store.verify().expect("all is well again");
}

#[test]
fn the_key_of_another_box_is_known_by_the_canary_also_where_nothing_else_is_sealed() {
    let (device, other) = (fresh(), fresh());
    let own = std::fs::read(device.dir.path().join(KEY_FILE)).expect("the key");
    let put = |bytes: &[u8]| std::fs::write(device.dir.path().join(KEY_FILE), bytes).expect("writable");
    put(&std::fs::read(other.dir.path().join(KEY_FILE)).expect("the key"));
    assert_eq!(device.store.key_state().expect("readable"), KeyState::Mismatch);
    drop(device.store);
    let store = open(device.dir.path());
    assert_eq!(store.key_state().expect("readable"), KeyState::Mismatch);
    put(&own[..31]);
    assert_eq!(store.key_state().expect("readable"), KeyState::Mismatch, "a key cut short is not it either");
    put(&own);
    assert_eq!(store.key_state().expect("readable"), KeyState::Fine);
    store.set_secret("camera/door", "one").expect("the key that has come back is used");
}

#[test]
fn an_empty_file_beside_a_key_is_refused_and_left_empty() {
    let device = fresh();
    drop(device.store);
    for path in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(device.dir.path().join(format!("{FILE_NAME}{path}")));
    }
    let open = || Store::open(&config(device.dir.path()), Seal::plain());
    assert!(matches!(open(), Err(StoreError::Lost { .. })));
    assert!(!device.dir.path().join(FILE_NAME).exists());
    // Whole pages of nothing are no database either.
    rusqlite::Connection::open(device.dir.path().join(FILE_NAME))
        .expect("a file")
        .execute_batch("VACUUM")
        .expect("made");
    assert!(matches!(open(), Err(StoreError::Lost { .. })));
    Store::accept_lost_database(&config(device.dir.path()), Seal::plain()).expect("writable");
    assert!(open().expect("made").customers().expect("readable").is_empty());
}

#[test]
fn a_key_that_others_may_read_keeps_the_store_closed() {
    use std::os::unix::fs::PermissionsExt;
    let device = fresh();
    drop(device.store);
    let key = device.dir.path().join(KEY_FILE);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).expect("set");
    let told = Store::open(&config(device.dir.path()), Seal::plain()).err().expect("refused").to_string();
    assert!(told.contains("chmod 600") && told.contains(KEY_FILE), "{told}");
}

/// Makes the database of the first schema that holds what `newer` holds.
fn as_version_1(newer: &Path) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let old = rusqlite::Connection::open(dir.path().join(FILE_NAME)).expect("a file");
    old.execute_batch(include_str!("support/store_schema_1.sql")).expect("the old tables");
    old.execute("ATTACH ?1 AS newer", [newer.join(FILE_NAME).display().to_string()]).expect("readable");
    for table in ["customers", "consents", "templates", "visits", "outbox"] {
        // Those that there were in version 1; later ones were added.
        let columns = "SELECT group_concat(name) FROM pragma_table_info(?1, 'main')";
        let columns: String = old.query_row(columns, [table], |row| row.get(0)).expect("the table is there");
        let copy = format!("INSERT INTO {table} ({columns}) SELECT {columns} FROM newer.{table}");
        old.execute_batch(&copy).expect("the same columns");
    }
    old.execute_batch("PRAGMA application_id = 0x536e7661; PRAGMA user_version = 1; PRAGMA journal_mode = WAL")
        .expect("marks");
    dir
}

/// Every table and index with the text that made it, without what differs in form alone.
fn schema(dir: &Path) -> Vec<(String, String)> {
    let connection = raw(dir);
    let mut statement = connection
        .prepare("SELECT name, coalesce(sql, '') FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name")
        .expect("a schema");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("readable");
    let plain = |sql: String| sql.split_whitespace().collect::<Vec<_>>().join(" ");
    rows.map(|row| row.map(|(name, sql)| (name, plain(sql)))).collect::<Result<_, _>>().expect("texts")
}

#[test]
fn a_database_of_version_1_is_brought_up_to_date_and_is_whole() {
    let device = fresh();
    let (ivan, olga) = (enrol(&device.store, "Иван"), enrol(&device.store, "Ольга"));
    let (open_visit, closed) = (visit_of(ivan, 10), visit_of(olga, 20));
    device.store.open_visit(&open_visit, TODAY).expect("live");
    device.store.open_visit(&closed, TODAY).expect("live");
    device.store.close_visit(closed.id, at(50), at(350).at).expect("open");
    let old = as_version_1(device.dir.path());

    let store = open(old.path());
    assert_eq!(schema(old.path()), schema(device.dir.path()), "the same tables as in a new database");
    store.verify().expect("whole");
    assert_eq!(store.customers().expect("readable").len(), 2);
    assert_eq!(store.templates(PACK, TODAY).expect("readable"), device.store.templates(PACK, TODAY).expect("readable"));
    for visit in [&open_visit, &closed] {
        assert_eq!(store.visit(visit.id).expect("readable"), device.store.visit(visit.id).expect("readable"));
    }
    assert_eq!(outbox(old.path()), outbox(device.dir.path()));
    store.add_identifiers(ivan, &[card("4820")], at(60), TODAY).expect("the new tables are there");
    let entered = VisitRecord { how: HowKnown::Entered, ..visit_of(ivan, 70) };
    store.open_visit(&entered, TODAY).expect("and the new way to open a visit");
    assert_eq!(store.close_left_open(Duration::ZERO).expect("writable"), 2);
    drop(store);
    open(old.path()).verify().expect("the second opening changes nothing");
}

#[test]
fn an_update_that_a_power_cut_ended_is_done_anew() {
    let device = fresh();
    let ivan = enrol(&device.store, "Иван");
    let old = as_version_1(device.dir.path());
    // The update stops in the middle: a table that it makes is there already, so that its statement fails.
    raw(old.path()).execute_batch("CREATE TABLE secrets (obstacle)").expect("writable");
    assert!(Store::open(&config(old.path()), Seal::plain()).is_err());
    let version: i64 = raw(old.path()).query_row("PRAGMA user_version", [], |row| row.get(0)).expect("a number");
    let renamed = schema(old.path()).iter().any(|(name, _)| name == "visits_1" || name == "identifiers");
    assert_eq!((version, renamed), (1, false), "the database is as it was");
    raw(old.path()).execute_batch("DROP TABLE secrets").expect("writable");
    let store = open(old.path());
    assert!(store.customer(ivan).expect("readable").is_some());
    store.verify().expect("whole");
}
