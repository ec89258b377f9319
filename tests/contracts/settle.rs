//! The contract of settling: one step, fenced, the ack last.

use celeriac::settlement::{Disposal, Settled, Settlement};

use crate::contracts;
use crate::ground::{Ground, LEASE, assert_marked, message, names, settlement, state};

contracts!(
    a_settlement_stores_publishes_and_acks,
    a_settlement_that_was_done_is_lost_the_second_time,
    a_worker_that_was_overtaken_changes_nothing,
    a_success_is_kept_and_the_rest_of_the_settlement_is_done,
    what_is_published_keeps_its_order_and_its_priority,
    a_requeued_message_goes_to_the_tail_and_bears_marks,
    an_overtaken_requeue_changes_nothing,
    without_a_tag_nothing_is_acked,
    without_a_backend_writes_and_part_are_left_to_others,
    settlements_of_one_call_are_settled_each_by_itself,
    hundreds_of_settlements_at_once_each_get_their_answer,
    broker_and_backend_know_that_they_share_a_server,
);

const KEY: &str = "celery-task-meta-1";

async fn a_settlement_stores_publishes_and_acks(ground: Ground) {
    let delivery = ground.leased("1").await;
    assert_eq!(ground.settle(&settlement(&delivery)).await, Settled::Done);
    assert!(ground.value(KEY).await.unwrap().contains("SUCCESS"));
    assert_eq!((ground.leased_len(), names(&ground.drain("next").await)), (0, vec!["callback".to_owned()]));
}

async fn a_settlement_that_was_done_is_lost_the_second_time(ground: Ground) {
    let delivery = ground.leased("1").await;
    let first = settlement(&delivery);
    assert_eq!(ground.settle(&first).await, Settled::Done);
    let second = Settlement { writes: vec![state("celery-task-meta-2", "SUCCESS")], ..first };
    assert_eq!(ground.settle(&second).await, Settled::Lost);
    assert_eq!(ground.value("celery-task-meta-2").await, None);
    assert_eq!(ground.broker.queue_len("next").await.unwrap(), 1);
}

async fn a_worker_that_was_overtaken_changes_nothing(ground: Ground) {
    let old = ground.leased("1").await;
    ground.pass(LEASE * 2).await;
    assert_eq!(ground.broker.restore_orphans(LEASE).await.unwrap(), 1);
    let new = ground.drain("q").await;
    assert_eq!(ground.settle(&settlement(&old)).await, Settled::Lost);
    assert_eq!((ground.value(KEY).await, ground.broker.queue_len("next").await.unwrap()), (None, 0));
    assert_eq!(ground.leased_len(), 1, "the other's lease is untouched");
    assert_eq!(ground.settle(&settlement(&new[0])).await, Settled::Done);
}

async fn a_success_is_kept_and_the_rest_of_the_settlement_is_done(ground: Ground) {
    ground.backend.apply(&[state(KEY, "SUCCESS")]).await.unwrap();
    let delivery = ground.leased("1").await;
    let late = Settlement { writes: vec![state(KEY, "FAILURE")], ..settlement(&delivery) };
    assert_eq!(ground.settle(&late).await, Settled::Done);
    assert!(ground.value(KEY).await.unwrap().contains("SUCCESS"));
    assert_eq!((ground.leased_len(), ground.broker.queue_len("next").await.unwrap()), (0, 1));
}

async fn what_is_published_keeps_its_order_and_its_priority(ground: Ground) {
    let delivery = ground.leased("1").await;
    let publish = vec![message("next", "low", 9), message("next", "a", 0), message("other", "c", 0), message("next", "b", 0)];
    ground.settle(&Settlement { publish, ..settlement(&delivery) }).await;
    assert_eq!(names(&ground.drain("next").await), ["a", "b", "low"]);
    assert_eq!(names(&ground.drain("other").await), ["c"]);
}

async fn a_requeued_message_goes_to_the_tail_and_bears_marks(ground: Ground) {
    let delivery = ground.leased("1").await;
    ground.publish("q", &["2"]).await;
    let requeue = Settlement { disposal: Disposal::Requeue { raise_count: false }, ..settlement(&delivery) };
    assert_eq!(ground.settle(&requeue).await, Settled::Done);
    assert_eq!((ground.leased_len(), ground.broker.queue_len("next").await.unwrap()), (0, 1));
    let back = ground.drain("q").await;
    assert_eq!(names(&back), ["2", "1"]);
    assert_marked(&back[1], None);
    assert_eq!(ground.settle(&requeue).await, Settled::Lost);
}

async fn an_overtaken_requeue_changes_nothing(ground: Ground) {
    let delivery = ground.leased("1").await;
    ground.broker.put_back(std::slice::from_ref(&delivery.tag), false).await.unwrap();
    let requeue = Settlement { disposal: Disposal::Requeue { raise_count: false }, ..settlement(&delivery) };
    assert_eq!(ground.settle(&requeue).await, Settled::Lost);
    assert_eq!((ground.broker.queue_len("q").await.unwrap(), ground.value(KEY).await), (1, None));
}

async fn without_a_tag_nothing_is_acked(ground: Ground) {
    let delivery = ground.leased("1").await;
    let early = Settlement { tag: None, ..settlement(&delivery) };
    assert_eq!(ground.settle(&early).await, Settled::Done);
    assert_eq!((ground.leased_len(), ground.broker.queue_len("next").await.unwrap()), (1, 1));
    assert!(ground.value(KEY).await.is_some());
}

async fn without_a_backend_writes_and_part_are_left_to_others(ground: Ground) {
    let delivery = ground.leased("1").await;
    let mut answers = ground.broker.settle(&[settlement(&delivery)], None).await;
    assert_eq!(answers.remove(0).unwrap(), Settled::Done);
    assert_eq!((ground.value(KEY).await, ground.leased_len()), (None, 0));
    assert_eq!(ground.broker.queue_len("next").await.unwrap(), 1);
}

async fn settlements_of_one_call_are_settled_each_by_itself(ground: Ground) {
    let (one, two) = (ground.leased("1").await, ground.leased("2").await);
    let all = [Settlement::ack("celeriac:other:1:1"), settlement(&one), Settlement::ack("gone"), Settlement::ack(two.tag)];
    let answers = ground.broker.settle(&all, Some(&ground.location().await)).await;
    let answers: Vec<Settled> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers, [Settled::Lost, Settled::Done, Settled::Lost, Settled::Done]);
    assert_eq!(ground.leased_len(), 0);
}

async fn hundreds_of_settlements_at_once_each_get_their_answer(ground: Ground) {
    let all: Vec<String> = (0..300).map(|number| number.to_string()).collect();
    ground.publish("q", &all.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let taken = ground.drain("q").await;
    let location = ground.location().await;
    let settle = |index: usize| {
        let gone = index.is_multiple_of(3);
        let mut settlement = settlement(&taken[index]);
        settlement.writes = vec![state(&format!("celery-task-meta-{index}"), "SUCCESS")];
        if gone {
            settlement.tag = Some(format!("gone {index}"));
        }
        let (ground, location) = (&ground, &location);
        async move { (gone, ground.broker.settle(&[settlement], Some(location)).await.remove(0).unwrap()) }
    };
    for (gone, answer) in futures::future::join_all((0..300).map(settle)).await {
        assert_eq!(answer, if gone { Settled::Lost } else { Settled::Done });
    }
    assert_eq!((ground.leased_len(), ground.broker.queue_len("next").await.unwrap()), (100, 200));
    assert!(ground.value("celery-task-meta-299").await.is_some());
    assert!(ground.value("celery-task-meta-0").await.is_none());
}

async fn broker_and_backend_know_that_they_share_a_server(ground: Ground) {
    let (broker, backend) = (ground.broker.location().await.unwrap(), ground.location().await);
    assert_eq!(broker.server, backend.server);
    assert_ne!(Ground::memory().location().await.server, broker.server);
}
