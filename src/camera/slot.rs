//! The newest frame of each camera, on its way to the vision thread: overwritten when nobody took it.
//!
//! Queues are deliberately not here: a face that waited in a queue has left the counter.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::face::{CameraId, CounterId, Frame};

/// A fresh pair: clone the sender into each camera, give the receiver to the vision thread.
pub fn newest_frames() -> (FrameSender, FrameReceiver) {
    let shared = Arc::new(Shared {
        slots: Mutex::new(Slots { cameras: Vec::new(), turns: 0, senders: 1, receiver: true }),
        changed: Condvar::new(),
    });
    (FrameSender(Arc::clone(&shared)), FrameReceiver(shared))
}

/// Where cameras put their frames.
pub struct FrameSender(Arc<Shared>);

/// Where the vision thread takes them.
pub struct FrameReceiver(Arc<Shared>);

/// What taking gave.
pub enum Taken {
    Frame(Frame),
    /// No camera had a new frame in time.
    Nothing,
    /// Every camera has stopped and its last frame was taken: there will be no frame again.
    Closed,
}

struct Shared {
    slots: Mutex<Slots>,
    changed: Condvar,
}

struct Slots {
    cameras: Vec<Slot>,
    /// How many frames were given so far.
    turns: u64,
    senders: usize,
    receiver: bool,
}

struct Slot {
    counter: CounterId,
    camera: CameraId,
    /// The turn in which it was served last; 0 before the first.
    served: u64,
    frame: Option<Frame>,
    skipped: u64,
}

impl FrameSender {
    /// Puts a camera's newest frame, over one that nobody has taken. Never waits for the receiver.
    pub fn put(&self, frame: Frame) {
        let mut slots = self.0.lock();
        if !slots.receiver {
            return;
        }
        match slots.cameras.iter_mut().find(|slot| slot.camera == frame.camera) {
            Some(slot) => slot.skipped += u64::from(slot.frame.replace(frame).is_some()),
            None => {
                let (counter, camera) = (frame.counter.clone(), frame.camera.clone());
                slots.cameras.push(Slot { counter, camera, served: 0, frame: Some(frame), skipped: 0 });
            }
        }
        drop(slots);
        self.0.changed.notify_one();
    }

    /// How many frames of a camera were overwritten before anybody took them, since the start.
    pub fn skipped(&self, camera: &CameraId) -> u64 {
        self.0.skipped(camera)
    }
}

impl Clone for FrameSender {
    fn clone(&self) -> Self {
        self.0.lock().senders += 1;
        Self(Arc::clone(&self.0))
    }
}

impl Drop for FrameSender {
    fn drop(&mut self) {
        self.0.lock().senders -= 1;
        self.0.changed.notify_one();
    }
}

impl FrameReceiver {
    /// Waits up to `limit` for a frame; counters are served in turn, and in each its cameras. Wakes at once for a frame and for the
    /// end of the last camera.
    pub fn take(&self, limit: Duration) -> Taken {
        let slots = self.0.lock();
        let waited = self.0.changed.wait_timeout_while(slots, limit, |slots| slots.senders > 0 && !slots.has_frame());
        let (mut slots, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match slots.take_in_turn() {
            Some(frame) => Taken::Frame(frame),
            None if slots.senders == 0 => Taken::Closed,
            None => Taken::Nothing,
        }
    }

    /// How many frames of a camera were overwritten before anybody took them, since the start.
    pub fn skipped(&self, camera: &CameraId) -> u64 {
        self.0.skipped(camera)
    }
}

impl Drop for FrameReceiver {
    fn drop(&mut self) {
        let mut slots = self.0.lock();
        slots.receiver = false;
        slots.cameras.clear();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn skipped(&self, camera: &CameraId) -> u64 {
        self.lock().cameras.iter().find(|slot| slot.camera == *camera).map_or(0, |slot| slot.skipped)
    }
}

impl Slots {
    fn has_frame(&self) -> bool {
        self.cameras.iter().any(|slot| slot.frame.is_some())
    }

    /// The counter that was served least recently comes first, and of its cameras the one served least recently: so a
    /// fast camera does not starve a slow one, and a counter with three cameras gets no more than one with a single.
    fn take_in_turn(&mut self) -> Option<Frame> {
        let served = |counter: &CounterId| {
            self.cameras.iter().filter(|slot| slot.counter == *counter).map(|slot| slot.served).max()
        };
        let waiting = self.cameras.iter().enumerate().filter(|(_, slot)| slot.frame.is_some());
        let (next, _) = waiting.min_by_key(|(_, slot)| (served(&slot.counter), slot.served))?;
        self.turns += 1;
        let slot = &mut self.cameras[next];
        slot.served = self.turns;
        slot.frame.take()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::clock::Monotonic;
    use crate::face::Pixels;

    fn frame(camera: &str, seq: u64) -> Frame {
        frame_at("till-1", camera, seq)
    }

    fn frame_at(counter: &str, camera: &str, seq: u64) -> Frame {
        Frame {
            counter: CounterId::new(counter),
            camera: CameraId::new(camera),
            seq,
            captured_at: Monotonic::default(),
            pixels: Pixels::Jpeg(Vec::new()),
        }
    }

    fn taken(receiver: &FrameReceiver, limit: Duration) -> Option<(String, u64)> {
        match receiver.take(limit) {
            Taken::Frame(frame) => Some((frame.camera.as_str().to_owned(), frame.seq)),
            Taken::Nothing | Taken::Closed => None,
        }
    }

    #[test]
    fn only_the_newest_frame_is_given_and_the_others_are_counted() {
        let (sender, receiver) = newest_frames();
        for seq in 0..5 {
            sender.put(frame("door", seq));
        }
        assert_eq!(taken(&receiver, Duration::ZERO), Some(("door".into(), 4)));
        assert_eq!(taken(&receiver, Duration::ZERO), None);
        assert_eq!(receiver.skipped(&CameraId::new("door")), 4);
        assert_eq!(sender.skipped(&CameraId::new("unheard of")), 0);
    }

    #[test]
    fn a_fast_camera_does_not_starve_a_slow_one() {
        let (sender, receiver) = newest_frames();
        let mut served = HashMap::new();
        for seq in 0..300 {
            sender.put(frame("fast", 2 * seq));
            sender.put(frame("slow", seq));
            sender.put(frame("fast", 2 * seq + 1));
            let (camera, _) = taken(&receiver, Duration::ZERO).unwrap();
            *served.entry(camera).or_insert(0) += 1;
        }
        assert_eq!((served["fast"], served["slow"]), (150, 150));
    }

    /// Cameras at their own rates before a slow pair of eyes, in simulated time: (counter, camera, frames a second).
    fn looks(cameras: &[(&str, &str, u64)], look_ms: u64, seconds: u64) -> HashMap<String, HashMap<String, u64>> {
        let (sender, receiver) = newest_frames();
        let mut looked: HashMap<String, HashMap<String, u64>> = HashMap::new();
        let mut free_at = 0;
        for ms in 0..seconds * 1000 {
            for (counter, camera, fps) in cameras.iter().filter(|(_, _, fps)| ms * fps / 1000 != (ms + 1) * fps / 1000)
            {
                sender.put(frame_at(counter, camera, ms * fps / 1000));
            }
            if ms >= free_at
                && let Taken::Frame(frame) = receiver.take(Duration::ZERO)
            {
                free_at = ms + look_ms;
                let of_counter = looked.entry(frame.counter.to_string()).or_default();
                *of_counter.entry(frame.camera.to_string()).or_default() += 1;
            }
        }
        looked
    }

    #[test]
    fn under_overload_every_counter_gets_the_same_however_many_and_fast_its_cameras_are() {
        let cameras = [
            ("till-1", "1-left", 30),
            ("till-1", "1-front", 12),
            ("till-1", "1-right", 60),
            ("till-2", "2-front", 25),
            ("till-3", "3-left", 7),
            ("till-3", "3-right", 15),
        ];
        let looked = looks(&cameras, 100, 60);
        let counters: Vec<u64> = looked.values().map(|cameras| cameras.values().sum()).collect();
        let spread = |counts: &mut dyn Iterator<Item = u64>| {
            let counts: Vec<u64> = counts.collect();
            counts.iter().max().unwrap() - counts.iter().min().unwrap()
        };
        assert_eq!(counters.len(), 3);
        assert!(counters.iter().sum::<u64>() >= 599, "no look was wasted: {counters:?}");
        assert!(spread(&mut counters.iter().copied()) <= 1, "{looked:?}");
        for of_counter in looked.values() {
            assert!(spread(&mut of_counter.values().copied()) <= 1, "{looked:?}");
        }
    }

    #[test]
    fn what_a_slow_counter_leaves_over_the_others_use() {
        let looked = looks(&[("till-1", "1", 30), ("till-2", "2", 2)], 100, 60);
        let (fast, slow) = (looked["till-1"]["1"], looked["till-2"]["2"]);
        assert!((118..=120).contains(&slow), "every frame of the slow one is looked at: {slow}");
        assert!(fast >= 470, "and the rest is the fast one's: {fast}");
    }

    #[test]
    fn the_end_of_the_last_camera_wakes_the_receiver() {
        let (sender, receiver) = newest_frames();
        let second = sender.clone();
        drop(sender);
        assert!(matches!(receiver.take(Duration::ZERO), Taken::Nothing));
        let dropper = std::thread::Builder::new().name("dropper".into()).spawn(move || drop(second)).unwrap();
        // Without the wake-up the test would hang for an hour.
        assert!(matches!(receiver.take(Duration::from_secs(3600)), Taken::Closed));
        dropper.join().unwrap();
    }

    #[test]
    fn a_camera_may_outlive_the_receiver() {
        let (sender, receiver) = newest_frames();
        drop(receiver);
        sender.put(frame("door", 0));
        assert_eq!(sender.skipped(&CameraId::new("door")), 0);
    }

    #[test]
    fn under_load_nothing_goes_backwards_and_the_counts_add_up() {
        const FRAMES: u64 = 3_000;
        let cameras = ["a", "b", "c"];
        let (sender, receiver) = newest_frames();
        let threads: Vec<_> = cameras
            .map(|camera| {
                let sender = sender.clone();
                let put_all = move || (0..FRAMES).for_each(|seq| sender.put(frame(camera, seq)));
                std::thread::Builder::new().name(camera.into()).spawn(put_all).unwrap()
            })
            .into();
        let mut last: HashMap<String, u64> = HashMap::new();
        let mut counts: HashMap<String, u64> = HashMap::new();
        while last.len() < 3 || last.values().any(|seq| *seq < FRAMES - 1) {
            let (camera, seq) = taken(&receiver, Duration::from_secs(10)).expect("no frame gets lost");
            assert!(last.insert(camera.clone(), seq).is_none_or(|before| before < seq));
            *counts.entry(camera).or_default() += 1;
        }
        for camera in cameras {
            assert_eq!(counts[camera] + receiver.skipped(&CameraId::new(camera)), FRAMES);
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        drop(sender);
        assert!(matches!(receiver.take(Duration::ZERO), Taken::Closed));
    }
}
