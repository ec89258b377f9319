//! Where secrets come from, and that they are not shown.

use super::*;

#[test]
fn a_variable_in_a_text_is_replaced() {
    let given = file("broker_url = \"redis://:${PASSWORD}@${HOST:-localhost}/0\"").env("PASSWORD", "s3cret");
    assert_eq!(given.loaded().settings.broker_url.as_deref(), Some("redis://:s3cret@localhost/0"));
    let problem = file("broker_url = \"redis://:${PASSWORD}@host/0\"").problem();
    assert!(problem.message.contains("PASSWORD is not set"), "{problem}");
}

#[test]
fn a_setting_can_name_the_variable_that_holds_it() {
    let given = file("broker_url_env = \"MY_BROKER\"");
    assert_eq!(given.loaded().get("broker_url").unwrap().origin, Origin::Default);
    let loaded = given.env("MY_BROKER", "redis://elsewhere/0").loaded();
    assert_eq!(loaded.settings.broker_url.as_deref(), Some("redis://elsewhere/0"));
    assert_eq!(loaded.get("broker_url").unwrap().origin, Origin::Environment("MY_BROKER".into()));
}

#[test]
fn no_secret_is_in_what_is_shown() {
    let text = "broker_url = \"redis://:s3cret@host/0\"\n[broker_transport_options.sentinel_kwargs]\npassword = \"s3cret\"\n[celeriac]\ncontrol_key = \"s3cret\"\n";
    let loaded = file(text).env("CELERY_RESULT_BACKEND", "redis://user:s3cret@host/1").loaded();
    let shown: Vec<String> = loaded.values.iter().map(|value| value.shown().to_string()).collect();
    assert!(!shown.iter().any(|value| value.contains("s3cret")), "{shown:?}");
    assert!(shown.contains(&"\"redis://user:**@host/1\"".to_owned()));
}

#[test]
fn no_secret_is_in_a_problem() {
    let problem = file("broker_connection_timeout = \"redis://:s3cret@host/0\"").problem();
    assert!(!problem.to_string().contains("s3cret"), "{problem}");
}
