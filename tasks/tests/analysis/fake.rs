//! A server that speaks just enough HTTP to be asked for completions: it gives its answers in turn and keeps the questions.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use celeriac_tasks::openai::{OpenAi, Settings};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// An answer: status, a header, body.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    status: u16,
    header: &'static str,
    body: String,
}

/// A question as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub path: String,
    pub authorization: String,
    pub body: Value,
}

pub(crate) struct Fake {
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    // Ends the server when the test ends.
    _serving: JoinSet<()>,
}

impl Reply {
    /// A completion whose content is `content`.
    pub(crate) fn content(content: &str) -> Self {
        Self::choice(json!({"message": {"role": "assistant", "content": content}, "finish_reason": "stop"}))
    }

    /// A completion with this choice.
    pub(crate) fn choice(choice: Value) -> Self {
        let usage = json!({"prompt_tokens": 100, "completion_tokens": 20, "prompt_tokens_details": {"cached_tokens": 40}});
        Self::json(200, json!({"model": "fake-1", "choices": [choice], "usage": usage}))
    }

    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self::text(status, &body.to_string())
    }

    pub(crate) fn text(status: u16, body: &str) -> Self {
        Self { status, header: "x-fake: 1", body: body.to_owned() }
    }

    pub(crate) fn with(self, header: &'static str) -> Self {
        Self { header, ..self }
    }
}

impl Fake {
    /// A server that gives `replies` in turn, and the last one for ever.
    pub(crate) async fn start(replies: Vec<Reply>) -> Self {
        Self::answering(move |number, _| replies[number.min(replies.len() - 1)].clone()).await
    }

    /// A server that gives to each question, numbered from 0, what `answer` says.
    pub(crate) async fn answering(answer: impl Fn(usize, &Value) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answer = Arc::new(answer);
        let mut serving = JoinSet::new();
        let seen = Arc::clone(&asked);
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&seen), Arc::clone(&answer)));
            }
        });
        Self { url, asked, _serving: serving }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// A model at this server.
    pub(crate) fn model(&self, vision: bool) -> OpenAi {
        self.model_with(Settings { vision, ..Settings::default() })
    }

    pub(crate) fn model_with(&self, settings: Settings) -> OpenAi {
        let settings = Settings {
            base_url: Some(self.url.clone()),
            api_key: Some("sk-test".to_owned()),
            model: "fake-1".to_owned(),
            timeout: Duration::from_secs(20),
            ..settings
        };
        OpenAi::new(settings).unwrap()
    }
}

async fn serve(stream: TcpStream, asked: Arc<Mutex<Vec<Asked>>>, answer: Arc<impl Fn(usize, &Value) -> Reply>) {
    let mut stream = BufReader::new(stream);
    let mut head: VecDeque<String> = VecDeque::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        match line.trim() {
            "" => break,
            line => head.push_back(line.to_owned()),
        }
    }
    let first = head.pop_front().unwrap_or_default();
    let header = |name: &str| {
        let found = head.iter().filter_map(|line| line.split_once(": ")).find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_owned()).unwrap_or_default()
    };
    let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
    if stream.read_exact(&mut body).await.is_err() {
        return;
    }
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let reply = {
        let mut asked = asked.lock().unwrap();
        let reply = answer(asked.len(), &body);
        asked.push(Asked { path, authorization: header("authorization"), body });
        reply
    };
    let (status, length) = (reply.status, reply.body.len());
    let head = format!("HTTP/1.1 {status} X\r\n{}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n", reply.header);
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(reply.body.as_bytes()).await;
    let _ = stream.shutdown().await;
}
