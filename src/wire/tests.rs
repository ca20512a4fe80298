//! Messages byte by byte in both directions, and what holds for all of them.

mod aws_jobs;
mod aws_streams;
mod generic_action;
mod own;
mod properties;
mod thingsboard;

use super::image::{self, Image};
use super::{Reason, Stage, Status};

/// SHA-256 of nothing (FIPS 180-4 test vector), in payloads of tests.
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn empty_sha256() -> [u8; 32] {
    image::of_hex(EMPTY_SHA256).expect("64 hex digits")
}

/// A payload as text, for comparisons that can be read when they fail.
fn text(payload: &[u8]) -> &str {
    std::str::from_utf8(payload).expect("text")
}

/// Everything that a device can say.
fn all_statuses() -> impl Iterator<Item = Status> {
    Stage::ALL.into_iter().flat_map(|stage| {
        let reasons = Reason::ALL.map(|reason| Status::because(stage, reason));
        let mut all = reasons.to_vec();
        all.dedup();
        all
    })
}

#[test]
fn an_image_is_a_function_of_seed_and_version() {
    let image = Image::new(42, "2.0.0", 20);
    assert_eq!(image, Image::new(42, "2.0.0", 20));
    // Part of the reproducibility contract: these bytes never change.
    assert_eq!(
        image.bytes[..],
        [
            0x8a, 0x24, 0x6c, 0xc5, 0xc8, 0x14, 0x39, 0xf6, 0x8d, 0x4e, 0x16, 0xc7, 0xbb, 0x51,
            0xa4, 0xbb, 0x93, 0x4d, 0xbc, 0x26
        ]
    );
    assert_eq!(
        image::hex(&image.sha256),
        "65d58bb7b04943541d7bf3408679697ed1953008b6a22c1f8dc994c8add6a475"
    );
    assert_ne!(image.bytes, Image::new(43, "2.0.0", 20).bytes);
    assert_ne!(image.bytes, Image::new(42, "2.0.1", 20).bytes);
    assert_eq!(image.bytes, Image::new(42, "2.0.0", 30).bytes[..20]);
    assert_eq!(image::hex(&Image::new(42, "", 0).sha256), EMPTY_SHA256);
}

#[test]
fn the_blocks_of_an_image_are_slices_of_it() {
    let image = Image::new(1, "1.0.0", 1000);
    assert_eq!(image.blocks(256), 4);
    assert_eq!(image.blocks(250), 4);
    assert_eq!(image.blocks(1000), 1);
    assert_eq!(Image::new(1, "1.0.0", 0).blocks(256), 0);
    let lens = (0..5).map(|index| image.block(index, 256).map(|block| block.len()));
    assert_eq!(
        lens.collect::<Vec<_>>(),
        [Some(256), Some(256), Some(256), Some(232), None]
    );
    let block = image.block(1, 256).expect("inside");
    assert_eq!(block, image.bytes[256..512]);
    assert_eq!(block.as_ptr(), image.bytes[256..].as_ptr(), "not copied");
    assert_eq!(image.block(u32::MAX, u32::MAX), None);
}

#[test]
fn hashes_as_text() {
    let sha256 = Image::new(7, "x", 100).sha256;
    assert_eq!(image::of_hex(&image::hex(&sha256)), Some(sha256));
    assert_eq!(
        image::of_hex(&image::hex(&sha256).to_uppercase()),
        Some(sha256)
    );
    for bad in ["", &EMPTY_SHA256[1..], &format!("{EMPTY_SHA256}0")] {
        assert_eq!(image::of_hex(bad), None, "{bad}");
    }
    assert_eq!(image::of_hex(&EMPTY_SHA256.replace('e', "g")), None);
    assert_eq!(image::of_hex(&EMPTY_SHA256.replace("e3b", "é3")), None);
}

#[test]
fn words_of_reasons_are_their_own() {
    for (number, reason) in (0..).zip(Reason::ALL) {
        assert_eq!(reason as u8, number);
        assert_eq!(Reason::of_word(reason.word()), Some(reason));
    }
    assert_eq!(Reason::of_word("Success"), None);
}
