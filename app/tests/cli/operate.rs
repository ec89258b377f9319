//! The commands for those who operate it, against a worker of our own over Redis, and their exit codes.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use super::queues::{redis, worker};
use super::*;

#[test]
fn a_worker_is_asked_told_and_stopped() {
    let house = House::new();
    let Some((_server, url)) = redis() else { return };
    let nobody = house.run(&format!("status -b {url} -t 0.1"));
    assert_eq!(
        (nobody.code, nobody.out.as_str(), nobody.err.as_str()),
        (Some(69), "", "error: No nodes replied within time constraint\n")
    );
    let (mut running, _log) = worker(&house, &format!("-A proj worker -b {url} -Q celery -n w1@here -c 1"));

    let run = |line: &str| house.run(&format!("-A proj -b {url} {line} -t 20"));
    let listening = std::time::Instant::now();
    while run("inspect ping").code == Some(69) {
        assert!(listening.elapsed().as_secs() < 20, "the worker does not answer");
    }
    assert_eq!(run("status").out, "->  w1@here: OK\n\n1 node online.\n");
    assert_eq!(run("inspect ping --json").out, "{\"w1@here\": {\"ok\": \"pong\"}}\n");
    assert_eq!(run("inspect active").out, "->  w1@here: OK\n    - empty -\n\n1 node online.\n");
    assert_eq!(run("control pool_grow 2 --json").out, "[{\"w1@here\": {\"ok\": \"pool will grow\"}}]\n");
    assert_eq!(run("inspect stats --json").json()["w1@here"]["pool"]["max-concurrency"], 3);
    let refused = run("control rate_limit no.such.task 1/s");
    assert_eq!((refused.code, refused.out.as_str()), (Some(0), "->  w1@here: ERROR\n        unknown task\n"));

    let down = house.run(&format!("control shutdown -b {url} -d w1@here -t 0.1"));
    assert_eq!(down.code, Some(69), "as with Celery nobody answers: {down:?}");
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
}

#[test]
fn what_is_sent_can_be_counted_thrown_away_and_waited_for_in_vain() {
    let house = House::new();
    let Some((_server, url)) = redis() else { return };
    let run = |line: &str| house.run(&format!("{line} -b {url}"));
    let id = run("call proj.add -a [1,2] --queue q --priority 9");
    assert_eq!((id.code, id.out.trim().len()), (Some(0), 36), "{id:?}");
    assert_eq!(run("call proj.add --queue q --json").json()["task_id"].as_str().unwrap().len(), 36);
    assert_eq!(run(&format!("result {} --timeout 0.1", id.out.trim())).code, Some(124));

    let unasked = run("purge -Q q");
    assert_eq!(unasked.code, Some(2), "{unasked:?}");
    assert!(unasked.err.contains("-f does it unasked"), "{unasked:?}");
    assert_eq!(run("purge -f -Q q,r -X r").out, "Purged 2 messages from 1 known task queue.\n");
    assert_eq!(run("purge -f -Q q").out, "No messages purged from 1 queue.\n");
    assert_eq!(run("purge -f -Q q --json").out, "{\"q\": 0}\n");
    assert_eq!(run("list bindings --json").out, "[]\n");
}

#[test]
fn events_are_dumped_line_by_line_until_somebody_interrupts() {
    let house = House::new();
    let Some((_server, url)) = redis() else { return };
    let mut dump = house.command(&format!("events --dump -b {url}")).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(dump.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert_eq!(line, "-> evdump: starting capture...\n");
    let (mut running, _log) = worker(&house, &format!("worker -b {url} -Q celery -n w1@here -c 1"));
    while !line.contains("w1@here [") || !line.contains("] started: ") {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "the dump ended");
    }
    assert!(line.contains("sw_ident=celeriac"), "{line}");
    for (child, number) in [(&mut dump, "-INT"), (&mut running.0, "-TERM")] {
        assert!(Command::new("kill").args([number, &child.id().to_string()]).status().unwrap().success());
    }
    lines.read_to_string(&mut line).unwrap();
    assert_eq!((dump.wait().unwrap().code(), running.0.wait().unwrap().code()), (Some(0), Some(0)));
}

#[test]
fn a_broker_that_is_away_is_75_for_every_command_that_needs_it() {
    let (house, url) = (House::new(), NOWHERE);
    for line in ["status", "inspect active", "control enable_events", "call a.task", "purge -f -Q q", "list bindings", "events"] {
        let ran = house.run(&format!("{line} -b {url}"));
        assert_eq!(ran.code, Some(75), "{line}: {ran:?}");
        assert!(ran.out.is_empty() && ran.err.starts_with("error: connection"), "{line}: {ran:?}");
    }
}

#[test]
fn wrong_words_are_2_and_say_what_there_is() {
    let house = House::new();
    let unknown = house.run("inspect nonsense");
    assert_eq!(unknown.code, Some(2));
    assert!(
        unknown.err.contains("Command nonsense not recognized. Available inspect commands: active, active_queues,"),
        "{unknown:?}"
    );
    let few = house.run("control rate_limit tasks.add");
    assert_eq!(few.code, Some(2));
    assert!(few.err.contains("Command 'rate_limit' takes arguments: <task_name> <rate_limit"), "{few:?}");
    for line in ["inspect", "control", "call", "call t -a {}", "call t --timeout 3", "result", "list", "inspect ping -t soon"] {
        assert_eq!(house.run(line).code, Some(2), "{line}");
    }
    let list = house.run("control --list");
    assert!(list.code == Some(0) && list.out.contains("rate_limit <task_name> <rate_limit"), "{list:?}");
}

#[test]
fn a_name_that_cannot_be_expanded_is_wrong_usage() {
    let ran = House::new().run(&format!("worker -n w%x@h -b {NOWHERE}"));
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains("unknown format %x"), "{ran:?}");
}
