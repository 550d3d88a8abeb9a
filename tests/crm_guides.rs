//! The commands of delivery against every fake, with the real program; what they print stands in each vendor's guide.
//!
//! With SNOVA_BLESS=1 the guides are brought up to date instead of being compared.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

#[path = "support/command_line.rs"]
#[allow(dead_code, reason = "each test uses its part of the support code")]
mod command_line;
#[path = "support/crm/mod.rs"]
mod crm;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use command_line::{Ended, Shop};
use crm::FakeServer;
use snova::clock::{Clock, SystemClock};
use snova::store::Store;

const HEADING: &str = "## What the commands print";

/// A box at its fake, and what was printed so far.
struct Session {
    shop: Shop,
    server: FakeServer,
    said: String,
}

impl Session {
    async fn at(vendor: &str) -> Self {
        let server = FakeServer::start(crm::vendor(vendor), Arc::new(SystemClock::new()) as Arc<dyn Clock>).await;
        let shop = Shop::open();
        shop.configure(&format!("[device]\nname = \"shop-7\"\n{}", server.config()));
        Self { shop, server, said: String::new() }
    }

    /// Runs the program off the runtime's threads, which the fake needs meanwhile.
    async fn snova(&mut self, arguments: &[&str]) -> Ended {
        let ended = tokio::task::block_in_place(|| self.shop.snova(arguments));
        for secret in crm::leaks::secrets() {
            assert!(!ended.out.contains(&secret) && !ended.err.contains(&secret), "{arguments:?} prints a secret");
        }
        self.said += &format!("$ snova {}\n{}\n", arguments.join(" "), ended.out);
        ended
    }

    fn store(&self) -> Store {
        crm::road::open_store(&self.shop.data())
    }
}

/// Ids, times and ports differ each time; what they are does not.
fn told_apart(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let digits = rest.chars().take_while(char::is_ascii_digit).count();
        if rest.get(..36).is_some_and(|head| uuid::Uuid::try_parse(head).is_ok()) {
            out += "0193…";
            rest = &rest[36..];
        } else if rest.get(..10).is_some_and(|head| head.parse::<jiff::civil::Date>().is_ok()) {
            // A time in any of the vendors' forms, percent-encoded too.
            let of_a_time =
                |c: char| c.is_ascii_digit() || matches!(c, 'T' | ' ' | ':' | '.' | 'Z' | '+' | '%' | 'A' | 'B' | '-');
            out += "2026-11-25T…";
            rest = rest[10..].trim_start_matches(of_a_time);
        } else if digits == 10 && rest.starts_with("17") {
            out += "17…";
            rest = &rest[10..];
        } else {
            // A number is passed over whole, or its end would be looked at as if it were one.
            let length = if digits > 0 { digits } else { next.len_utf8() };
            out += &rest[..length];
            rest = &rest[length..];
        }
    }
    let mut lines: Vec<String> = out.trim_end().lines().map(|line| line.trim_end().to_owned()).collect();
    for line in &mut lines {
        if let Some(at) = line.find("localhost:") {
            let digits = line[at + 10..].chars().take_while(char::is_ascii_digit).count();
            line.replace_range(at..at + 10 + digits, "crm.example.com");
        }
    }
    lines.join("\n")
}

async fn guide(vendor: &str, page: &str) {
    let mut session = Session::at(vendor).await;
    // Without its secrets the CRM cannot be used, and says which are missing.
    let refused = session.snova(&["crm", "probe"]).await;
    assert_eq!(refused.code, Some(2), "{vendor}: {} {}", refused.out, refused.err);
    assert!(refused.out.contains("snova crm secret"), "{vendor}: {}", refused.out);
    session.said.clear();
    let store = session.store();
    for (name, value) in session.server.crm.lock().unwrap().secrets() {
        store.set_secret(name, &value).unwrap();
    }
    let probed = session.snova(&["crm", "probe"]).await;
    assert_eq!(probed.code, Some(0), "{vendor}: {} {}", probed.out, probed.err);

    let clock = SystemClock::new();
    let regular = crm::road::regular(&store, &session.server, &clock, 7);
    let linked = session.snova(&["crm", "link", &regular.to_string()]).await;
    let needs_contact = vendor != "webhook";
    assert_eq!(linked.code, Some(if needs_contact { 0 } else { 1 }), "{vendor}: {} {}", linked.out, linked.err);
    crm::road::visit(&store, &clock, regular, "till-1");
    let waiting = session.snova(&["sync", "dry-run"]).await;
    assert!(waiting.out.contains("till-1"), "{vendor}: the request shows the visit: {}", waiting.out);
    assert!(session.server.crm.lock().unwrap().visits().is_empty(), "{vendor}: nothing was sent");

    crm::road::visit(&store, &clock, regular, crm::POISON_TILL);
    // That another one is taken shows whose fault it is.
    crm::road::visit(&store, &clock, regular, "till-1");
    // The worker of a service: two visits arrive, one is refused.
    let mut courier = crm::road::courier_of(&store_again(&session), &session.shop.path("snova.toml"));
    while store.outbox_status().unwrap().depth > 0 {
        let wait = courier.step().await;
        tokio::time::sleep(wait.min(Duration::from_millis(200))).await;
    }
    let status = session.snova(&["sync", "status"]).await;
    assert_eq!(status.code, Some(1), "{vendor}: a dead letter wants a look: {}", status.out);
    assert!(status.out.contains("given up      1") && status.out.contains("poison"), "{vendor}: {}", status.out);
    let json = session.snova(&["sync", "status", "--json"]).await;
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    let event = json["dead"][0]["event"].as_str().unwrap().to_owned();
    session.said.truncate(session.said.rfind("$ snova sync status --json").unwrap());
    let retried = session.snova(&["sync", "retry", &event]).await;
    assert_eq!((retried.code, store.outbox_status().unwrap().depth), (Some(0), 1), "{vendor}: {}", retried.err);
    let again = session.snova(&["sync", "retry", &event]).await;
    again.fails_with(&["no given-up event has this id", "snova sync status"]);
    session.said.truncate(session.said.rfind("$ snova sync retry").unwrap());

    compare(page, vendor, &told_apart(&session.said));
}

fn store_again(session: &Session) -> Arc<Store> {
    Arc::new(session.store())
}

/// The section of the guide: for a page of two vendors one block each, marked by the vendor's name.
fn compare(page: &str, vendor: &str, said: &str) {
    let path = PathBuf::from("docs/crm").join(page);
    let text = std::fs::read_to_string(&path).unwrap();
    let head = format!("```text {vendor}\n");
    let block = format!("{head}{said}\n```\n");
    if text.contains(&block) {
        return;
    }
    assert!(
        std::env::var_os("SNOVA_BLESS").is_some(),
        "{}: run with SNOVA_BLESS=1 and look at what changed; now it is\n{block}",
        path.display()
    );
    let new = match text.find(&head) {
        Some(at) => {
            let end = at + head.len() + text[at + head.len()..].find("\n```\n").expect("the block ends") + 5;
            format!("{}{block}{}", &text[..at], &text[end..])
        }
        None if text.contains(HEADING) => format!("{}\n\n{block}", text.trim_end()),
        None => format!("{}\n\n{HEADING}\n\n{block}", text.trim_end()),
    };
    std::fs::write(path, new).unwrap();
}

macro_rules! guides {
    ($($name:ident: $vendor:literal in $page:literal),* $(,)?) => { $(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            guide($vendor, $page).await;
        }
    )* };
}
guides!(
    amocrm: "amocrm" in "amocrm.md",
    bitrix24: "bitrix24" in "bitrix24.md",
    creatio: "creatio" in "creatio.md",
    dynamics: "dynamics" in "dynamics.md",
    salesforce: "salesforce" in "salesforce.md",
    sugarcrm: "sugarcrm" in "sugarcrm.md",
    suitecrm: "suitecrm" in "suitecrm.md",
    suitecrm_legacy: "suitecrm-legacy" in "suitecrm.md",
    webhook: "webhook" in "webhook.md",
);

#[test]
fn every_fake_has_its_guide() {
    let guides = include_str!("crm_guides.rs");
    for vendor in crm::VENDORS {
        assert!(guides.contains(&format!(": \"{vendor}\" in ")), "{vendor}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_listed_by_name_and_never_shown() {
    let mut session = Session::at("salesforce").await;
    let listed = session.snova(&["crm", "secret"]).await;
    assert_eq!(listed.out.trim_end(), "crm/salesforce/client-secret  not given");
    session.store().set_secret("crm/salesforce/client-secret", "s3cr3t-value").unwrap();
    let listed = session.snova(&["crm", "secret"]).await;
    assert_eq!(listed.out.trim_end(), "crm/salesforce/client-secret  kept");
    session.snova(&["crm", "secret", "crm/other/key"]).await.fails_with(&["no secret", "snova crm secret"]);
    let gone = session.snova(&["crm", "secret", "crm/salesforce/client-secret", "--remove"]).await;
    assert_eq!((gone.code, gone.out.trim_end()), (Some(0), "crm/salesforce/client-secret is forgotten"));
}
