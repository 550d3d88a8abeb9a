//! What a scene file may say, with every number checked before anything is drawn.
//!
//! What the numbers do is not here: see `walk.rs`, `figure.rs` and `paint.rs`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Component, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A scene file. Times are seconds from the scene's beginning; places are shares of the frame's width and
/// height; face sizes are the width of the face's box in frame pixels.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Script {
    /// Width and height of a frame in pixels.
    pub size: [u32; 2],
    /// Frames a second.
    pub fps: f64,
    /// How long the scene is; without it, until half a second after the last person has left.
    length_s: Option<f64>,
    /// Moves the noise and everybody's sway.
    #[serde(default = "one")]
    pub seed: u64,
    #[serde(default)]
    pub room: RoomScript,
    /// Portraits by name, beside those of the sample media, which every scene knows.
    #[serde(default)]
    pub portrait: BTreeMap<String, PortraitScript>,
    #[serde(default)]
    pub person: Vec<Walker>,
}

/// The room behind and the counter in front of the customers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RoomScript {
    /// Red, green, blue.
    pub wall: [u8; 3],
    pub counter: [u8; 3],
    /// Where the counter's edge runs; 1 for no counter.
    pub counter_y: f32,
    /// The camera's noise: standard deviation in grey levels.
    pub noise: f32,
}

impl Default for RoomScript {
    fn default() -> Self {
        Self { wall: [176, 170, 160], counter: [112, 86, 64], counter_y: 0.88, noise: 2.0 }
    }
}

/// A photograph from which a customer is cut out. Coordinates are its pixels.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PortraitScript {
    /// A file in the media folder.
    pub file: PathBuf,
    /// Who it truly is.
    pub identity: String,
    /// The face's box: x1, y1, x2, y2; hairline to chin, ear to ear.
    pub face: [f32; 4],
    /// The line around head and body, points x, y; without it, a usual head and shoulders around the face.
    #[serde(default)]
    pub outline: Vec<[f32; 2]>,
}

/// One walk of one person: up to the counter, a stay, and away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Walker {
    /// The name of one of the portraits.
    pub portrait: String,
    /// When the approach begins.
    pub enter_s: f32,
    #[serde(default = "two")]
    pub approach_s: f32,
    /// How long the person stands at the counter.
    pub stay_s: f32,
    #[serde(default = "two")]
    pub leave_s: f32,
    /// The size at the counter.
    pub face_px: f32,
    /// Where the face's centre is at the counter: x, y.
    pub place: [f32; 2],
    /// The size at the beginning and at the end of the walk.
    #[serde(default = "forty")]
    pub far_px: f32,
    /// Where the walk begins: x, y; without it, outside the frame on the nearer side.
    pub from: Option<[f32; 2]>,
    /// Where it ends; without it, outside the frame on the side where it began.
    pub to: Option<[f32; 2]>,
    /// Standard deviation of the blur in frame pixels.
    #[serde(default)]
    pub blur: f32,
    /// What the light on the person is multiplied by.
    #[serde(default = "unit")]
    pub brightness: f32,
    /// Noise on the person beside the camera's: standard deviation in grey levels.
    #[serde(default)]
    pub noise: f32,
}

impl Walker {
    pub fn largest_px(&self) -> f32 {
        self.face_px.max(self.far_px)
    }

    /// When the person has gone.
    pub fn gone_s(&self) -> f32 {
        self.enter_s + self.approach_s + self.stay_s + self.leave_s
    }
}

fn one() -> u64 {
    1
}
fn unit() -> f32 {
    1.0
}
fn two() -> f32 {
    2.0
}
fn forty() -> f32 {
    40.0
}

/// The sample media's portraits.
const SAMPLES: &str = include_str!("../../../scenes/portraits.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Samples {
    portrait: BTreeMap<String, PortraitScript>,
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    toml::from_str(text).map_err(|e| {
        let what = e.message().replace('\n', " ");
        match e.span().and_then(|span| text.get(..span.start)) {
            Some(before) => format!("line {}: {what}", before.matches('\n').count() + 1),
            None => what,
        }
    })
}

const LONGEST_S: f64 = 3_600.0;

impl Script {
    /// Reads and checks; the error is one line with the line's number or the key.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut script: Self = read(text)?;
        let samples: Samples = read(SAMPLES)?;
        for (name, portrait) in samples.portrait {
            script.portrait.entry(name).or_insert(portrait);
        }
        script.check()?;
        // Only what somebody wears needs to be there as a file.
        let Self { portrait, person, .. } = &mut script;
        portrait.retain(|name, _| person.iter().any(|person| person.portrait == *name));
        Ok(script)
    }

    pub fn length_s(&self) -> f64 {
        let last = self.person.iter().map(Walker::gone_s).fold(0.0, f32::max);
        self.length_s.unwrap_or(f64::from(last) + 0.5)
    }

    fn check(&self) -> Result<(), String> {
        const MOST_PEOPLE: usize = 32;
        for (side, key) in self.size.iter().zip(["size[0]", "size[1]"]) {
            within(f64::from(*side), 64.0..=3840.0, key)?;
        }
        within(self.fps, 1.0..=60.0, "fps")?;
        self.room.check()?;
        for (name, portrait) in &self.portrait {
            portrait.check().map_err(|e| format!("portrait.{name}: {e}"))?;
        }
        if self.person.len() > MOST_PEOPLE {
            return Err(format!("person: {} people are too many; give at most {MOST_PEOPLE}", self.person.len()));
        }
        for (index, person) in self.person.iter().enumerate() {
            let wrong = |e| format!("person {}: {e}", index + 1);
            person.check(self.size[1]).map_err(wrong)?;
            if !self.portrait.contains_key(&person.portrait) {
                return Err(wrong(format!(
                    "portrait: there is neither [portrait.{}] in this scene nor a sample of this name",
                    person.portrait
                )));
            }
        }
        within(self.length_s(), 0.1..=LONGEST_S, "length_s")
    }
}

impl RoomScript {
    fn check(&self) -> Result<(), String> {
        within(self.counter_y.into(), 0.3..=1.0, "room.counter_y")?;
        within(self.noise.into(), 0.0..=40.0, "room.noise")
    }
}

impl PortraitScript {
    fn check(&self) -> Result<(), String> {
        if self.file.as_os_str().is_empty() || !self.file.components().all(|c| matches!(c, Component::Normal(_))) {
            return Err(format!("file: {} is not the name of a file in the media folder", self.file.display()));
        }
        let [x1, y1, x2, y2] = self.face;
        let numbers = self.face.iter().chain(self.outline.iter().flatten());
        for number in numbers {
            within((*number).into(), -20_000.0..=20_000.0, "face or outline")?;
        }
        if x2 - x1 < 8.0 || y2 - y1 < 8.0 {
            return Err("face: give x1, y1, x2, y2 of a box of at least 8 pixels".into());
        }
        match self.outline.len() {
            0 | 3..=500 => Ok(()),
            count => Err(format!("outline: {count} points make no line around a person; give 3 to 500")),
        }
    }
}

impl Walker {
    fn check(&self, frame_height: u32) -> Result<(), String> {
        let places = [(Some(self.place), "place"), (self.from, "from"), (self.to, "to")];
        for (place, key) in places {
            for share in place.iter().flatten() {
                within((*share).into(), -2.0..=3.0, key)?;
            }
        }
        within(self.face_px.into(), 8.0..=frame_height.into(), "face_px")?;
        within(self.far_px.into(), 8.0..=frame_height.into(), "far_px")?;
        within(self.enter_s.into(), 0.0..=LONGEST_S, "enter_s")?;
        within(self.approach_s.into(), 0.1..=LONGEST_S, "approach_s")?;
        within(self.stay_s.into(), 0.0..=LONGEST_S, "stay_s")?;
        within(self.leave_s.into(), 0.1..=LONGEST_S, "leave_s")?;
        within(self.blur.into(), 0.0..=20.0, "blur")?;
        within(self.brightness.into(), 0.05..=4.0, "brightness")?;
        within(self.noise.into(), 0.0..=40.0, "noise")
    }
}

fn within(value: f64, allowed: RangeInclusive<f64>, key: &str) -> Result<(), String> {
    if allowed.contains(&value) {
        return Ok(());
    }
    Err(format!("{key}: {value} is not allowed; give {} to {}", allowed.start(), allowed.end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCENE: &str = r#"
size = [320, 240]
fps = 10
[portrait.ann]
file = "ann.jpg"
identity = "ann"
face = [10, 10, 60, 70]
[[person]]
portrait = "ann"
enter_s = 1.0
stay_s = 2.0
face_px = 80
place = [0.5, 0.4]
"#;

    fn error(from: &str, to: &str) -> String {
        assert!(SCENE.contains(from));
        let error = Script::parse(&SCENE.replace(from, to)).err().expect("refused");
        assert!(!error.contains('\n'), "{error}");
        error
    }

    #[test]
    fn a_short_scene_needs_few_words() {
        let script = Script::parse(SCENE).unwrap();
        assert_eq!(script.length_s(), 1.0 + 2.0 + 2.0 + 2.0 + 0.5);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let error = error("stay_s", "stays_s");
        assert!(error.starts_with("line 11: ") && error.contains("stays_s"), "{error}");
    }

    #[test]
    fn absurd_numbers_are_refused_with_their_key() {
        for (from, to, key) in [
            ("size = [320, 240]", "size = [320, 99999]", "size[1]"),
            ("fps = 10", "fps = 0", "fps"),
            ("fps = 10", "fps = nan", "fps"),
            ("fps = 10", "fps = 10\nlength_s = 1e9", "length_s"),
            ("face_px = 80", "face_px = 5000", "person 1: face_px"),
            ("stay_s = 2.0", "stay_s = -2.0", "person 1: stay_s"),
            ("stay_s = 2.0", "stay_s = inf", "person 1: stay_s"),
            ("[0.5, 0.4]", "[0.5, 400]", "person 1: place"),
            ("[10, 10, 60, 70]", "[60, 10, 10, 70]", "portrait.ann: face"),
            ("face_px = 80", "face_px = 80\nblur = 1000", "person 1: blur"),
        ] {
            let error = error(from, to);
            assert!(error.starts_with(key), "{error} for {to}");
        }
    }

    #[test]
    fn a_portrait_lies_in_the_media_folder_and_nowhere_else() {
        for file in ["../secret.jpg", "/etc/passwd", ""] {
            assert!(error("ann.jpg", file).starts_with("portrait.ann: file"));
        }
    }

    #[test]
    fn a_person_needs_a_portrait_of_the_scene() {
        assert!(error("portrait = \"ann\"", "portrait = \"bob\"").contains("neither [portrait.bob]"));
    }
}
