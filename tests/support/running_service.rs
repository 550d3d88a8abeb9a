//! The real service with its threads and its page, on a folder of the test's, asked over HTTP as a screen does.
//!
//! Without threads it is `support/box_under_test.rs`.
#![allow(dead_code, reason = "each test uses its part of the support code")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use snova::app::{self, Parts, Service, Settings, Supervision};
use snova::camera::{CameraConfig, SceneScript, SourceSpec};
use snova::clock::SystemClock;
use snova::config::Config;
use snova::customer::CustomerId;
use snova::enrolment::{EnrolRequest, EnrolmentRules, enrol};
use snova::face::{CameraId, CounterId};
use snova::store::{Store, StoreConfig};
use snova::telemetry::Metrics;
use snova::trouble::Troubles;
use snova::vault::Seal;
use snova::vision::Vision;

/// More than any step takes on a loaded machine; a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The default configuration on the data folder `dir`, at a free port.
pub fn config(dir: &Path) -> Config {
    let mut config = Config::default();
    config.device.data_dir = dir.to_owned();
    config.web.listen = ([127, 0, 0, 1], 0).into();
    config
}

pub fn open_store(dir: &Path) -> Arc<Store> {
    Arc::new(Store::open(&StoreConfig::new(dir), Seal::plain()).expect("the store opens"))
}

/// Enrols on the real clock, as the command does.
pub fn enrol_on(store: &Store, vision: &mut dyn Vision, request: EnrolRequest) -> CustomerId {
    let today = request.consent.given_on;
    let rules = EnrolmentRules { target_fpir: 0.001 };
    enrol(request, rules, vision, store, &SystemClock::new(), today).expect("the photos are good").id
}

pub fn scene(text: &'static str, media: &Path, repeat: bool) -> SourceSpec {
    SourceSpec::Scene { script: SceneScript::BuiltIn { name: "of this test", text }, media: media.to_owned(), repeat }
}

/// Starts the service with one camera.
pub async fn start(config: &Config, camera: SourceSpec, store: Arc<Store>, vision: Box<dyn Vision>) -> Service {
    let mut settings = Settings::from_config(config).expect("nothing is missing");
    settings.cameras.push(at(config.counters[0].name.as_str(), "till-1-front", camera));
    start_with(settings, store, vision, Arc::new(Metrics::new())).await
}

/// A camera for the settings.
pub fn at(counter: &str, camera: &str, source: SourceSpec) -> (CameraConfig, SourceSpec) {
    let (counter, camera) = (CounterId::new(counter), CameraId::new(camera));
    (CameraConfig { counter, camera, stall_after: Duration::from_secs(3) }, source)
}

/// Starts the service with these settings, cameras and all.
pub async fn start_with(
    settings: Settings,
    store: Arc<Store>,
    vision: Box<dyn Vision>,
    metrics: Arc<Metrics>,
) -> Service {
    let parts = Parts {
        store,
        vision,
        clock: Arc::new(SystemClock::new()),
        metrics,
        supervision: Supervision::default(),
        troubles: Troubles::default(),
    };
    app::start(settings, parts).await.expect("the service starts")
}

/// What a screen is told at `address` now.
pub async fn picture(address: impl std::fmt::Display) -> Option<Value> {
    let http = crate::http_client::builder().build().expect("an HTTP client");
    let answer = http.get(format!("http://{address}/api/v1/counter")).send().await.ok()?;
    answer.json().await.ok()
}

/// Waits until the counter's picture is as `wanted` says, and returns it.
pub async fn wait_until(address: impl std::fmt::Display, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let mut last = None;
    let seen = tokio::time::timeout(PATIENCE, async {
        loop {
            last = picture(&address).await;
            if let Some(picture) = last.take_if(|picture| wanted(picture)) {
                return picture;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let seen = seen.await;
    seen.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}; the counter's picture is {last:?}"))
}

pub fn greeting(picture: &Value) -> Option<&str> {
    picture["present"][0]["greeting"].as_str()
}

pub fn is_empty(picture: &Value) -> bool {
    picture["present"].as_array().is_some_and(Vec::is_empty)
}
