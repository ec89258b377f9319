//! A model that fails is left alone for a while (S4.32); pages and what follows them wait for it, and that is no try of theirs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use celeriac::protocol::value::Value;
use celeriac_tasks::openai::{Price, Settings};
use celeriac_tasks::provider::CircuitOptions;
use celeriac_tasks::result::PageStatus;
use libtest_mimic::Trial;
use serde_json::json;

use super::fake::{Fake, Reply};
use super::house::{House, compact, numbered, pdf};
use super::trial;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("providers::pages_wait_for_a_model_that_is_left_alone_and_lose_no_try", waits),
        trial("providers::what_the_summary_takes_is_the_jobs_too", counted),
        trial("providers::a_provider_that_is_down_is_asked_no_more_often_than_it_must", spared),
    ]
}

/// Left alone after two failures, for so long that a test sees it.
const CIRCUIT: CircuitOptions = CircuitOptions { failures: 2, wait: Duration::from_millis(400) };

fn house(fake: &Fake) -> House {
    House::with(|documents| {
        documents.openai = Some(fake.model_with(Settings { circuit: CIRCUIT, ..Settings::default() }));
    })
}

/// An answer that every question can take: what is asked for and not there is empty.
fn answer() -> Reply {
    let content = json!({"summary": "A page.", "executive": "All.", "key_points": [], "themes": [], "quotes": [], "entities": []});
    Reply::content(&content.to_string())
}

async fn waits() {
    // So seldom that no page can have used up its four tries.
    let left = AtomicUsize::new(3);
    let fake = Fake::answering(move |_, _| {
        let fails = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if fails { Reply::text(503, "down") } else { answer() }
    })
    .await;
    let house = house(&fake);
    let path = house.file("waits.pdf", &pdf(&numbered(4)));
    let meta = house.process(json!({"path": path, "job_id": "waits", "summary": false})).await;
    assert_eq!(compact(&meta)["job"]["status"], "completed");
    let result = house.result("waits").await;
    assert!(result.pages.iter().all(|page| page.status == PageStatus::Ok), "{:?}", result.pages);
    let tries: u32 = result.pages.iter().map(|page| page.attempts).sum();
    assert_eq!((tries, fake.asked().len()), (4 + 3, 4 + 3));
    house.close().await;
}

async fn counted() {
    let fake = Fake::start(vec![answer()]).await;
    let house = House::with(|documents| {
        let prices = [("fake".to_owned(), Price { input: 10.0, cached_input: None, output: 100.0 })].into();
        documents.openai = Some(fake.model_with(Settings { prices, ..Settings::default() }));
    });
    let path = house.file("counted.pdf", &pdf(&numbered(2)));
    compact(&house.process(json!({"path": path, "job_id": "counted", "summary": true})).await);
    let spent = house.ledger.get("counted").await.unwrap().unwrap().spent;
    let (usage, asked) = (house.result("counted").await.usage, fake.asked().len() as u64);
    assert!(asked > 2, "the summary is asked for as well");
    assert_eq!((spent.input_tokens, spent.output_tokens), (100 * asked, 20 * asked));
    assert_eq!((spent.input_tokens, spent.output_tokens), (usage.input_tokens, usage.output_tokens));
    assert!((spent.cost_usd - 0.003 * asked as f64).abs() < 1e-9 && (spent.cost_usd - usage.cost_usd).abs() < 1e-9);
    house.close().await;
}

async fn spared() {
    let fake = Fake::start(vec![Reply::text(500, "down")]).await;
    let house = house(&fake);
    let path = house.file("spared.pdf", &pdf(&numbered(3)));
    let meta = house.process(json!({"path": path, "job_id": "spared", "summary": false})).await;
    // All fail in the end, each after its four tries: none was given up because it could not be tried, often as it was put off.
    assert_eq!(meta.status.as_str(), "FAILURE");
    let told = house.app.control().inspect().stats().await.unwrap();
    let circuits = told["celery@test"].get("circuits").unwrap();
    assert_eq!(circuits.get("openai"), Some(&Value::from("open")), "{circuits}");
    assert_eq!(fake.asked().len(), 3 * 4);
    house.close().await;
}
