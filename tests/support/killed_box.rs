//! The real program as something to be killed: started, asked, killed with SIGKILL, looked into afterwards.
//!
//! What flows meanwhile, and what must hold afterwards, is in the tests.
#![allow(dead_code, reason = "each test uses its part of the support code")]
#![allow(clippy::disallowed_methods, reason = "the real program runs by the real clock")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use snova::clock::{Clock, SystemClock};
use snova::store::FILE_NAME;

use crate::command_line::{packs, runtime_library};
use crate::http_client;

/// How long the program may take to answer after its start.
const START: Duration = Duration::from_secs(30);

/// A folder with a configuration and a data folder, the address of its program, and chance from a seed.
pub struct KilledBox {
    pub dir: tempfile::TempDir,
    address: SocketAddr,
    client: reqwest::Client,
    random: u64,
}

impl KilledBox {
    pub fn new(seed: u64) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self {
            dir: tempfile::tempdir().unwrap(),
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            client: http_client::builder().timeout(Duration::from_secs(5)).build().unwrap(),
            random: seed,
        }
    }

    /// Writes the configuration: what every box needs, then `sections`. `device` is more lines of `[device]`.
    pub fn configure(&self, device: &str, sections: &str) {
        let config = format!(
            "[device]\nname = \"shop-7\"\ndata_dir = \"{}\"\n{device}\n[runtime]\npacks_dir = \"{}\"\nlibrary = \"{}\"\n\
             [web]\nlisten = \"{}\"\n{sections}",
            self.data().display(),
            packs().display(),
            runtime_library().display(),
            self.address,
        );
        std::fs::write(self.dir.path().join("snova.toml"), config).unwrap();
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn log(&self) -> PathBuf {
        self.dir.path().join("snova.log")
    }

    /// The program with these arguments and this box's configuration; what it says goes to the log.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_snova"));
        command.args(arguments).arg("--config").arg(self.dir.path().join("snova.toml"));
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log()).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command
    }

    pub fn start(&self) -> Child {
        self.command(&["run"]).spawn().expect("snova starts")
    }

    /// SIGKILL: nothing is flushed, nobody says good-bye. The database is whole afterwards.
    pub fn kill(&self, mut service: Child) {
        service.kill().unwrap();
        service.wait().unwrap();
        let whole: String = self.database().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(whole, "ok");
    }

    /// SplitMix64.
    pub fn random(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }

    pub async fn until_up(&self) {
        let begun = Instant::now();
        while self.get("/health").await.is_none() {
            let said = || std::fs::read_to_string(self.log()).unwrap_or_default();
            assert!(begun.elapsed() < START, "the service does not start:\n{}", said());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn get(&self, path: &str) -> Option<Value> {
        let answer = self.client.get(format!("http://{}{path}", self.address)).send().await.ok()?;
        answer.json().await.ok()
    }

    pub async fn text(&self, path: &str) -> Option<String> {
        self.client.get(format!("http://{}{path}", self.address)).send().await.ok()?.text().await.ok()
    }

    /// The answer's body, if the answer is a good one.
    pub async fn post(&self, path: &str, body: Value) -> Option<Value> {
        let request = self.client.post(format!("http://{}{path}", self.address)).json(&body);
        let answer = request.send().await.ok()?;
        if answer.status().is_success() { Some(answer.json().await.unwrap_or(Value::Null)) } else { None }
    }

    pub fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.data().join(FILE_NAME)).unwrap()
    }
}

/// The number in this variable of the environment, or else `default`.
pub fn from_environment(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The seed of a run: SNOVA_CRASH_SEED, or a new one.
pub fn seed() -> u64 {
    from_environment("SNOVA_CRASH_SEED", SystemClock::new().mint().as_u64_pair().1)
}
