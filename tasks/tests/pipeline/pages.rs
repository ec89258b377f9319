//! Splitting, page order, resuming.

use libtest_mimic::Trial;
use serde_json::json;

use super::house::{House, compact, numbered, pdf};
use super::trial;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("pages::a_small_document_goes_the_direct_way", small),
        trial("pages::a_large_document_goes_in_batches_the_last_one_short", large),
        trial("pages::chosen_pages_leave_the_others_skipped_in_their_slots", chosen),
        trial("pages::the_same_job_again_does_only_what_is_missing", resumed),
        trial("pages::messages_carry_references_and_no_text", references),
        trial("pages::no_more_pages_of_a_document_run_at_once_than_allowed", lanes),
        trial("pages::pages_begin_no_faster_than_the_model_takes_them", limited),
    ]
}

async fn small() {
    let house = House::new();
    let path = house.file("small.pdf", &pdf(&numbered(3)));
    let meta = house.process(json!({"path": path, "file_name": "Small.pdf"})).await;
    let answer = compact(&meta);
    assert_eq!(answer["job"]["status"], "completed");
    assert_eq!(answer["job"]["processing_strategy"], "direct");
    assert_eq!(answer["document"]["file_name"], "Small.pdf");
    let result = house.result(&meta.task_id).await;
    assert_eq!(result.pages[1].text.as_ref().unwrap().content, numbered(3)[1]);
    let image = result.pages[1].image.as_ref().unwrap();
    assert_eq!((image.width, image.height), (1275, 1650));
    assert!(result.summary.is_some());
    house.close().await;
}

async fn large() {
    let house = House::new();
    let path = house.file("large.pdf", &pdf(&numbered(60)));
    let meta = house.process(json!({"path": path})).await;
    let answer = compact(&meta);
    assert_eq!(answer["job"]["processing_strategy"], "batch_parallel");
    let ranges: Vec<_> =
        answer["batches"].as_array().unwrap().iter().map(|b| (b["pages"]["from"].as_u64(), b["pages"]["to"].as_u64())).collect();
    assert_eq!(ranges, [(Some(1), Some(25)), (Some(26), Some(50)), (Some(51), Some(60))]);
    let result = house.result(&meta.task_id).await;
    for (page, line) in result.pages.iter().zip(numbered(60)) {
        assert_eq!(page.text.as_ref().unwrap().content, line);
    }
    house.close().await;
}

/// How many pages of a job ran at once at most, as the ledger was told.
async fn most_at_once(house: &House, job_id: &str) -> usize {
    let (mut running, mut most) = (std::collections::BTreeSet::new(), 0);
    for told in house.ledger.events(job_id, Default::default(), 10_000).await.unwrap() {
        let (page, state) = (told.event.data["n"].as_u64(), told.event.data["s"].as_str());
        if state == Some("r") {
            running.insert(page);
        } else if state.is_some() {
            running.remove(&page);
        }
        most = most.max(running.len());
    }
    most
}

/// S2.4: on the direct way and in batches, by the setting and as the job asks for it.
async fn lanes() {
    let house = House::with(|documents| documents.defaults.page_parallelism = 2);
    for (name, pages, asked, most) in
        [("small", 8, None, 2), ("large", 60, Some(3), 3), ("narrow", 60, Some(1), 1), ("all", 8, Some(0), 4)]
    {
        let path = house.file(&format!("{name}.pdf"), &pdf(&numbered(pages)));
        let mut job = json!({"path": path, "job_id": name, "summary": false});
        if let Some(asked) = asked {
            job["page_parallelism"] = json!(asked);
        }
        let answer = compact(&house.process(job).await);
        assert_eq!((&answer["job"]["status"], &answer["counts"]["ok"]), (&json!("completed"), &json!(pages)));
        // The worker has four slots, and all of them are used where they may be.
        assert_eq!(most_at_once(&house, name).await, most, "{name}");
    }
    house.close().await;
}

async fn chosen() {
    let house = House::new();
    let path = house.file("chosen.pdf", &pdf(&numbered(10)));
    let meta = house.process(json!({"path": path, "pages": "2-3,7", "summary": false})).await;
    let answer = compact(&meta);
    assert_eq!(
        (&answer["counts"]["ok"], &answer["counts"]["skipped"], &answer["counts"]["total"]),
        (&json!(3), &json!(7), &json!(10))
    );
    assert_eq!(answer["job"]["status"], "completed");
    let refused = house.process(json!({"path": path, "pages": "11-"})).await;
    assert_eq!(refused.status.as_str(), "FAILURE");
    house.close().await;
}

async fn resumed() {
    let house = House::new();
    let path = house.file("resumed.pdf", &pdf(&numbered(4)));
    let first = house.process(json!({"path": path, "job_id": "again", "pages": "1-4"})).await;
    compact(&first);
    let before = house.result("again").await;
    let lost = celeriac_tasks::store::Key::page("again", 3, celeriac_tasks::store::PageFile::Record).unwrap();
    house.store.delete(&lost).await.unwrap();
    let second = house.process(json!({"path": path, "job_id": "again", "pages": "1-4"})).await;
    compact(&second);
    let after = house.result("again").await;
    let tasks =
        |result: &celeriac_tasks::result::DocumentResult| result.pages.iter().map(|page| page.task_id.clone()).collect::<Vec<_>>();
    let (before, after) = (tasks(&before), tasks(&after));
    let same: Vec<bool> = before.iter().zip(&after).map(|(a, b)| a == b).collect();
    assert_eq!(same, [true, true, false, true], "only the missing page was done again");
    house.close().await;
}

async fn references() {
    let house = House::new();
    let path = house.file("references.pdf", &pdf(&numbered(60)));
    let meta = house.process(json!({"path": path, "summary": false})).await;
    let answer = compact(&meta).to_string();
    assert!(answer.contains("\"page\":3,"), "{answer}");
    assert!(!answer.contains("the answer to its question is 21."), "the compact result carries text");
    house.close().await;
}

async fn limited() {
    let house = House::with(|documents| documents.pages_per_minute = Some(600.0));
    let path = house.file("limited.pdf", &pdf(&numbered(8)));
    let since = std::time::Instant::now();
    let meta = house.process(json!({"path": path, "summary": false})).await;
    // The first page has the first of ten turns a second.
    assert!(since.elapsed() >= std::time::Duration::from_millis(650), "{:?}", since.elapsed());
    assert_eq!(compact(&meta)["counts"]["ok"], json!(8));
    house.close().await;
}
