//! A form with files: each file goes into the store as it comes, and what it is decides, not what it is called.

use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{StatusCode, header};
use celeriac_tasks::source::{Document, Upload};
use celeriac_tasks::store::Store;

use super::super::problem::Problem;
use super::FIELD_MAX;
use crate::jobs::Refusal;

/// The most fields and files a form may have.
const PARTS_MAX: usize = 1000;

/// A form.
#[derive(Debug, Default)]
pub(crate) struct Form {
    /// Fields by their names, in order.
    pub(crate) fields: Vec<(String, String)>,
    /// Files, in order.
    pub(crate) files: Vec<Document>,
}

impl Form {
    /// The last field of a name.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().rev().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// Whether a request brings a form.
pub(crate) fn is(request: &Request) -> bool {
    request.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"multipart/form-data"))
}

/// The form of a request, whose files have at most `max_bytes` each.
pub(crate) async fn of(request: Request, store: &Store, max_bytes: u64) -> Result<Form, Problem> {
    let parts = Multipart::from_request(request, &()).await;
    let parts = parts.map_err(|error| Problem::new(error.status(), "invalid", error.body_text()))?;
    read(parts, store, max_bytes).await
}

async fn read(mut parts: Multipart, store: &Store, max_bytes: u64) -> Result<Form, Problem> {
    let mut form = Form::default();
    while let Some(part) = parts.next_field().await.map_err(|error| broken(&error))? {
        if form.fields.len() + form.files.len() >= PARTS_MAX {
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", format!("a form has at most {PARTS_MAX} parts")));
        }
        match part.file_name().map(str::to_owned) {
            Some(name) => form.files.push(file(part, name, store, max_bytes).await?),
            None => {
                let name = part.name().unwrap_or_default().to_owned();
                form.fields.push((name, text(part).await?));
            }
        }
    }
    Ok(form)
}

async fn file(mut part: Field<'_>, name: String, store: &Store, max_bytes: u64) -> Result<Document, Problem> {
    let refused = |error| Problem::from(Refusal::from(error));
    let mut upload = Upload::begin(store, max_bytes).await.map_err(refused)?;
    while let Some(bytes) = part.chunk().await.map_err(|error| broken(&error))? {
        upload.write(&bytes).await.map_err(refused)?;
    }
    upload.finish(shown(&name)).await.map_err(refused)
}

async fn text(mut part: Field<'_>) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    while let Some(chunk) = part.chunk().await.map_err(|error| broken(&error))? {
        if bytes.len() + chunk.len() > FIELD_MAX {
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", format!("a field has at most {FIELD_MAX} bytes")));
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

fn broken(error: &MultipartError) -> Problem {
    Problem::new(error.status(), "invalid", format!("the form cannot be read: {}", error.body_text()))
}
