//! Tests of the shape of a result: against the documented example, the golden schema and a JSON Schema validator.

use serde_json::Value;

use super::*;
use crate::error::{Code, DocumentError, Stage};

const EXAMPLE: &str = include_str!("../../tests/golden/document-result-example.json");
const GOLDEN: &str = include_str!("../../tests/golden/document-result-1.0.json");

fn example() -> DocumentResult {
    serde_json::from_str(EXAMPLE).unwrap()
}

/// Without nulls, falses and empty lists, which the example shows on one page and leaves out on another; numbers as floats.
fn significant(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(name, value)| (name.clone(), significant(value)))
                .filter(|(_, value)| !matches!(value, Value::Null | Value::Bool(false)))
                .filter(|(_, value)| value.as_array().is_none_or(|items| !items.is_empty()))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(significant).collect()),
        Value::Number(number) => number.as_f64().into(),
        other => other.clone(),
    }
}

#[test]
fn the_documented_example_survives_reading_and_writing() {
    let written = serde_json::to_value(example()).unwrap();
    let given: Value = serde_json::from_str(EXAMPLE).unwrap();
    assert_eq!(significant(&written), significant(&given));
}

#[test]
fn the_schema_changes_only_with_its_version() {
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    let now = schema();
    if now != golden {
        let path = std::env::temp_dir().join(format!("document-result-{SCHEMA_VERSION}.json"));
        std::fs::write(&path, serde_json::to_string_pretty(&now).unwrap() + "\n").unwrap();
        panic!(
            "the schema of a result is not the golden one: raise SCHEMA_VERSION and SCHEMA_URL, and keep {} as the new \
             golden file beside the old one",
            path.display()
        );
    }
    assert_eq!(golden["version"], SCHEMA_VERSION);
}

#[test]
fn what_is_written_satisfies_the_schema_and_nonsense_does_not() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let mut written = serde_json::to_value(example()).unwrap();
    let errors: Vec<String> = validator.iter_errors(&written).map(|e| e.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
    written["pages"][0]["status"] = "fine".into();
    assert!(!validator.is_valid(&written));
}

#[test]
fn readers_ignore_fields_they_do_not_know() {
    let mut given: Value = serde_json::from_str(EXAMPLE).unwrap();
    given["later"] = 1.into();
    given["pages"][0]["later"] = "x".into();
    assert_eq!(serde_json::from_value::<DocumentResult>(given).unwrap(), example());
}

#[test]
fn the_compact_form_has_every_slot_and_no_text() {
    let mut result = example();
    result.batches[0].tasks = vec!["a".to_owned()];
    let compact = result.compact().unwrap();
    assert_eq!(compact["pages"].as_array().unwrap().len(), 2);
    assert_eq!(compact["pages"][1]["error"]["code"], "page_render_failed");
    for page in compact["pages"].as_array().unwrap() {
        for left_out in ["text", "markdown", "analysis", "tables"] {
            assert!(page.get(left_out).is_none(), "{left_out}");
        }
    }
    assert!(compact["batches"][0].get("tasks").is_none());
    assert_eq!(compact["counts"]["total"], 500);
    assert_eq!(compact["$schema"], SCHEMA_URL);
    assert_eq!(compact["summary"]["quotes"][0]["verified"], true);
}

#[test]
fn the_compact_form_of_a_thousand_pages_is_small() {
    let mut result = example();
    let page = result.pages[0].clone();
    result.pages = (1..=1000).map(|number| PageRecord { page: number, ..page.clone() }).collect();
    let with = result.compact().unwrap().to_string().len();
    result.pages.clear();
    let without = result.compact().unwrap().to_string().len();
    assert!(with - without < 70_000, "{} bytes for 1,000 pages", with - without);
}

#[test]
fn markdown_marks_every_page_and_shows_what_failed() {
    let at = chrono::DateTime::from_timestamp(0, 0).unwrap();
    let mut result = example();
    let text = |content: &str| PageRecord {
        page: 1,
        text: Some(PageText { content: content.to_owned(), ..PageText::default() }),
        ..PageRecord::default()
    };
    let error = DocumentError::new(Code::PageTimeout, Stage::Render, "took longer\nthan 60 s");
    result.pages = vec![
        text("A line\r\n# not a heading\r\n<!-- page 9 -->"),
        PageRecord::failed(2, error.on_page(2).record(3, at)),
        PageRecord::skipped(3),
    ];
    let markdown = result.to_markdown();
    assert!(markdown.starts_with("# Annual Report 2024\n"));
    assert!(markdown.contains("\n<!-- page 1 -->\n\nA line\n\\# not a heading\n\\<!-- page 9 -->\n"));
    assert!(markdown.contains("> **Page 2 failed** (`page_timeout`): took longer than 60 s"));
    assert!(markdown.contains("<!-- page 3 -->\n\n> *Page 3 was not processed.*"));
    let markers = markdown.lines().filter(|line| line.starts_with("<!-- page ")).count();
    assert_eq!(markers, 3);
}
