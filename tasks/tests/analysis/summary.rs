//! A document summarised by a model: sections first, then the whole, within the size a question may have.

use celeriac_tasks::Code;
use celeriac_tasks::analysis::Offline;
use celeriac_tasks::openai::Settings;
use celeriac_tasks::result::{OutlineItem, SummaryMethod};
use celeriac_tasks::summary::SummaryInput;
use serde_json::{Value, json};

use crate::fake::{Fake, Reply};

const PORTS: &str = "Trade in the northern ports grew by a tenth over the whole year. The value of timber trade fell because fewer houses were built abroad.";
const SHIPS: &str = "More container ships called at the northern ports than in any year before. The average ship stayed for less than two days in the harbour.";

fn input(pages: u32) -> SummaryInput {
    let offline = Offline::new();
    let text = |page: u32| if page % 2 == 1 { PORTS } else { SHIPS };
    SummaryInput {
        title: Some("Harbour report".to_owned()),
        outline: (1..=pages).map(|page| OutlineItem { title: format!("Part {page}"), page: Some(page), level: 1 }).collect(),
        total_pages: pages,
        digests: (1..=pages).map(|page| offline.page(page, text(page), None).digest).collect(),
        ..SummaryInput::default()
    }
}

fn shape(body: &Value) -> String {
    body["response_format"]["json_schema"]["name"].as_str().unwrap_or_default().to_owned()
}

fn section() -> Value {
    json!({
        "summary": "A part about ports.", "key_points": [{"text": "Trade grew.", "pages": [1], "weight": 0.5}],
        "quotes": [{"text": "trade in the northern ports grew by a tenth over the whole year", "page": 1}, {"text": "Never said", "page": 2}]
    })
}

fn whole() -> Value {
    json!({
        "executive": "The ports did well.",
        "key_points": [{"text": "Trade grew by a tenth.", "pages": [1, 77], "weight": 3.0}],
        "themes": [{"name": "Ports", "description": "About ports.", "pages": [2, 1, 2], "weight": 0.9}],
        "insights": [{"text": "Growth depends on containers.", "kind": "risk", "pages": [2], "confidence": 0.7}]
    })
}

fn reply(body: &Value) -> Reply {
    Reply::content(&if shape(body) == "document_summary" { whole() } else { section() }.to_string())
}

#[tokio::test]
async fn sections_are_asked_about_first_and_then_the_whole() {
    let fake = Fake::answering(|_, body| reply(body)).await;
    let (summary, usage) = fake.model(false).summarize(&input(3)).await.unwrap();
    assert_eq!((summary.method, summary.levels, summary.executive.as_str()), (SummaryMethod::MapReduce, 2, "The ports did well."));
    assert_eq!((summary.key_points[0].pages.clone(), summary.key_points[0].weight), (vec![1], 1.0), "page 77 does not exist");
    assert_eq!(summary.themes[0].pages, [1, 2]);
    assert_eq!(summary.sections.len(), 3);
    assert_eq!((usage.requests, usage.input_tokens), (Some(4), 400));
    let verified: Vec<bool> = summary.quotes.iter().map(|quote| quote.verified).collect();
    assert_eq!(verified, [true, false]);
    assert_eq!((summary.quotes[0].start, summary.quotes[0].end), (Some(0), Some(64)));
    let last = fake.asked().pop().unwrap().body;
    assert!(last["messages"][1]["content"].as_str().unwrap().contains("## Part 3 (pages 3–3)\nA part about ports."));
}

#[tokio::test]
async fn no_question_is_larger_than_the_settings_allow() {
    let fake = Fake::answering(|_, body| reply(body)).await;
    let model = fake.model_with(Settings { max_input_chars: 400, ..Settings::default() });
    let (summary, _) = model.summarize(&input(12)).await.unwrap();
    assert!(summary.levels > 2);
    for asked in fake.asked() {
        let size = asked.body["messages"][1]["content"].as_str().unwrap().chars().count();
        assert!(size <= 400, "{size}");
    }
}

#[tokio::test]
async fn a_refused_section_keeps_its_offline_summary() {
    let fake = Fake::answering(|_, body| {
        if body["messages"][1]["content"].as_str().unwrap_or_default().starts_with("Part: Part 2") {
            return Reply::choice(json!({"message": {"content": null, "refusal": "no"}}));
        }
        reply(body)
    })
    .await;
    let (summary, _) = fake.model(false).summarize(&input(3)).await.unwrap();
    assert_eq!(summary.sections[1].title, "Part 2");
    assert!(summary.sections[1].summary.contains("container ships"), "{:?}", summary.sections[1]);
}

#[tokio::test]
async fn a_busy_server_fails_the_summary_so_that_the_task_tries_again() {
    let fake = Fake::start(vec![Reply::text(429, "slow down").with("Retry-After: 2")]).await;
    let error = fake.model(false).summarize(&input(1)).await.unwrap_err();
    assert_eq!((error.code, error.retryable()), (Code::LlmRateLimited, true));
    assert!(error.retry_after().is_some());
}

#[tokio::test]
async fn a_document_without_text_is_not_asked_about() {
    let fake = Fake::start(vec![Reply::text(500, "")]).await;
    let (summary, usage) = fake.model(false).summarize(&SummaryInput::default()).await.unwrap();
    assert_eq!((summary.executive.as_str(), usage.requests), ("", Some(0)));
    assert!(fake.asked().is_empty());
}
