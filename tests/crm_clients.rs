//! The fake CRMs held to what client libraries written by others expect of their vendors.
//!
//! Each script is in `tests/support/clients/crm`; the libraries are installed by `tools/crm-clients.sh`, which
//! `make test` calls.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use snova::clock::{Clock, SystemClock};

#[path = "support/crm/mod.rs"]
mod crm;

use crm::amocrm::{FakeAmoCrm, Quirks};
use crm::{FakeContact, FakeCrm, FakeServer};

/// A vendor's fake on real time, since the libraries have no other.
async fn fake(vendor: &str) -> FakeServer {
    FakeServer::start(crm::vendor(vendor), Arc::new(SystemClock::new())).await
}

fn add(server: &FakeServer, contact: FakeContact) -> String {
    server.crm.lock().unwrap().add_contact(contact, SystemClock::new().wall().at)
}

fn secret(server: &FakeServer, name: &str) -> String {
    let secrets = server.crm.lock().unwrap().secrets();
    secrets.into_iter().find(|(own, _)| *own == name).expect("the fake has this secret").1
}

/// The value of a key in the fake's own configuration.
fn configured(server: &FakeServer, key: &str) -> String {
    let text = server.config();
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix('='));
    line.unwrap_or_else(|| panic!("{key} is not in\n{text}")).trim().trim_matches('"').to_owned()
}

/// Where the libraries lie; without them the test fails, since a skipped one would say nothing.
fn libraries() -> PathBuf {
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/crm-clients");
    assert!(
        cache.join("state").is_file(),
        "the CRMs' client libraries are not installed: run `make test` once, or tools/crm-clients.sh"
    );
    cache.join("lib")
}

/// Runs a script against the fake and gives what it reports. It fails with the script's own words.
async fn run(script: &str, server: &FakeServer, told: Value) -> Value {
    let libraries = libraries();
    let mut argument = told;
    argument["url"] = server.url().into();
    argument["ca"] = server.ca_file.display().to_string().into();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/clients/crm").join(script);
    let program = move || -> Output {
        Command::new("python3")
            // Neither the caller's packages nor the caller's settings.
            .args(["-s", "-W", "ignore"])
            .arg(path)
            .arg(argument.to_string())
            .env("PYTHONPATH", libraries)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env_remove("HTTPS_PROXY")
            .env_remove("https_proxy")
            .stdin(Stdio::null())
            .output()
            .expect("python3 starts")
    };
    // The fake answers on this runtime meanwhile.
    let output = tokio::task::spawn_blocking(program).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{script} failed ({}):\n{said}{}\nrequests so far:\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr),
        requests(server)
    );
    let last = said.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|_| panic!("{script} reports no JSON:\n{said}"))
}

/// The last requests, for the report of a failure.
fn requests(server: &FakeServer) -> String {
    let asked = server.asked();
    let lines = asked.iter().rev().take(8).rev().map(|asked| format!("{} {}", asked.method, asked.path));
    lines.collect::<Vec<_>>().join("\n")
}

/// The keys of the visits that lie there and are not void.
fn live_visits(server: &FakeServer) -> Vec<String> {
    let visits = server.crm.lock().unwrap().visits();
    visits.into_iter().filter(|visit| !visit.void && !visit.erased).map(|visit| visit.key).collect()
}

#[tokio::test]
async fn simple_salesforce_works_with_the_fake_org() {
    let server = fake("salesforce").await;
    let seeded = 2100;
    for number in 0..seeded {
        add(&server, FakeContact::named("Анна", "", "Ким", &format!("+7900{number:07}")));
    }
    let told = json!({
        "client_id": configured(&server, "client_id"),
        "client_secret": secret(&server, "crm/salesforce/client-secret"),
        "seeded": seeded,
    });
    let report = run("salesforce.py", &server, told).await;
    assert_eq!(live_visits(&server), ["v-1"]);
    let crm: std::sync::MutexGuard<'_, dyn FakeCrm> = server.crm.lock().unwrap();
    let contact = crm.contact(report["contact"].as_str().unwrap()).unwrap();
    assert_eq!((&*contact.family, &*contact.email, &*contact.external_id), ("O'Connor", "i@x.ru", "k-1"));
    assert_eq!(crm.contacts(), seeded + 2);
}

#[tokio::test]
async fn aioamocrm_works_with_the_fake_account() {
    let server = fake("amocrm").await;
    let seeded = 300;
    for number in 0..seeded {
        add(&server, FakeContact::named("Анна", "", "Ким", &format!("+7900{number:07}")));
    }
    let by_oauth = FakeAmoCrm::of(Quirks { by_oauth: true, ..Quirks::default() });
    let app = FakeServer::start(Arc::new(Mutex::new(by_oauth)), Arc::new(SystemClock::new())).await;
    let told = json!({
        "token": secret(&server, "crm/amocrm/token"),
        "external_id": configured(&server, "external_id").parse::<i64>().unwrap(),
        "client_id": configured(&app, "client_id"),
        "redirect_uri": configured(&app, "redirect_uri"),
        "client_secret": secret(&app, "crm/amocrm/client-secret"),
        "refresh_token": secret(&app, "crm/amocrm/refresh-token"),
        "seeded": seeded,
    });
    let report = run("amocrm.py", &server, told).await;
    let key = |place: usize| report["keys"][place].as_str().unwrap().to_owned();
    assert_eq!(live_visits(&server), [key(0), key(1), key(0)], "what is sent twice is there twice");
    let crm = server.crm.lock().unwrap();
    let contact = crm.contact(report["contact"].as_str().unwrap()).unwrap();
    assert_eq!((&*contact.given, &*contact.external_id, &*contact.email), ("Иван", "k-1", "i@x.ru"));
}
