//! What callers ask for, as the desk takes it: one document, or several as one job.

mod idempotency;
mod options;
mod schema;

use axum::http::HeaderMap;
use celeriac_tasks::job::ProcessDocument;
use celeriac_tasks::ledger::{Submission, Webhook};
use celeriac_tasks::source::Document;
use celeriac_tasks::store::Key;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use self::options::Options;
pub(super) use self::schema::{AskForm, AskJson};
use super::super::auth::Caller;
use super::super::extract::{object, read};
use super::super::intake;
use super::super::problem::Problem;
use crate::jobs::{Asked, Together, kind};

/// The longest a job may be given: ten years.
const DEADLINE_MAX: f64 = 315_360_000.0;

/// What is asked for: exactly one source, or several documents; everything else has a default.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ask {
    /// The job's id; the same id with the same words is the same job.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 200, pattern = "^[A-Za-z0-9_.:@-]*[A-Za-z0-9_:@-][A-Za-z0-9_.:@-]*$")]
    job_id: Option<String>,
    /// A key of your own in place of an id, as the header `Idempotency-Key`: the same key with the same words is the same job.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 255, pattern = "^[!-~]*$")]
    idempotency: Option<String>,
    /// Where the document is; in a form it is the file.
    #[serde(default, deserialize_with = "object")]
    source: Option<Source>,
    /// Several documents as one job, each with a `source`, and where it differs `file_name`, `options`, `tags`, `metadata`; or just
    /// its address or path.
    #[serde(default)]
    #[schema(schema_with = schema::documents)]
    pub(super) documents: Option<Vec<Value>>,
    /// What kind of job it is: `document`, `ocr`, `nlp`, `validation`, `preprocessing`, `audio`. It decides about options that are
    /// not said.
    #[serde(default)]
    #[schema(pattern = "^(document|ocr|nlp|validation|preprocessing|audio)$")]
    job_type: Option<String>,
    /// What it is called.
    #[serde(default)]
    file_name: Option<String>,
    /// What is made of it.
    #[serde(default, deserialize_with = "object")]
    #[schema(value_type = Options)]
    options: Map<String, Value>,
    /// `high`, `normal`, `low`, or a number from -10 to 10.
    #[serde(default)]
    #[schema(schema_with = schema::priority)]
    priority: Option<Value>,
    /// Your own data, given back untouched.
    #[serde(default)]
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
    /// Words to find it by.
    #[serde(default)]
    tags: Vec<String>,
    /// Whose job it is.
    #[serde(default)]
    user_id: Option<String>,
    /// Who is told how it ended; of several documents, how all of them did.
    #[serde(default, deserialize_with = "object")]
    webhook: Option<Hook>,
    /// After how many seconds it is ended with what is done.
    #[serde(default)]
    #[schema(exclusive_minimum = 0.0, maximum = 315_360_000.0)]
    deadline_s: Option<f64>,
    /// What it may cost at most; of several documents, each of them.
    #[serde(default)]
    max_cost_usd: Option<f64>,
    /// How many tokens it may take at most; of several documents, each of them.
    #[serde(default)]
    max_tokens: Option<u64>,
}

/// Where a document is.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Source {
    /// Fetched from an `https` address.
    Url { url: String },
    /// A file in a folder that workers may read.
    Path { path: String },
    /// A key of the store, as an upload left it.
    StoreKey { key: String },
}

/// Who is told.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Hook {
    /// Where to.
    url: String,
    /// Of what: `job.completed`, `job.partial`, `job.failed`, `job.cancelled`; none: of each end.
    #[serde(default)]
    events: Vec<String>,
}

/// One of several documents.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Part {
    /// Where it is.
    #[serde(deserialize_with = "object")]
    source: Source,
    /// What it is called.
    #[serde(default)]
    file_name: Option<String>,
    /// What is made of it, where it differs from what is made of all.
    #[serde(default)]
    #[schema(value_type = Options)]
    options: Map<String, Value>,
    /// Your own data, given back untouched.
    #[serde(default)]
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
    /// Words to find it by, beside those of all.
    #[serde(default)]
    tags: Vec<String>,
}

/// A document that was sent along: where it lies now, and what is known of it.
pub(super) type Sent<'a> = (Key, &'a Document);

impl Ask {
    /// Of a JSON body.
    pub(super) fn of_json(fields: Map<String, Value>) -> Result<Self, Problem> {
        read(fields)
    }

    /// A form's: the fields of the JSON body as fields, and files in place of `source`.
    pub(super) fn of_form(form: &intake::Form) -> Result<Self, Problem> {
        Self::of_json(form.values()?)
    }

    /// Where it says no id, that of the job which its caller means by the key he gives.
    pub(super) fn by_key(mut self, headers: &HeaderMap, caller: &Caller) -> Result<Self, Problem> {
        let key = idempotency::key(headers, self.idempotency.take())?;
        let meant = key.map(|key| idempotency::job_id(caller.name.as_deref(), &key));
        self.job_id = self.job_id.or(meant);
        Ok(self)
    }

    /// One document.
    pub(super) fn asked(self, sent: Option<Sent<'_>>) -> Result<Asked, Problem> {
        let source = match (&self.source, &sent) {
            (Some(source), None) => Some(source.clone()),
            (None, Some(_)) => None,
            (None, None) => return Err(Problem::invalid("source is missing: name one, or send a file in a form")),
            (Some(_), Some(_)) => return Err(Problem::invalid("a form has a file or a source, not both")),
        };
        let submission = self.submission()?;
        let (file_name, tags, metadata) = (self.file_name.clone(), self.tags.clone(), self.metadata.clone());
        let mut asked = document(self.options()?, source, sent, submission)?;
        asked.call.job_id = self.job_id;
        asked.call.file_name = file_name.or(asked.call.file_name);
        asked.call.user_id = self.user_id;
        (asked.call.tags, asked.call.metadata) = (tags, metadata);
        Ok(asked)
    }

    /// Several documents, those that were sent along first.
    pub(super) fn together(mut self, sent: Vec<Sent<'_>>) -> Result<Together, Problem> {
        if self.source.is_some() {
            return Err(Problem::invalid("source names one document and documents several: give one of the two"));
        }
        if self.documents.as_ref().is_some_and(Vec::is_empty) {
            return Err(Problem::invalid("documents is empty: name some, or leave it out where files or images are sent along"));
        }
        let options = self.options()?;
        let whole = self.submission()?;
        // The whole alone is told of, and by its own words it is found.
        let part = Submission { webhook: None, ..whole.clone() };
        let sent = sent.into_iter().map(|sent| document(options.clone(), None, Some(sent), part.clone()));
        let mut documents = sent.collect::<Result<Vec<_>, _>>()?;
        for (number, named) in self.documents.take().unwrap_or_default().into_iter().enumerate() {
            let asked = Part::of(named).and_then(|named| named.asked(options.clone(), part.clone()));
            documents
                .push(asked.map_err(|problem| Problem { detail: format!("documents[{number}]: {}", problem.detail), ..problem })?);
        }
        for asked in &mut documents {
            asked.call.user_id.clone_from(&self.user_id);
            asked.call.tags.splice(0..0, self.tags.iter().cloned());
        }
        let (file_name, user_id, tags, metadata) = (self.file_name, self.user_id, self.tags, self.metadata);
        let submission = Submission { file_name, user_id, tags, metadata, ..whole };
        Ok(Together { job_id: self.job_id, submission, documents })
    }

    /// What was said, over what the kind of job stands for.
    fn options(&self) -> Result<Map<String, Value>, Problem> {
        let mut options = self.job_type.as_deref().map_or(Ok(Map::new()), kind::options).map_err(Problem::invalid)?;
        options.extend(kind::renamed(self.options.clone()));
        Ok(options)
    }

    /// Who is told.
    pub(super) fn webhook(&self) -> Option<Webhook> {
        self.webhook.as_ref().map(|hook| Webhook { url: hook.url.clone(), events: hook.events.clone() })
    }

    /// What only the service needs.
    fn submission(&self) -> Result<Submission, Problem> {
        Ok(Submission {
            job_type: self.job_type.clone(),
            priority: self.priority.clone(),
            webhook: self.webhook(),
            deadline: self.deadline_s.map(|seconds| deadline(seconds, Utc::now())).transpose()?,
            max_cost_usd: self.max_cost_usd,
            max_tokens: self.max_tokens,
            ..Submission::default()
        })
    }
}

impl Part {
    /// A document with what is its own, or where it is alone.
    fn of(named: Value) -> Result<Self, Problem> {
        let read = match named {
            Value::String(place) => {
                let source = if place.starts_with("https://") || place.starts_with("http://") {
                    Source::Url { url: place }
                } else {
                    Source::Path { path: place }
                };
                let (options, metadata) = (Map::new(), Map::new());
                return Ok(Self { source, file_name: None, options, metadata, tags: Vec::new() });
            }
            other => object(other),
        };
        read.map_err(|error| Problem::invalid(error.to_string()))
    }

    fn asked(self, mut options: Map<String, Value>, submission: Submission) -> Result<Asked, Problem> {
        options.extend(kind::renamed(self.options));
        let mut asked = document(options, Some(self.source), None, submission)?;
        asked.call.file_name = self.file_name;
        (asked.call.tags, asked.call.metadata) = (self.tags, self.metadata);
        Ok(asked)
    }
}

/// A document by where it is or as it was sent along, and what is to be made of it.
fn document(
    options: Map<String, Value>,
    source: Option<Source>,
    sent: Option<Sent<'_>>,
    submission: Submission,
) -> Result<Asked, Problem> {
    let mut call = Options::read(options)?.call();
    match source {
        Some(Source::Url { url }) => call.url = Some(url),
        Some(Source::Path { path }) => call.path = Some(path.into()),
        Some(Source::StoreKey { key }) => call.store_key = Some(key),
        None => call.document_key = sent.as_ref().map(|(key, _)| key.as_str().to_owned()),
    }
    let Some((_, document)) = sent else { return Ok(Asked { call, submission }) };
    Ok(Asked {
        call: ProcessDocument { file_name: document.file_name.clone(), ..call },
        submission: Submission { size_bytes: Some(document.size_bytes), announced_pages: document.known_pages(), ..submission },
    })
}

pub(super) fn deadline(seconds: f64, now: DateTime<Utc>) -> Result<DateTime<Utc>, Problem> {
    let wait = TimeDelta::milliseconds((seconds.min(DEADLINE_MAX) * 1000.0) as i64);
    if seconds > DEADLINE_MAX || wait <= TimeDelta::zero() {
        return Err(Problem::invalid(format!("deadline_s is a number of seconds above 0, up to {DEADLINE_MAX} (ten years)")));
    }
    Ok(now + wait)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ask(body: Value) -> Ask {
        serde_json::from_value(body).unwrap()
    }

    #[test]
    fn s4_19_documents_have_what_is_said_for_all_and_what_is_their_own() {
        let asked = ask(json!({
            "job_id": "j", "job_type": "ocr", "priority": 5, "options": {"language": "en", "dpi": 100}, "tags": ["all"], "user_id": "u",
            "documents": ["in/doc1.pdf", "https://host/doc2.pdf",
                          {"source": {"kind": "store_key", "key": "k"}, "options": {"dpi": 72, "summary": true}, "tags": ["own"]}],
            "webhook": {"url": "https://host/hook"},
        }));
        let together = asked.together(Vec::new()).unwrap();
        assert_eq!((together.job_id.as_deref(), together.documents.len()), (Some("j"), 3));
        assert!(together.submission.webhook.is_some() && together.documents.iter().all(|part| part.submission.webhook.is_none()));
        let calls: Vec<&ProcessDocument> = together.documents.iter().map(|part| &part.call).collect();
        assert_eq!(
            (calls[0].path.as_deref(), calls[1].url.as_deref()),
            (Some("in/doc1.pdf".as_ref()), Some("https://host/doc2.pdf"))
        );
        assert!(calls.iter().all(|call| call.ocr_languages.as_deref() == Some("eng") && call.user_id.as_deref() == Some("u")));
        assert_eq!(
            calls.iter().map(|call| (call.dpi, call.summary)).collect::<Vec<_>>(),
            [(Some(100), Some(false)), (Some(100), Some(false)), (Some(72), Some(true))]
        );
        assert_eq!(calls[2].tags, ["all", "own"]);
        assert!(together.documents.iter().all(|part| part.submission.priority == Some(json!(5))));
    }

    #[test]
    fn what_makes_no_sense_names_the_document() {
        for (body, words) in [
            (json!({"documents": [{"url": "https://a"}]}), "documents[0]"),
            (
                json!({"documents": ["a.pdf", {"source": {"kind": "path", "path": "b"}, "options": {"dpi": "many"}}]}),
                "documents[1]",
            ),
            (json!({"documents": ["a.pdf", 7]}), "documents[1]"),
            (json!({"documents": ["a.pdf"], "source": {"kind": "path", "path": "b"}}), "one of the two"),
            (json!({"documents": ["a.pdf"], "job_type": "fax"}), "job_type"),
            (json!({"documents": []}), "documents is empty"),
        ] {
            let problem = ask(body.clone()).together(Vec::new()).unwrap_err();
            assert!(problem.detail.contains(words), "{body}: {}", problem.detail);
        }
    }

    #[test]
    fn a_list_is_no_object_whatever_is_in_it() {
        let read = |body: Value| serde_json::from_value::<Ask>(body).map_err(|error| error.to_string());
        for (name, list) in [("options", json!([null])), ("source", json!(["path", "/a.pdf"])), ("webhook", json!(["https://a"]))] {
            assert!(read(json!({name: list})).unwrap_err().contains("an object is expected"), "{name}");
        }
        for part in [json!([{"kind": "path", "path": "a"}]), json!({"source": ["path", "a"]})] {
            let refused = ask(json!({"documents": [part]})).together(Vec::new()).unwrap_err();
            assert!(refused.detail.contains("an object is expected"), "{}", refused.detail);
        }
        let whole =
            json!({"source": {"kind": "path", "path": "a"}, "options": {"dpi": 72, "page_parallelism": 2}, "webhook": null});
        let asked = read(whole).unwrap().asked(None).unwrap();
        assert_eq!((asked.call.dpi, asked.call.page_parallelism, asked.submission.webhook), (Some(72), Some(2), None));
        let wrong = ask(json!({"source": {"kind": "path", "path": "a"}, "options": {"sumary": true}})).asked(None).unwrap_err();
        assert!(wrong.detail.contains("unknown field `sumary`"), "{}", wrong.detail);
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
