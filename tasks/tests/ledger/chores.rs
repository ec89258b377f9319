//! What is to be done after the end: given to one at a time, and again if he does not say that it is done.

use std::time::Duration;

use celeriac_tasks::ledger::{Chore, Retention, Submission, Webhook};

use crate::ground::Ground;
use crate::on_both;

on_both!(
    an_end_leaves_chores_that_are_given_until_they_are_done,
    where_nobody_does_them_the_oldest_chores_are_forgotten,
    figures_are_learned
);

const LEASE: Duration = Duration::from_secs(60);

async fn an_end_leaves_chores_that_are_given_until_they_are_done(ground: Ground) {
    let hook = Webhook { url: "https://example.com".into(), events: vec!["job.cancelled".into()] };
    ground.ledger.create("j", Submission { webhook: Some(hook), ..Submission::default() }).await.unwrap();
    assert!(ground.ledger.chores(Chore::ARCHIVE, 10, LEASE).await.unwrap().is_empty());
    ground.ledger.cancel("j").await.unwrap();

    let due = ground.other().chores(Chore::ARCHIVE, 10, LEASE).await.unwrap();
    assert_eq!((due.len(), due[0].job_id.as_str()), (1, "j"));
    assert!(ground.ledger.chores(Chore::ARCHIVE, 10, LEASE).await.unwrap().is_empty(), "somebody else is on it");
    ground.ledger.remind(&due[0], Duration::ZERO).await.unwrap();
    let again = ground.ledger.chores(Chore::ARCHIVE, 10, Duration::ZERO).await.unwrap();
    assert_eq!(again, due);
    ground.ledger.done(&due[0]).await.unwrap();
    assert!(ground.ledger.chores(Chore::ARCHIVE, 10, LEASE).await.unwrap().is_empty());

    let told = ground.ledger.chores(Chore::WEBHOOK, 10, LEASE).await.unwrap();
    assert_eq!((told.len(), told[0].detail.as_str()), (1, "job.cancelled"));
}

async fn where_nobody_does_them_the_oldest_chores_are_forgotten(ground: Ground) {
    let ledger = ground.kept(Retention { chores_max: 2, ..Retention::default() });
    for job_id in ["1", "2", "3"] {
        ledger.create(job_id, Submission::default()).await.unwrap();
        ledger.cancel(job_id).await.unwrap();
    }
    let due: Vec<String> = ledger.chores(Chore::ARCHIVE, 10, LEASE).await.unwrap().into_iter().map(|chore| chore.job_id).collect();
    assert_eq!(due, ["2", "3"]);
}

async fn figures_are_learned(ground: Ground) {
    assert_eq!(ground.ledger.milliseconds_per_page("direct:offline").await.unwrap(), None);
    ground.ledger.learn("direct:offline", 100).await.unwrap();
    ground.other().learn("direct:offline", 200).await.unwrap();
    assert_eq!(ground.ledger.milliseconds_per_page("direct:offline").await.unwrap(), Some(110.0));
}
