//! `config`: typos, origins, the shipped file.

use super::*;

#[test]
fn a_typo_names_the_nearest_key_and_ends_with_2() {
    let ran = House::with("celery_config.toml", "worker_concurrency = 2\ntask_acks_lat = true\n").run("config check");
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert_eq!(ran.err, "error: celery_config.toml:2: unknown setting `task_acks_lat`: did you mean `task_acks_late`?\n");
    assert_eq!(ran.out, "");
}

#[test]
fn a_wrong_value_ends_with_78() {
    let house = House::with("other.toml", "task_time_limit = \"soon\"\n");
    let ran = house.run("config check --config other.toml");
    assert_eq!(ran.code, Some(78), "{ran:?}");
    assert!(ran.err.contains("other.toml:1: task_time_limit: \"soon\" is not seconds"), "{ran:?}");
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let ran = House::new().run("config check --config no.toml");
    assert_eq!(ran.code, Some(78), "{ran:?}");
    assert!(ran.err.contains("no.toml"));
}

#[test]
fn a_typo_stops_a_worker_before_it_starts() {
    let ran = House::with("celery_config.toml", "[celeriac.documents]\nbatchsize = 3\n").run("worker -b memory://");
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains("did you mean `batch_size`?"), "{ran:?}");
    let ran = House::new().run("worker -b memory:// worker.prefetch_multiplyer=1");
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains("did you mean `worker_prefetch_multiplier`?"), "{ran:?}");
}

#[test]
fn show_says_where_every_value_comes_from_and_no_secret() {
    let house = House::with("celery_config.toml", "task_time_limit = 10\n[celeriac.analysis]\nmodel = \"m\"\n");
    let mut command = house.command("config show --origin --json");
    command.env("CELERY_CONCURRENCY", "3").env("REDIS_URL", "redis://:s3cret@r:6379/0").env("OPENAI_API_KEY", "sk-s3cret");
    let ran = Ran::new(command.output().unwrap());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let shown = ran.json();
    let entry = |name: &str| (shown[name]["value"].clone(), shown[name]["origin"].as_str().unwrap_or_default().to_owned());
    assert_eq!(entry("task_time_limit"), (10.into(), "celery_config.toml:1".into()));
    assert_eq!(entry("worker_concurrency"), (3.into(), "environment CELERY_CONCURRENCY".into()));
    assert_eq!(entry("broker_url"), ("redis://:**@r:6379/0".into(), "environment REDIS_URL".into()));
    assert_eq!(entry("celeriac.analysis.model"), ("m".into(), "celery_config.toml:3".into()));
    assert_eq!(entry("celeriac.analysis.api_key").1, "environment OPENAI_API_KEY");
    assert_eq!(entry("worker_prefetch_multiplier"), (4.into(), "default".into()));
    assert!(!ran.out.contains("s3cret"), "{ran:?}");
}

#[test]
fn a_flag_ranks_above_file_and_environment() {
    let house = House::with("celery_config.toml", "broker_url = \"redis://file/0\"\n");
    let mut command = house.command("-b redis://flag/0 config show broker_url --origin");
    let ran = Ran::new(command.env("CELERY_BROKER_URL", "redis://env/0").output().unwrap());
    assert_eq!(ran.out, "broker_url = \"redis://flag/0\"    # command line\n");
}

#[test]
fn init_writes_a_file_that_is_right_and_keeps_one_that_is_there() {
    let house = House::new();
    assert_eq!(house.run("config init").code, Some(0));
    let check = house.run("config check");
    assert_eq!(check.code, Some(0), "{check:?}");
    assert!(check.out.ends_with("celery_config.toml: no mistakes\n"), "{check:?}");
    let again = house.run("config init");
    assert_eq!(again.code, Some(73), "{again:?}");
    assert_eq!(house.run("config init --force").code, Some(0));
    let routes = house.run("config show --routes");
    assert!(routes.out.contains("tasks.process_page -> page_processing\n"), "{routes:?}");
    assert!(routes.out.ends_with("everything else -> default\n"), "{routes:?}");
}
