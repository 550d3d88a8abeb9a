//! A scripted scene as a source: real portraits walk up to a drawn counter, and the truth is known.
//!
//! What a scene file may say is in `script.rs`, motion in `walk.rs`, cut-outs in `figure.rs`, the room's
//! pixels in `paint.rs`. A scene proves that the parts work together; it measures no accuracy.

mod figure;
mod paint;
mod script;
mod walk;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use image::RgbImage;

use super::{Capture, FrameSource, SourceError, offset_at, read_picture_file};
use crate::face::{BoundingBox, Pixels, decode_picture};
use figure::Figure;
use paint::{Noise, Room};
use script::{Script, Walker};
use walk::Pose;

/// The scene that the demo plays; its portraits come from the sample media.
pub const DEMO_SCENE: &str = include_str!("../../../scenes/demo.toml");

/// A scene ready to be drawn. Each frame is a function of its number alone, so a scene gives the same
/// pictures each time, in any order.
pub struct Scene {
    size: (u32, u32),
    fps: f64,
    frames: u64,
    seed: u64,
    room: Room,
    noise: Noise,
    cast: Vec<Actor>,
}

/// Somebody who walks through the scene.
struct Actor {
    person: Walker,
    identity: Arc<str>,
    figure: Arc<Figure>,
    noise: Noise,
}

/// Who is truly where in a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Truth {
    /// The identity that the scene file gives to the portrait.
    pub identity: Arc<str>,
    /// The face's box in frame pixels; it may reach past the edge.
    pub bounds: BoundingBox,
}

impl Scene {
    /// Reads a scene file; its portraits are files in `media`. Errors are one line naming file and key.
    pub fn open(path: &Path, media: &Path) -> Result<Self, SourceError> {
        // A scene is written by hand.
        const MOST_BYTES: u64 = 1_000_000;
        let cannot = |what: &str| SourceError::new(format!("the scene {} cannot be read: {what}", path.display()));
        let about = std::fs::metadata(path).map_err(|e| cannot(&e.to_string()))?;
        if !about.is_file() || about.len() > MOST_BYTES {
            return Err(cannot("it is not a text file of at most 1 MB"));
        }
        let text = std::fs::read_to_string(path).map_err(|e| cannot(&e.to_string()))?;
        Self::parse(&path.display().to_string(), &text, media)
    }

    /// Reads a scene from its text; `name` stands for the file in errors.
    pub fn parse(name: &str, text: &str, media: &Path) -> Result<Self, SourceError> {
        let wrong = |what: String| SourceError::new(format!("scene {name}: {what}"));
        let script = Script::parse(text).map_err(wrong)?;
        let figures = load_figures(&script, media).map_err(wrong)?;
        let (length_s, size) = (script.length_s(), (script.size[0], script.size[1]));
        let cast = script.person.into_iter().enumerate().filter_map(|(index, person)| {
            let (identity, figure) = figures.get(&person.portrait)?.clone();
            let noise = Noise::new(person.noise, script.seed + 1 + index as u64);
            Some(Actor { person, identity, figure, noise })
        });
        Ok(Self {
            size,
            fps: script.fps,
            frames: ((length_s * script.fps).round() as u64).max(1),
            seed: script.seed,
            room: Room::new(size, &script.room, script.seed),
            noise: Noise::new(script.room.noise, script.seed),
            cast: cast.collect(),
        })
    }

    /// How long the scene is, once.
    pub fn length(&self) -> Duration {
        offset_at(self.frames, self.fps)
    }

    /// Who is in the frame at `offset`, nearest last. Past its end the scene is taken to begin anew.
    pub fn truth(&self, offset: Duration) -> Vec<Truth> {
        let index = (offset.as_secs_f64() * self.fps).round() as u64;
        let (width, height) = self.size;
        let seen = self
            .poses(index)
            .into_iter()
            .map(|(actor, pose)| Truth { identity: Arc::clone(&actor.identity), bounds: actor.figure.face_at(&pose) });
        seen.filter(|truth| truth.bounds.share_inside(width, height) > 0.0).collect()
    }

    /// Draws one frame.
    fn draw(&self, index: u64) -> RgbImage {
        let mut picture = self.room.empty();
        for (actor, pose) in self.poses(index) {
            let mut layer = actor.figure.draw(&pose, self.size);
            layer.blur(actor.person.blur);
            layer.blend_onto(&mut picture, actor.person.brightness, &actor.noise, index);
        }
        self.room.draw_counter(&mut picture);
        self.noise.add_to(&mut picture, self.seed ^ (index % self.frames));
        picture
    }

    /// Who is in the room in this frame, and how; far people first, as they are drawn.
    fn poses(&self, index: u64) -> Vec<(&Actor, Pose)> {
        let at_s = ((index % self.frames) as f64 / self.fps) as f32;
        let placed = self.cast.iter().enumerate().filter_map(|(number, actor)| {
            let pose = walk::pose(&actor.person, self.size, self.seed.wrapping_add(number as u64), at_s)?;
            Some((actor, pose))
        });
        let mut poses: Vec<_> = placed.collect();
        poses.sort_by(|a, b| a.1.face_px.total_cmp(&b.1.face_px));
        poses
    }
}

type Figures = BTreeMap<String, (Arc<str>, Arc<Figure>)>;

/// Cuts every portrait of the scene out, once, at the size it will be needed in.
fn load_figures(script: &Script, media: &Path) -> Result<Figures, String> {
    let mut figures = BTreeMap::new();
    for (name, portrait) in &script.portrait {
        let path = media.join(&portrait.file);
        let wrong = |what: String| format!("portrait.{name}: the portrait {} cannot be used: {what}", path.display());
        let bytes = read_picture_file(&path).map_err(wrong)?;
        let picture = decode_picture(&bytes).map_err(|e| wrong(e.to_string()))?;
        let users = script.person.iter().filter(|person| person.portrait == *name);
        let largest_px = users.map(Walker::largest_px).fold(1.0, f32::max);
        let figure = Figure::cut(picture, portrait, largest_px).map_err(|e| format!("portrait.{name}: {e}"))?;
        figures.insert(name.clone(), (Arc::from(portrait.identity.as_str()), Arc::new(figure)));
    }
    Ok(figures)
}

/// A scene being played.
pub struct SceneSource {
    scene: Scene,
    repeat: bool,
    index: u64,
}

impl SceneSource {
    /// Plays from the beginning; with `repeat` it begins anew at the end, for ever, while offsets go on.
    pub fn new(scene: Scene, repeat: bool) -> Self {
        Self { scene, repeat, index: 0 }
    }

    pub fn scene(&self) -> &Scene {
        &self.scene
    }
}

impl FrameSource for SceneSource {
    fn next(&mut self) -> Result<Option<Capture>, SourceError> {
        if self.index >= self.scene.frames && !self.repeat {
            return Ok(None);
        }
        let pixels = Pixels::Rgb8(self.scene.draw(self.index));
        let offset = offset_at(self.index, self.scene.fps);
        self.index += 1;
        Ok(Some(Capture { offset, pixels }))
    }
}
