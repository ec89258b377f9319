//! Hands the seeds to libFuzzer: `scripts/fuzz` runs this first.

#![allow(clippy::disallowed_methods, reason = "a folder is told to a test by the environment, there is no other way")]

use std::fs;
use std::path::PathBuf;

use crate::mutate::TOKENS;
use crate::seeds::{Seeds, TARGETS};

#[test]
#[ignore = "scripts/fuzz runs it, to have a corpus"]
fn the_seeds_and_the_dictionary_lie_in_the_folder_that_fuzz_corpus_names() {
    let folder = PathBuf::from(std::env::var("FUZZ_CORPUS").expect("FUZZ_CORPUS names a folder"));
    let seeds = Seeds::recorded();
    for (target, _) in TARGETS {
        let folder = folder.join(target);
        fs::create_dir_all(&folder).unwrap();
        for (place, seed) in seeds.of(target).iter().enumerate() {
            fs::write(folder.join(format!("seed-{place:04}")), seed).unwrap();
        }
    }
    let escaped = |token: &str| format!("\"{}\"\n", token.replace('\\', "\\\\").replace('"', "\\\""));
    fs::write(folder.join("dictionary"), TOKENS.map(escaped).concat()).unwrap();
}
