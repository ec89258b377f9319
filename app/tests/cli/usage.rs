//! Wrong usage, and the small commands.

use super::*;

#[test]
fn unknown_flags_and_commands_end_with_2() {
    for line in ["worker --no-such-flag", "no-such-command", "process", "worker -O never", ""] {
        let ran = House::new().run(line);
        assert_eq!(ran.code, Some(2), "{line}: {ran:?}");
    }
}

#[test]
fn what_a_platform_does_better_is_refused_with_a_hint() {
    let ran = House::new().run("worker -D");
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (Some(2), "error: --detach is not supported · let systemd, Docker or your platform do it\n")
    );
}

#[test]
fn completions_and_versions_are_printed() {
    let ran = House::new().run("completions bash");
    assert_eq!(ran.code, Some(0));
    assert!(ran.out.contains("_celeriac()") && ran.out.contains("--prefetch-multiplier"));
    let version = House::new().run("--version");
    assert_eq!((version.code, version.out), (Some(0), format!("celeriac {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn a_report_shows_no_password() {
    let ran = House::new().run("report --json -b redis://:s3cret@host/0");
    assert_eq!(ran.json()["broker_url"], "redis://:**@host/0");
    assert!(!ran.out.contains("s3cret"));
}

#[test]
fn the_schema_of_the_result_is_a_schema() {
    let schema = House::new().run("schema result").json();
    assert_eq!(schema["$id"], "https://celeriac.dev/schemas/document-result/1.0.json");
    assert!(schema["properties"]["pages"].is_object());
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let house = House::new();
    let mut child = house.command("schema result").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}
