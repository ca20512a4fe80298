//! Hot paths of updates: making an image, encoding a block (once per block and campaign), decoding it
//! and asking for it (once per block and device), in JSON and in CBOR.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fleetstorm::wire::aws_streams::{Data, Encoding, Get, MAX_FILE_BYTES, encode_block};
use fleetstorm::wire::image::Image;
use fleetstorm::wire::reported::Report;
use std::hint::black_box;

const BLOCK_BYTES: u32 = 4096;

fn images(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("image");
    group.sample_size(10);
    for len in [1 << 18, MAX_FILE_BYTES] {
        group.throughput(Throughput::Bytes(len.into()));
        group.bench_function(BenchmarkId::from_parameter(len), |b| {
            b.iter(|| black_box(Image::new(42, "2.0.0", len)));
        });
    }
    group.finish();
}

fn blocks(criterion: &mut Criterion) {
    let image = Image::new(42, "2.0.0", BLOCK_BYTES);
    let mut group = criterion.benchmark_group("block");
    group.throughput(Throughput::Bytes(BLOCK_BYTES.into()));
    for encoding in Encoding::ALL {
        let name = |what: &str| BenchmarkId::new(what, encoding.word());
        group.bench_function(name("encode"), |b| {
            b.iter(|| encode_block(encoding, 0, 7, black_box(&image.bytes)));
        });
        let payload = encode_block(encoding, 0, 7, &image.bytes);
        let mut scratch = Vec::new();
        group.bench_function(name("decode"), |b| {
            b.iter(|| {
                let data = Data::read(encoding, black_box(&payload), &mut scratch);
                data.expect("a block").bytes.len()
            });
        });
        group.bench_function(name("ask"), |b| {
            b.iter(|| Get::one(0, BLOCK_BYTES, black_box(7)).write(encoding));
        });
        let asked = Get::one(0, BLOCK_BYTES, 7).write(encoding);
        group.bench_function(name("asked"), |b| {
            b.iter(|| {
                let get = Get::read(encoding, black_box(&asked)).expect("a request");
                get.blocks(1, 0, MAX_FILE_BYTES).map(Iterator::count)
            });
        });
    }
    group.finish();
}

fn reports(criterion: &mut Criterion) {
    let payload = br#"{"at":61000,"fw":"1.4.2","region":"north","hw":"B","tier":"normal"}"#;
    criterion.bench_function("reported/read", |b| {
        b.iter(|| Report::read(black_box(payload)).map(|report| report.attributes.len()));
    });
}

criterion_group!(benches, images, blocks, reports);
criterion_main!(benches);
