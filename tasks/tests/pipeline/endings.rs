//! What goes wrong ends in a clear error on the page or the job, never in a dead worker or a lost page.

use std::time::Duration;

use celeriac_tasks::job::ProcessDocument;
use celeriac_tasks::result::{JobStatus, PageStatus, PartialReason};
use libtest_mimic::Trial;
use serde_json::json;

use super::house::{ABORTS, House, SLOW, compact, numbered, pdf};
use super::trial;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("endings::a_page_that_aborts_its_child_leaves_a_partial_result_that_names_it", aborts),
        trial("endings::a_child_that_is_killed_costs_nothing_but_a_retry", killed),
        trial("endings::a_document_of_which_no_page_can_be_done_has_failed", nothing),
        trial("endings::a_broken_document_fails_with_its_code", broken),
        trial("endings::an_encrypted_document_needs_its_password", encrypted),
        trial("endings::a_document_over_the_size_limit_is_refused", too_large),
    ]
}

async fn aborts() {
    let house = House::new();
    let mut lines = numbered(60);
    lines[30] = ABORTS.to_owned();
    let path = house.file("aborts.pdf", &pdf(&lines));
    let meta = house.process(json!({"path": path, "job_id": "aborts"})).await;
    let answer = compact(&meta);
    assert_eq!(answer["job"]["status"], "partial");
    let result = house.result("aborts").await;
    assert_eq!((result.job.status, &result.job.partial_reasons[..]), (JobStatus::Partial, &[PartialReason::PagesFailed][..]));
    let failed: Vec<u32> = result.pages.iter().filter(|page| page.status != PageStatus::Ok).map(|page| page.page).collect();
    assert_eq!((failed, result.counts.ok), (vec![31], 59));
    let error = result.pages[30].error.as_ref().unwrap();
    assert_eq!((serde_json::to_value(error.code).unwrap(), error.page), (json!("worker_lost"), Some(31)));
    assert!(error.message.contains("SIG"), "{}", error.message);
    house.close().await;
}

async fn killed() {
    let house = House::new();
    let path = house.file("killed.pdf", &pdf(&[SLOW.to_owned()]));
    let id = house.send(json!({"path": path})).await;
    let busy = |child: &celeriac::pool::ChildInfo| child.running.as_deref() == Some("documents.page");
    let pid = loop {
        if let Some(child) = house.children.children().await.iter().find(|child| busy(child)) {
            break child.pid;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let killed = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    assert!(killed.success());
    let meta = house.app.result(&id, Duration::from_secs(100)).await.unwrap();
    assert_eq!(compact(&meta)["job"]["status"], "completed");
    assert_eq!(house.result(&id).await.pages[0].attempts, 2);
    house.close().await;
}

async fn nothing() {
    let house = House::new();
    let path = house.file("nothing.pdf", &pdf(&[ABORTS.to_owned()]));
    let meta = house.process(json!({"path": path})).await;
    assert_eq!(meta.exception().unwrap().exc_type, "DocumentProcessingError");
    house.close().await;
}

async fn broken() {
    let house = House::new();
    let whole = pdf(&numbered(3));
    let cases: [(&str, Vec<u8>, &str); 4] = [
        ("empty.pdf", Vec::new(), "source_unsupported"),
        ("text.pdf", b"just some text".to_vec(), "source_unsupported"),
        ("header.pdf", b"%PDF-1.7\nand nothing else".to_vec(), "pdf_corrupt"),
        ("pageless.pdf", pdf(&[]), "pdf_corrupt"),
    ];
    for (name, bytes, code) in cases {
        let path = house.file(name, &bytes);
        let meta = house.process(json!({"path": path})).await;
        let exception = meta.exception().unwrap();
        assert_eq!(exception.exc_type, "DocumentProcessingError", "{name}");
        assert_eq!(exception.exc_message[1].get("code").and_then(|code| code.as_str()), Some(code), "{name}: {exception}");
    }
    // A whole document is still done after all of these.
    let path = house.file("whole.pdf", &whole);
    compact(&house.process(json!({"path": path})).await);
    house.close().await;
}

async fn encrypted() {
    let house = House::new();
    let bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/encrypted.pdf")).unwrap();
    let path = house.file("encrypted.pdf", &bytes);
    for asked in [json!({"path": path}), json!({"path": path, "password": "wrong"})] {
        let exception = house.process(asked).await.exception().unwrap();
        assert_eq!(exception.exc_message[1].get("code").and_then(|code| code.as_str()), Some("pdf_encrypted"));
    }
    // Kept apart it stays while the rest of the job is made anew, for other wishes.
    ProcessDocument::keep_password(&house.store, "apart", "name", "secret".to_owned()).await.unwrap();
    for dpi in [50, 60] {
        compact(&house.process(json!({"path": path, "password_ref": "name", "job_id": "apart", "dpi": dpi})).await);
    }
    house.close().await;
}

async fn too_large() {
    let house = House::with(|documents| {
        documents.sources.max_bytes = 100;
    });
    let path = house.file("large.pdf", &pdf(&numbered(3)));
    let exception = house.process(json!({"path": path})).await.exception().unwrap();
    assert_eq!(exception.exc_message[1].get("code").and_then(|code| code.as_str()), Some("source_too_large"));
    house.close().await;
}
