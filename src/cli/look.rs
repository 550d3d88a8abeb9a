//! A bounded look through a camera, for commands: some pictures, how soon they came and how fast.
//!
//! Keeping a camera alive is not here: that is `crate::camera`'s supervisor.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::camera::{self, Pace, SourceSpec, StopHandle};
use crate::face::Pixels;

/// What was seen.
pub(super) struct Look {
    /// The last picture: by then a camera has found its exposure.
    pub picture: Pixels,
    /// From the opening to the first picture.
    pub first_after: Duration,
    /// Pictures a second, if there were two or more.
    pub rate: Option<f64>,
}

/// Opens the source and takes up to `count` pictures, fewer if it ends before or `within` is over; `None` if it
/// has none. A source that keeps silent is stopped, which is an error if nothing had come.
pub(super) fn look(spec: &SourceSpec, count: usize, within: Duration) -> Result<Option<Look>> {
    let clock = super::system_clock();
    let opened_at = clock.monotonic();
    let mut source = camera::open(spec)?;
    let watch = Watch::start(source.stop_handle(), within)?;
    let (mut last, mut first_after, mut times) = (None, Duration::ZERO, Vec::new());
    while times.len() < count {
        let capture = match source.next() {
            Ok(Some(capture)) => capture,
            Ok(None) => break,
            Err(_) if watch.is_over() && last.is_some() => break,
            Err(_) if watch.is_over() => {
                bail!("no picture within {} s; check the camera's cable and power", within.as_secs())
            }
            Err(error) => return Err(error.into()),
        };
        let now = clock.monotonic().since(opened_at);
        if times.is_empty() {
            first_after = now;
        }
        // A recording is read faster than life: its own time counts.
        times.push(if source.pace() == Pace::Live { now } else { capture.offset });
        last = Some(capture.pixels);
    }
    Ok(last.map(|picture| Look { picture, first_after, rate: rate(&times) }))
}

/// How a picture came from its camera.
pub(super) fn format_of(picture: &Pixels) -> &'static str {
    match picture {
        Pixels::Rgb8(_) => "rgb",
        Pixels::Jpeg(_) => "mjpeg",
        Pixels::Yuyv(_) => "yuyv",
    }
}

/// A thread that stops a source after a time; it ends when this is dropped.
struct Watch {
    over: Arc<AtomicBool>,
    _done: SyncSender<()>,
}

impl Watch {
    fn start(stop: Option<StopHandle>, within: Duration) -> Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let (done, waits) = sync_channel(0);
        let noted = Arc::clone(&over);
        let watch = move || {
            if waits.recv_timeout(within) == Err(RecvTimeoutError::Timeout) {
                noted.store(true, Ordering::Release);
                stop.iter().for_each(StopHandle::stop);
            }
        };
        std::thread::Builder::new().name("look".into()).spawn(watch).context("no thread to watch the camera")?;
        Ok(Self { over, _done: done })
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }
}

fn rate(times: &[Duration]) -> Option<f64> {
    let seconds = times.last()?.saturating_sub(*times.first()?).as_secs_f64();
    (seconds > 0.0).then(|| (times.len() - 1) as f64 / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::ImagesConfig;

    fn folder_of(pictures: u32) -> (tempfile::TempDir, SourceSpec) {
        let folder = tempfile::tempdir().unwrap();
        for n in 0..pictures {
            image::RgbImage::new(8, 6).save(folder.path().join(format!("{n}.png"))).unwrap();
        }
        let config = ImagesConfig { folder: folder.path().into(), fps: 10.0, repeat: false };
        (folder, SourceSpec::Images(config))
    }

    #[test]
    fn a_recording_is_seen_at_its_own_rate_and_as_far_as_it_goes() {
        let (_folder, spec) = folder_of(3);
        for count in [2, 3, 20] {
            let look = look(&spec, count, Duration::from_secs(60)).unwrap().unwrap();
            assert!((look.rate.unwrap() - 10.0).abs() < 0.01);
        }
        assert_eq!(look(&spec, 1, Duration::from_secs(60)).unwrap().unwrap().rate, None);
    }
}
