//! `snova.toml` as validated, ready values.
//!
//! Reading the file key by key is `sections`' and `reader`'s; turning these values into each part's own
//! settings is `crate::app`'s. Every key with its default is documented in `firmware-config/snova.toml`.

mod crm;
mod document;
mod reader;
mod sections;
mod sources;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;

pub use document::Document;

use crate::camera::UsbConfig;
use crate::crm::{CrmSettings, HttpSettings};
use crate::customer::Country;
use crate::face::{CameraId, CounterId};
use crate::greeting::DayHours;
use crate::i18n::Language;
pub use crate::vendors::Configured as Crm;
use crate::vendors::Vendor;

/// Where the file is looked for, in this order, when no path is given.
pub const SEARCH_PATHS: [&str; 2] = ["./snova.toml", "/etc/snova/snova.toml"];

/// The whole configuration of a box. A part never gets this, only what is its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub device: Device,
    pub web: Web,
    pub runtime: Runtime,
    pub recognition: Recognition,
    pub visit: Visit,
    /// The local hours at which the greeting changes.
    pub greeting: DayHours,
    pub store: Store,
    pub log: Log,
    pub crm: Crm,
    /// At least one; names are unique, camera names on the whole box.
    pub counters: Vec<Counter>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    pub name: String,
    /// The store that the CRM hears of; the device's name where it has none of its own.
    pub store: String,
    /// The language of counters and customers that have none of their own.
    pub language: Language,
    /// Where phone numbers without a country's code are dialled.
    pub country: Option<Country>,
    pub time_zone: TimeZone,
    pub data_dir: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Web {
    pub listen: SocketAddr,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runtime {
    /// The ONNX Runtime library; `None` is the one that `snova setup` fetches.
    pub library: Option<PathBuf>,
    /// The folder of model packs; `None` is the one that `snova setup` fills.
    pub packs_dir: Option<PathBuf>,
    pub pack: String,
    pub allow_noncommercial: bool,
    /// Inference threads.
    pub threads: usize,
}

/// How sure a greeting must be, and of which shots.
#[derive(Clone, Debug, PartialEq)]
pub struct Recognition {
    /// The share of searches for a stranger that may end in a name.
    pub fpir: f64,
    /// The same for a question to the cashier; at least `fpir`.
    pub maybe_fpir: f64,
    /// How far the best candidate's similarity must lead the second's.
    pub margin: f32,
    /// Best shots of a track that are fused into a probe.
    pub shots: usize,
    /// Shots without which nothing is decided.
    pub min_shots: usize,
    /// Usable frames after which a track without a decision is given up; at least `shots`.
    pub attempts: usize,
    /// The longer side of the picture given to the detector, in pixels.
    pub detect_long_side: u32,
    /// The narrower side of the smallest face that is used, in pixels of the camera's picture.
    pub min_face_px: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// How long somebody stands at the counter before a visit opens.
    pub dwell: Duration,
    /// How long nobody sees them before it closes.
    pub absence: Duration,
    /// Who returns within this time continues the visit; zero never merges, else at least `absence`.
    pub merge: Duration,
    /// Who gave a card or phone stays on the screen this long without being seen.
    pub card_hold: Duration,
    /// Whether the point of sale may say who serves at a counter, for visits to bear it.
    pub served_by: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// The largest database, in MB (10⁶ bytes); `None` has no bound.
    pub max_mb: Option<u64>,
    /// Visits older than so many days leave; `None` keeps them for ever.
    pub keep_visits_days: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    pub level: tracing::Level,
    /// Lines go to this file instead of standard error.
    pub file: Option<PathBuf>,
    /// The most that the file and the one before it have together, in MB (10⁶ bytes).
    pub max_mb: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    pub name: CounterId,
    /// Its own or the device's.
    pub language: Language,
    pub cameras: Vec<Camera>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Camera {
    pub name: CameraId,
    pub source: Source,
}

/// What a camera's pictures come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A camera on a USB port.
    Usb(UsbConfig),
    /// A network camera that sends JPEG pictures over HTTP.
    Mjpeg(Network),
    /// A network camera that sends video over RTSP.
    Rtsp(Network),
    /// A video file.
    Video(Recording),
    /// A folder of pictures.
    Images(Recording),
    /// A scene that is drawn from a description.
    Scene(Recording),
}

/// A camera in the network. Its password is never in the file: `snova cameras password` keeps it sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Without user and password.
    pub url: String,
    pub user: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    pub path: PathBuf,
    /// Whether it begins anew at its end.
    pub repeat: bool,
}

impl Source {
    const KINDS: [&'static str; 6] = ["usb", "mjpeg", "rtsp", "video", "images", "scene"];

    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Usb(_) => "usb",
            Self::Mjpeg(_) => "mjpeg",
            Self::Rtsp(_) => "rtsp",
            Self::Video(_) => "video",
            Self::Images(_) => "images",
            Self::Scene(_) => "scene",
        }
    }
}

/// Why there is no configuration. Every fault of a file is one line of the text.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("there is no configuration file {path}; check --config, or leave it out to use the defaults", path = .0.display())]
    Missing(PathBuf),
    #[error("cannot read the configuration file {path}: {cause}; check that it is a UTF-8 text that this account may read", path = .path.display())]
    Unreadable { path: PathBuf, cause: std::io::Error },
    #[error("{}", .0.join("\n"))]
    Invalid(Vec<String>),
}

impl Config {
    /// Reads the file at `path`; without a path the first of [`SEARCH_PATHS`] that exists, or else the
    /// defaults.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        Document::find(path)?.map_or_else(|| Ok(Self::default()), |document| document.config())
    }

    /// Parses configuration text; `path` is for the errors only.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let mut faults = reader::Faults::new(text, path);
        let config = sections::config(&mut faults);
        let lines = faults.into_lines();
        if lines.is_empty() { Ok(config) } else { Err(ConfigError::Invalid(lines)) }
    }
}

impl Default for Config {
    fn default() -> Self {
        let device = Device::default();
        let counters = vec![Counter::named("till-1", device.language)];
        Self {
            device,
            web: Web::default(),
            runtime: Runtime::default(),
            recognition: Recognition::default(),
            visit: Visit::default(),
            greeting: DayHours::default(),
            store: Store::default(),
            log: Log::default(),
            crm: Crm::default(),
            counters,
        }
    }
}

impl Default for Device {
    fn default() -> Self {
        Self {
            name: "snova".to_owned(),
            store: "snova".to_owned(),
            language: Language::Russian,
            country: sections::country_of(Language::Russian),
            time_zone: TimeZone::system(),
            data_dir: PathBuf::from("/var/lib/snova"),
        }
    }
}

impl Default for Store {
    /// Three years.
    fn default() -> Self {
        Self { max_mb: None, keep_visits_days: Some(1096) }
    }
}

impl Default for Web {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8642)) }
    }
}

impl Default for Runtime {
    fn default() -> Self {
        Self {
            library: None,
            packs_dir: None,
            pack: "centerface-mobilefacenet".to_owned(),
            allow_noncommercial: false,
            threads: 2,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: tracing::Level::INFO, file: None, max_mb: 20 }
    }
}

impl Default for Crm {
    fn default() -> Self {
        let device = Device::default();
        let common = CrmSettings {
            identity: Vendor::None.identity(),
            http: HttpSettings::default(),
            create_contacts: false,
            names_from_crm: true,
            tells: false,
            grace: Duration::from_secs(300),
            pull_every: Duration::from_secs(900),
            heartbeat_every: Duration::from_secs(300),
            stale_after: Duration::from_secs(86_400),
            language: device.language,
            country: device.country,
            shop: device.name,
        };
        Self { common, vendor: Vendor::None, beacon: None }
    }
}

impl Default for Recognition {
    fn default() -> Self {
        Self {
            fpir: 0.001,
            maybe_fpir: 0.01,
            margin: 0.05,
            shots: 5,
            min_shots: 3,
            attempts: 20,
            detect_long_side: 480,
            min_face_px: 60,
        }
    }
}

impl Default for Visit {
    fn default() -> Self {
        Self {
            dwell: Duration::from_millis(400),
            absence: Duration::from_millis(2_500),
            merge: Duration::from_secs(300),
            card_hold: Duration::from_secs(120),
            served_by: false,
        }
    }
}

impl Counter {
    fn named(name: &str, language: Language) -> Self {
        Self { name: CounterId::new(name), language, cameras: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With SNOVA_WRITE_PAGES=1 the file is written anew instead.
    #[test]
    fn the_documented_file_shows_the_vendors_keys_as_they_are_stated() {
        const BEGIN: &str = "# ---- CRMs: written from src/vendors; `make pages` writes it anew.\n\n";
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("firmware-config/snova.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let (before, shown) = text.split_once(BEGIN).unwrap();
        let stated = crate::vendors::pages();
        if std::env::var_os("SNOVA_WRITE_PAGES").is_some() {
            std::fs::write(&path, format!("{before}{BEGIN}{stated}")).unwrap();
        } else {
            assert_eq!(shown, stated, "run `make pages`");
        }
    }

    #[test]
    fn every_key_that_is_read_stands_in_the_documented_file() {
        let documented = include_str!("../../firmware-config/snova.toml");
        let all = sections::uncommented(documented, true);
        let mut faults = reader::Faults::new(&all, Path::new("snova.toml"));
        sections::config(&mut faults);
        assert_eq!(faults.absent(), Vec::<String>::new());
        assert_eq!(faults.into_lines(), Vec::<String>::new());
    }
}
