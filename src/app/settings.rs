//! From the configuration file's values to each part's own settings.
//!
//! Reading and checking the file is `crate::config`'s.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use jiff::civil::Date;

use super::Places;
use super::places::Unfound;
use crate::camera::{CameraConfig, ImagesConfig, Login, NetworkConfig, SceneScript, SourceSpec, VideoConfig};
use crate::clock::Clock;
use crate::config::{self, Config, Source};
use crate::enrolment::EnrolmentRules;
use crate::gallery::DecisionConfig;
use crate::greeter::DeskConfig;
use crate::pipeline::PipelineConfig;
use crate::store::StoreConfig;
use crate::vendors::Configured;
use crate::vision::VisionConfig;
use crate::vision::quality::QualityConfig;
use crate::visit::VisitConfig;

/// A camera that gives nothing for so long is said to be stalled.
pub const STALL_AFTER: Duration = Duration::from_secs(3);
/// The rate at which pictures of a folder and of a video are shown, in frames a second.
const RECORDING_FPS: f64 = 15.0;

/// Everything `app::start` needs beside the parts themselves.
#[derive(Clone)]
pub struct Settings {
    pub device_name: String,
    pub listen: SocketAddr,
    pub desk: DeskConfig,
    pub pipeline: PipelineConfig,
    pub cameras: Vec<(CameraConfig, SourceSpec)>,
    pub crm: Configured,
    /// Visits older than so many days leave; `None` keeps them for ever.
    pub keep_visits_days: Option<u32>,
    /// Whether the point of sale may say who serves.
    pub served_by: bool,
}

impl Settings {
    /// The settings of the configured box. Fails when a scene is configured and the sample pictures are not
    /// installed.
    pub fn from_config(config: &Config) -> Result<Self, Unfound> {
        let mut cameras = Vec::new();
        for counter in &config.counters {
            for camera in &counter.cameras {
                let config = CameraConfig {
                    counter: counter.name.clone(),
                    camera: camera.name.clone(),
                    stall_after: STALL_AFTER,
                };
                cameras.push((config, source(camera)?));
            }
        }
        Ok(Self {
            device_name: config.device.name.clone(),
            listen: config.web.listen,
            desk: DeskConfig {
                counters: config.counters.iter().map(|c| (c.name.clone(), c.language)).collect(),
                time_zone: config.device.time_zone.clone(),
                country: config.device.country,
                hours: config.greeting,
                visit: visit(config),
                grace: config.crm.common.grace,
            },
            crm: config.crm.clone(),
            keep_visits_days: config.store.keep_visits_days,
            served_by: config.visit.served_by,
            pipeline: pipeline(config),
            cameras,
        })
    }

    /// The shop's date.
    pub fn today(&self, clock: &dyn Clock) -> Date {
        clock.wall().at.to_zoned(self.desk.time_zone.clone()).date()
    }
}

/// The visits' part of the configuration.
pub fn visit(config: &Config) -> VisitConfig {
    let config::Visit { dwell, absence, merge, card_hold, served_by: _ } = config.visit;
    VisitConfig { dwell, absence, merge, card_hold }
}

/// The pipeline's part.
pub fn pipeline(config: &Config) -> PipelineConfig {
    let recognition = &config.recognition;
    PipelineConfig {
        shots: recognition.shots,
        attempts: recognition.attempts,
        decision: DecisionConfig {
            fpir: recognition.fpir,
            maybe_fpir: recognition.maybe_fpir,
            margin: recognition.margin,
            min_shots: recognition.min_shots,
            ..DecisionConfig::default()
        },
        ..PipelineConfig::default()
    }
}

/// The models' part.
pub fn vision(config: &Config) -> VisionConfig {
    VisionConfig {
        threads: config.runtime.threads,
        detect_long_side: config.recognition.detect_long_side,
        allow_noncommercial: config.runtime.allow_noncommercial,
        quality: QualityConfig { min_face_px: config.recognition.min_face_px as f32, ..QualityConfig::default() },
    }
}

/// The store's part.
pub fn store(config: &Config) -> StoreConfig {
    let max_bytes = config.store.max_mb.map(|mb| mb.saturating_mul(1_000_000));
    StoreConfig { max_bytes, ..StoreConfig::new(&config.device.data_dir) }
}

/// The enrolment's part.
pub fn enrolment(config: &Config) -> EnrolmentRules {
    EnrolmentRules { target_fpir: config.recognition.fpir }
}

/// What a configured camera's pictures come from.
pub fn source(camera: &config::Camera) -> Result<SourceSpec, Unfound> {
    Ok(match &camera.source {
        Source::Usb(usb) => SourceSpec::Usb(usb.clone()),
        Source::Mjpeg(network) => SourceSpec::Mjpeg(self::network(network)),
        Source::Rtsp(network) => SourceSpec::Rtsp(self::network(network)),
        Source::Scene(recording) => scene(&recording.path, recording.repeat)?,
        Source::Video(recording) => SourceSpec::Video(video(&recording.path, recording.repeat)),
        Source::Images(recording) => SourceSpec::Images(images(&recording.path, recording.repeat)),
    })
}

fn network(network: &config::Network) -> NetworkConfig {
    // The password comes from the store when the camera is opened: see `passwords`.
    let login = network.user.clone().map(|user| Login { user, password: String::new() });
    NetworkConfig { url: network.url.clone(), login }
}

/// A video file, at the rate of recordings.
pub fn video(path: &Path, repeat: bool) -> VideoConfig {
    VideoConfig { file: path.to_owned(), fps: RECORDING_FPS, repeat }
}

/// A folder of pictures, at the rate of recordings.
pub fn images(path: &Path, repeat: bool) -> ImagesConfig {
    ImagesConfig { folder: path.to_owned(), fps: RECORDING_FPS, repeat }
}

/// A scene file with the sample pictures of this machine.
pub fn scene(path: &Path, repeat: bool) -> Result<SourceSpec, Unfound> {
    Ok(SourceSpec::Scene { script: SceneScript::File(path.to_owned()), media: Places::media()?, repeat })
}
