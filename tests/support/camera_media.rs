//! Recordings made for one test: a drawn portrait, a scene, a folder of pictures, a video.
//!
//! The sample media are not here: only tests of the shipped scenes need them.

use std::path::{Path, PathBuf};
use std::process::Command;

use image::{Rgb, RgbImage};
use snova::camera::{FrameSource, Scene, SceneSource};
use snova::face::Pixels;

/// Eight frames with somebody walking through.
pub const SCENE: &str = r#"
size = [160, 120]
fps = 10
length_s = 0.8
[portrait.ann]
file = "ann.png"
identity = "ann"
face = [80, 60, 160, 160]
[[person]]
portrait = "ann"
enter_s = 0.0
approach_s = 0.2
stay_s = 0.4
leave_s = 0.2
face_px = 36
far_px = 12
place = [0.5, 0.45]
from = [0.1, 0.4]
"#;

/// A folder with the portrait that [`SCENE`] needs.
pub fn media() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let portrait = RgbImage::from_fn(240, 360, |x, y| match (x.abs_diff(120), y) {
        (0..30, 100..108) => Rgb([40, 30, 30]),
        (0..42, 50..170) => Rgb([205, 160, 135]),
        (_, 190..) => Rgb([40, 60, 110]),
        _ => Rgb([220, 225, 230]),
    });
    portrait.save(folder.path().join("ann.png")).unwrap();
    folder
}

pub fn scene(media: &Path) -> SceneSource {
    SceneSource::new(Scene::parse("test scene", SCENE, media).unwrap(), false)
}

/// Draws the scene's frames as `frame-00.png`, `frame-01.png`, … and says how many there are.
pub fn write_frames(folder: &Path) -> usize {
    let media = media();
    let mut scene = scene(media.path());
    let mut count = 0;
    while let Some(capture) = scene.next().unwrap() {
        let Pixels::Rgb8(picture) = capture.pixels else { panic!("a drawn scene is RGB") };
        picture.save(folder.join(format!("frame-{count:02}.png"))).unwrap();
        count += 1;
    }
    count
}

/// The scene as a video of ten frames a second; `repeats` makes it longer.
pub fn write_video(folder: &Path, name: &str, repeats: usize) -> PathBuf {
    let frames = tempfile::tempdir().unwrap();
    write_frames(frames.path());
    let video = folder.join(name);
    let made = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-stream_loop", &(repeats - 1).to_string(), "-framerate", "10", "-i"])
        .arg(frames.path().join("frame-%02d.png"))
        .args(["-c:v", "mpeg4", "-q:v", "3", "-g", "5", "-movflags", "+faststart"])
        .arg(&video)
        .status()
        .expect("ffmpeg is installed");
    assert!(made.success());
    video
}
