//! Fuzz target for [`transom_fuzz::http2`]. Built without cargo-fuzz, it replays the files it is given.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| transom_fuzz::http2(input));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    transom_fuzz::replay_arguments(transom_fuzz::http2)
}
