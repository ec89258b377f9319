//! Reading WAV files whose header was written before their length was known, and putting several into one.

use std::io::Cursor;

use hound::{SampleFormat, WavReader, WavSpec, WavWriter};

use super::{AudioFormat, Spoken, failed};
use crate::error::DocumentError;

/// One recording of several WAV files: their sound one after the other, 16 bits a sample, with a true header.
///
/// Streamed files, whose header claims any length, are read to their end.
///
/// # Errors
/// `tts_failed` when one is no WAV, when they differ in rate or channels, and when there is no sound in them.
pub fn join(files: Vec<Vec<u8>>) -> Result<Spoken, DocumentError> {
    let mut joined: Option<(WavSpec, Vec<i16>)> = None;
    for file in files {
        let (spec, samples) = read(file)?;
        match &mut joined {
            None => joined = Some((spec, samples)),
            Some((first, all)) if *first == spec => all.extend(samples),
            Some(_) => return Err(failed("the parts of the narration differ in rate or channels")),
        }
    }
    match joined {
        Some((spec, samples)) if !samples.is_empty() => write(spec, &samples),
        _ => Err(failed("speech gave no sound")),
    }
}

fn read(mut file: Vec<u8>) -> Result<(WavSpec, Vec<i16>), DocumentError> {
    set_length(&mut file);
    let not_wav = |error: hound::Error| failed(format!("speech gave something that is no WAV: {error}"));
    let mut reader = WavReader::new(Cursor::new(file)).map_err(not_wav)?;
    let spec = reader.spec();
    let samples: Result<Vec<i16>, hound::Error> = match spec.sample_format {
        SampleFormat::Int if spec.bits_per_sample <= 16 => {
            let up = 16 - spec.bits_per_sample;
            reader.samples::<i16>().map(|sample| Ok(sample? << up)).collect()
        }
        SampleFormat::Int => {
            let down = spec.bits_per_sample - 16;
            reader.samples::<i32>().map(|sample| Ok((sample? >> down) as i16)).collect()
        }
        SampleFormat::Float => {
            reader.samples::<f32>().map(|sample| Ok((sample?.clamp(-1.0, 1.0) * f32::from(i16::MAX)) as i16)).collect()
        }
    };
    Ok((WavSpec { bits_per_sample: 16, sample_format: SampleFormat::Int, ..spec }, samples.map_err(not_wav)?))
}

fn write(spec: WavSpec, samples: &[i16]) -> Result<Spoken, DocumentError> {
    let not_written = |error: hound::Error| failed(format!("the WAV could not be written: {error}")).permanent();
    // A frame is a sample of each channel; the last one may have been cut off.
    let frames = samples.len() / usize::from(spec.channels.max(1));
    let whole = frames * usize::from(spec.channels.max(1));
    let mut file = Cursor::new(Vec::with_capacity(whole * 2 + 44));
    let mut writer = WavWriter::new(&mut file, spec).map_err(not_written)?;
    for sample in samples.iter().take(whole) {
        writer.write_sample(*sample).map_err(not_written)?;
    }
    writer.finalize().map_err(not_written)?;
    Ok(Spoken {
        bytes: file.into_inner().into(),
        format: AudioFormat::Wav.to_string(),
        duration_s: frames as f64 / f64::from(spec.sample_rate.max(1)),
        voice: String::new(),
    })
}

/// Puts the true length into the header where it claims more than there is, or nothing.
///
/// A file that is no WAV stays as it is.
fn set_length(file: &mut [u8]) {
    if file.get(..4) != Some(b"RIFF") || file.get(8..12) != Some(b"WAVE") {
        return;
    }
    let (mut at, mut frame) = (12, 1);
    while let (Some(kind), Some(length)) = (word(file, at), word(file, at + 4)) {
        let claimed = u32::from_le_bytes(length) as usize;
        let start = at + 8;
        match &kind {
            b"fmt " => {
                frame = file
                    .get(start + 12..start + 14)
                    .map_or(1, |field| usize::from(u16::from_le_bytes([field[0], field[1]])).max(1));
            }
            b"data" => {
                let present = file.len() - start;
                let length = if claimed == 0 || claimed > present { present } else { claimed };
                let length = u32::try_from(length / frame * frame).unwrap_or(u32::MAX);
                file[at + 4..start].copy_from_slice(&length.to_le_bytes());
                return;
            }
            _ => {}
        }
        // Chunks begin at even offsets.
        at = start.saturating_add(claimed).saturating_add(claimed % 2);
    }
}

fn word(file: &[u8], at: usize) -> Option<[u8; 4]> {
    file.get(at..at.checked_add(4)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(spec: WavSpec, frames: u32) -> Vec<u8> {
        let mut file = Cursor::new(Vec::new());
        let mut writer = WavWriter::new(&mut file, spec).unwrap();
        for at in 0..frames * u32::from(spec.channels) {
            match spec.sample_format {
                SampleFormat::Float => writer.write_sample((at as f32).sin() * 0.5).unwrap(),
                SampleFormat::Int => writer.write_sample(((at as f32).sin() * 60.0) as i32).unwrap(),
            }
        }
        writer.finalize().unwrap();
        file.into_inner()
    }

    const MONO: WavSpec = WavSpec { channels: 1, sample_rate: 1000, bits_per_sample: 16, sample_format: SampleFormat::Int };

    #[test]
    fn a_streamed_file_is_read_to_its_end_and_gets_a_true_header() {
        for claim in [0u32, 0x7fff_f000, u32::MAX] {
            let mut file = tone(MONO, 1500);
            file[40..44].copy_from_slice(&claim.to_le_bytes());
            file.push(7);
            let spoken = join(vec![file.clone(), file]).unwrap();
            assert_eq!((spoken.format.as_str(), spoken.duration_s), ("wav", 3.0), "{claim}");
            let reader = WavReader::new(Cursor::new(&spoken.bytes)).unwrap();
            assert_eq!((reader.duration(), reader.spec()), (3000, MONO));
            assert_eq!(spoken.bytes.len(), 44 + 6000);
        }
    }

    #[test]
    fn what_follows_the_sound_is_no_sound() {
        let mut file = tone(MONO, 10);
        file.extend_from_slice(b"LIST\x04\0\0\0abcd");
        assert_eq!(join(vec![file]).unwrap().bytes.len(), 44 + 20);
    }

    #[test]
    fn other_sample_formats_become_16_bits() {
        for (bits_per_sample, sample_format) in [(8, SampleFormat::Int), (24, SampleFormat::Int), (32, SampleFormat::Float)] {
            let spec = WavSpec { channels: 2, bits_per_sample, sample_format, ..MONO };
            let spoken = join(vec![tone(spec, 500)]).unwrap();
            let reader = WavReader::new(Cursor::new(&spoken.bytes)).unwrap();
            assert_eq!((reader.spec().bits_per_sample, reader.duration(), spoken.duration_s), (16, 500, 0.5));
        }
    }

    #[test]
    fn what_cannot_be_joined_is_refused() {
        let other = WavSpec { sample_rate: 2000, ..MONO };
        assert!(join(vec![tone(MONO, 1), tone(other, 1)]).unwrap_err().message.contains("rate"));
        assert!(join(vec![b"ID3 an mp3".to_vec()]).unwrap_err().message.contains("no WAV"));
        assert!(join(vec![tone(MONO, 0)]).unwrap_err().message.contains("no sound"));
        assert!(join(Vec::new()).is_err());
        for cut in 0..44 {
            assert!(join(vec![tone(MONO, 3)[..cut].to_vec()]).is_err(), "{cut}");
        }
    }
}
