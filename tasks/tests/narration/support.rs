//! What the tests share: programs that are here or not, programs made for a test, and WAV files.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;

use celeriac_tasks::narration::Spoken;
use hound::{SampleFormat, WavReader, WavSpec, WavWriter};

/// Whether a program is installed; where it is not, a line here and a failure in CI.
#[allow(clippy::disallowed_methods, clippy::print_stderr)]
pub(crate) fn program(name: &str) -> bool {
    let found = ["/usr/local/bin", "/usr/bin", "/bin"].iter().any(|folder| Path::new(folder).join(name).is_file());
    if !found {
        assert!(std::env::var("CI").is_err(), "{name} is not here; scripts/setup installs it");
        eprintln!("skipped: {name} is not here; scripts/setup installs it");
    }
    found
}

/// A shell script as a program.
///
/// Another process writes it: a file that is open for writing here while another test starts a program cannot be run.
pub(crate) fn made(folder: &Path, name: &str, script: &str) -> PathBuf {
    let path = folder.join(name);
    let write = r##"printf '#!/bin/sh\n%s\n' "$2" > "$1" && chmod 755 "$1""##;
    assert!(Command::new("sh").args(["-c", write, "sh"]).arg(&path).arg(script).status().unwrap().success());
    path
}

/// A WAV of so many seconds of a wave, as a program writes it that streams: its header claims a wrong length.
pub(crate) fn streamed(seconds: u32, sample_rate: u32) -> Vec<u8> {
    let spec = WavSpec { channels: 1, sample_rate, bits_per_sample: 16, sample_format: SampleFormat::Int };
    let mut file = Cursor::new(Vec::new());
    let mut writer = WavWriter::new(&mut file, spec).unwrap();
    for at in 0..seconds * sample_rate {
        writer.write_sample((f64::from(at % 40) * 500.0) as i16).unwrap();
    }
    writer.finalize().unwrap();
    let mut file = file.into_inner();
    file[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    file[40..44].copy_from_slice(&u32::MAX.to_le_bytes());
    file
}

/// The seconds and the loudest sample of a WAV, as a player that believes its header sees them.
pub(crate) fn played(spoken: &Spoken) -> (f64, i16) {
    assert_eq!(spoken.format, "wav");
    let mut reader = WavReader::new(Cursor::new(&spoken.bytes)).unwrap();
    let rate = reader.spec().sample_rate;
    let samples: Vec<i16> = reader.samples::<i16>().map(Result::unwrap).collect();
    assert_eq!(44 + 2 * samples.len(), spoken.bytes.len(), "header and file differ in length");
    (samples.len() as f64 / f64::from(rate), samples.iter().map(|sample| sample.saturating_abs()).max().unwrap_or(0))
}
