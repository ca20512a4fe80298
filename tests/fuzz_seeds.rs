//! The fuzz targets of `fuzz/` on their committed seeds and on what can be made of these with a few
//! seeded edits: so that the targets are built, and hold, on each change.

#[path = "../fuzz/harness/mod.rs"]
mod harness;

use std::path::Path;

/// Edited copies of each seed.
const EDITS: u64 = 40;

/// The contents of `fuzz/seeds/<target>`, by file name.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(target);
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .expect("a target has seeds")
        .map(|entry| entry.expect("a folder is readable").path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 10, "only {} seeds of {target}", paths.len());
    let read = |path| std::fs::read(path).expect("a seed is readable");
    paths.iter().map(read).collect()
}

/// `seed` with one to four bytes changed, inserted, removed or repeated; a function of `nth`.
fn edited(seed: &[u8], nth: u64) -> Vec<u8> {
    let mut state = nth.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed.len() as u64;
    let mut draw = |below: usize| {
        // xorshift64*: any source will do that is the same everywhere.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % below.max(1)
    };
    let mut bytes = seed.to_vec();
    for _ in 0..=draw(4) {
        let at = draw(bytes.len());
        let value = u8::try_from(draw(256)).expect("below 256");
        match draw(4) {
            0 if at < bytes.len() => bytes[at] = value,
            1 if at < bytes.len() => drop(bytes.remove(at)),
            2 => bytes.insert(at, value),
            _ => bytes.extend_from_within(at..),
        }
    }
    bytes
}

fn replay(target: &str, check: impl Fn(&[u8])) {
    for seed in seeds(target) {
        check(&seed);
        for nth in 0..EDITS {
            check(&edited(&seed, nth));
        }
    }
}

#[test]
fn the_codec_holds_on_the_seeds() {
    replay("codec", harness::codec::check);
}

#[test]
fn the_device_holds_on_the_seeds() {
    replay("device", harness::device::check);
}

#[test]
fn the_messages_hold_on_the_seeds() {
    replay("wire", |seed| {
        harness::wire::check(seed);
    });
    for seed in seeds("wire") {
        let shown = String::from_utf8_lossy(&seed);
        assert!(harness::wire::check(&seed), "no message: {shown}");
    }
}

/// With and without work that costs time, and served or skipped when its client has gone.
#[test]
fn the_backend_holds_on_the_seeds() {
    for choice in [0, 4, 12] {
        replay("backend", |seed| {
            let mut seed = seed.to_vec();
            if let Some(first) = seed.first_mut() {
                *first = *first & 3 | choice;
            }
            harness::backend::check(&seed);
        });
    }
}
