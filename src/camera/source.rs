//! From the description of a source to an open one: the only list of the kinds of sources.
//!
//! Reading descriptions from the configuration file is not here: that is `crate::config`'s.

use std::path::PathBuf;

use super::{FrameSource, ImagesConfig, ImagesSource, Scene, SceneSource, SourceError, VideoConfig, VideoSource};

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
    })
}
