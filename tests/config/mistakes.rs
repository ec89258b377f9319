//! What is wrong, and how it is said.

use super::*;

#[test]
fn a_typo_is_an_error_that_names_the_nearest_key_and_the_line() {
    let problem = file("worker_concurrency = 2\ntask_acks_lat = true\n").problem();
    assert_eq!(problem.kind, ProblemKind::Unknown);
    assert_eq!(problem.to_string(), "celery_config.toml:2: unknown setting `task_acks_lat`: did you mean `task_acks_late`?");
}

#[test]
fn a_typo_inside_a_table_or_of_a_table_is_one_too() {
    let inside = file("[broker_transport_options]\nvisibilty_timeout = 1").problem();
    assert!(inside.message.contains("[broker_transport_options]") && inside.message.contains("`visibility_timeout`"), "{inside}");
    let table = file("[broker_transport_option]\nvisibility_timeout = 1").problem();
    assert!(table.message.contains("did you mean `broker_transport_options`?"), "{table}");
    let ours = file("[celeriac]\nmax_delivery = 1").problem();
    assert!(ours.message.contains("`max_deliveries`"), "{ours}");
}

#[test]
fn a_typo_in_another_environments_part_is_found_today() {
    let problem = file("[env.production]\ntask_acks_lat = true\nbroker_url = \"${NOT_SET_HERE}\"").problem();
    assert_eq!(problem.origin.to_string(), "celery_config.toml:2 [env.production]");
}

#[test]
fn a_typo_on_the_command_line_is_an_error() {
    let problem = file("").flag("worker.prefetch_multiplyer", "1").problem();
    assert_eq!(
        problem.to_string(),
        "command line: unknown setting `worker.prefetch_multiplyer`: did you mean `worker_prefetch_multiplier`?"
    );
}

#[test]
fn a_typo_in_the_environment_is_a_note() {
    let loaded = file("").env("CELERY_CONCURENCY", "4").env("CELERY_APP", "proj").loaded();
    assert_eq!(loaded.notes, ["environment CELERY_CONCURENCY: no setting has this name; did you mean CELERY_CONCURRENCY?"]);
}

#[test]
fn nothing_near_gives_no_suggestion() {
    assert!(!file("colour = 1").problem().message.contains("did you mean"));
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let problems = file("task_acks_lat = 1\nworker_concurrency = -1\ntask_acks_late = \"perhaps\"").load().unwrap_err();
    assert_eq!(problems.len(), 3, "{problems:?}");
}

#[test]
fn a_value_of_the_wrong_kind_says_what_is_expected() {
    for (text, expected) in [
        ("worker_concurrency = 0", "at least one slot"),
        ("worker_concurrency = \"all\"", "\"auto\""),
        ("task_acks_late = 3", "true or false"),
        ("task_time_limit = \"soon\"", "seconds"),
        ("task_time_limit = -1", "less than nothing"),
        ("task_serializer = \"jsn\"", "did you mean \"json\"?"),
        ("task_default_rate_limit = \"10/d\"", "/s, /m or /h"),
        ("task_protocol = 3", "from 1 to 2"),
        ("task_default_queue = [1]", "text"),
        ("celeriac = 3", "table"),
        ("[task_routes]\na = { qeue = \"x\" }", "qeue"),
        ("[task_annotations.a]\nrate_limt = \"1/s\"", "rate_limt"),
        ("[env]\nproduction = 1", "[env.production]"),
    ] {
        let problem = file(text).problem();
        assert_eq!(problem.kind, ProblemKind::Value, "{problem}");
        assert!(problem.to_string().contains(expected), "{text}: {problem}");
    }
}

#[test]
fn a_wrong_value_in_the_environment_names_its_variable() {
    let problem = file("").env("JOB_CONCURRENCY", "many").problem();
    assert!(problem.to_string().starts_with("environment JOB_CONCURRENCY: worker_concurrency: "), "{problem}");
}

#[test]
fn a_file_that_is_no_toml_says_where() {
    let problem = file("a = 1\nb = = 2").problem();
    assert_eq!((problem.kind, problem.origin.to_string()), (ProblemKind::Syntax, "celery_config.toml:2".to_owned()));
}

#[test]
fn old_names_work_and_a_note_gives_the_modern_one() {
    let loaded = file("CELERYD_CONCURRENCY = 3\nCELERY_ACKS_LATE = true").loaded();
    assert!(loaded.settings.task_acks_late);
    assert_eq!(loaded.settings.concurrency(1), 3);
    assert!(loaded.notes.contains(&"celery_config.toml:1: CELERYD_CONCURRENCY is the old name of `worker_concurrency`".to_owned()));
}

#[test]
fn a_setting_without_effect_is_recognised_with_its_reason() {
    let loaded = file("worker_state_db = \"/tmp/x\"\n[broker_transport_options]\npolling_interval = 1").loaded();
    assert_eq!(loaded.notes.len(), 2, "{:?}", loaded.notes);
    assert!(loaded.notes[0].contains("revoked ids are kept in memory until the worker ends"));
    assert!(loaded.notes[1].contains("polling_interval"));
}

#[test]
fn what_fits_together_badly_is_a_note() {
    let loaded = file("task_time_limit = 10\ntask_soft_time_limit = 20\naccept_content = [\"json\", \"pickle\"]").loaded();
    assert_eq!(loaded.notes.len(), 2, "{:?}", loaded.notes);
}

#[test]
fn a_variable_of_a_table_must_be_json_of_known_settings() {
    let table = |text: &str| file("").env("CELERY_BROKER_TRANSPORT_OPTIONS", text).problem().to_string();
    let broken = "environment CELERY_BROKER_TRANSPORT_OPTIONS: broker_transport_options: it is not a table written as JSON";
    assert_eq!(table("visibility_timeout=1"), broken);
    let unknown = "environment CELERY_BROKER_TRANSPORT_OPTIONS: unknown setting `broker_transport_options.visibility`";
    assert_eq!(table(r#"{"visibility": 1}"#), unknown);
}
