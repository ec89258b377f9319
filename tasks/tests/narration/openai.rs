//! Speech over OpenAI's interface, against a server made here.

use std::sync::Mutex;
use std::time::Duration;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use celeriac_tasks::narration::{AudioFormat, NarrationOptions, Spoken, speak_openai};
use celeriac_tasks::{Code, DocumentError, Stage};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{played, streamed};

/// An answer: status, further headers, body.
type Answer = (&'static str, &'static str, Vec<u8>);

/// One request: its head and its body.
async fn read(stream: &mut TcpStream) -> (String, Value) {
    let mut bytes = Vec::new();
    loop {
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "the request broke off");
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()).unwrap().parse::<usize>().unwrap();
        if bytes.len() == end + 4 + length {
            return (head, serde_json::from_slice(&bytes[end + 4..]).unwrap());
        }
    }
}

/// Speaks `text` with a server that answers so, and hands back what was asked of it.
async fn speak(
    text: &str,
    options: &NarrationOptions,
    answer: impl Fn(&Value) -> Answer,
) -> (Result<Spoken, DocumentError>, Vec<(String, Value)>) {
    celeriac_tasks::tls::use_ring();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/v1", listener.local_addr().unwrap());
    let config = OpenAIConfig::new().with_api_base(base).with_api_key("a-key");
    let client = Client::with_config(config).with_http_client(reqwest::Client::builder().no_proxy().build().unwrap());
    let asked = Mutex::new(Vec::new());
    let serve = async |mut stream: TcpStream| {
        let (head, body) = read(&mut stream).await;
        let (status, headers, bytes) = answer(&body);
        asked.lock().unwrap().push((head, body));
        let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n", bytes.len());
        // The client may have given up.
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.write_all(&bytes).await;
    };
    let server = async {
        let mut open = FuturesUnordered::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => open.push(serve(accepted.unwrap().0)),
                Some(()) = open.next() => {}
            }
        }
    };
    let spoken = tokio::select! {
        spoken = speak_openai(&client, "gpt-4o-mini-tts", "nova", text, options) => spoken,
        () = server => unreachable!("the server stops with the test"),
    };
    (spoken, asked.into_inner().unwrap())
}

fn wav() -> NarrationOptions {
    NarrationOptions { format: Some(AudioFormat::Wav), ..NarrationOptions::default() }
}

#[tokio::test]
async fn a_model_is_asked_for_wav_in_the_chosen_voice() {
    let (spoken, asked) = speak("Hello there.", &wav(), |_| ("200 OK", "", streamed(3, 24_000))).await;
    let spoken = spoken.unwrap();
    assert_eq!((spoken.duration_s, spoken.voice.as_str()), (3.0, "nova"));
    assert!((played(&spoken).0 - 3.0).abs() < 0.001);
    let (head, body) = &asked[0];
    assert!(head.starts_with("post /v1/audio/speech ") && head.contains("authorization: bearer a-key"), "{head}");
    let expected =
        serde_json::json!({"input": "Hello there.", "model": "gpt-4o-mini-tts", "voice": "nova", "response_format": "wav"});
    assert_eq!(*body, expected);
}

#[tokio::test]
async fn a_long_text_is_spoken_in_parts_and_joined_in_order() {
    let sentences: Vec<String> = (1..=9).map(|number| format!("Part {number} {}.", "word ".repeat(250).trim())).collect();
    let text = sentences.join(" ");
    // Each part lasts as many seconds as the number it begins with, in a rate that only fits together.
    let (spoken, asked) = speak(&text, &wav(), |body| {
        let first: u32 = body["input"].as_str().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        ("200 OK", "", streamed(first, 8_000))
    })
    .await;
    assert_eq!(asked.len(), 3);
    assert!(asked.iter().all(|(_, body)| body["input"].as_str().unwrap().chars().count() <= 4096));
    assert!((spoken.unwrap().duration_s - f64::from(1 + 4 + 7)).abs() < 0.001);
}

#[tokio::test]
async fn busy_and_broken_servers_may_be_asked_again_and_refusals_not() {
    let said = |kind: &str, message: &str| {
        serde_json::json!({"error": {"message": message, "type": kind, "param": null, "code": null}}).to_string().into_bytes()
    };
    // Retry-After spares the client's own pauses.
    const AT_ONCE: &str = "retry-after: 0\r\n";
    let cases = [
        ("429 Too Many Requests", said("rate_limit", "later"), true, "slow down"),
        ("429 Too Many Requests", said("insufficient_quota", "pay"), false, "used up"),
        ("500 Internal Server Error", b"oops".to_vec(), true, "oops"),
        ("401 Unauthorized", said("auth", "no key"), false, "no key"),
        ("400 Bad Request", said("invalid", "no such voice"), false, "no such voice"),
        ("404 Not Found", b"<html>nothing here</html>".to_vec(), true, "nothing here"),
        ("200 OK", b"ID3 an mp3".to_vec(), true, "no WAV"),
    ];
    for (status, body, retryable, message) in cases {
        let (spoken, _) = speak("Hello.", &wav(), |_| (status, AT_ONCE, body.clone())).await;
        let error = spoken.unwrap_err();
        assert_eq!((error.code, error.stage, error.retryable()), (Code::TtsFailed, Stage::Audio, retryable), "{status}: {error}");
        assert!(error.message.contains(message), "{status}: {error}");
    }
}

#[tokio::test]
async fn a_silent_server_is_left_at_the_limit() {
    celeriac_tasks::tls::use_ring();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = OpenAIConfig::new().with_api_base(format!("http://{}/v1", listener.local_addr().unwrap())).with_api_key("a-key");
    let client = Client::with_config(config).with_http_client(reqwest::Client::builder().no_proxy().build().unwrap());
    let options = NarrationOptions { time_limit: Duration::from_millis(200), ..wav() };
    let error = speak_openai(&client, "tts-1", "alloy", "Hello.", &options).await.unwrap_err();
    assert!(error.message.contains("took longer") && error.retryable(), "{error}");
    assert!(speak_openai(&client, "tts-1", "alloy", " ", &options).await.is_err_and(|error| !error.retryable()));
}
