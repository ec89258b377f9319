//! The `espeak-ng` program speaks without a network.

use std::time::Duration;

use celeriac_tasks::narration::{AudioFormat, NarrationOptions, encode, script, speak_offline};
use celeriac_tasks::result::{KeyPoint, Summary};
use celeriac_tasks::{Code, Stage};

use crate::support::{made, played, program};

#[tokio::test]
async fn a_summary_becomes_sound_that_is_as_long_as_its_words() {
    if !program("espeak-ng") {
        return;
    }
    let sentence = "Octave is a language for numbers, and this sentence is long enough to be heard.";
    let summary = Summary {
        executive: [sentence; 10].join(" "),
        key_points: vec![KeyPoint { text: "It costs nothing".to_owned(), pages: vec![1], weight: 1.0 }],
        ..Summary::default()
    };
    let text = script(&summary, Some("GNU Octave"), Some("en"));
    let spoken = speak_offline(&text, Some("en"), &NarrationOptions::default()).await.unwrap();
    let (seconds, loudest) = played(&spoken);
    assert!((seconds - spoken.duration_s).abs() < 0.001, "{seconds} {}", spoken.duration_s);
    // 175 words a minute is its own pace; nobody speaks faster than 300 or slower than 90.
    let words = text.split_whitespace().count() as f64;
    assert!((words / 5.0..words / 1.5).contains(&seconds), "{words} words in {seconds} s");
    assert!(loudest > 3000, "{loudest}");
    assert_eq!(spoken.voice, "en-us");
}

#[tokio::test]
async fn each_language_has_its_voice() {
    if !program("espeak-ng") {
        return;
    }
    let options = NarrationOptions::default();
    for (language, voice, text) in [
        (Some("de"), "de", "Das Handbuch beschreibt die Sprache."),
        (Some("de-AT"), "de-at", "Das Handbuch beschreibt die Sprache."),
        (Some("pt-BR"), "pt-br", "O manual descreve a linguagem."),
        (Some("zh"), "zh", "这本手册描述了这种语言。"),
        (Some("ja"), "ja", "ことばをはなします。"),
        (None, "en-us", "The manual describes the language."),
    ] {
        let spoken = speak_offline(text, language, &options).await.unwrap();
        assert_eq!(spoken.voice, voice);
        assert!(played(&spoken).0 > 0.8, "{language:?}: {}", spoken.duration_s);
    }
    let chosen = NarrationOptions { voice: Some("en-gb".to_owned()), ..options };
    assert_eq!(speak_offline("Hello there.", Some("de"), &chosen).await.unwrap().voice, "en-gb");
}

#[tokio::test]
async fn a_language_without_a_voice_is_named() {
    if !program("espeak-ng") {
        return;
    }
    let error = speak_offline("ភាសាខ្មែរ", Some("km"), &NarrationOptions::default()).await.unwrap_err();
    assert_eq!((error.code, error.stage, error.retryable()), (Code::TtsFailed, Stage::Audio, false));
    assert!(error.message.contains("no voice km"), "{error}");
}

#[tokio::test]
async fn an_absent_program_says_how_to_install_it() {
    let options = NarrationOptions { espeak: "/nowhere/espeak-ng".into(), ..NarrationOptions::default() };
    let error = speak_offline("Hello.", None, &options).await.unwrap_err();
    assert_eq!((error.code, error.stage, error.retryable()), (Code::TtsFailed, Stage::Audio, false));
    assert!(error.message.contains("apt-get install espeak-ng"), "{error}");
}

#[tokio::test]
async fn nothing_to_say_is_no_recording() {
    let error = speak_offline(" \n", None, &NarrationOptions::default()).await.unwrap_err();
    assert_eq!((error.code, error.retryable()), (Code::TtsFailed, false));
}

#[tokio::test]
async fn a_program_that_fails_or_hangs_is_an_error_that_may_pass() {
    let dir = tempfile::tempdir().unwrap();
    let options = |script: &str, limit: Duration| NarrationOptions {
        espeak: made(dir.path(), "espeak", script),
        time_limit: limit,
        ..NarrationOptions::default()
    };
    let (short, long) = (Duration::from_millis(100), Duration::from_secs(60));
    for (script, limit, said) in
        [("exec sleep 60", short, "took longer"), ("echo broken >&2; exit 3", long, "broken"), ("echo no sound", long, "no WAV")]
    {
        let error = speak_offline("Hello.", None, &options(script, limit)).await.unwrap_err();
        assert_eq!((error.code, error.retryable()), (Code::TtsFailed, true), "{script}");
        assert!(error.message.contains(said), "{script}: {error}");
    }
}

#[tokio::test]
async fn without_any_encoder_the_recording_stays_wav() {
    if !program("espeak-ng") {
        return;
    }
    let absent = || "/nowhere/encoder".into();
    let options = NarrationOptions {
        format: Some(AudioFormat::Mp3),
        lame: absent(),
        opusenc: absent(),
        ffmpeg: absent(),
        ..NarrationOptions::default()
    };
    let spoken = speak_offline("Hello there.", None, &options).await.unwrap();
    assert_eq!(encode(spoken.clone(), &options).await, spoken);
}
