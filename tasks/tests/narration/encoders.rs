//! Encoders: programs made here show what is asked of them; real ones are tried where they are installed.

use std::path::Path;

use celeriac_tasks::narration::{AudioFormat, NarrationOptions, Spoken, encode, join};

use crate::support::{made, streamed};

fn recording() -> Spoken {
    Spoken { voice: "en-us".to_owned(), ..join(vec![streamed(2, 22_050)]).unwrap() }
}

/// Options with an encoder of each name that runs these scripts; an empty one is absent.
fn options(folder: &Path, format: Option<AudioFormat>, lame: &str, opusenc: &str, ffmpeg: &str) -> NarrationOptions {
    let program = |name: &str, script: &str| if script.is_empty() { folder.join("absent") } else { made(folder, name, script) };
    NarrationOptions {
        format,
        lame: program("lame", lame),
        opusenc: program("opusenc", opusenc),
        ffmpeg: program("ffmpeg", ffmpeg),
        ..NarrationOptions::default()
    }
}

#[tokio::test]
async fn the_format_asked_for_is_made_by_the_program_that_is_here() {
    let dir = tempfile::tempdir().unwrap();
    let cases = [
        // Without a wish it is MP3 where that can be made.
        (None, ["cat; echo lame", "cat; echo opusenc", "cat; echo ffmpeg $*"], "mp3", "lame\n"),
        (Some(AudioFormat::Mp3), ["", "cat; echo opusenc", "cat; echo ffmpeg $*"], "mp3", "-f mp3 pipe:1\n"),
        (Some(AudioFormat::Mp3), ["exit 1", "", "cat; echo ffmpeg"], "mp3", "ffmpeg\n"),
        (Some(AudioFormat::Mp3), ["cat > /dev/null", "", "cat; echo ffmpeg"], "mp3", "ffmpeg\n"),
        (Some(AudioFormat::Opus), ["cat; echo lame", "cat; echo opusenc", "cat; echo ffmpeg"], "opus", "opusenc\n"),
        (Some(AudioFormat::Opus), ["cat; echo lame", "", "cat; echo ffmpeg $*"], "opus", "-f opus pipe:1\n"),
    ];
    for (format, [lame, opusenc, ffmpeg], name, end) in cases {
        let encoded = encode(recording(), &options(dir.path(), format, lame, opusenc, ffmpeg)).await;
        assert_eq!((encoded.format.as_str(), encoded.duration_s, encoded.voice.as_str()), (name, 2.0, "en-us"));
        assert!(encoded.bytes.starts_with(&recording().bytes), "the encoder did not get the whole WAV");
        assert!(encoded.bytes.ends_with(end.as_bytes()), "{format:?}: not made by {end}");
    }
}

#[tokio::test]
async fn wav_stays_when_it_is_asked_for_or_nothing_else_can_be_made() {
    let dir = tempfile::tempdir().unwrap();
    for (format, lame, ffmpeg) in [
        (Some(AudioFormat::Wav), "cat", "cat"),
        (Some(AudioFormat::Mp3), "", ""),
        (None, "exit 1", "kill -9 $$"),
        (None, "", "exit 0"),
    ] {
        let encoded = encode(recording(), &options(dir.path(), format, lame, "", ffmpeg)).await;
        assert_eq!(encoded, recording(), "{format:?} {lame} {ffmpeg}");
    }
}

/// No encoder is required of a machine, so this runs where one happens to be.
#[tokio::test]
async fn installed_encoders_make_smaller_files_of_their_kind() {
    for (format, starts) in
        [(AudioFormat::Mp3, &[b"\xff\xf3".as_slice(), b"\xff\xfb", b"ID3"][..]), (AudioFormat::Opus, &[b"OggS"])]
    {
        let encoded = encode(recording(), &NarrationOptions { format: Some(format), ..NarrationOptions::default() }).await;
        if encoded.format == "wav" {
            assert_eq!(encoded, recording());
            continue;
        }
        assert_eq!(encoded.format, format.as_str());
        assert!(starts.iter().any(|start| encoded.bytes.starts_with(start)), "{:?}", &encoded.bytes[..4]);
        assert!(encoded.bytes.len() * 2 < recording().bytes.len());
    }
}
