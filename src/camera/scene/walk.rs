//! How a person moves: up to the counter, standing with a natural sway, and away.
//!
//! Pixels are not here: see `figure.rs`.

use std::f32::consts::TAU;

use super::script::Walker;
use crate::camera::backoff::splitmix;
use crate::face::Point;

/// A person's place in one frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pose {
    /// The face's centre in frame pixels.
    pub centre: Point,
    /// The width of the face's box in frame pixels.
    pub face_px: f32,
    /// The turn in the picture's plane in radians, clockwise.
    pub tilt: f32,
}

/// Where `person` is at `at_s`; `None` before the entrance and after the leave.
pub(super) fn pose(person: &Walker, size: (u32, u32), seed: u64, at_s: f32) -> Option<Pose> {
    let since_s = at_s - person.enter_s;
    if since_s < 0.0 || at_s >= person.gone_s() {
        return None;
    }
    let left_s = person.gone_s() - at_s;
    let (end, near) = if since_s < person.approach_s {
        (person.start(size), smooth(since_s / person.approach_s))
    } else {
        (person.end(size), smooth(left_s / person.leave_s))
    };
    // Size goes with one over the distance, and the place in the picture goes with the size: so a person
    // who walks evenly over the floor seems to come faster the nearer they are.
    let face_px = 1.0 / mix(1.0 / person.far_px, 1.0 / person.face_px, near);
    let grown = (face_px - person.far_px) / (person.face_px - person.far_px);
    let along = if grown.is_finite() { grown } else { near };
    let (width, height) = (size.0 as f32, size.1 as f32);
    let centre =
        Point { x: mix(end[0], person.place[0], along) * width, y: mix(end[1], person.place[1], along) * height };
    Some(sway(Pose { centre, face_px, tilt: 0.0 }, seed, at_s, 4.0 * near * (1.0 - near)))
}

/// Nobody stands quite still, and nobody walks without going up and down; `walking` is in [0, 1].
fn sway(pose: Pose, seed: u64, at_s: f32, walking: f32) -> Pose {
    let wave = |part: u64, hertz: f32| {
        let phase = (splitmix(seed.wrapping_mul(31).wrapping_add(part)) >> 40) as f32 / (1u64 << 24) as f32;
        (TAU * (hertz * at_s + phase)).sin()
    };
    let face = pose.face_px;
    let x = 0.035 * wave(0, 0.31) + 0.012 * wave(1, 0.73);
    let y = 0.012 * wave(2, 0.43) + 0.035 * walking * wave(3, 1.8);
    Pose {
        centre: Point { x: pose.centre.x + x * face, y: pose.centre.y + y * face },
        face_px: face * (1.0 + 0.012 * wave(4, 0.23)),
        tilt: 0.022 * wave(5, 0.37) + 0.006 * wave(6, 0.9),
    }
}

impl Walker {
    fn start(&self, size: (u32, u32)) -> [f32; 2] {
        self.from.unwrap_or_else(|| self.outside(size))
    }

    fn end(&self, size: (u32, u32)) -> [f32; 2] {
        self.to.unwrap_or_else(|| self.outside(size))
    }

    /// Far away and just outside the frame, on the side nearer to the person's place: shoulders are up
    /// to two face widths from the face's centre, and the sway is small beside the rest.
    fn outside(&self, size: (u32, u32)) -> [f32; 2] {
        let margin = 2.4 * self.far_px / size.0 as f32;
        [if self.place[0] < 0.5 { -margin } else { 1.0 + margin }, 0.42]
    }
}

fn mix(from: f32, to: f32, share: f32) -> f32 {
    from + (to - from) * share
}

/// From 0 to 1 without a jerk at either end.
fn smooth(share: f32) -> f32 {
    let share = share.clamp(0.0, 1.0);
    share * share * (3.0 - 2.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: (u32, u32) = (640, 480);

    fn person() -> Walker {
        toml::from_str(
            "portrait = 'ann'\nenter_s = 1.0\napproach_s = 2.0\nstay_s = 4.0\nleave_s = 2.0\nface_px = 140\nplace = [0.4, 0.45]",
        )
        .unwrap()
    }

    #[test]
    fn a_person_comes_nearer_stays_and_goes() {
        let person = person();
        assert!(pose(&person, SIZE, 1, 0.99).is_none());
        assert!(pose(&person, SIZE, 1, 9.0).is_none());
        let size_at = |at_s| pose(&person, SIZE, 1, at_s).unwrap().face_px;
        assert!(size_at(1.0) < 42.0 && size_at(8.99) < 42.0);
        assert!(size_at(2.0) < size_at(2.5) && size_at(7.8) < size_at(7.3));
        for tenth in 30..70 {
            let pose = pose(&person, SIZE, 1, tenth as f32 / 10.0).unwrap();
            assert!((pose.face_px - 140.0).abs() < 4.0, "{pose:?}");
            assert!((pose.centre.x - 256.0).abs() < 10.0 && (pose.centre.y - 216.0).abs() < 10.0, "{pose:?}");
        }
    }

    #[test]
    fn nobody_appears_out_of_nothing() {
        let person = person();
        for at_s in [1.0, 8.99] {
            let pose = pose(&person, SIZE, 1, at_s).unwrap();
            assert!(pose.centre.x + 2.0 * pose.face_px < 0.0, "shoulders are outside: {pose:?}");
        }
    }

    #[test]
    fn motion_has_no_jumps() {
        let person = person();
        let poses: Vec<_> = (15..130).filter_map(|i| pose(&person, SIZE, 3, i as f32 / 15.0)).collect();
        for pair in poses.windows(2) {
            assert!((pair[0].centre.x - pair[1].centre.x).abs() < 40.0, "{pair:?}");
            assert!((pair[0].face_px - pair[1].face_px).abs() < 15.0, "{pair:?}");
        }
        assert!(poses.windows(2).all(|pair| pair[0].centre != pair[1].centre), "nobody stands like a statue");
    }

    #[test]
    fn a_person_as_large_afar_as_near_is_still_placed() {
        let mut person = person();
        person.far_px = person.face_px;
        for tenth in 10..90 {
            let pose = pose(&person, SIZE, 1, tenth as f32 / 10.0).unwrap();
            assert!(pose.centre.x.is_finite() && pose.face_px.is_finite());
        }
    }
}
