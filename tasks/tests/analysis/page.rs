//! A page analysed by a model: what is asked, what is made of the answer, what of a failing server.

use std::time::Duration;

use celeriac_tasks::Code;
use celeriac_tasks::openai::{OpenAi, Price, Settings};
use serde_json::{Value, json};

use crate::fake::{Fake, Reply};

const PAGE: &str = "Trade in the northern ports grew by a tenth over the whole year. Container trade made up most of the growth\nin the northern ports, said the port office.";

fn answer() -> Value {
    json!({
        "summary": "Trade grew.", "key_points": ["Trade grew by a tenth."], "themes": ["trade"], "sentiment": "positive",
        "quotes": ["Container trade made up most of the growth in the northern ports", "Trade will double"],
        "entities": [{"text": "port office", "type": "org"}], "language": "en", "transcript": ""
    })
}

#[tokio::test]
async fn a_page_is_asked_about_with_its_schema_and_its_quotes_are_looked_up() {
    let fake = Fake::start(vec![Reply::content(&answer().to_string())]).await;
    let found = fake.model(false).page(3, PAGE, b"jpeg").await.unwrap();
    assert_eq!(found.analysis.summary, "Trade grew.");
    assert_eq!(found.analysis.sentiment.as_deref(), Some("positive"));
    assert_eq!(found.analysis.entities[0].kind, "ORG");
    let [real, invented] = &found.analysis.quotes[..] else { panic!("{:?}", found.analysis.quotes) };
    assert_eq!((real.verified, real.start, real.end), (true, Some(65), Some(129)));
    assert_eq!((invented.verified, invented.start), (false, None));
    assert_eq!(found.digest.summary.as_deref(), Some("Trade grew."));
    assert!(!found.digest.sentences.is_empty(), "passages with places come from the offline analysis");
    let asked = fake.asked();
    assert_eq!(
        (asked.len(), asked[0].path.as_str(), asked[0].authorization.as_str()),
        (1, "/v1/chat/completions", "Bearer sk-test")
    );
    let body = &asked[0].body;
    assert_eq!(body["response_format"]["json_schema"]["strict"], true);
    assert_eq!(body["response_format"]["json_schema"]["schema"]["additionalProperties"], false);
    assert!(body["messages"][1]["content"].as_str().unwrap().contains("Container trade"));
}

#[tokio::test]
async fn with_vision_the_image_is_sent_and_a_page_without_text_is_read() {
    let mut read = answer();
    read["transcript"] = "Container trade made up most of the growth in the northern ports.".into();
    let fake = Fake::start(vec![Reply::content(&read.to_string())]).await;
    let found = fake.model(true).page(1, " ", b"\xff\xd8jpeg").await.unwrap();
    assert!(found.text.unwrap().starts_with("Container trade"));
    assert!(found.analysis.quotes[0].verified, "quotes are looked up in what was read");
    let url = fake.asked()[0].body["messages"][1]["content"][1]["image_url"]["url"].as_str().unwrap().to_owned();
    assert_eq!(url, "data:image/jpeg;base64,/9hqcGVn");
}

#[tokio::test]
async fn a_page_with_nothing_on_it_is_not_asked_about() {
    let fake = Fake::start(vec![Reply::text(500, "")]).await;
    let found = fake.model(false).page(1, "\n ", b"jpeg").await.unwrap();
    assert_eq!((found.analysis.summary.as_str(), found.usage), ("", None));
    assert!(fake.asked().is_empty());
}

#[tokio::test]
async fn tokens_and_cost_are_counted_over_both_tries() {
    let fake = Fake::start(vec![Reply::content("not JSON"), Reply::content(&format!("```json\n{}\n```", answer()))]).await;
    let price = Price { input: 1.0, cached_input: Some(0.5), output: 10.0 };
    let settings = Settings { prices: [("fake".to_owned(), price)].into(), ..Settings::default() };
    let usage = fake.model_with(settings).page(1, PAGE, b"").await.unwrap().usage.unwrap();
    assert_eq!((usage.input_tokens, usage.cached_input_tokens, usage.output_tokens), (200, 80, 40));
    assert_eq!(usage.requests, Some(2));
    let cost = 2.0 * (60.0 + 20.0 + 200.0) / 1e6;
    assert!((usage.cost_usd.unwrap() - cost).abs() < 1e-12);
    let again = fake.asked()[1].body["messages"].as_array().unwrap().len();
    assert_eq!(again, 4, "the second question shows what was wrong with the first answer");
}

#[tokio::test]
async fn an_answer_of_another_shape_is_an_error_after_the_second_try() {
    let fake = Fake::start(vec![Reply::content(r#"{"summary": 7}"#)]).await;
    let error = fake.model(false).page(9, PAGE, b"").await.unwrap_err();
    assert_eq!((error.code, error.page, error.retryable()), (Code::LlmBadJson, Some(9), true));
    assert_eq!(fake.asked().len(), 2);
}

#[tokio::test]
async fn a_busy_server_is_asked_once_and_its_wait_is_handed_on() {
    let limit = json!({"error": {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}});
    let fake = Fake::start(vec![Reply::json(429, limit).with("Retry-After: 7")]).await;
    let error = fake.model(false).page(1, PAGE, b"").await.unwrap_err();
    assert_eq!((error.code, error.retryable()), (Code::LlmRateLimited, true));
    let wait = error.retry_after().unwrap();
    assert!(wait > Duration::from_secs(5) && wait <= Duration::from_secs(7), "{wait:?}");
    assert_eq!(fake.asked().len(), 1, "repeating is the task's business");
}

#[tokio::test]
async fn errors_say_whether_trying_again_may_help() {
    let quota = json!({"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}});
    let key = json!({"error": {"message": "Incorrect API key provided: sk-test.", "code": "invalid_api_key"}});
    let refusal = Reply::choice(json!({"message": {"content": null, "refusal": "I cannot help with that."}}));
    let filtered = Reply::choice(json!({"message": {"content": ""}, "finish_reason": "content_filter"}));
    let cases = [
        (Reply::json(429, quota), Code::LlmFailed, false),
        (Reply::json(401, key), Code::LlmFailed, false),
        (Reply::text(503, "<html>busy</html>"), Code::LlmFailed, true),
        (Reply::text(200, "hello"), Code::LlmFailed, true),
        (Reply::json(200, json!({"choices": []})), Code::LlmFailed, true),
        (refusal, Code::LlmRefused, false),
        (filtered, Code::LlmRefused, false),
    ];
    for (reply, code, retryable) in cases {
        let shown = format!("{reply:?}");
        let fake = Fake::start(vec![reply]).await;
        let error = fake.model(false).page(1, PAGE, b"").await.unwrap_err();
        assert_eq!((error.code, error.retryable()), (code, retryable), "{shown}: {error}");
        assert!(!error.message.contains("sk-test"), "{error}");
        assert_eq!(fake.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_server_without_json_schema_is_asked_without_it_from_then_on() {
    let fake = Fake::answering(|_, body| match body.get("response_format") {
        Some(_) => Reply::json(400, json!({"error": "unknown field response_format"})),
        None => Reply::content(&format!("Here you are: {}", answer())),
    })
    .await;
    let model = fake.model(false);
    for _ in 0..2 {
        assert_eq!(model.page(1, PAGE, b"").await.unwrap().analysis.summary, "Trade grew.");
    }
    assert_eq!(fake.asked().len(), 3);
    assert!(fake.asked()[1].body["messages"][0]["content"].as_str().unwrap().contains("JSON Schema"));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_to_be_so() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = Some(format!("http://{}/v1", listener.local_addr().unwrap()));
    drop(listener);
    let model = OpenAi::new(Settings { base_url, ..Settings::default() }).unwrap();
    let error = model.page(1, PAGE, b"").await.unwrap_err();
    assert_eq!((error.code, error.retryable()), (Code::LlmFailed, true));
    assert!(error.message.starts_with("the model's server cannot be reached"), "{error}");
}
