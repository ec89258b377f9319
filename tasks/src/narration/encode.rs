//! Making MP3 or Opus of a WAV with whatever program for it is present.

use std::path::Path;

use super::program::{self, Failure};
use super::{AudioFormat, NarrationOptions, Spoken};

/// Mono speech needs no more.
const MP3_ARGS: [&str; 7] = ["--silent", "-m", "m", "-b", "48", "-", "-"];
const OPUS_ARGS: [&str; 6] = ["--quiet", "--speech", "--bitrate", "32", "-", "-"];
const FFMPEG_MP3_ARGS: [&str; 13] =
    ["-hide_banner", "-loglevel", "error", "-f", "wav", "-i", "pipe:0", "-codec:a", "libmp3lame", "-b:a", "48k", "-f", "mp3"];
const FFMPEG_OPUS_ARGS: [&str; 13] =
    ["-hide_banner", "-loglevel", "error", "-f", "wav", "-i", "pipe:0", "-codec:a", "libopus", "-b:a", "32k", "-f", "opus"];

/// The recording in the format that `options` ask for; as it is where no program can make that, or where it is no WAV.
///
/// Whoever asked sees in the recording's `format` which one it became. Dropping the future ends the program.
pub async fn encode(recording: Spoken, options: &NarrationOptions) -> Spoken {
    let format = options.format.unwrap_or(AudioFormat::Mp3);
    let (own, own_args, ffmpeg_args): (&Path, &[&str], &[&str]) = match format {
        AudioFormat::Wav => return recording,
        AudioFormat::Mp3 => (&options.lame, &MP3_ARGS, &FFMPEG_MP3_ARGS),
        AudioFormat::Opus => (&options.opusenc, &OPUS_ARGS, &FFMPEG_OPUS_ARGS),
    };
    if recording.format != AudioFormat::Wav.as_str() {
        return recording;
    }
    let ffmpeg_args = [ffmpeg_args, &["pipe:1"]].concat();
    for (program, args) in [(own, own_args), (options.ffmpeg.as_path(), &ffmpeg_args)] {
        match program::run(program, args, &recording.bytes, options.time_limit).await {
            Ok(bytes) if !bytes.is_empty() => return Spoken { bytes: bytes.into(), format: format.to_string(), ..recording },
            Ok(_) => tracing::warn!(program = %program.display(), "the encoder gave nothing; trying another, or keeping WAV"),
            Err(Failure::Absent) => {}
            Err(failure) => {
                tracing::warn!(program = %program.display(), error = ?failure, "the encoder failed; trying another, or keeping WAV");
            }
        }
    }
    recording
}
