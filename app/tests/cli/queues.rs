//! Over Redis: a worker of our own, a document submitted to it, and a stop that is asked for.

use std::io::{BufRead, BufReader};
use std::process::Child;

use super::process::house;
use super::redis_server::RedisServer;
use super::*;

/// A process that ends with the test.
pub(super) struct Running(pub(super) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A Redis of our own and its URL; none where it is not installed.
pub(super) fn redis() -> Option<(RedisServer, String)> {
    let server = RedisServer::start()?;
    let url = server.url(0);
    Some((server, url))
}

/// Starts a worker and waits until it says that it is ready; the rest of its log is read on, so that it never waits for us.
pub(super) fn worker(house: &House, line: &str) -> (Running, std::thread::JoinHandle<String>) {
    let mut child = house.command(line).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains(" ready.") {
        assert!(log.read_line(&mut said).unwrap() > 0, "the worker ended: {said}");
    }
    let rest = std::thread::spawn(move || {
        let _ = std::io::Read::read_to_string(&mut log, &mut said);
        said
    });
    (Running(child), rest)
}

#[test]
fn a_worker_waits_for_a_broker_that_is_away_unless_told_not_to() {
    let house = House::new();
    let ran = house.run(&format!("worker -b {NOWHERE} broker.connection_retry_on_startup=false"));
    assert_eq!(ran.code, Some(75), "{ran:?}");

    let mut waiting = house.command(&format!("worker -b {NOWHERE} --pidfile pid")).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(waiting.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("cannot connect to Redis") {
        assert!(log.read_line(&mut said).unwrap() > 0, "the worker ended: {said}");
    }
    let mut waiting = Running(waiting);
    assert!(Command::new("kill").args(["-TERM", &waiting.0.id().to_string()]).status().unwrap().success());
    assert_eq!(waiting.0.wait().unwrap().code(), Some(0));
}

#[test]
fn a_submitted_document_is_done_by_a_worker_that_then_stops_when_told() {
    let Some(house) = house(30) else { return };
    let Some((_server, url)) = redis() else { return };
    let (mut worker, log) =
        worker(&house, &format!("-A proj worker -b {url} -n w1@%n --pidfile pid -c 2 -l INFO --without-gossip"));
    let doctor = house.run(&format!("doctor --json -b {url}")).json();
    assert_eq!(doctor["checks"][1]["name"], "redis");
    assert_eq!(doctor["checks"][1]["status"], "ok", "{doctor}");

    let ran = house.run(&format!("process report.pdf --submit -b {url} --dpi 40 -o out --json"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let job = &ran.json()["jobs"][0];
    assert_eq!((&job["status"], &job["ok"]), (&"completed".into(), &30.into()));
    assert!(std::fs::read_to_string(house.path().join("out/document.md")).unwrap().contains("page number 30 of the test"));

    let pid = std::fs::read_to_string(house.path().join("pid")).unwrap();
    assert!(Command::new("kill").args(["-TERM", pid.trim()]).status().unwrap().success());
    assert_eq!(worker.0.wait().unwrap().code(), Some(0));
    assert!(!house.path().join("pid").exists());
    let log = log.join().unwrap();
    assert!(log.contains("INFO/MainProcess] w1@") && log.contains("Task tasks.process_page["), "{log}");
    assert!(log.contains("warm shutdown"), "{log}");
}
