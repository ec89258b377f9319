//! What is told, to whom, in which order.

use std::time::Duration;

use celeriac_tasks::ledger::{Ending, EventId, Kind, PageChange, PageState};
use celeriac_tasks::result::JobStatus;

use crate::ground::Ground;
use crate::on_both;

on_both!(who_follows_hears_everything_once_and_in_order, a_job_tells_its_own_from_any_place_on);

const PATIENCE: Duration = Duration::from_secs(20);

async fn who_follows_hears_everything_once_and_in_order(ground: Ground) {
    ground.running("before", 1).await;
    let (mut here, mut there) = (ground.ledger.follow().await.unwrap(), ground.other().follow().await.unwrap());
    let other = ground.other();
    let mut elsewhere = other.follow().await.unwrap();
    drop(there.try_recv());
    ground.running("j", 5).await;
    for page in 1..=5 {
        ground.ledger.pages("j", &[PageChange::new(page, PageState::Ok)]).await.unwrap();
    }
    ground.ledger.finish("j", Ending { status: JobStatus::Completed, partial_reasons: vec![], error: None }).await.unwrap();

    let kept: Vec<EventId> = ground.ledger.events("j", EventId::default(), 100).await.unwrap().iter().map(|told| told.id).collect();
    for follower in [&mut here, &mut elsewhere] {
        let mut heard = Vec::new();
        loop {
            let told = tokio::time::timeout(PATIENCE, follower.recv()).await.unwrap().unwrap();
            assert_eq!(told.event.job_id, "j");
            heard.push(told.id);
            if told.event.kind == Kind::End {
                break;
            }
        }
        assert!(heard.is_sorted());
        assert_eq!(heard, kept);
    }
}

async fn a_job_tells_its_own_from_any_place_on(ground: Ground) {
    let ledger = &ground.ledger;
    ground.running("a", 2).await;
    ground.running("b", 2).await;
    ledger.log("a", "warning", "slow").await.unwrap();
    let told = ledger.events("a", EventId::default(), 100).await.unwrap();
    assert!(told.iter().all(|told| told.event.job_id == "a") && told.is_sorted_by_key(|told| told.id));
    let last = told.last().unwrap();
    assert_eq!(ledger.last_event("a").await.unwrap(), last.id);
    assert_eq!(ledger.last_event("nobody").await.unwrap(), EventId::default());
    assert_eq!((last.event.kind, last.event.data["text"].as_str()), (Kind::Log, Some("slow")));
    ledger.pages("a", &[PageChange { milliseconds: Some(12), ..PageChange::new(2, PageState::Ok) }]).await.unwrap();
    let next = ledger.events("a", last.id, 100).await.unwrap();
    assert_eq!(next.len(), 1);
    assert_eq!(next[0].event.data, serde_json::json!({"n": 2, "s": "o", "ms": 12, "attempt": 1}));
    assert_eq!(ledger.all_events(EventId::default(), 3).await.unwrap().len(), 3);
}
