//! The environment's part in loading: which variables make which setting.
//!
//! Nothing here reads the environment; it is handed in.

use super::table::{Env, Setting, Table, Var};

/// A value found in the environment: the variables it comes from, and its text.
pub(super) struct Found {
    pub(super) names: String,
    pub(super) text: String,
}

/// The value the environment gives a setting, by the strongest of its names.
pub(super) fn find(table: &Table, setting: &Setting, env: &Env) -> Option<Found> {
    let by_generic_name = || generic(table, setting).and_then(|name| text(env, &name).map(|text| Found { names: name, text }));
    setting.env.iter().find_map(|var| read(*var, env)).or_else(by_generic_name)
}

/// The variable that follows from a setting's own name: `CELERY_TASK_ACKS_LATE`, `CELERIAC_LEASE`.
pub(super) fn generic(table: &Table, setting: &Setting) -> Option<String> {
    if table.is_keyed() {
        return None;
    }
    let name = table.full_name(setting).replace('.', "_").to_uppercase();
    Some(if name.starts_with("CELERIAC_") { name } else { format!("CELERY_{name}") })
}

/// The variable that holds a whole table as JSON: `CELERY_BROKER_TRANSPORT_OPTIONS`.
pub(super) fn of_table(table: &Table) -> Option<String> {
    let name = table.path.replace('.', "_").to_uppercase();
    let named = !table.is_keyed() && !name.is_empty();
    named.then(|| if name.starts_with("CELERIAC") { name } else { format!("CELERY_{name}") })
}

/// A variable's text; an empty one counts as unset.
pub(super) fn text(env: &Env, name: &str) -> Option<String> {
    env.get(name).filter(|text| !text.is_empty()).cloned()
}

fn read(var: Var, env: &Env) -> Option<Found> {
    match var {
        Var::Is(name) => text(env, name).map(|text| Found { names: name.into(), text }),
        Var::Megabytes(name) => text(env, name).map(|text| {
            let text = text.trim().parse::<u64>().map_or(text, |megabytes| (megabytes.saturating_mul(1024)).to_string());
            Found { names: name.into(), text }
        }),
        Var::Composed(compose) => compose(env).map(|(names, text)| Found { names, text }),
    }
}

/// A URL from `REDIS_HOST`, `REDIS_PORT`, `REDIS_PASSWORD`, `REDIS_USERNAME` and `REDIS_DB`, if there is a host.
pub(super) fn redis_url(env: &Env) -> Option<(String, String)> {
    let get = |name: &str| env.get(name).map(String::as_str).filter(|text| !text.is_empty());
    let host = get("REDIS_HOST")?;
    let names = ["REDIS_HOST", "REDIS_PORT", "REDIS_USERNAME", "REDIS_PASSWORD", "REDIS_DB"];
    let used: Vec<&str> = names.into_iter().filter(|name| get(name).is_some()).collect();
    let quote = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20");
    let login = match (get("REDIS_USERNAME"), get("REDIS_PASSWORD")) {
        (user, Some(password)) => format!("{}:{}@", quote(user.unwrap_or_default()), quote(password)),
        (Some(user), None) => format!("{}@", quote(user)),
        (None, None) => String::new(),
    };
    let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() };
    let url = format!("redis://{login}{host}:{}/{}", get("REDIS_PORT").unwrap_or("6379"), get("REDIS_DB").unwrap_or("0"));
    Some((used.join(", "), url))
}

/// `CELERY_AUTOSCALE`: either `max,min`, or a switch with `CELERY_AUTOSCALE_MAX` and `CELERY_AUTOSCALE_MIN` beside it.
pub(super) fn autoscale(env: &Env) -> Option<(String, String)> {
    let get = |name: &str| env.get(name).map(String::as_str).filter(|text| !text.is_empty());
    let switch = get("CELERY_AUTOSCALE")?;
    match switch.to_lowercase().as_str() {
        "false" | "no" | "off" => None,
        "true" | "yes" | "on" => {
            let max = get("CELERY_AUTOSCALE_MAX").unwrap_or("8");
            let min = get("CELERY_AUTOSCALE_MIN").unwrap_or("2");
            Some(("CELERY_AUTOSCALE, CELERY_AUTOSCALE_MAX, CELERY_AUTOSCALE_MIN".into(), format!("{max},{min}")))
        }
        _ => Some(("CELERY_AUTOSCALE".into(), switch.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Env {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    #[test]
    fn the_parts_of_a_redis_address_make_a_url() {
        let url = |pairs: &[(&str, &str)]| redis_url(&env(pairs)).map(|(_, url)| url);
        assert_eq!(url(&[("REDIS_PORT", "1")]), None);
        assert_eq!(url(&[("REDIS_HOST", "r"), ("REDIS_PASSWORD", "")]).as_deref(), Some("redis://r:6379/0"));
        assert_eq!(
            url(&[("REDIS_HOST", "r"), ("REDIS_PORT", "7"), ("REDIS_PASSWORD", "p@s/ s"), ("REDIS_DB", "3")]).as_deref(),
            Some("redis://:p%40s%2F%20s@r:7/3")
        );
        assert_eq!(url(&[("REDIS_HOST", "::1")]).as_deref(), Some("redis://[::1]:6379/0"));
    }

    #[test]
    fn autoscale_is_a_pair_or_a_switch_with_bounds() {
        let text = |pairs: &[(&str, &str)]| autoscale(&env(pairs)).map(|(_, text)| text);
        assert_eq!(text(&[("CELERY_AUTOSCALE", "10,3")]).as_deref(), Some("10,3"));
        assert_eq!(text(&[("CELERY_AUTOSCALE", "true"), ("CELERY_AUTOSCALE_MAX", "6")]).as_deref(), Some("6,2"));
        assert_eq!(text(&[("CELERY_AUTOSCALE", "false"), ("CELERY_AUTOSCALE_MAX", "6")]), None);
    }
}
