//! What one frame costs, stage by stage and as a whole, beside the bare time of the two graphs.
//!
//! Bare and own times come from one run, so that their ratio holds on a machine whose speed varies. Searching is
//! `gallery.rs`, JPEG in other sizes `decode.rs`.
#![allow(clippy::expect_used, clippy::panic, reason = "a benchmark that cannot be set up has nothing to say")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::TensorRef;
use snova::app::Places;
use snova::camera::{FrameSource, Scene, SceneSource};
use snova::clock::{Clock, Monotonic, SystemClock};
use snova::customer::{CustomerId, Decision};
use snova::face::{CameraId, CounterId, Detection, Frame, Pixels, decode_picture};
use snova::gallery::{Gallery, GalleryHandle};
use snova::pipeline::{Pipeline, PipelineConfig, StepOutcome};
use snova::vision::{Vision, VisionConfig, portrait, runtime};
use uuid::Uuid;

const PACK: &str = "centerface-mobilefacenet";

/// The frame of a shipped scene at `at_s` seconds.
fn scene_frame(name: &str, at_s: f32) -> RgbImage {
    let media = Places::media().expect("the sample pictures are installed: run `snova setup`");
    let scene = Scene::open(&Path::new("scenes").join(name), &media).expect("a shipped scene opens");
    let mut source = SceneSource::new(scene, false);
    loop {
        let capture = source.next().expect("a scene does not fail").expect("the scene is longer");
        if let (true, Pixels::Rgb8(picture)) = (capture.offset.as_secs_f32() >= at_s, capture.pixels) {
            return picture;
        }
    }
}

fn frames() -> [(&'static str, RgbImage, usize); 3] {
    [
        ("0_faces", scene_frame("regular.toml", 0.0), 0),
        ("1_face", scene_frame("regular.toml", 4.0), 1),
        ("2_faces", scene_frame("two-regulars.toml", 5.0), 2),
    ]
}

/// The pipeline with the time line of its frames.
struct Line {
    pipeline: Pipeline,
    now: Monotonic,
    seq: u64,
}

impl Line {
    fn new(places: &Places, gallery: Gallery) -> Self {
        let vision = open(places);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let gallery = GalleryHandle::new(gallery);
        let pipeline = Pipeline::new(Box::new(vision), gallery, clock, PipelineConfig::default());
        Self { pipeline, now: Monotonic::default(), seq: 0 }
    }

    /// One frame, `after` the last one.
    fn step(&mut self, picture: &RgbImage, after: Duration) -> StepOutcome {
        self.now = self.now + after;
        self.seq += 1;
        let (counter, camera) = (CounterId::new("till-1"), CameraId::new("front"));
        let pixels = Pixels::Rgb8(picture.clone());
        let frame = Frame { counter, camera, seq: self.seq, captured_at: self.now, pixels };
        self.pipeline.step(frame).expect("the frame can be looked at")
    }
}

fn open(places: &Places) -> impl Vision + use<> {
    // One thread, as the bare graphs beside it have: what the threads do is `whole_box`'s.
    let config = VisionConfig { threads: 1, ..VisionConfig::default() };
    snova::vision::open(&places.pack, &places.library, &config).expect("the pack opens")
}

/// Everybody in `picture`, enrolled from this very picture.
fn gallery_of(vision: &mut dyn Vision, picture: &RgbImage) -> Gallery {
    let faces = vision.detect(picture).expect("the detector runs");
    let chips: Vec<_> = faces.iter().filter_map(|f| portrait(vision, picture, f).ok().map(|p| p.chip)).collect();
    let embeddings = vision.embed(&chips).expect("the embedder runs");
    let customer = |(n, e)| (CustomerId(Uuid::from_u128(n as u128 + 1)), vec![e]);
    Gallery::build(vision.pack().dimension, embeddings.into_iter().enumerate().map(customer))
}

fn stages(c: &mut Criterion) {
    let places = Places::find(None, None, PACK).expect("the models are installed: run `snova setup`");
    let mut vision = open(&places);
    let picture = scene_frame("regular.toml", 4.0);
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, 85).encode_image(&picture).expect("memory takes a JPEG");
    let mut group = c.benchmark_group("stage");
    group.bench_function("decode_640x480", |b| b.iter(|| decode_picture(black_box(&jpeg)).expect("our own JPEG")));
    group.bench_function("detect_480", |b| b.iter(|| vision.detect(black_box(&picture)).expect("it runs")));
    bare(&mut group, "detect_480_bare_graph", &places.pack.join("centerface.onnx"), [1, 3, 352, 480], 0.0..255.0);
    let faces: Vec<Detection> = vision.detect(&picture).expect("the detector runs");
    let [face] = faces.as_slice() else { panic!("the frame shows one face") };
    group.bench_function("gate_and_align", |b| {
        b.iter(|| portrait(&vision, black_box(&picture), face).expect("aligned"));
    });
    let chips = [portrait(&vision, &picture, face).expect("aligned").chip];
    group.bench_function("embed", |b| b.iter(|| vision.embed(black_box(&chips)).expect("it runs")));
    bare(&mut group, "embed_bare_graph", &places.pack.join("mobilefacenet.onnx"), [1, 3, 112, 112], -1.0..1.0);
    group.finish();
}

/// The graph alone, run as the pack runs it, on noise in `range`: ONNX Runtime's PRelu branches on its values,
/// so that a regular pattern would be faster than any picture.
fn bare(
    group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
    name: &str,
    graph: &Path,
    shape: [usize; 4],
    range: std::ops::Range<f32>,
) {
    let environment = runtime::environment().expect("the pack has loaded it");
    let open = || -> ort::Result<Session> {
        let mut builder = Session::builder(environment)?
            .with_intra_threads(1)?
            .with_inter_threads(1)?
            .with_intra_op_spinning(false)?
            .with_optimization_level(GraphOptimizationLevel::All)?;
        builder.commit_from_file(graph)
    };
    let mut session = open().expect("the graph loads");
    let noise = |i: usize| (i as u32).wrapping_mul(2_654_435_761).rotate_left(15).wrapping_mul(2_246_822_519) >> 8;
    let value = |i| range.start + (range.end - range.start) * noise(i) as f32 / (1 << 24) as f32;
    let values: Vec<f32> = (0..shape.iter().product()).map(value).collect();
    group.bench_function(name, |b| {
        b.iter(|| {
            let input = TensorRef::from_array_view((shape, black_box(values.as_slice()))).expect("a tensor");
            session.run(ort::inputs![input]).map(|outputs| outputs.len()).expect("the graph runs")
        });
    });
}

fn steps(c: &mut Criterion) {
    const NEXT_FRAME: Duration = Duration::from_millis(66);
    const NEXT_CUSTOMER: Duration = Duration::from_secs(2);
    let places = Places::find(None, None, PACK).expect("the models are installed: run `snova setup`");
    let mut group = c.benchmark_group("step");
    for (name, picture, faces) in frames() {
        let gallery = gallery_of(&mut open(&places), &picture);
        let mut line = Line::new(&places, gallery);
        // What a box does nearly all the time: nobody there, or customers whose names are known.
        let known = |outcome: &StepOutcome| {
            outcome.sightings.iter().filter(|s| matches!(s.decision, Decision::Match(_))).count()
        };
        let warm = (0..12).map(|_| known(&line.step(&picture, NEXT_FRAME))).last();
        assert_eq!(warm, Some(faces), "everybody in the frame is known");
        group.bench_function(format!("{name}_known"), |b| b.iter(|| line.step(black_box(&picture), NEXT_FRAME)));
        if faces > 0 {
            // The dearest frame: every face is new, and each is embedded.
            let first = format!("{name}_first_look");
            group.bench_function(first, |b| b.iter(|| line.step(black_box(&picture), NEXT_CUSTOMER)));
        }
    }
    group.finish();
}

criterion_group!(benches, stages, steps);
criterion_main!(benches);
