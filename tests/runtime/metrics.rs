//! What a worker tells Prometheus and who asks for its health, over HTTP.

use std::net::TcpListener;
use std::time::Duration;

use celeriac::config::Settings;
use celeriac::protocol::Signature;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::house::House;

/// A house whose worker answers at a free port.
fn house(settings: impl FnOnce(&mut Settings)) -> (House, String) {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut wanted = Settings::default();
    wanted.celeriac.metrics_addr = Some(address.clone());
    settings(&mut wanted);
    (House::with(wanted), address)
}

/// The status line and the body of an answer.
async fn ask(address: &str, request: &str) -> (String, String) {
    let mut stream = loop {
        // The worker opens its port when it starts.
        match TcpStream::connect(address).await {
            Ok(stream) => break stream,
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    stream.write_all(format!("{request} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

async fn metrics(address: &str) -> Vec<String> {
    let (status, body) = ask(address, "GET /metrics").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    body.lines().map(str::to_owned).collect()
}

fn has(lines: &[String], line: &str) {
    assert!(lines.iter().any(|known| known == line), "{line}\n{}", lines.join("\n"));
}

#[tokio::test]
async fn tasks_are_counted_though_no_events_are_sent() {
    let (house, address) = house(|settings| settings.worker_send_task_events = false);
    let worker = house.worker(2);
    house.call(Signature::new("t.add").arg(1).arg(2)).await;
    house.call(Signature::new("t.fail")).await;
    let mut rejected = Signature::new("t.rejects").arg(false);
    rejected.set_option("task_id", "an-id-of-a-job");
    house.call(rejected).await;
    let lines = metrics(&address).await;
    for (step, name) in [("received", "t.add"), ("started", "t.add"), ("succeeded", "t.add"), ("rejected", "t.rejects")] {
        let labels = format!("name=\"{name}\",hostname=\"test\",queue_name=\"celery\"");
        has(&lines, &format!("celery_task_{step}_total{{{labels}}} 1"));
    }
    let sent = |line: &String| line.starts_with("celery_task_sent_total{name=\"t.add\"") && line.ends_with("} 1");
    assert!(lines.iter().any(sent), "{}", lines.join("\n"));
    has(&lines, "celery_task_failed_total{name=\"t.fail\",hostname=\"test\",queue_name=\"celery\",exception=\"ValueError\"} 1");
    has(&lines, "celery_task_runtime_count{name=\"t.add\",hostname=\"test\",queue_name=\"celery\"} 1");
    has(&lines, "celery_worker_up{hostname=\"test\"} 1.0");
    has(&lines, "celery_worker_tasks_active{hostname=\"test\"} 0.0");
    has(&lines, "celery_queue_length{queue_name=\"celery\"} 0.0");
    has(&lines, "celery_active_process_count{queue_name=\"celery\"} 2.0");
    has(&lines, "celeriac_slots{state=\"free\"} 2.0");
    has(&lines, "celeriac_redis_up 1.0");
    has(&lines, "celeriac_dlq_length 0.0");
    assert_eq!(lines.last().map(String::as_str), Some("# EOF"));
    assert!(!lines.join("\n").contains("an-id-of-a-job"), "no label is an id");
    worker.stop().await;
}

#[tokio::test]
async fn what_waits_and_runs_is_told() {
    let (house, address) = house(|settings| settings.celeriac.metrics_celery_compat = true);
    let worker = house.worker(1);
    let blocking = house.send(Signature::new("t.blocks")).await;
    house.traces.begun.notified().await;
    for _ in 0..3 {
        house.send(Signature::new("t.add").arg(1).arg(2).queue("celery").priority(5)).await;
    }
    let lines = metrics(&address).await;
    has(&lines, "celery_worker_tasks_active{hostname=\"test\"} 1.0");
    has(&lines, "celeriac_slots{state=\"busy\"} 1.0");
    house.traces.release.notify_one();
    house.ended(&blocking).await;
    worker.stop().await;
}

#[tokio::test]
async fn without_the_names_of_celery_exporter_only_our_own_are_told() {
    let (house, address) = house(|settings| settings.celeriac.metrics_celery_compat = false);
    let worker = house.worker(1);
    house.call(Signature::new("t.add").arg(1).arg(2)).await;
    let lines = metrics(&address).await;
    assert!(lines.iter().all(|line| !line.contains("celery_")), "{}", lines.join("\n"));
    assert!(lines.iter().any(|line| line.starts_with("celeriac_build_info{")));
    worker.stop().await;
}

#[tokio::test]
async fn a_worker_says_that_it_lives_and_that_it_takes_no_more_work() {
    let (house, address) = house(|_| {});
    let worker = house.worker(1);
    let blocking = house.send(Signature::new("t.blocks")).await;
    house.traces.begun.notified().await;
    assert_eq!(ask(&address, "GET /livez").await.0, "HTTP/1.1 200 OK");
    assert_eq!(ask(&address, "GET /readyz").await.0, "HTTP/1.1 200 OK");
    assert_eq!(ask(&address, "POST /metrics").await.0, "HTTP/1.1 405 Method Not Allowed");
    assert_eq!(ask(&address, "GET /other").await.0, "HTTP/1.1 404 Not Found");
    worker.shutdown.warm();
    assert_eq!(ask(&address, "GET /livez").await.0, "HTTP/1.1 200 OK");
    assert_eq!(ask(&address, "GET /readyz").await, ("HTTP/1.1 503 Service Unavailable".to_owned(), "draining\n".to_owned()));
    house.traces.release.notify_one();
    house.ended(&blocking).await;
    worker.ended().await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_an_error_at_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut settings = Settings::default();
    settings.celeriac.metrics_addr = Some(taken.local_addr().unwrap().to_string());
    let house = House::with(settings);
    let error = house.fails_to_start().await;
    assert!(error.contains("celeriac.metrics_addr: cannot listen on"), "{error}");
}
