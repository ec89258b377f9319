//! `doctor`: every check has its line, and the worst decides the code.

use super::*;

fn check<'a>(report: &'a Value, name: &str) -> &'a Value {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name} in {report}"))
}

#[test]
fn every_check_says_its_status_and_how_to_fix_it() {
    let house = House::new();
    let ran = house.run(&format!("doctor --json -b {NOWHERE}"));
    let report = ran.json();
    for name in ["configuration", "redis", "pdfium", "ocr", "speech", "encoder", "store", "disk", "archive", "analysis"] {
        let check = check(&report, name);
        assert!(["ok", "warn", "fail"].contains(&check["status"].as_str().unwrap()), "{check}");
        assert!(check["status"] == "ok" || check["fix"].is_string(), "{check}");
    }
    assert_eq!(check(&report, "redis")["status"], "fail", "{report}");
    assert_eq!(check(&report, "store")["status"], "ok", "{report}");
    assert_eq!((ran.code, &report["ok"]), (Some(1), &Value::Bool(false)));
    assert_eq!(std::fs::read_dir(house.path()).unwrap().count(), 0, "it left something behind");
}

#[test]
fn a_wrong_file_is_the_first_finding_and_not_the_last() {
    let ran = House::with("celery_config.toml", "task_acks_lat = true").run("doctor");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.out.starts_with("FAIL configuration"), "{ran:?}");
    assert!(ran.out.contains("task_acks_late") && ran.out.contains("\nok   store"), "{ran:?}");
}

#[test]
fn an_archive_that_cannot_be_reached_fails() {
    let house = House::new();
    let said = |house: &House, settings: &str| {
        std::fs::write(house.path().join("celery_config.toml"), settings).unwrap();
        check(&house.run("doctor --json").json(), "archive").clone()
    };
    let beside = said(&house, "");
    assert!(beside["status"] == "ok" && beside["detail"].as_str().unwrap().contains("made when it is needed"), "{beside}");
    assert_eq!(said(&house, "[celeriac.archive]\nurl = \"postgres://nobody:nothing@127.0.0.1:9/none\"\n")["status"], "fail");
}

#[test]
fn a_choice_that_cannot_work_fails() {
    let house =
        House::with("celery_config.toml", "[celeriac.analysis]\nprovider = \"openai\"\n[celeriac.storage]\nurl = \"/proc/no\"\n");
    let report = house.run("doctor --json").json();
    assert_eq!(check(&report, "analysis")["status"], "fail");
    assert_eq!(check(&report, "store")["status"], "fail");
}
