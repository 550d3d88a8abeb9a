//! How long a search of the gallery takes, by the number of enrolled customers.
//!
//! 192 values are those of the default pack. What a frame costs besides is `pipeline.rs`.
#![allow(clippy::expect_used, reason = "a benchmark that cannot be set up has nothing to say")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use snova::customer::CustomerId;
use snova::face::Embedding;
use snova::gallery::Gallery;
use uuid::Uuid;

const DIMENSION: usize = 192;

/// Unit vectors of evenly spread values: what they say does not matter to an exact scan.
fn embedding(seed: &mut u64) -> Embedding {
    let mut next = || {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        (*seed >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    Embedding::from_raw((0..DIMENSION).map(|_| next()).collect()).expect("random values are not all zero")
}

fn gallery(customers: usize, seed: &mut u64) -> Gallery {
    let customer = |n: usize| (CustomerId(Uuid::from_u128(n as u128)), vec![embedding(seed)]);
    Gallery::build(DIMENSION, (0..customers).map(customer))
}

fn search(c: &mut Criterion) {
    let mut group = c.benchmark_group("gallery");
    let mut seed = 0x9e37_79b9_7f4a_7c15;
    for customers in [1_000, 10_000, 100_000] {
        let gallery = gallery(customers, &mut seed);
        let probe = embedding(&mut seed);
        group.throughput(Throughput::Elements(customers as u64));
        group.bench_with_input(BenchmarkId::new("search", customers), &gallery, |b, gallery| {
            b.iter(|| gallery.search(black_box(&probe), 4));
        });
    }
    group.finish();
    let large = gallery(100_000, &mut seed);
    c.bench_function("gallery/erase/100000", |b| b.iter(|| large.without(black_box(CustomerId(Uuid::from_u128(777))))));
}

criterion_group!(benches, search);
criterion_main!(benches);
