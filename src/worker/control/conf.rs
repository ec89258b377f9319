//! The configuration as remote control shows it, without its secrets.
//!
//! # Celery
//! `Settings.table` and `bugreport` of `app/utils.py`. With defaults, every name of Celery's is there: one without effect here is null.

use serde_json::Value as Json;

use super::arguments::Arguments;
use super::{Panel, object, ok};
use crate::config::redact;
use crate::config::{
    BrokerTransportOptions, Celeriac, INERT, PublishRetryPolicy, ResultTransportOptions, Setting, Settings, Table,
};
use crate::protocol::value::{Map, Value};
use crate::protocol::{event, repr};

/// The tables that stand inside others.
const NESTED: [Table; 4] =
    [BrokerTransportOptions::TABLE, ResultTransportOptions::TABLE, PublishRetryPolicy::TABLE, Celeriac::TABLE];

impl Panel {
    pub(super) fn conf(&self, arguments: Arguments<'_>) -> Value {
        Value::Map(self.shown(arguments.flag("with_defaults")))
    }

    pub(super) fn report(&self) -> Value {
        let settings = self.shared.app.settings();
        let scheme =
            |url: Option<&String>| url.and_then(|url| url.split_once("://")).map_or("disabled", |(scheme, _)| scheme).to_owned();
        let results = settings.result_backend.as_deref().map_or_else(|| "disabled".to_owned(), masked);
        let lines =
            self.shown(false).iter().map(|(name, value)| format!("{name}: {}\n", repr::value(value, 4096))).collect::<String>();
        ok(format!(
            "\nsoftware -> celery:5.7 (celeriac {}) rust\nplatform -> system:{} arch:{}\nloader   -> celeriac\nsettings -> transport:{} results:{results}\n\n{lines}",
            env!("CARGO_PKG_VERSION"),
            event::system(),
            std::env::consts::ARCH,
            scheme(settings.broker_url.as_ref()),
        ))
    }

    /// The settings that were written or are not their defaults, or all of them.
    fn shown(&self, with_defaults: bool) -> Map {
        let mut shown = written(self.shared.app.written());
        for (name, value) in of(self.shared.app.settings(), with_defaults) {
            match (shown.get_mut(&name), value) {
                (Some(Value::Map(there)), Value::Map(more)) => there.extend(more),
                (Some(_), Value::Null) => {}
                (_, value) => {
                    shown.insert(name, value);
                }
            }
        }
        shown
    }
}

/// Settings as somebody wrote them.
fn written(settings: &serde_json::Map<String, Json>) -> Map {
    settings.iter().map(|(name, value)| (name.clone(), stars(value.clone()).into())).collect()
}

/// The settings that are not their defaults, or all of them.
fn of(settings: &Settings, with_defaults: bool) -> Map {
    let values = serde_json::to_value(settings).unwrap_or_default();
    let mut map = Map::default();
    if with_defaults {
        let inert = INERT.iter().flat_map(|group| group.names).filter(|name| !name.contains('*'));
        map.extend(inert.map(|name| ((*name).to_owned(), Value::Null)));
    }
    map.extend(table(&Settings::TABLE, &values, with_defaults));
    for nested in &NESTED {
        let inner = table(nested, values.get(nested.path).unwrap_or(&Json::Null), with_defaults);
        if with_defaults || !inner.is_empty() {
            map.insert(nested.path.to_owned(), object(inner.iter().map(|(name, value)| (name.as_str(), value.clone()))));
        }
    }
    map.insert("deprecated_settings".to_owned(), Value::Null);
    map.insert("include".to_owned(), Value::List(Vec::new()));
    map
}

fn table(table: &Table, values: &Json, with_defaults: bool) -> Map {
    let value = |setting: &Setting| {
        let value = values.get(setting.name)?;
        let shown = with_defaults || *value != (setting.default)();
        shown.then(|| (setting.name.to_owned(), stars(redact::setting(setting, value)).into()))
    };
    table.settings.iter().filter_map(value).collect()
}

/// As many stars for a password as Celery shows.
fn stars(value: Json) -> Json {
    match value {
        Json::String(text) => text.replace(":**@", ":********@").into(),
        other => other,
    }
}

fn masked(url: &str) -> String {
    redact::text(url).replace(":**@", ":********@")
}
