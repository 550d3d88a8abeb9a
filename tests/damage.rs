//! What happens to the data folder under the real service, and that the box says so: on the screen, at /health, in
//! metrics and in `snova check`. Each test damages the thing itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use snova::customer::{Consent, CustomerId, Identifier, PersonName, Purpose};
use snova::store::{FILE_NAME, NewCustomer, Store, StoreConfig};
use snova::vault::{KEY_FILE, Seal};

#[path = "support/command_line.rs"]
#[allow(dead_code, reason = "of use to other tests")]
mod command_line;
#[path = "support/http_client.rs"]
mod http_client;
#[path = "support/store_fixture.rs"]
mod store_fixture;

use command_line::Shop;
use store_fixture::{TODAY, consent, customer};

/// More than a loaded machine takes from a fault to its line.
const PATIENCE: Duration = Duration::from_secs(60);

/// A box whose two customers have cards; a service on it, when it runs.
struct TestBox {
    shop: Shop,
    customers: Vec<CustomerId>,
    service: Option<Child>,
}

impl Drop for TestBox {
    fn drop(&mut self) {
        self.stop();
    }
}

impl TestBox {
    fn new() -> Self {
        let shop = Shop::open();
        let store = Store::open(&StoreConfig::new(shop.data()), Seal::plain()).unwrap();
        let by_card = |given: &str, code: &str| {
            let consent = Consent { purposes: vec![Purpose::CardGreeting], ..consent() };
            let identifiers = vec![Identifier::card(code).unwrap()];
            let one = NewCustomer { consent, identifiers, name: PersonName::given(given), ..customer(given) };
            store.add_customer(&one, &[], TODAY).unwrap();
            one.id
        };
        let customers = vec![by_card("Иван", "4820"), by_card("Ольга", "4821")];
        store.set_secret("camera/door", "fiorello").unwrap();
        drop(store);
        Self { shop, customers, service: None }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.shop.data().join(name)
    }

    fn start(&mut self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_snova"));
        command.arg("run").arg("--config").arg(self.shop.path("snova.toml"));
        self.service = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    }

    fn stop(&mut self) {
        if let Some(mut service) = self.service.take() {
            let _ = service.kill();
            let _ = service.wait();
        }
    }

    async fn get(&self, path: &str) -> Option<String> {
        let text = fs::read_to_string(self.shop.path("snova.toml")).unwrap();
        let config: toml::Table = toml::from_str(&text).unwrap();
        let address = config["web"]["listen"].as_str().unwrap().to_owned();
        let http = http_client::builder().build().unwrap();
        http.get(format!("http://{address}{path}")).send().await.ok()?.text().await.ok()
    }

    async fn health(&self) -> Value {
        let text = self.get("/health").await.unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    async fn until(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let seen = tokio::time::timeout(PATIENCE, async {
            loop {
                last = self.health().await;
                if is_so(&last) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        assert!(seen.await.is_ok(), "{what}: {last}");
        last
    }

    async fn until_fine(&self) {
        self.until("all is well", |health| health["troubles"] == json!([])).await;
    }

    /// Waits until `trouble` is said at /health, and sees it on the screen and in metrics.
    async fn says(&self, trouble: &str) {
        let there = |health: &Value| health["troubles"].as_array().is_some_and(|all| all.contains(&json!(trouble)));
        let health = self.until(trouble, there).await;
        assert_eq!(health["status"], "trouble");
        let screen: Value = serde_json::from_str(&self.get("/api/v1/counter").await.unwrap()).unwrap();
        let kinds: Vec<&Value> = screen["troubles"].as_array().unwrap().iter().map(|t| &t["kind"]).collect();
        assert!(kinds.contains(&&json!(trouble)), "{screen}");
        assert!(self.get("/").await.unwrap().contains("<html"), "the page is there");
        let line = format!("snova_trouble{{what=\"{trouble}\"}} ");
        let counted = tokio::time::timeout(PATIENCE, async {
            while !self.get("/metrics").await.unwrap().lines().any(|l| l.starts_with(&line) && !l.ends_with(" 0")) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        assert!(counted.await.is_ok(), "no {line}in the metrics");
    }

    /// `snova check` finds an error of which `parts` are said.
    fn check_finds(&self, parts: &[&str]) {
        let ended = self.shop.snova(&["check"]);
        let errors: Vec<&str> = ended.out.lines().filter(|line| line.starts_with("error")).collect();
        assert!(errors.iter().any(|line| parts.iter().all(|part| line.contains(part))), "{parts:?}: {}", ended.out);
        assert_eq!(ended.code, Some(2), "{}", ended.out);
    }

    fn overwrite(&self, from: u64, bytes: &[u8]) {
        let file = fs::OpenOptions::new().write(true).open(self.file(FILE_NAME)).unwrap();
        file.write_all_at(bytes, from).unwrap();
    }
}

/// Where a log lies beside the database its content would come back from there.
fn without_log(shop: &TestBox) {
    for end in ["-wal", "-shm"] {
        let _ = fs::remove_file(shop.file(&format!("{FILE_NAME}{end}")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_database_beside_a_device_key_is_lost_and_never_made_anew() {
    let mut shop = TestBox::new();
    let copy = fs::read(shop.file(FILE_NAME)).unwrap();
    without_log(&shop);
    fs::write(shop.file(FILE_NAME), b"").unwrap();
    shop.start();
    shop.says("store_lost").await;
    shop.check_finds(&["store", "empty or gone", "accept-loss"]);
    shop.shop.snova(&["customers", "list"]).fails_with(&["empty or gone", "put a copy"]);
    shop.shop.snova(&["sync", "status"]).fails_with(&["empty or gone"]);
    assert_eq!(fs::metadata(shop.file(FILE_NAME)).unwrap().len(), 0, "nobody made it anew");
    // The copy is put back: the service goes on by itself.
    fs::write(shop.file(FILE_NAME), copy).unwrap();
    shop.until_fine().await;
    assert!(shop.shop.snova(&["customers", "list"]).out.contains("Иван"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_under_the_running_service_is_said_to_be_lost() {
    let mut shop = TestBox::new();
    shop.start();
    shop.until_fine().await;
    fs::remove_file(shop.file(FILE_NAME)).unwrap();
    shop.says("store_lost").await;
    shop.check_finds(&["store", "empty or gone"]);
    assert!(!shop.file(FILE_NAME).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_database_is_begun_anew_only_when_the_owner_says_so() {
    let mut shop = TestBox::new();
    without_log(&shop);
    fs::remove_file(shop.file(FILE_NAME)).unwrap();
    shop.start();
    shop.says("store_lost").await;
    shop.shop.snova(&["store", "accept-loss"]).fails_with(&["every customer", "--yes"]);
    assert!(!shop.file(FILE_NAME).exists());
    let accepted = shop.shop.snova(&["store", "accept-loss", "--yes"]);
    assert_eq!(accepted.code, Some(0), "{}", accepted.err);
    shop.until_fine().await;
    assert!(shop.shop.snova(&["customers", "list"]).out.contains("nobody is enrolled"));
    assert!(shop.shop.snova(&["store", "accept-loss", "--yes"]).out.contains("nothing is lost"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_whose_every_page_is_overwritten_under_the_running_service_is_said_within_seconds() {
    let mut shop = TestBox::new();
    shop.start();
    shop.until_fine().await;
    let length = fs::metadata(shop.file(FILE_NAME)).unwrap().len();
    let before = fs::read(shop.file(FILE_NAME)).unwrap();
    shop.overwrite(0, &vec![0xa5; length as usize]);
    shop.says("store_unreadable").await;
    let copies = fs::read_dir(shop.shop.data()).unwrap().map(|entry| entry.unwrap().path());
    let aside = copies.filter(|path| path.display().to_string().contains("damaged")).count();
    assert!(aside >= 1, "a copy is put aside");
    shop.overwrite(0, &before);
    shop.until_fine().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_damaged_behind_its_first_page_is_said_too() {
    let mut shop = TestBox::new();
    shop.start();
    shop.until_fine().await;
    let length = fs::metadata(shop.file(FILE_NAME)).unwrap().len();
    shop.overwrite(4096, &vec![0xa5; length as usize - 4096]);
    shop.says("store_unreadable").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_comes_up_without_a_readable_database_and_goes_on_when_it_is_back() {
    let mut shop = TestBox::new();
    without_log(&shop);
    let whole = fs::read(shop.file(FILE_NAME)).unwrap();
    // The root page and the first of the tables'; then those alone.
    shop.overwrite(0, &[0; 4096]);
    shop.start();
    shop.says("store_unreadable").await;
    shop.stop();
    shop.overwrite(0, &whole);
    shop.overwrite(4096, &vec![0xa5; whole.len() - 4096]);
    shop.start();
    shop.says("store_unreadable").await;
    shop.check_finds(&["store", FILE_NAME]);
    assert_eq!(shop.health().await["gallery_customers"], 0);
    shop.overwrite(0, &whole);
    shop.until_fine().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_key_that_is_gone_is_said_and_no_command_makes_a_new_one() {
    let mut shop = TestBox::new();
    shop.start();
    shop.until_fine().await;
    let key = fs::read(shop.file(KEY_FILE)).unwrap();
    fs::remove_file(shop.file(KEY_FILE)).unwrap();
    shop.says("key_missing").await;
    shop.check_finds(&["device key", "missing", "accept-loss"]);
    let ivan = shop.customers[0].to_string();
    shop.shop.snova(&["customers", "link", &ivan, "--card", "77"]).fails_with(&["device key", "put it back"]);
    assert!(shop.shop.snova(&["customers", "list"]).out.contains("Иван"), "names are read without it");
    // Also when it starts without the key.
    shop.stop();
    shop.start();
    shop.says("key_missing").await;
    assert!(!shop.file(KEY_FILE).exists(), "nobody made a new one");
    let mut private = fs::OpenOptions::new();
    let file = private.create_new(true).write(true).mode(0o600).open(shop.file(KEY_FILE)).unwrap();
    file.write_all_at(&key, 0).unwrap();
    shop.until_fine().await;
    let store = Store::open(&StoreConfig::new(shop.shop.data()), Seal::plain()).unwrap();
    assert_eq!(store.identified(&Identifier::card("4820").unwrap()).unwrap(), Some(shop.customers[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_device_key_of_another_box_is_said_and_nothing_is_sealed_with_it() {
    let (mut shop, other) = (TestBox::new(), TestBox::new());
    shop.start();
    shop.until_fine().await;
    let own = fs::read(shop.file(KEY_FILE)).unwrap();
    fs::write(shop.file(KEY_FILE), fs::read(other.file(KEY_FILE)).unwrap()).unwrap();
    shop.says("key_mismatch").await;
    shop.check_finds(&["device key", "not the one"]);
    let ivan = shop.customers[0].to_string();
    shop.shop.snova(&["customers", "link", &ivan, "--card", "77"]).fails_with(&["device key"]);
    fs::write(shop.file(KEY_FILE), own).unwrap();
    shop.until_fine().await;
    // For good: what the lost key sealed is given up, the customers stay.
    fs::write(shop.file(KEY_FILE), fs::read(other.file(KEY_FILE)).unwrap()).unwrap();
    shop.says("key_mismatch").await;
    shop.shop.snova(&["store", "accept-loss"]).fails_with(&["cards", "--yes"]);
    let accepted = shop.shop.snova(&["store", "accept-loss", "--yes"]);
    assert!(accepted.out.contains("3 sealed values"), "{}{}", accepted.out, accepted.err);
    assert_eq!(shop.shop.snova(&["customers", "link", &ivan, "--card", "77"]).code, Some(0));
    assert!(shop.shop.snova(&["customers", "list"]).out.contains("Ольга"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_row_with_a_flipped_bit_is_named_and_the_others_go_on() {
    let mut shop = TestBox::new();
    shop.start();
    shop.until_fine().await;
    let (ivan, olga) = (shop.customers[0], shop.customers[1]);
    let raw = rusqlite::Connection::open(shop.file(FILE_NAME)).unwrap();
    let sealed: Vec<u8> =
        raw.query_row("SELECT sealed FROM customers WHERE id = ?1", [ivan.0.into_bytes()], |row| row.get(0)).unwrap();
    let mut bent = sealed.clone();
    bent[20] ^= 1;
    raw.execute("UPDATE customers SET sealed = ?2 WHERE id = ?1", rusqlite::params![ivan.0.into_bytes(), bent])
        .unwrap();
    shop.says("row_unreadable").await;
    shop.check_finds(&[&ivan.to_string(), "cannot be read"]);
    let listed = shop.shop.snova(&["customers", "list"]);
    let line = |id: CustomerId| listed.out.lines().find(|line| line.contains(&id.to_string())).unwrap_or_default();
    assert!(line(olga).contains("Ольга") && line(ivan).contains("cannot be read"), "{}{}", listed.out, listed.err);
    let json = shop.shop.snova(&["customers", "list", "--json"]).out;
    let all: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(all.as_array().unwrap().len(), 2, "{json}");
    assert_eq!(all[1], json!({"id": ivan.to_string(), "unreadable": true}));
    raw.execute("UPDATE customers SET sealed = ?2 WHERE id = ?1", rusqlite::params![ivan.0.into_bytes(), sealed])
        .unwrap();
    drop(raw);
    shop.until_fine().await;
}
