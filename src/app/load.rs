//! Whether the box keeps up with its cameras: what each gave, and how much of that was looked at.
//!
//! Which frame is looked at next is `crate::camera`'s slot. Time is an argument.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::clock::Monotonic;
use crate::face::CameraId;

/// What is judged is the last ten seconds: a moment's stutter is no overload.
const WINDOW_S: u64 = 10;
/// Below so many looks a second a face that stays for two seconds may not give the shots that a name needs.
const LEAST_LOOKS: f64 = 3.0;
/// The overload is over when every camera is looked at so often, or nearly as often as it gives pictures.
const ENOUGH_LOOKS: f64 = 4.0;
/// A camera gave more than was looked at when it gave a quarter more: its own rate wavers too.
const MORE: f64 = 1.25;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    /// The overload began; the worst camera's rates, in frames a second.
    Overloaded {
        camera: CameraId,
        given_fps: f64,
        looked_at_fps: f64,
    },
    Over,
}

/// Frames in one second.
#[derive(Clone, Copy, Default)]
struct Second {
    given: u64,
    looked_at: u64,
}

#[derive(Default)]
struct Camera {
    seconds: BTreeMap<u64, Second>,
    since: Option<u64>,
}

#[derive(Default)]
pub(super) struct Load {
    cameras: BTreeMap<CameraId, Camera>,
    overloaded: bool,
    judged: Option<u64>,
}

impl Load {
    /// One frame of `camera` was looked at, of `given` that it gave since the one before.
    pub fn looked(&mut self, camera: &CameraId, now: Monotonic, given: u64) {
        let second = now.0.as_secs();
        let camera = self.cameras.entry(camera.clone()).or_default();
        camera.since.get_or_insert(second);
        let frames = camera.seconds.entry(second).or_default();
        frames.given += given;
        frames.looked_at += 1;
    }

    /// What has changed by `now`, if anything; asked at any rate, judged once a second.
    pub fn judge(&mut self, now: Monotonic) -> Option<Change> {
        let second = now.0.as_secs();
        if self.judged.replace(second) == Some(second) {
            return None;
        }
        let window = second.saturating_sub(WINDOW_S)..second;
        let rates = self.cameras.iter_mut().filter_map(|(id, camera)| camera.rates(&window).map(|rates| (id, rates)));
        let limit = if self.overloaded { ENOUGH_LOOKS } else { LEAST_LOOKS };
        let behind =
            rates.filter(|(_, (given, looked_at))| *looked_at < limit && *given > limit && *given > looked_at * MORE);
        let worst = behind.min_by(|(_, a), (_, b)| a.1.total_cmp(&b.1));
        match worst {
            Some((camera, (given_fps, looked_at_fps))) if !self.overloaded => {
                self.overloaded = true;
                Some(Change::Overloaded { camera: camera.clone(), given_fps, looked_at_fps })
            }
            None if self.overloaded => {
                self.overloaded = false;
                Some(Change::Over)
            }
            _ => None,
        }
    }
}

impl Camera {
    /// Frames a second given and looked at in these whole seconds; `None` for a camera that has not been there for
    /// so long. A camera that ended in between keeps the rates it had.
    fn rates(&mut self, window: &Range<u64>) -> Option<(f64, f64)> {
        self.seconds.retain(|second, _| *second >= window.start);
        let Some((first, _)) = self.seconds.first_key_value() else {
            // When it comes back it is judged anew.
            self.since = None;
            return None;
        };
        let there = self.since.is_some_and(|since| window.end - since >= WINDOW_S);
        let (last, _) = self.seconds.range(..window.end).next_back()?;
        let span = (last - first + 1) as f64;
        let sum = |of: fn(&Second) -> u64| self.seconds.range(..window.end).map(|(_, s)| of(s)).sum::<u64>() as f64;
        there.then(|| (sum(|s| s.given) / span, sum(|s| s.looked_at) / span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cameras with their rates, looked at so often in a second, for some time.
    struct Box {
        load: Load,
        now_ms: u64,
        changes: Vec<(u64, Change)>,
    }

    impl Box {
        fn new() -> Self {
            Self { load: Load::default(), now_ms: 0, changes: Vec::new() }
        }

        fn run(&mut self, seconds: u64, cameras: &[(&str, u64, u64)]) {
            for _ in 0..seconds {
                for (camera, given, looks) in cameras {
                    for look in 0..*looks {
                        let now = Monotonic::from_millis(self.now_ms + 1000 * look / looks);
                        let since_last = given * (look + 1) / looks - given * look / looks;
                        self.load.looked(&CameraId::new(camera), now, since_last);
                    }
                }
                self.now_ms += 1000;
                let change = self.load.judge(Monotonic::from_millis(self.now_ms));
                self.changes.extend(change.map(|change| (self.now_ms / 1000, change)));
            }
        }

        fn begun(&self) -> usize {
            self.changes.iter().filter(|(_, change)| *change != Change::Over).count()
        }
    }

    #[test]
    fn a_box_that_keeps_up_is_not_overloaded_however_many_frames_it_drops() {
        let mut shop = Box::new();
        shop.run(60, &[("front", 30, 4), ("side", 15, 15), ("slow", 2, 2)]);
        assert_eq!(shop.changes, []);
    }

    #[test]
    fn an_overload_is_said_once_with_the_worst_camera_and_its_end_once() {
        let mut shop = Box::new();
        shop.run(20, &[("front", 30, 8), ("side", 15, 8)]);
        shop.run(30, &[("front", 30, 2), ("side", 15, 1)]);
        let worst = shop.changes.first().map(|(_, change)| change.clone());
        assert!(matches!(&worst, Some(Change::Overloaded { camera, .. }) if camera.as_str() == "side"), "{worst:?}");
        let after = shop.changes[0].0 - 20;
        assert!((3..=10).contains(&after), "said {after} s after it began: neither at once nor late");
        shop.run(30, &[("front", 30, 8), ("side", 15, 8)]);
        assert_eq!(shop.changes.len(), 2, "{:?}", shop.changes);
        assert_eq!(shop.changes[1].1, Change::Over);
    }

    #[test]
    fn a_rate_that_wavers_about_the_limit_is_one_overload() {
        let mut shop = Box::new();
        shop.run(20, &[("front", 30, 2)]);
        for looks in [3, 2, 4, 3, 2, 3, 3, 4].into_iter().cycle().take(80) {
            shop.run(1, &[("front", 30, looks)]);
        }
        assert_eq!((shop.begun(), shop.changes.len()), (1, 1), "{:?}", shop.changes);
    }

    #[test]
    fn neither_a_start_nor_an_unplugged_camera_is_an_overload() {
        let mut shop = Box::new();
        shop.run(3, &[("front", 30, 1)]);
        shop.run(20, &[("front", 30, 5)]);
        shop.run(30, &[]);
        shop.run(9, &[("front", 30, 1)]);
        assert_eq!(shop.changes, [], "the first seconds after a start or a return prove nothing");
    }

    #[test]
    fn an_overload_ends_with_the_camera_that_made_it() {
        let mut shop = Box::new();
        shop.run(20, &[("front", 30, 1)]);
        shop.run(15, &[]);
        assert_eq!(shop.begun(), 1);
        assert_eq!(shop.changes.last().map(|(_, change)| change), Some(&Change::Over));
    }
}
