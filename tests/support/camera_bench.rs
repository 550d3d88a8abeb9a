//! One supervised camera on a bench: its frames, its states, its stop.
//!
//! The camera itself is the test's: a scripted one, a recording, a server.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::sync::Arc;
use std::time::Duration;

use snova::camera::{Camera, CameraConfig, CameraState, FrameReceiver, FrameSource, SourceError, Taken, newest_frames};
use snova::clock::{Clock, Monotonic, SystemClock};
use snova::face::{CameraId, CounterId, Frame};
use snova::shutdown::{self, Stopper};

/// No condition takes longer in a healthy build, however busy the machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Bench {
    pub camera: Camera,
    pub frames: FrameReceiver,
    stopper: Stopper,
}

impl Bench {
    pub fn new(
        name: &str,
        stall_after: Duration,
        clock: Arc<dyn Clock>,
        open: impl Fn() -> Result<Box<dyn FrameSource>, SourceError> + Send + 'static,
    ) -> Self {
        let (sender, frames) = newest_frames();
        let (stopper, shutdown) = shutdown::channel();
        let config = CameraConfig { counter: CounterId::new("till-1"), camera: CameraId::new(name), stall_after };
        let camera = Camera::start(config, open, sender, clock, shutdown).unwrap();
        Self { camera, frames, stopper }
    }

    pub fn state_becomes(&self, wanted: impl FnMut(&CameraState) -> bool) -> CameraState {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut watch = self.camera.watch();
        runtime.block_on(async {
            let waited = tokio::time::timeout(PATIENCE, watch.wait_for(wanted)).await;
            waited.unwrap_or_else(|_| panic!("it stays {:?}", self.camera.state())).unwrap().clone()
        })
    }

    pub fn frame(&self) -> Frame {
        match self.frames.take(PATIENCE) {
            Taken::Frame(frame) => frame,
            Taken::Nothing => panic!("no frame in time; {:?}", self.camera.state()),
            Taken::Closed => panic!("the camera has stopped"),
        }
    }

    /// Asks for the stop and gives how long the camera took for it.
    pub fn stop(self) -> Duration {
        let clock = SystemClock::new();
        self.stopper.stop();
        assert!(self.camera.join(PATIENCE), "it stops");
        clock.monotonic().since(Monotonic::default())
    }
}

pub fn lost_by(state: &CameraState, what: &str) -> bool {
    matches!(state, CameraState::Lost { cause, .. } if cause.contains(what))
}
