//! A real browser for tests: headless Chromium driven over WebDriver's JSON.
//!
//! What the pages must do is in the tests; this only looks, clicks, types and takes pictures.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

const INSTALL: &str = "install the browser for tests: apt-get install -y chromium chromium-driver";

/// True once the page has been drawn twice since the last time this was true: it fits its text to a new size then.
pub const TWO_FRAMES: &str = "(() => {
  if (window.frames_drawn === undefined) {
    window.frames_drawn = 0;
    requestAnimationFrame(() => requestAnimationFrame(() => { window.frames_drawn = 2; }));
  }
  if (window.frames_drawn < 2) return false;
  delete window.frames_drawn;
  return true;
})()";

/// One browser window. Closed, with its driver, when dropped.
pub struct Browser {
    http: reqwest::Client,
    session: String,
    driver: Driver,
    _profile: tempfile::TempDir,
}

/// The driver's process; it leads its own group, so that no browser outlives the test.
struct Driver(Child);

impl Drop for Driver {
    fn drop(&mut self) {
        let group = -i32::try_from(self.0.id()).expect("a process id fits");
        // SAFETY: a plain system call on a process group that this test started.
        unsafe { libc::kill(group, libc::SIGKILL) };
        let _ = self.0.wait();
    }
}

impl Browser {
    pub async fn open() -> Self {
        let (driver, port) = start_driver();
        let http = crate::http_client::builder().build().expect("an HTTP client");
        let profile = tempfile::tempdir().expect("a directory for the profile");
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--no-first-run".to_owned(),
            "--hide-scrollbars".to_owned(),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let base = format!("http://127.0.0.1:{port}/session");
        let opened =
            call(http.post(&base).json(&wanted)).await.unwrap_or_else(|e| panic!("no browser: {e}; {INSTALL}"));
        let session = format!("{base}/{}", opened["sessionId"].as_str().expect("a session's id"));
        let browser = Self { http, session, driver, _profile: profile };
        browser.resize(1280, 800).await;
        browser
    }

    /// Makes the page `width` × `height` CSS pixels.
    pub async fn resize(&self, width: u32, height: u32) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Pretends that the viewer prefers `dark` or `light`.
    pub async fn prefer(&self, scheme: &str) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    async fn devtools(&self, command: &str, params: Value) {
        self.post("goog/cdp/execute", &json!({"cmd": command, "params": params})).await.expect("a DevTools command");
    }

    pub async fn goto(&self, url: &str) {
        self.post("url", &json!({"url": url})).await.expect("the page opens");
    }

    /// The value of a JavaScript expression in the page.
    pub async fn eval(&self, expression: &str) -> Value {
        let body = json!({"script": format!("return ({expression});"), "args": []});
        self.post("execute/sync", &body).await.unwrap_or_else(|e| panic!("{expression}: {e}"))
    }

    /// Waits until the expression is true.
    pub async fn wait_until(&self, expression: &str, limit: Duration) {
        let question = format!("Boolean({expression})");
        let wait = async {
            while self.eval(&question).await != json!(true) {
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        };
        if tokio::time::timeout(limit, wait).await.is_err() {
            let page = self.eval("document.body.innerText").await;
            panic!("not within {limit:?}: {expression}\nthe page says: {page}");
        }
    }

    /// Clicks with the mouse in the middle of the element, as a person would; fails if something covers it.
    pub async fn click(&self, css: &str) {
        let query = json!({"using": "css selector", "value": css});
        let found = self.post("element", &query).await.unwrap_or_else(|e| panic!("{css}: {e}"));
        let id = found.as_object().and_then(|o| o.values().next()).and_then(Value::as_str).expect("an element's id");
        self.post(&format!("element/{id}/click"), &json!({})).await.unwrap_or_else(|e| panic!("{css}: {e}"));
    }

    /// Presses and releases each key in turn without a pause, as a scanner does.
    pub async fn press(&self, keys: &str) {
        let strokes: Vec<Value> = keys
            .chars()
            .flat_map(|key| [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})])
            .collect();
        let actions = json!({"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]});
        self.post("actions", &actions).await.expect("keys");
    }

    pub async fn screenshot(&self, path: &Path) {
        let answer = call(self.http.get(format!("{}/screenshot", self.session))).await.expect("a screenshot");
        std::fs::write(path, base64(answer.as_str().expect("base64"))).expect("the screenshot is written");
    }

    /// What the page complained about since the last question: errors and security policy violations.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.post("se/log", &json!({"type": "browser"})).await.expect("the browser's log");
        let entries = log.as_array().cloned().unwrap_or_default();
        entries.iter().filter(|e| e["level"] == "SEVERE").map(|e| e["message"].to_string()).collect()
    }

    async fn post(&self, what: &str, body: &Value) -> Result<Value, String> {
        call(self.http.post(format!("{}/{what}", self.session)).json(body)).await
    }
}

async fn call(request: reqwest::RequestBuilder) -> Result<Value, String> {
    let response = request.send().await.map_err(|e| e.to_string())?;
    let good = response.status().is_success();
    let mut answer: Value = response.json().await.map_err(|e| e.to_string())?;
    let value = answer["value"].take();
    if good { Ok(value) } else { Err(value["message"].as_str().unwrap_or("unknown error").to_owned()) }
}

fn start_driver() -> (Driver, u16) {
    let child = Command::new("chromedriver")
        .args(["--port=0", "--allowed-ips=127.0.0.1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap_or_else(|e| panic!("chromedriver: {e}; {INSTALL}"));
    let mut driver = Driver(child);
    let told = driver.0.stdout.take().expect("its output is ours");
    let port = BufReader::new(told)
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.split("successfully on port ").nth(1)?.trim_end_matches('.').parse().ok())
        .unwrap_or_else(|| panic!("chromedriver gave no port; {INSTALL}"));
    (driver, port)
}

fn base64(text: &str) -> Vec<u8> {
    let value = |c: u8| match c {
        b'A'..=b'Z' => Some(c - b'A'),
        b'a'..=b'z' => Some(c - b'a' + 26),
        b'0'..=b'9' => Some(c - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let (mut bytes, mut bits, mut held) = (Vec::with_capacity(text.len() * 3 / 4), 0_u32, 0);
    for sextet in text.bytes().filter_map(value) {
        bits = (bits << 6) | u32::from(sextet);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    bytes
}
