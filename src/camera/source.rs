//! From the description of a source to an open one: the only list of the kinds of sources.
//!
//! Reading descriptions from the configuration file is not here: that is `crate::config`'s.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::{
    FrameSource, ImagesConfig, ImagesSource, MjpegSource, RtspSource, Scene, SceneSource, SourceError, UsbSource,
    VideoConfig, VideoSource,
};

/// Where a camera's pictures come from.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceSpec {
    /// A scripted scene with portraits from the folder `media`.
    Scene {
        script: SceneScript,
        media: PathBuf,
        repeat: bool,
    },
    Video(VideoConfig),
    Images(ImagesConfig),
    Usb(UsbConfig),
    Mjpeg(NetworkConfig),
    Rtsp(NetworkConfig),
}

/// Which camera of the USB ports, and how it is asked for pictures; what is `None` is chosen by what there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsbConfig {
    /// `/dev/video0`, or a stable name below `/dev/v4l/`; without one the first camera.
    pub device: Option<PathBuf>,
    pub format: Option<UsbFormat>,
    /// Width and height in pixels.
    pub size: Option<(u32, u32)>,
    /// Pictures a second.
    pub fps: Option<u32>,
}

/// How a USB camera packs its pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsbFormat {
    /// Each picture a JPEG: little to carry, some work to decode.
    Mjpeg,
    /// Raw 4:2:2: much to carry.
    Yuyv,
}

impl UsbFormat {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mjpeg => "mjpeg",
            Self::Yuyv => "yuyv",
        }
    }
}

impl FromStr for UsbFormat {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = [Self::Mjpeg, Self::Yuyv].into_iter().find(|format| format.as_str() == text);
        found.ok_or_else(|| format!("{text:?} is not a picture format; give auto, mjpeg or yuyv"))
    }
}

/// A camera in the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkConfig {
    /// Without user and password.
    pub url: String,
    pub login: Option<Login>,
}

/// The user and the password that a camera asks for.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    pub user: String,
    pub password: String,
}

/// A password never reaches a log by accident.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(…)")
    }
}

/// Where a scene's text is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SceneScript {
    File(PathBuf),
    /// Carried by the program; `name` stands in for the file's name in errors.
    BuiltIn {
        name: &'static str,
        text: &'static str,
    },
}

/// Opens a source. Quick, and starts at the beginning each time.
pub fn open(spec: &SourceSpec) -> Result<Box<dyn FrameSource>, SourceError> {
    Ok(match spec {
        SourceSpec::Scene { script, media, repeat } => {
            let scene = match script {
                SceneScript::File(path) => Scene::open(path, media)?,
                SceneScript::BuiltIn { name, text } => Scene::parse(name, text, media)?,
            };
            Box::new(SceneSource::new(scene, *repeat))
        }
        SourceSpec::Video(config) => Box::new(VideoSource::open(config)?),
        SourceSpec::Images(config) => Box::new(ImagesSource::open(config)?),
        SourceSpec::Usb(config) => Box::new(UsbSource::open(config)?),
        SourceSpec::Mjpeg(config) => Box::new(MjpegSource::open(config)?),
        SourceSpec::Rtsp(config) => Box::new(RtspSource::open(config)?),
    })
}
