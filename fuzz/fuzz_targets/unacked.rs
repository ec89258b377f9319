#![no_main]

// Where src/broker/envelope.rs finds the names of its headers.
use celeriac::protocol;

#[path = "../../tests/hostile/targets/mod.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::unacked::check(data));
