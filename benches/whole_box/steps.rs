//! One frame's step from an encoded picture to sightings, with what of it is spent outside of the models.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use image::codecs::jpeg::JpegEncoder;
use snova::app::Places;
use snova::camera::{FrameSource, Scene, SceneSource};
use snova::clock::{Clock, Monotonic, SystemClock};
use snova::customer::{CustomerId, Decision};
use snova::face::{CameraId, CounterId, Frame, Pixels, decode_picture};
use snova::gallery::{Gallery, GalleryHandle};
use snova::pipeline::{Pipeline, PipelineConfig, Stage, StepOutcome};
use snova::vision::{Vision, VisionConfig, portrait};
use uuid::Uuid;

use super::Sorted;

pub const PACK: &str = "centerface-mobilefacenet";
const RUNS: usize = 300;

/// A regular at the counter, as a camera sends it: JPEG, 640×480, quality 85.
pub fn regular() -> Vec<u8> {
    let media = Places::media().expect("the sample pictures are installed: run `snova setup`");
    let scene = Scene::open(Path::new("scenes/regular.toml"), &media).expect("a shipped scene opens");
    let mut source = SceneSource::new(scene, false);
    loop {
        let capture = source.next().expect("a scene does not fail").expect("the scene is longer");
        if let (true, Pixels::Rgb8(picture)) = (capture.offset >= Duration::from_secs(4), capture.pixels) {
            let mut jpeg = Vec::new();
            JpegEncoder::new_with_quality(&mut jpeg, 85).encode_image(&picture).expect("memory takes a JPEG");
            return jpeg;
        }
    }
}

pub fn open(threads: usize) -> impl Vision + use<> {
    let places = Places::find(None, None, PACK).expect("the models are installed: run `snova setup`");
    let config = VisionConfig { threads, ..VisionConfig::default() };
    snova::vision::open(&places.pack, &places.library, &config).expect("the pack opens")
}

/// Everybody in the picture, enrolled from it.
fn gallery(vision: &mut dyn Vision, jpeg: &[u8]) -> Gallery {
    let picture = decode_picture(jpeg).expect("our own JPEG");
    let faces = vision.detect(&picture).expect("the detector runs");
    let chips: Vec<_> = faces.iter().filter_map(|f| portrait(vision, &picture, f).ok().map(|p| p.chip)).collect();
    let embeddings = vision.embed(&chips).expect("the embedder runs");
    let customer = |(n, e)| (CustomerId(Uuid::from_u128(n as u128 + 1)), vec![e]);
    Gallery::build(vision.pack().dimension, embeddings.into_iter().enumerate().map(customer))
}

pub fn measure() {
    let jpeg = regular();
    for threads in [1, 2] {
        let mut vision = open(threads);
        let gallery = GalleryHandle::new(gallery(&mut vision, &jpeg));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let pipeline = Pipeline::new(Box::new(vision), gallery, clock, PipelineConfig::default());
        let mut line = Line { pipeline, now: Monotonic::default(), seq: 0 };
        for (what, after) in [("known", Duration::from_millis(66)), ("first look", Duration::from_secs(2))] {
            let warm: Vec<StepOutcome> = (0..12).map(|_| line.step(&jpeg, after).1).collect();
            let last = warm.last().expect("some");
            assert_eq!(last.sightings.len(), 1, "one face");
            let known = matches!(last.sightings[0].decision, Decision::Match(_));
            assert_eq!(known, what == "known", "{what}");
            let runs: Vec<(Duration, StepOutcome)> = (0..RUNS).map(|_| line.step(&jpeg, after)).collect();
            let times = |of: &dyn Fn(&(Duration, StepOutcome)) -> Duration| Sorted::new(runs.iter().map(of).collect());
            let title = format!("step, one face, {what}, {threads} thread{}", if threads == 1 { "" } else { "s" });
            println!("{title:<42} {}", times(&|(took, _)| *took));
            println!("{:<42} {}", "  inside of the models", times(&|(_, o)| o.in_graphs));
            println!("{:<42} {}", "  outside of the models", times(&|(took, o)| took.saturating_sub(o.in_graphs)));
            for stage in Stage::ALL {
                let of = |(_, o): &(Duration, StepOutcome)| {
                    o.times.iter().find(|(s, _)| *s == stage).map_or(Duration::ZERO, |(_, took)| *took)
                };
                println!("{:<42} {:6.2} ms (median)", format!("    {}", stage.as_str()), times(&of).at(0.5));
            }
        }
    }
}

struct Line {
    pipeline: Pipeline,
    now: Monotonic,
    seq: u64,
}

impl Line {
    /// One frame, `after` the last one, with the time it took.
    fn step(&mut self, jpeg: &[u8], after: Duration) -> (Duration, StepOutcome) {
        self.now = self.now + after;
        self.seq += 1;
        let (counter, camera) = (CounterId::new("till-1"), CameraId::new("front"));
        let pixels = Pixels::Jpeg(jpeg.to_vec());
        let frame = Frame { counter, camera, seq: self.seq, captured_at: self.now, pixels };
        let began = Instant::now();
        let outcome = self.pipeline.step(frame).expect("the frame can be looked at");
        (began.elapsed(), outcome)
    }
}
