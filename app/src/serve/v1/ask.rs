//! What a job is asked for by: a body of JSON, or a form with the document in it.

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use celeriac_tasks::job::{Analysis, BatchSize, ProcessDocument, Selection};
use celeriac_tasks::ledger::{Submission, Webhook};
use celeriac_tasks::page::OcrMode;
use celeriac_tasks::source::Document;
use celeriac_tasks::store::Key;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use utoipa::openapi::schema::{
    AllOfBuilder, AnyOfBuilder, ArrayBuilder, KnownFormat, ObjectBuilder, OneOfBuilder, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::super::extract::object;
use super::super::problem::Problem;
use super::super::{Api, intake};
use crate::jobs::{Asked, Refusal};

/// The longest a job may be given: ten years.
const DEADLINE_MAX: f64 = 315_360_000.0;

/// What is asked for: exactly one source, everything else has a default.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct Ask {
    /// The job's id; the same id with the same words is the same job.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 200, pattern = "^[A-Za-z0-9_.:@-]*[A-Za-z0-9_:@-][A-Za-z0-9_.:@-]*$")]
    job_id: Option<String>,
    /// Where the document is; in a form it is the file.
    #[serde(default, deserialize_with = "object")]
    source: Option<Source>,
    /// What it is called.
    #[serde(default)]
    file_name: Option<String>,
    /// What is made of it.
    #[serde(default, deserialize_with = "object")]
    options: Options,
    /// `high`, `normal`, `low`, or a number from -10 to 10.
    #[serde(default)]
    #[schema(schema_with = priority)]
    priority: Option<serde_json::Value>,
    /// Your own data, given back untouched.
    #[serde(default)]
    #[schema(value_type = Object)]
    metadata: serde_json::Map<String, serde_json::Value>,
    /// Words to find it by.
    #[serde(default)]
    tags: Vec<String>,
    /// Whose job it is.
    #[serde(default)]
    user_id: Option<String>,
    /// Who is told how it ended.
    #[serde(default, deserialize_with = "object")]
    webhook: Option<Hook>,
    /// After how many seconds it is ended with what is done.
    #[serde(default)]
    #[schema(exclusive_minimum = 0.0, maximum = 315_360_000.0)]
    deadline_s: Option<f64>,
    /// What it may cost at most.
    #[serde(default)]
    max_cost_usd: Option<f64>,
    /// How many tokens it may take at most.
    #[serde(default)]
    max_tokens: Option<u64>,
}

/// Where a document is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Source {
    /// Fetched from an `https` address.
    Url { url: String },
    /// A file in a folder that workers may read.
    Path { path: String },
    /// A key of the store, as an upload left it.
    StoreKey { key: String },
}

/// What is made of a document. What is not said, the settings say.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct Options {
    /// Which pages: `1-25,40`; by default all.
    #[schema(value_type = Option<String>)]
    pages: Option<Selection>,
    /// Pages a batch, or `auto`.
    #[schema(schema_with = batch_size)]
    batch_size: Option<BatchSize>,
    /// Dots an inch of the page images.
    dpi: Option<u16>,
    /// When pages are read by OCR: `auto`, `always`, `never`.
    #[schema(value_type = Option<String>, pattern = "^(auto|always|never)$")]
    ocr: Option<OcrMode>,
    /// The OCR program's languages, such as `eng+deu`.
    ocr_languages: Option<String>,
    /// How pages are analysed: `none`, `extractive`, `openai`.
    #[schema(value_type = Option<String>, pattern = "^(none|extractive|openai)$")]
    analysis: Option<Analysis>,
    /// Whether a summary is made.
    summary: Option<bool>,
    /// Whether the summary is narrated.
    audio: Option<bool>,
    /// The voice of the narration.
    voice: Option<String>,
    /// The password of an encrypted PDF.
    password: Option<String>,
}

/// Who is told.
#[derive(Debug, Deserialize, ToSchema)]
struct Hook {
    /// Where to.
    url: String,
    /// Of what: `job.completed`, `job.partial`, `job.failed`, `job.cancelled`; none: of each end.
    #[serde(default)]
    events: Vec<String>,
}

/// Reads what a request asks for; its document, if it brings one, is in the store then.
pub(super) async fn read(api: &Api, request: Request) -> Result<Asked, Problem> {
    if intake::is_form(&request) {
        let form = intake::form(request, &api.desk.store, api.max_upload_bytes).await?;
        let ask = Ask::of_form(&form)?;
        return match form.files.as_slice() {
            [] => ask.asked(None),
            [document] => ask.entered(api, document).await,
            files => Err(Problem::invalid(format!("the form has {} files; a job has one", files.len()))),
        };
    }
    let is_json = |kind: &HeaderValue| kind.as_bytes().starts_with(b"application/json");
    if !request.headers().get(header::CONTENT_TYPE).is_some_and(is_json) {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid", "send application/json or multipart/form-data"));
    }
    let given = intake::read_json(request.into_body(), &api.desk.store, api.max_json_bytes).await?;
    let images = given.images.map(|images| images.finish().map_err(Refusal::from)).transpose()?;
    let ask: Ask = serde_json::from_value(given.fields.into()).map_err(|error| Problem::invalid(error.to_string()))?;
    match &images {
        Some(document) => ask.entered(api, document).await,
        None => ask.asked(None),
    }
}

impl Ask {
    /// A form's: the fields of the JSON body as fields, those that are no text as JSON, and a file in place of `source`.
    fn of_form(form: &intake::Form) -> Result<Self, Problem> {
        let mut fields = serde_json::Map::new();
        for (name, value) in &form.fields {
            let read = match name.as_str() {
                "job_id" | "user_id" | "file_name" | "priority" => Ok(value.clone().into()),
                "tags" if !value.trim_start().starts_with('[') => Ok(value.split(',').map(str::trim).collect()),
                _ => serde_json::from_str(value).map_err(|error| Problem::invalid(format!("{name} is not JSON: {error}"))),
            };
            fields.insert(name.clone(), read?);
        }
        serde_json::from_value(fields.into()).map_err(|error| Problem::invalid(error.to_string()))
    }

    async fn entered(self, api: &Api, document: &Document) -> Result<Asked, Problem> {
        let key = document.enter(&api.desk.store).await.map_err(Refusal::from)?;
        self.asked(Some((key, document)))
    }

    fn asked(self, document: Option<(Key, &Document)>) -> Result<Asked, Problem> {
        let mut call = self.options.call();
        match (self.source, &document) {
            (None, Some((key, _))) => call.document_key = Some(key.as_str().to_owned()),
            (Some(Source::Url { url }), None) => call.url = Some(url),
            (Some(Source::Path { path }), None) => call.path = Some(path.into()),
            (Some(Source::StoreKey { key }), None) => call.store_key = Some(key),
            (None, None) => return Err(Problem::invalid("source is missing: name one, or send a file in a form")),
            (Some(_), Some(_)) => return Err(Problem::invalid("a form has a file or a source, not both")),
        }
        let submission = Submission {
            priority: self.priority,
            webhook: self.webhook.map(|hook| Webhook { url: hook.url, events: hook.events }),
            deadline: self.deadline_s.map(|seconds| deadline(seconds, Utc::now())).transpose()?,
            max_cost_usd: self.max_cost_usd,
            max_tokens: self.max_tokens,
            size_bytes: document.as_ref().map(|(_, document)| document.size_bytes),
            announced_pages: document.as_ref().and_then(|(_, document)| document.known_pages()),
            ..Submission::default()
        };
        let call = ProcessDocument {
            job_id: self.job_id,
            file_name: self.file_name.or_else(|| document.and_then(|(_, document)| document.file_name.clone())),
            user_id: self.user_id,
            tags: self.tags,
            metadata: self.metadata,
            ..call
        };
        Ok(Asked { call, submission })
    }
}

impl Options {
    fn call(self) -> ProcessDocument {
        ProcessDocument {
            pages: self.pages,
            batch_size: self.batch_size,
            dpi: self.dpi,
            ocr: self.ocr,
            ocr_languages: self.ocr_languages,
            analysis: self.analysis,
            summary: self.summary,
            audio: self.audio,
            voice: self.voice,
            password: self.password,
            ..ProcessDocument::default()
        }
    }
}

fn deadline(seconds: f64, now: DateTime<Utc>) -> Result<DateTime<Utc>, Problem> {
    let wait = TimeDelta::milliseconds((seconds.min(DEADLINE_MAX) * 1000.0) as i64);
    if seconds > DEADLINE_MAX || wait <= TimeDelta::zero() {
        return Err(Problem::invalid(format!("deadline_s is a number of seconds above 0, up to {DEADLINE_MAX} (ten years)")));
    }
    Ok(now + wait)
}

// What the document of the API says of them.

/// A JSON body: it may have its images with it.
pub(super) struct AskJson;

impl PartialSchema for AskJson {
    fn schema() -> RefOr<Schema> {
        let images = ArrayBuilder::new().items(text()).description(Some("In place of a source: one image a page, base64"));
        with("images_base64", images.min_items(Some(1)).build().into())
    }
}

impl ToSchema for AskJson {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Ask::schemas(schemas);
    }
}

/// A form: it may have its document with it.
pub(super) struct AskForm;

impl PartialSchema for AskForm {
    fn schema() -> RefOr<Schema> {
        let file = text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)));
        with("file", file.description(Some("In place of a source: the document")).build().into())
    }
}

impl ToSchema for AskForm {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Ask::schemas(schemas);
    }
}

/// What is asked for, with a further property, of which or of a source it has one.
fn with(name: &str, property: Schema) -> RefOr<Schema> {
    let mut asked = Ask::schema();
    if let RefOr::T(Schema::Object(object)) = &mut asked {
        object.properties.insert("source".to_owned(), Ref::from_schema_name("Source").into());
        object.properties.insert(name.to_owned(), property.into());
    }
    let has = |name: &str| ObjectBuilder::new().required(name);
    let one = OneOfBuilder::new().item(has("source")).item(has(name));
    Schema::from(AllOfBuilder::new().item(asked).item(one).build()).into()
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn priority() -> RefOr<Schema> {
    let word = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["high", "normal", "low"]));
    let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(-10)).maximum(Some(10));
    Schema::from(AnyOfBuilder::new().item(word).item(number).item(nothing()).build()).into()
}

fn batch_size() -> RefOr<Schema> {
    let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(u32::MAX));
    let word = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["auto"]));
    Schema::from(AnyOfBuilder::new().item(number).item(word).item(nothing()).build()).into()
}

fn nothing() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::new(Type::Null))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_no_object_whatever_is_in_it() {
        let read = |body: serde_json::Value| serde_json::from_value::<Ask>(body).map_err(|error| error.to_string());
        for (name, list) in [("options", r#"[null, null]"#), ("source", r#"["path", "/a.pdf"]"#), ("webhook", r#"["https://a"]"#)] {
            let list: serde_json::Value = serde_json::from_str(list).unwrap();
            assert!(read(serde_json::json!({name: list})).unwrap_err().contains("an object is expected"), "{name}");
        }
        let asked =
            read(serde_json::json!({"source": {"kind": "path", "path": "a"}, "options": {"dpi": 72}, "webhook": null})).unwrap();
        assert_eq!((asked.options.dpi, asked.webhook.is_none()), (Some(72), true));
        assert!(read(serde_json::json!({"options": {"sumary": true}})).unwrap_err().contains("unknown field `sumary`"));
    }

    #[test]
    fn a_deadline_is_ahead_and_not_beyond_all_years() {
        let now = Utc::now();
        assert_eq!(deadline(1.5, now).unwrap(), now + TimeDelta::milliseconds(1500));
        assert!(deadline(DEADLINE_MAX, now).is_ok());
        for wrong in [0.0, -1.0, 0.0001, DEADLINE_MAX + 1.0, 1e300, f64::MAX] {
            assert!(deadline(wrong, now).is_err(), "{wrong}");
        }
    }
}
