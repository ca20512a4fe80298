//! Runs `harness::wire` on what libFuzzer makes.
#![no_main]

#[expect(dead_code, reason = "each target runs one of the checks")]
#[path = "../harness/mod.rs"]
mod harness;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    harness::wire::check(data);
});
