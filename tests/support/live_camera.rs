//! What a test sees of a network camera: the grey of its pictures, how it ends, its supervised state.
//!
//! The servers are not here: see `mjpeg_server.rs` and `rtsp_server.rs`.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use snova::camera::{FrameSource, SourceError, SourceSpec, open};
use snova::clock::{Monotonic, SystemClock};
use snova::face::{CameraId, CounterId, Frame};

use crate::camera_bench::Bench;

pub const STALL: Duration = Duration::from_secs(1);

/// What is promised: pictures again so long after the camera is back.
pub const BACK_WITHIN: Duration = Duration::from_secs(5);

pub fn supervised(spec: SourceSpec) -> Bench {
    supervised_as("door", spec)
}

pub fn supervised_as(name: &str, spec: SourceSpec) -> Bench {
    Bench::new(name, STALL, Arc::new(SystemClock::new()), move || open(&spec))
}

/// The grey in the middle and the size of the source's next picture.
pub fn grey(source: &mut dyn FrameSource) -> Result<(u8, (u32, u32)), SourceError> {
    let pixels = source.next()?.expect("a camera has no end").pixels;
    let (counter, camera) = (CounterId::new("till-1"), CameraId::new("door"));
    let frame = Frame { counter, camera, seq: 0, captured_at: Monotonic::default(), pixels };
    let picture = frame.into_rgb().expect("a picture that can be decoded");
    Ok((picture.get_pixel(picture.width() / 2, picture.height() / 2).0[0], picture.dimensions()))
}

/// How a source that is opened now ends, after how many pictures.
pub fn end_of(spec: &SourceSpec) -> (usize, SourceError) {
    let mut source = open(spec).expect("an address that can be used");
    let mut given = 0;
    let error = loop {
        match source.next() {
            Ok(_) => {
                given += 1;
                assert!(given < 300, "it gives pictures and does not end");
            }
            Err(error) => break error,
        }
    };
    let text = error.to_string();
    assert!(!text.contains('\n') && text.len() < 400, "{text}");
    assert_eq!(source.next().err().map(|error| error.to_string()), Some(text), "it stays ended");
    (given, error)
}

/// Everything that this test program logs, whatever the level.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Once a test program.
    pub fn install() -> Self {
        let log = Self::default();
        let writer = log.clone();
        let lines = tracing_subscriber::fmt().with_ansi(false).with_max_level(tracing::Level::TRACE);
        lines.with_writer(move || writer.clone()).init();
        log
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
