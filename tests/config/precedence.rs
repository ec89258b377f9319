//! Which source wins.

use celeriac::config::{Autoscale, Concurrency, Effect, Settings};

use super::*;

fn concurrency(loaded: &Loaded) -> (Option<Concurrency>, String) {
    (loaded.settings.worker_concurrency, loaded.get("worker_concurrency").unwrap().origin.to_string())
}

#[test]
fn each_source_ranks_above_the_ones_below_it() {
    let mut given = file("");
    let step = |given: &Given, count: Option<usize>, origin: &str| {
        assert_eq!(concurrency(&given.loaded()), (count.map(Concurrency::Count), origin.to_owned()));
    };
    step(&given, None, "default");
    given.file = "\nworker_concurrency = 1\n[env.production]\nworker_concurrency = 2\n".into();
    step(&given, Some(1), "celery_config.toml:2");
    given = given.env("ENVIRONMENT", "production");
    step(&given, Some(2), "celery_config.toml:4 [env.production]");
    given = given.env("JOB_CONCURRENCY", "4");
    step(&given, Some(4), "environment JOB_CONCURRENCY");
    given = given.env("CELERY_CONCURRENCY", "5");
    step(&given, Some(5), "environment CELERY_CONCURRENCY");
    given = given.env("CELERY_WORKER_CONCURRENCY", "6");
    step(&given, Some(6), "environment CELERY_WORKER_CONCURRENCY");
    given = given.flag("worker_concurrency", "7");
    step(&given, Some(7), "command line");
    given = given.flag("worker.concurrency", "8");
    step(&given, Some(8), "command line");
}

#[test]
fn the_generic_name_ranks_below_the_sources_own() {
    let given = file("").env("CELERY_TASK_TIME_LIMIT", "10");
    assert_eq!(given.loaded().get("task_time_limit").unwrap().origin, Origin::Environment("CELERY_TASK_TIME_LIMIT".into()));
    let given = given.env("WORKER_TIMEOUT", "300");
    assert_eq!(given.loaded().settings.task_time_limit.unwrap().as_f64(), 300.0);
}

#[test]
fn the_broker_is_found_under_every_name_in_order() {
    let mut given = file("broker_url = \"redis://file/0\"").env("REDIS_HOST", "host").env("REDIS_PASSWORD", "");
    let broker = |given: &Given| given.loaded().settings.broker_url.unwrap();
    assert_eq!(broker(&given), "redis://host:6379/0");
    assert_eq!(given.loaded().settings.result_backend.as_deref(), Some("redis://host:6379/0"));
    assert_eq!(given.loaded().get("broker_url").unwrap().origin, Origin::Environment("REDIS_HOST".into()));
    for name in ["REDIS_URL", "BROKER_URL", "CELERY_BROKER_URL"] {
        given = given.env(name, &format!("redis://{}/0", name.to_lowercase()));
        assert_eq!(broker(&given), format!("redis://{}/0", name.to_lowercase()));
    }
    given = given.flag("broker_url", "memory://");
    assert_eq!(broker(&given), "memory://");
    assert_eq!(broker(&file("")), "redis://localhost:6379/0");
}

#[test]
fn every_environment_name_of_the_sources_sets_something() {
    for (variable, value, setting) in [
        ("CELERY_QUEUES", "default, page_processing", "celeriac.queues"),
        ("CELERY_LOG_LEVEL", "INFO", "celeriac.log_level"),
        ("LOG_LEVEL", "DEBUG", "celeriac.log_level"),
        ("CELERY_AUTOSCALE", "8,2", "celeriac.autoscale"),
        ("CELERY_WORKER_AUTOSCALE", "8,2", "celeriac.autoscale"),
        ("MAX_WORKERS", "50", "celeriac.max_workers"),
        ("MAX_QUEUE_SIZE", "10000", "celeriac.max_queue_size"),
        ("WORKER_TIMEOUT", "300", "task_time_limit"),
        ("HEALTH_CHECK_INTERVAL", "30", "celeriac.health_check_interval"),
        ("AUTOSCALING_INTERVAL", "60", "celeriac.autoscaling_interval"),
        ("MAX_MEMORY_PER_WORKER", "1024", "worker_max_memory_per_child"),
        ("MAX_ERROR_RATE", "0.1", "celeriac.max_error_rate"),
        ("CELERY_WORKER_POOL", "threads", "worker_pool"),
        ("CELERY_WORKER_PREFETCH_MULTIPLIER", "1", "worker_prefetch_multiplier"),
        ("CELERY_WORKER_MAX_TASKS_PER_CHILD", "100", "worker_max_tasks_per_child"),
    ] {
        let loaded = file("").env(variable, value).loaded();
        assert_eq!(loaded.get(setting).unwrap().origin, Origin::Environment(variable.into()), "{variable}");
    }
    let loaded = file("").env("MAX_MEMORY_PER_WORKER", "1024").env("CELERY_QUEUES", "a, b").loaded();
    assert_eq!(loaded.settings.worker_max_memory_per_child, Some(1_048_576));
    assert_eq!(loaded.settings.celeriac.queues, ["a", "b"]);
    let pair = file("").env("CELERY_AUTOSCALE", "true").env("CELERY_AUTOSCALE_MAX", "8").env("CELERY_AUTOSCALE_MIN", "2").loaded();
    assert_eq!(pair.settings.celeriac.autoscale, Some(Autoscale { max: 8, min: 2 }));
}

#[test]
fn an_empty_variable_is_no_value() {
    assert_eq!(concurrency(&file("worker_concurrency = 3").env("CELERY_CONCURRENCY", "").loaded()).0, Some(Concurrency::Count(3)));
}

#[test]
fn overrides_have_celerys_forms() {
    for name in [
        "worker.prefetch_multiplier",
        "worker_prefetch_multiplier",
        ".prefetch_multiplier",
        "prefetch_multiplier",
        "WORKER.PREFETCH_MULTIPLIER",
    ] {
        assert_eq!(file("").flag(name, "9").loaded().settings.worker_prefetch_multiplier, 9, "{name}");
    }
    let loaded = file("")
        .flag("celeriac.lease", "20")
        .flag("broker_transport_options.visibility_timeout", "60")
        .flag("task.acks_late", "yes")
        .loaded();
    assert_eq!(loaded.settings.celeriac.lease.as_f64(), 20.0);
    assert_eq!(loaded.settings.broker_transport_options.visibility_timeout.as_f64(), 60.0);
    assert!(loaded.settings.task_acks_late);
}

#[test]
fn a_json_file_and_its_sources_names_are_read() {
    let mut given = file(r#"{"max_workers": 20, "redis_url": "redis://r/1", "task_routes": {"b.*": "x", "a": "y"}}"#);
    given.name = "production_config.json";
    let loaded = given.loaded();
    assert_eq!(loaded.settings.celeriac.max_workers, 20);
    assert_eq!(loaded.settings.broker_url.as_deref(), Some("redis://r/1"));
    assert_eq!(loaded.settings.task_routes.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["b.*", "a"]);
}

#[test]
fn nested_settings_have_an_origin_each() {
    let loaded = file("[broker_transport_options]\nvisibility_timeout = 60\nqueue_order_strategy = \"priority\"").loaded();
    let origin = |name: &str| loaded.get(name).unwrap().origin.to_string();
    assert_eq!(origin("broker_transport_options.visibility_timeout"), "celery_config.toml:2");
    assert_eq!(origin("broker_transport_options.priority_steps"), "default");
    assert_eq!(loaded.settings.broker_transport_options.priority_steps, [0, 3, 6, 9]);
}

#[test]
fn a_programs_tables_are_loaded_beside_the_runtimes() {
    celeriac::settings! {
        /// How letters are sorted.
        pub struct Sorting at "celeriac.sorting" {
            /// Letters a minute.
            speed: u32 = 60, celeriac::config::Kind::Integer(1, 1000);
        }
    }
    celeriac::settings! {
        /// One desk of many.
        pub struct Desk at "desks.*" {
            /// Who sits there.
            clerks: u32 = 1, celeriac::config::Kind::Integer(1, 9);
        }
    }
    let mut given = file("[celeriac.sorting]\nspeed = 5\n[desks.north]\nclerks = 3\n[desks.south]\n");
    given.tables = vec![Sorting::TABLE, Desk::TABLE];
    let given = given.env("CELERIAC_SORTING_SPEED", "6");
    let loaded = given.loaded();
    assert_eq!(loaded.table::<Sorting>("celeriac.sorting").unwrap().speed, 6);
    let desks: std::collections::BTreeMap<String, Desk> = loaded.table("desks").unwrap();
    assert_eq!((desks["north"].clerks, desks["south"].clerks), (3, 1));
}

#[test]
fn defaults_are_celerys() {
    let settings = file("").loaded().settings;
    assert_eq!(settings, Settings::default());
    assert_eq!(settings.task_default_queue, "celery");
    assert_eq!(settings.worker_prefetch_multiplier, 4);
    assert_eq!(settings.result_expires.unwrap().as_f64(), 86400.0);
    assert!(!settings.task_acks_late && settings.acks_on_failure() && settings.task_reject_on_worker_lost.is_none());
    assert_eq!(settings.broker_transport_options.sep, "\u{6}\u{16}");
}

#[test]
fn every_setting_has_documentation_and_a_default_of_its_kind() {
    for table in celeriac::config::CORE {
        for setting in table.settings {
            assert!(setting.doc.trim().ends_with('.'), "{}: {:?}", setting.name, setting.doc);
            (setting.check)(&(setting.default)()).unwrap_or_else(|error| panic!("{}: {error}", setting.name));
            if let Effect::Nothing(reason) = setting.effect {
                assert!(!reason.is_empty(), "{}", setting.name);
            }
        }
    }
}

#[test]
fn the_pool_never_grows_above_max_workers() {
    let settings = file("worker_concurrency = 200").loaded().settings;
    assert_eq!(settings.concurrency(2), 50);
    assert_eq!(file("worker_concurrency = \"auto\"").loaded().settings.concurrency(2), 2);
}

#[test]
fn a_table_may_stand_in_one_variable_as_json_below_its_settings_own_and_above_the_file() {
    let given = file("[broker_transport_options]\nsep = \"f\"\nunacked_key = \"f\"\npriority_steps = [0, 1]")
        .env("CELERY_BROKER_TRANSPORT_OPTIONS", r#"{"unacked_key": "table", "sep": "table"}"#)
        .env("CELERY_BROKER_TRANSPORT_OPTIONS_SEP", "own");
    let loaded = given.loaded();
    let options = &loaded.settings.broker_transport_options;
    assert_eq!((options.sep.as_str(), options.unacked_key.as_str(), &options.priority_steps[..]), ("own", "table", &[0, 1][..]));
    let origin = &loaded.get("broker_transport_options.unacked_key").unwrap().origin;
    assert_eq!(*origin, Origin::Environment("CELERY_BROKER_TRANSPORT_OPTIONS".into()));
}

#[test]
fn what_was_written_is_told_even_if_it_is_the_default_or_without_effect_but_no_secret() {
    let given = file("task_acks_late = false\nworker_hijack_root_logger = false\nsecurity_key_password = \"s\"")
        .env("CELERY_BROKER_TRANSPORT_OPTIONS_SEP", ":")
        .flag("broker_url", "redis://:s@host/0");
    let written = given.loaded().written();
    let expected = serde_json::json!({
        "worker_hijack_root_logger": false,
        "security_key_password": "********",
        "broker_url": "redis://:**@host/0",
        "task_acks_late": false,
        "broker_transport_options": {"sep": ":"},
    });
    assert_eq!(serde_json::Value::Object(written), expected);
}
