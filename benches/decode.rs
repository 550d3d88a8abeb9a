//! How long a camera's JPEG takes to become pixels.
//!
//! The rest of a frame's way is `pipeline.rs`.
#![allow(clippy::expect_used, reason = "a benchmark that cannot be set up has nothing to say")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use image::codecs::jpeg::JpegEncoder;
use image::{Rgb, RgbImage};
use snova::face::decode_picture;

/// A picture with edges, slopes and noise, as a camera's has: flat ones decode too fast.
fn jpeg(width: u32, height: u32) -> Vec<u8> {
    let mut noise = 1u32;
    let picture = RgbImage::from_fn(width, height, |x, y| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let grain = (noise >> 28) as u8;
        let edge = if (x / 40 + y / 40).is_multiple_of(2) { 60 } else { 0 };
        Rgb([(x * 160 / width) as u8 + grain, (y * 160 / height) as u8 + edge + grain, 90 + edge + grain])
    });
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, 85).encode_image(&picture).expect("memory takes a JPEG");
    file
}

fn decode(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    for (width, height) in [(640, 480), (1280, 720)] {
        let file = jpeg(width, height);
        group.throughput(Throughput::Elements(u64::from(width) * u64::from(height)));
        group.bench_with_input(BenchmarkId::new("jpeg", format!("{width}x{height}")), &file, |b, file| {
            b.iter(|| decode_picture(black_box(file)).expect("our own JPEG"));
        });
    }
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
