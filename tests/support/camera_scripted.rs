//! A camera in a test's hands: plugged, unplugged, silent or giving pictures, as the test says.
//!
//! Recordings are not here: tests of those use the real sources.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use snova::camera::{Capture, FrameSource, Pace, SourceError, StopHandle};
use snova::face::Pixels;

/// The camera; clones are the same camera.
#[derive(Clone, Default)]
pub struct ScriptedCamera(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    changed: Condvar,
    opened: AtomicUsize,
}

#[derive(Default)]
struct State {
    plugged: bool,
    pictures: usize,
    /// Somebody is waiting for a picture that there is not.
    awaited: bool,
}

impl ScriptedCamera {
    pub fn plugged() -> Self {
        let camera = Self::default();
        camera.plug();
        camera
    }

    pub fn plug(&self) {
        self.change(|state| state.plugged = true);
    }

    /// Takes the camera away, with the pictures nobody has read.
    pub fn unplug(&self) {
        self.change(|state| (state.plugged, state.pictures) = (false, 0));
    }

    /// Lets the camera take one more picture.
    pub fn shoot(&self) {
        self.change(|state| state.pictures += 1);
    }

    /// Waits until all pictures are read and somebody waits for one more.
    pub fn wait_until_awaited(&self) {
        let state = self.0.state.lock().unwrap();
        drop(self.0.changed.wait_while(state, |state| !state.awaited).unwrap());
    }

    /// How often somebody tried to open it.
    pub fn openings(&self) -> usize {
        self.0.opened.load(Ordering::SeqCst)
    }

    pub fn open(&self) -> Result<Box<dyn FrameSource>, SourceError> {
        self.0.opened.fetch_add(1, Ordering::SeqCst);
        if !self.0.state.lock().unwrap().plugged {
            return Err(SourceError::new("the scripted camera is not there"));
        }
        Ok(Box::new(ScriptedSource { camera: self.clone(), stopped: Arc::default(), given: 0 }))
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.state.lock().unwrap());
        self.0.changed.notify_all();
    }
}

struct ScriptedSource {
    camera: ScriptedCamera,
    stopped: Arc<AtomicBool>,
    given: u32,
}

impl FrameSource for ScriptedSource {
    fn next(&mut self) -> Result<Option<Capture>, SourceError> {
        let inner = &self.camera.0;
        let nothing_new = |state: &mut State| {
            state.awaited = state.plugged && state.pictures == 0 && !self.stopped.load(Ordering::SeqCst);
            inner.changed.notify_all();
            state.awaited
        };
        let mut state = inner.changed.wait_while(inner.state.lock().unwrap(), nothing_new).unwrap();
        if self.stopped.load(Ordering::SeqCst) {
            return Err(SourceError::new("the scripted camera was stopped"));
        }
        if !state.plugged {
            return Err(SourceError::new("the scripted camera was unplugged"));
        }
        state.pictures -= 1;
        self.given += 1;
        let offset = Duration::from_millis(100) * (self.given - 1);
        Ok(Some(Capture { offset, pixels: Pixels::Rgb8(image::RgbImage::new(4, 4)) }))
    }

    fn pace(&self) -> Pace {
        Pace::Live
    }

    fn stop_handle(&self) -> Option<StopHandle> {
        let (camera, stopped) = (self.camera.clone(), Arc::clone(&self.stopped));
        Some(StopHandle::new(move || camera.change(|_| stopped.store(true, Ordering::SeqCst))))
    }
}
