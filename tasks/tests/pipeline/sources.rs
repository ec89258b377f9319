//! Where documents come from: only from where they may.

use libtest_mimic::Trial;
use serde_json::json;

use super::house::{House, compact, numbered, pdf};
use super::trial;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("sources::a_path_outside_the_allowed_folders_is_refused", outside),
        trial("sources::an_address_in_a_private_network_is_refused", private),
        trial("sources::an_unreadable_image_among_good_ones_fails_alone", images),
        trial("sources::no_source_and_two_sources_are_refused", how_many),
    ]
}

async fn code(house: &House, asked: serde_json::Value) -> String {
    let exception = house.process(asked).await.exception().unwrap();
    exception.exc_message[1].get("code").and_then(|code| code.as_str()).unwrap().to_owned()
}

async fn outside() {
    let house = House::new();
    let secret = house.folder.path().join("secret.pdf");
    std::fs::write(&secret, pdf(&numbered(1))).unwrap();
    assert_eq!(code(&house, json!({"path": secret})).await, "source_refused");
    let climbing = house.folder.path().join("in/../secret.pdf");
    assert_eq!(code(&house, json!({"path": climbing})).await, "source_refused");
    assert_eq!(code(&house, json!({"path": house.folder.path().join("in/nothing.pdf")})).await, "source_missing");
    house.close().await;
}

async fn private() {
    let house = House::new();
    for url in
        ["https://127.0.0.1/a.pdf", "https://[::ffff:10.0.0.1]/a.pdf", "http://example.com/a.pdf", "https://169.254.169.254/latest"]
    {
        assert_eq!(code(&house, json!({"url": url})).await, "source_refused", "{url}");
    }
    house.close().await;
}

async fn images() {
    use celeriac_tasks::result::PageStatus;
    let house = House::new();
    // The smallest PNG there is, three times; the second is cut short.
    let good =
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    let cut = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ";
    let meta = house.process(json!({"images_base64": [good, cut, good], "job_id": "images", "ocr": "never"})).await;
    assert_eq!(compact(&meta)["job"]["status"], "partial");
    let statuses: Vec<PageStatus> = house.result("images").await.pages.iter().map(|page| page.status).collect();
    assert_eq!(statuses, [PageStatus::Ok, PageStatus::Failed, PageStatus::Ok]);
    house.close().await;
}

async fn how_many() {
    let house = House::new();
    assert_eq!(code(&house, json!({})).await, "source_refused");
    assert_eq!(code(&house, json!({"path": "a", "url": "https://example.com/b"})).await, "source_refused");
    house.close().await;
}
