//! A form with files: each file goes into the store as it comes, and what it is decides, not what it is called.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request};
use axum::http::{StatusCode, header};
use celeriac_tasks::source::{Document, Upload};
use celeriac_tasks::store::Store;
use futures::TryStreamExt;
use serde_json::{Map, Value};

use super::super::problem::Problem;
use super::{FIELD_MAX, FIELDS_MAX};
use crate::jobs::Refusal;

/// The most fields and files a form may have.
const PARTS_MAX: usize = 1000;

/// The most bytes that are read before something comes of them: the reader of forms would hold the head of a part however long it is.
const HELD_MAX: u64 = 64 * 1024 * 1024;

/// How much of a form was read since something last came of it.
#[derive(Debug, Clone, Default)]
struct Held(Arc<AtomicU64>);

impl Held {
    /// A body that breaks off where too much is held.
    fn measured(&self, body: Body) -> Body {
        let held = self.clone();
        Body::from_stream(body.into_data_stream().map_err(io::Error::other).and_then(move |data| {
            held.0.fetch_add(data.len() as u64, Ordering::Relaxed);
            std::future::ready(if held.is_too_much() { Err(io::Error::other("too much is held")) } else { Ok(data) })
        }))
    }

    fn is_too_much(&self) -> bool {
        self.0.load(Ordering::Relaxed) > HELD_MAX
    }

    fn passed_on(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// A form.
#[derive(Debug, Default)]
pub(crate) struct Form {
    /// Fields by their names, in order.
    pub(crate) fields: Vec<(String, String)>,
    /// Files, in order.
    pub(crate) files: Vec<Document>,
}

impl Form {
    /// The fields as those of a JSON body.
    pub(crate) fn values(&self) -> Result<Map<String, Value>, Problem> {
        self.fields.iter().map(|(name, text)| Ok((name.clone(), value(name, text)?))).collect()
    }

    /// The last field of a name.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().rev().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// Fields whose values are written as JSON; those of others are text.
const JSON: [&str; 12] = [
    "source",
    "documents",
    "options",
    "metadata",
    "webhook",
    "deadline_s",
    "max_cost_usd",
    "max_tokens",
    "page_parallelism",
    "dpi",
    "summary",
    "audio",
];

fn value(name: &str, text: &str) -> Result<Value, Problem> {
    match name {
        "tags" if !text.trim_start().starts_with('[') => Ok(text.split(',').map(str::trim).collect()),
        name if name == "tags" || JSON.contains(&name) => {
            serde_json::from_str(text).map_err(|error| Problem::invalid(format!("{name} is not JSON: {error}")))
        }
        _ => Ok(text.into()),
    }
}

/// Whether a request brings a form.
pub(crate) fn is(request: &Request) -> bool {
    request.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"multipart/form-data"))
}

/// The form of a request, whose files have at most `max_bytes` each: the whole has no other limit.
pub(crate) async fn of(mut request: Request, store: &Store, max_bytes: u64) -> Result<Form, Problem> {
    DefaultBodyLimit::disable().apply(&mut request);
    let held = Held::default();
    let parts = Multipart::from_request(request.map(|body| held.measured(body)), &()).await;
    let parts = parts.map_err(|error| Problem::new(error.status(), "invalid", error.body_text()))?;
    let form = read(parts, &held, store, max_bytes).await;
    if held.is_too_much() { Err(too_large(format!("the head of a part has at most {HELD_MAX} bytes"))) } else { form }
}

async fn read(mut parts: Multipart, held: &Held, store: &Store, max_bytes: u64) -> Result<Form, Problem> {
    let mut form = Form::default();
    while let Some(part) = parts.next_field().await.map_err(|error| broken(&error))? {
        held.passed_on();
        if form.fields.len() + form.files.len() >= PARTS_MAX {
            return Err(too_large(format!("a form has at most {PARTS_MAX} parts")));
        }
        match part.file_name().map(str::to_owned) {
            None if form.fields.len() >= FIELDS_MAX => {
                return Err(too_large(format!("a form has at most {FIELDS_MAX} parts that are no files")));
            }
            Some(name) => form.files.push(file(part, held, name, store, max_bytes).await?),
            None => {
                let name = part.name().unwrap_or_default().to_owned();
                form.fields.push((name, text(part, held).await?));
            }
        }
    }
    Ok(form)
}

async fn file(mut part: Field<'_>, held: &Held, name: String, store: &Store, max_bytes: u64) -> Result<Document, Problem> {
    let refused = |error| Problem::from(Refusal::from(error));
    let mut upload = Upload::begin(store, max_bytes).await.map_err(refused)?;
    while let Some(bytes) = part.chunk().await.map_err(|error| broken(&error))? {
        held.passed_on();
        upload.write(&bytes).await.map_err(refused)?;
    }
    upload.finish(shown(&name)).await.map_err(refused)
}

async fn text(mut part: Field<'_>, held: &Held) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    while let Some(chunk) = part.chunk().await.map_err(|error| broken(&error))? {
        held.passed_on();
        if bytes.len() + chunk.len() > FIELD_MAX {
            return Err(too_large(format!("a field has at most {FIELD_MAX} bytes")));
        }
        bytes.extend(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "invalid", "a field is not UTF-8"))
}

/// A file's name as it may be shown: its last part, without what a terminal or a page would act on.
fn shown(name: &str) -> Option<String> {
    let name: String = name.rsplit(['/', '\\']).next()?.chars().filter(|letter| !letter.is_control()).take(200).collect();
    (!name.is_empty() && name != "." && name != "..").then_some(name)
}

fn too_large(detail: String) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
}

fn broken(error: &MultipartError) -> Problem {
    Problem::new(error.status(), "invalid", format!("the form cannot be read: {}", error.body_text()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Method;
    use futures::stream;

    async fn form(pieces: impl Iterator<Item = String> + Send + 'static) -> Result<Form, Problem> {
        let folder = tempfile::tempdir().unwrap();
        let pieces = pieces.chain(["--edge--\r\n".to_owned()]);
        let body = Body::from_stream(stream::iter(pieces.map(Ok::<_, io::Error>)));
        let request = Request::builder().method(Method::POST).header(header::CONTENT_TYPE, "multipart/form-data; boundary=edge");
        of(request.body(body).unwrap(), &Store::local(folder.path()).unwrap(), 1_000_000).await
    }

    fn field(name: &str, value: &str) -> String {
        format!("--edge\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    }

    #[tokio::test]
    async fn what_is_too_large_in_a_form_names_its_limit() {
        let endless = || std::iter::once("--edge\r\nx: ".to_owned()).chain(std::iter::repeat_with(|| "y".repeat(1 << 20)));
        let file = field("file\"; filename=\"a.pdf", &format!("%PDF-1.4\n{}", "z".repeat(1_000_000)));
        let fields = (0..=FIELDS_MAX).map(|n| field(&n.to_string(), ""));
        for (pieces, limit) in [
            (Box::new(endless()) as Box<dyn Iterator<Item = String> + Send>, "67108864 bytes"),
            (Box::new(std::iter::once(file)), "1 MB"),
            (Box::new(std::iter::once(field("metadata", &"x".repeat(FIELD_MAX + 1)))), "1048576 bytes"),
            (Box::new(fields), "100 parts"),
        ] {
            let refused = form(pieces).await.unwrap_err();
            assert_eq!((refused.status, refused.code), (413, "too_large"), "{}", refused.detail);
            assert!(refused.detail.contains(limit), "{}", refused.detail);
        }
    }

    #[tokio::test]
    async fn fields_are_read_as_what_they_are() {
        let said =
            [("tags", "a, b"), ("audio", "true"), ("dpi", "72"), ("password", "1234"), ("metadata", r#"{"m": 1}"#), ("new", "x")];
        let pieces: Vec<String> = said.iter().map(|(name, value)| field(name, value)).collect();
        let values = form(pieces.into_iter()).await.unwrap().values().unwrap();
        let meant =
            serde_json::json!({"tags": ["a", "b"], "audio": true, "dpi": 72, "password": "1234", "metadata": {"m": 1}, "new": "x"});
        assert_eq!(Value::from(values), meant);
        let wrong = Form { fields: vec![("audio".to_owned(), "yes".to_owned())], ..Form::default() };
        assert!(wrong.values().unwrap_err().detail.starts_with("audio is not JSON"));
    }
}
