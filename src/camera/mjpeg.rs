//! A network camera that gives JPEG pictures over HTTP: a stream without end, or one picture a request.
//!
//! The request is not here (see `http.rs`), nor what cameras do to a multipart stream (see `multipart.rs`).

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use hyper::body::{Body, Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use tokio::runtime::{self, Runtime};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

use super::http::HttpCamera;
use super::jpeg::whole_jpeg;
use super::multipart::{Part, Parts, boundary_of};
use super::pipe::MOST_JPEG_BYTES;
use super::{Capture, FrameSource, NetworkConfig, Pace, SourceError, StopHandle};
use crate::clock::{Clock, Monotonic, SystemClock};
use crate::face::Pixels;

/// A camera that sends nothing but damaged pictures is not alive; one damaged now and then is nothing.
const MOST_DAMAGED: u32 = 30;
const DAMAGED_FOR: Duration = Duration::from_secs(5);

/// How often a camera of single pictures is asked. More wears out their small processors.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// Once there is a picture, a newer one is looked for while bytes come without a pause, so that pictures which
/// queued in the network are passed over; a picture is late by at most this.
const NEWER_WITHIN: Duration = Duration::from_millis(5);
const PAUSE: Duration = Duration::from_millis(1);

/// A camera whose pictures come over HTTP.
pub struct MjpegSource {
    /// Everything happens inside of `next`; there is always one until the drop.
    runtime: Option<Runtime>,
    camera: HttpCamera,
    feed: Feed,
    damaged: Damaged,
    stop: watch::Sender<bool>,
    clock: SystemClock,
    first_at: Option<Monotonic>,
    ended: Option<SourceError>,
}

/// What the camera is giving.
enum Feed {
    NotAsked,
    Stream {
        body: Incoming,
        parts: Parts,
    },
    /// One picture a request; the body of the latest answer, until it is read.
    Single {
        body: Option<Incoming>,
        turns: Interval,
    },
}

/// Damaged pictures: all of them, and those since the last good one.
#[derive(Default)]
struct Damaged {
    in_all: u64,
    in_a_row: u32,
    since: Option<Monotonic>,
}

impl MjpegSource {
    /// Reads the address; the camera is asked at the first `next`.
    pub fn open(config: &NetworkConfig) -> Result<Self, SourceError> {
        let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build();
        let runtime = runtime.map_err(|error| SourceError::new(format!("no network for the camera: {error}")))?;
        Ok(Self {
            runtime: Some(runtime),
            camera: HttpCamera::new(config)?,
            feed: Feed::NotAsked,
            damaged: Damaged::default(),
            stop: watch::Sender::new(false),
            clock: SystemClock::new(),
            first_at: None,
            ended: None,
        })
    }

    /// Waits for a whole picture.
    async fn picture(&mut self) -> Result<Vec<u8>, SourceError> {
        loop {
            let part = match &mut self.feed {
                Feed::NotAsked => {
                    self.ask().await?;
                    continue;
                }
                Feed::Stream { body, parts } => newest_part(body, parts, &self.camera.name()).await?,
                Feed::Single { body, turns } => {
                    let Some(body) = body.take() else {
                        turns.tick().await;
                        self.ask().await?;
                        continue;
                    };
                    single_picture(body, &self.camera.name()).await?
                }
            };
            match part {
                Part::Picture(picture) => {
                    (self.damaged.in_a_row, self.damaged.since) = (0, None);
                    return Ok(picture);
                }
                Part::Damaged => self.note_damaged()?,
            }
        }
    }

    /// Sends a request and looks what kind of answer comes.
    async fn ask(&mut self) -> Result<(), SourceError> {
        let response = self.camera.get().await?;
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if let Some(boundary) = boundary_of(kind) {
            self.feed = Feed::Stream { parts: Parts::new(&boundary), body: response.into_body() };
            return Ok(());
        }
        let is_picture = ["image/jpeg", "image/jpg"]
            .iter()
            .any(|jpeg| kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(jpeg));
        if !is_picture {
            let (name, kind) = (self.camera.name(), printable(kind));
            let text = format!("{name} gives \"{kind}\" and not JPEG pictures");
            return Err(SourceError::new(format!("{text}; give the address of its MJPEG stream")));
        }
        let fresh = Some(response.into_body());
        match &mut self.feed {
            Feed::Single { body, .. } => *body = fresh,
            feed => {
                let mut turns = interval(ASK_EVERY);
                turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
                // The first turn is now, and was used for this request.
                turns.reset();
                *feed = Feed::Single { body: fresh, turns };
            }
        }
        Ok(())
    }

    fn note_damaged(&mut self) -> Result<(), SourceError> {
        let now = self.clock.monotonic();
        let damaged = &mut self.damaged;
        damaged.in_all += 1;
        damaged.in_a_row += 1;
        let since = *damaged.since.get_or_insert(now);
        if damaged.in_a_row < MOST_DAMAGED && now.since(since) < DAMAGED_FOR {
            return Ok(());
        }
        let (name, count) = (self.camera.name(), damaged.in_a_row);
        Err(SourceError::new(format!("{name} sent {count} damaged pictures in a row; check its cable and network")))
    }
}

impl FrameSource for MjpegSource {
    fn next(&mut self) -> Result<Option<Capture>, SourceError> {
        if let Some(error) = &self.ended {
            return Err(error.clone());
        }
        let Some(runtime) = self.runtime.take() else { return Err(SourceError::new("the camera was left")) };
        let mut stop = self.stop.subscribe();
        let picture = runtime.block_on(async {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stopped| *stopped) => Err(SourceError::new("the camera was stopped")),
                picture = self.picture() => picture,
            }
        });
        self.runtime = Some(runtime);
        let picture = picture.inspect_err(|error| self.ended = Some(error.clone()))?;
        let now = self.clock.monotonic();
        let offset = now.since(*self.first_at.get_or_insert(now));
        Ok(Some(Capture { offset, pixels: Pixels::Jpeg(picture) }))
    }

    fn pace(&self) -> Pace {
        Pace::Live
    }

    fn frozen_after(&self) -> Option<Duration> {
        Some(super::SAME_BYTES_FOR)
    }

    fn stop_handle(&self) -> Option<StopHandle> {
        let stop = self.stop.clone();
        Some(StopHandle::new(move || {
            stop.send_replace(true);
        }))
    }
}

impl Drop for MjpegSource {
    fn drop(&mut self) {
        if self.damaged.in_all > 0 {
            tracing::debug!(damaged = self.damaged.in_all, "damaged pictures of a network camera were left out");
        }
        // Closes the connection, and does not wait for a name that is being looked up.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The next part of the stream, and of several whole pictures that have arrived the newest.
async fn newest_part(body: &mut Incoming, parts: &mut Parts, name: &str) -> Result<Part, SourceError> {
    let endless = |_| SourceError::new(format!("{name} sent 16 MB without a picture; lower its resolution"));
    let mut newest = loop {
        match parts.next().map_err(endless)? {
            Some(Part::Picture(picture)) => break picture,
            Some(Part::Damaged) => return Ok(Part::Damaged),
            None => match next_bytes(body, name).await? {
                Some(bytes) => parts.push(&bytes),
                None => return Err(SourceError::new(format!("{name} ended its pictures; is somebody else using it?"))),
            },
        }
    };
    // An error is met again by the next call: the picture that there is goes first.
    let _ = timeout(NEWER_WITHIN, async {
        loop {
            while let Ok(Some(part)) = parts.next() {
                if let Part::Picture(picture) = part {
                    newest = picture;
                }
            }
            match timeout(PAUSE, next_bytes(body, name)).await {
                Ok(Ok(Some(bytes))) => parts.push(&bytes),
                _ => return,
            }
        }
    })
    .await;
    Ok(Part::Picture(newest))
}

/// The whole body of one answer, as a picture.
async fn single_picture(mut body: Incoming, name: &str) -> Result<Part, SourceError> {
    let mut picture = Vec::new();
    while let Some(bytes) = next_bytes(&mut body, name).await? {
        if picture.len() + bytes.len() > MOST_JPEG_BYTES {
            return Err(SourceError::new(format!("{name} sent a picture of more than 16 MB; lower its resolution")));
        }
        picture.extend_from_slice(&bytes);
    }
    Ok(whole_jpeg(&picture).map_or(Part::Damaged, |whole| Part::Picture(whole.bytes.to_vec())))
}

/// Some more bytes; `None` at the end of the body.
async fn next_bytes(body: &mut Incoming, name: &str) -> Result<Option<Bytes>, SourceError> {
    loop {
        match poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await {
            None => return Ok(None),
            Some(Ok(frame)) => {
                // The other kind of frame are headers after the body, which nobody needs.
                if let Ok(bytes) = frame.into_data() {
                    return Ok(Some(bytes));
                }
            }
            Some(Err(error)) => {
                return Err(SourceError::new(format!("the connection to {name} broke: {error}; check its cable")));
            }
        }
    }
}

/// A short text from the network, fit for one line.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}
