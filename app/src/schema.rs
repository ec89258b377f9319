//! `schema`: JSON Schemas of what goes in and comes out, made of the types and tables themselves.

use celeriac::cli::terminal::print_json;
use celeriac::cli::{Exit, Failure};
use celeriac::config::{CORE, Effect, Kind, Setting};
use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, ToSchema};

use crate::args::SchemaOf;
use crate::jobs::JobView;
use crate::settings::TABLES;

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

pub(crate) fn run(of: SchemaOf) -> Result<Exit, Failure> {
    let schema = match of {
        SchemaOf::Result => celeriac_tasks::result::schema(),
        SchemaOf::Job => job(),
        SchemaOf::Config => config(),
        SchemaOf::Event => event(),
    };
    print_json(&schema)?;
    Ok(Exit::Ok)
}

/// That of the OpenAPI document, standing by itself.
fn job() -> Value {
    let mut parts = Vec::new();
    JobView::schemas(&mut parts);
    let definitions: Map<String, Value> = parts.into_iter().map(|(name, part)| (name, by_itself(json!(part)))).collect();
    let mut schema = by_itself(json!(JobView::schema()));
    schema["$schema"] = DIALECT.into();
    schema["title"] = "Job".into();
    schema["$defs"] = definitions.into();
    schema
}

/// With references into the document itself.
fn by_itself(schema: Value) -> Value {
    match schema {
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, by_itself(value))).collect::<Map<_, _>>().into(),
        Value::Array(items) => items.into_iter().map(by_itself).collect(),
        Value::String(text) => text.replace("#/components/schemas/", "#/$defs/").into(),
        other => other,
    }
}

/// A message of the event stream.
fn event() -> Value {
    let told = |kind: &str, properties: Value, required: &[&str]| {
        json!({
            "if": {"properties": {"event": {"const": kind}}},
            "then": {"properties": {"data": {"type": "object", "properties": properties, "required": required}}},
        })
    };
    let (number, text) = (json!({"type": "integer", "minimum": 0}), json!({"type": "string"}));
    let page = json!({
        "type": "object",
        "properties": {
            "n": {"type": "integer", "minimum": 1, "description": "The page"},
            "s": {"enum": [".", "q", "r", "o", "c", "y", "f", "s", "x"], "description": "Its state, as in page_states"},
            "ms": {"type": "integer", "minimum": 0, "description": "How long it took"},
            "attempt": {"type": "integer", "minimum": 1},
            "code": {"type": "string", "description": "Why it failed, for programs"},
            "message": {"type": "string", "description": "And for people"},
        },
        "required": ["n", "s"],
    });
    let progress =
        json!({"percent": {"type": "number", "minimum": 0, "maximum": 100}, "done": number, "failed": number, "total": number});
    json!({
        "$schema": DIALECT,
        "title": "Event",
        "description": "One thing that happened to a job, as `jobs watch --json` and the HTTP API's streams tell it",
        "type": "object",
        "properties": {
            "id": {"type": ["string", "null"], "description": "Its place; hand it back as Last-Event-ID to go on after it"},
            "event": {"enum": ["snapshot", "pages", "batch", "phase", "state", "document", "log", "progress", "end"]},
            "data": {"type": "object"},
        },
        "required": ["id", "event", "data"],
        "allOf": [
            told("snapshot", json!({"job_id": text, "status": text, "page_states": text}), &["job_id", "status", "page_states"]),
            told("pages", json!({"pages": {"type": "array", "items": page, "minItems": 1}}), &["pages"]),
            told("batch", json!({"batch": number, "ok": number, "failed": number}), &["batch", "ok", "failed"]),
            told("phase", json!({"phase": text}), &["phase"]),
            told("state", json!({"status": text}), &["status"]),
            told("document", json!({"job_id": text, "status": text}), &["job_id", "status"]),
            told("log", json!({"level": text, "text": text}), &["level", "text"]),
            told("progress", progress, &["percent", "done", "failed", "total"]),
            told("end", json!({"status": text}), &["status"]),
        ],
    })
}

/// The configuration file, from the tables by which it is read. Names of Celery without effect and old names are not in it, and allowed.
fn config() -> Value {
    let mut root = json!({"$schema": DIALECT, "title": "celery_config.toml", "type": "object", "properties": {}});
    for table in CORE.iter().chain(TABLES) {
        let mut place = &mut root;
        for part in table.path.split('.').filter(|part| !part.is_empty()) {
            place = if part == "*" { &mut place["additionalProperties"] } else { &mut place["properties"][part] };
            if place.is_null() {
                *place = json!({"type": "object", "properties": {}});
            }
        }
        if place["type"] != "object" {
            // A setting of the table above it, in which this table tells of the parts.
            *place = json!({"type": "object", "properties": {}, "description": place["description"]});
        }
        table.settings.iter().for_each(|setting| enter(place, setting));
    }
    root
}

fn enter(place: &mut Value, setting: &Setting) {
    let mut schema = kind(setting.kind);
    let description = match setting.effect {
        Effect::Works => setting.doc.to_owned(),
        Effect::Nothing(why) => format!("{} Without effect: {why}.", setting.doc),
    };
    schema["description"] = description.trim().into();
    let default = (setting.default)();
    if !setting.secret && !default.is_null() {
        schema["default"] = default;
    }
    place["properties"][setting.name] = schema;
}

fn kind(kind: Kind) -> Value {
    match kind {
        Kind::Flag => json!({"type": "boolean"}),
        Kind::Integer(min, i64::MAX) => json!({"type": "integer", "minimum": min}),
        Kind::Integer(min, max) => json!({"type": "integer", "minimum": min, "maximum": max}),
        Kind::Number | Kind::Seconds => json!({"type": "number", "minimum": 0}),
        Kind::Text | Kind::Url => json!({"type": "string"}),
        Kind::Choice(words) => json!({"enum": words}),
        Kind::Names => json!({"type": ["array", "string"], "items": {"type": "string"}}),
        Kind::Integers => json!({"type": ["array", "string"], "items": {"type": "integer"}}),
        Kind::Concurrency => json!({"anyOf": [{"type": "integer", "minimum": 0}, {"const": "auto"}]}),
        Kind::Rate => json!({"type": ["string", "number"]}),
        Kind::Autoscale => json!({"type": ["string", "integer", "array"]}),
        Kind::Mapping => json!({"type": "object"}),
        _ => json!({}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validator(schema: &Value) -> jsonschema::Validator {
        jsonschema::draft202012::new(schema).unwrap()
    }

    #[test]
    fn the_shipped_configuration_fits_its_schema_and_nonsense_does_not() {
        let schema = validator(&config());
        let shipped: Value = toml::from_str(include_str!("../../celery_config.toml")).unwrap();
        let errors: Vec<String> = schema.iter_errors(&shipped).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{errors:?}");
        for wrong in [
            json!({"task_acks_late": "perhaps"}),
            json!({"celeriac": {"api": {"port": 70_000}}}),
            json!({"worker_pools": {"page_processing": {"max_workers": 0}}}),
        ] {
            assert!(!schema.is_valid(&wrong), "{wrong}");
        }
    }

    #[test]
    fn a_job_fits_its_schema() {
        use celeriac_tasks::ledger::{Entry, Submission};
        let now = chrono::Utc::now();
        let view = json!(crate::jobs::view_job(&Entry::new("j", Submission::default(), now), now));
        let schema = validator(&job());
        assert!(schema.is_valid(&view), "{:?}", schema.iter_errors(&view).map(|error| error.to_string()).collect::<Vec<_>>());
        assert!(!schema.is_valid(&json!({"job_id": "j"})));
    }

    #[test]
    fn events_fit_their_schema_by_their_kind() {
        let schema = validator(&event());
        for fits in [
            json!({"id": "1-0", "event": "pages", "data": {"pages": [{"n": 326, "s": "o", "ms": 2110, "attempt": 1}]}}),
            json!({"id": "1-1", "event": "document", "data": {"job_id": "j~3", "status": "completed"}}),
            json!({"id": null, "event": "progress", "data": {"percent": 1.5, "done": 1, "failed": 0, "total": 60}}),
        ] {
            assert!(schema.is_valid(&fits), "{fits}");
        }
        for wrong in [
            json!({"id": "1-0", "event": "pages", "data": {"pages": [{"n": 0, "s": "o"}]}}),
            json!({"id": "1-0", "event": "end", "data": {}}),
            json!({"id": "1-0", "event": "noise", "data": {}}),
        ] {
            assert!(!schema.is_valid(&wrong), "{wrong}");
        }
    }
}
