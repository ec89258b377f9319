//! Hiding what must not be shown: passwords in URLs, and values whose name says that they are secret.
//!
//! # Celery
//! Answers to `HIDDEN_SETTINGS` of `celery.app.utils` and to kombu's `maybe_sanitize_url`, with their stars.

use serde_json::Value as Json;

use super::table::{Kind, Setting};

const HIDDEN: &str = "********";
const HIDDEN_WORDS: &[&str] = &["API", "TOKEN", "KEY", "SECRET", "PASS", "SIGNATURE", "CREDENTIAL"];
/// Names that hold one of these words and no secret.
const OPEN_NAMES: &[&str] =
    &["unacked_key", "unacked_index_key", "unacked_mutex_key", "global_keyprefix", "routing_key", "task_default_routing_key"];

/// A setting's value as it may be shown.
pub fn setting(setting: &Setting, value: &Json) -> Json {
    if setting.secret && !value.is_null() {
        return HIDDEN.into();
    }
    match (setting.kind, value) {
        (Kind::Mapping | Kind::Any | Kind::Url, value) => within(value),
        _ => value.clone(),
    }
}

/// The value of a name that no setting here has, as it may be shown.
pub(super) fn named(name: &str, value: &Json) -> Json {
    if is_secret(name) && !value.is_null() { HIDDEN.into() } else { within(value) }
}

/// A text with the passwords of all URLs in it hidden.
pub fn text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown.push_str(before);
        // The authority ends at the path; an unescaped `/` in a password is not valid, but hide it even so.
        let end = after.find([';', ' ', '"', '\'', '\n', '?', '#']).unwrap_or(after.len());
        let (url, tail) = after.split_at(end);
        match url.rfind('@') {
            Some(login_end) => {
                let (login, host) = url.split_at(login_end);
                match login.split_once(':') {
                    Some((user, "")) => shown.push_str(&format!("{user}:")),
                    Some((user, _)) => shown.push_str(&format!("{user}:**")),
                    None => shown.push_str(login),
                }
                shown.push_str(host);
            }
            None => shown.push_str(url),
        }
        rest = tail;
    }
    shown.push_str(rest);
    shown
}

fn within(value: &Json) -> Json {
    match value {
        Json::String(value) => text(value).into(),
        Json::Array(values) => values.iter().map(within).collect(),
        Json::Object(map) => map.iter().map(|(name, value)| (name.clone(), named(name, value))).collect(),
        other => other.clone(),
    }
}

fn is_secret(name: &str) -> bool {
    let upper = name.to_uppercase();
    !OPEN_NAMES.contains(&name) && HIDDEN_WORDS.iter().any(|word| upper.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_of_a_url_is_shown() {
        for (given, shown) in [
            ("redis://:secret@host:6379/0", "redis://:**@host:6379/0"),
            ("redis://user:se@cr/et@host/0", "redis://user:**@host/0"),
            ("redis://host/0", "redis://host/0"),
            ("redis://user@host/0", "redis://user@host/0"),
            ("sentinel://:a@h1:1;sentinel://:b@h2:2/0", "sentinel://:**@h1:1;sentinel://:**@h2:2/0"),
            ("cannot reach redis://:secret@host: refused", "cannot reach redis://:**@host: refused"),
            ("no url", "no url"),
        ] {
            assert_eq!(text(given), shown);
        }
    }

    #[test]
    fn values_with_a_secret_name_are_hidden_at_any_depth() {
        let shown = within(&serde_json::json!({"a": [{"password": "x", "api_token": "y", "unacked_key": "unacked"}]}));
        assert_eq!(shown, serde_json::json!({"a": [{"password": HIDDEN, "api_token": HIDDEN, "unacked_key": "unacked"}]}));
    }
}
