//! From the options of a frozen, plain signature to its message.
//!
//! # Celery
//! `Task.apply_async` and `app/amqp.py` (`as_task_v2`). Options nobody knows are ignored; Celery copies them into the properties.

use chrono::{DateTime, Datelike, TimeDelta, Utc};

use super::{Applied, Publish};
use crate::error::{Error, Result};
use crate::protocol::{
    Compression, Embed, Headers, Map, Message, Properties, Serializer, Signature, TimeLimit, Timestamp, Value, repr, special,
};

/// The message of a plain signature that has its id.
pub(super) fn publish(mut signature: Signature, applied: &Applied) -> Result<Publish> {
    let id = signature.task_id().ok_or_else(|| Error::protocol("a signature without an id cannot be published"))?.to_owned();
    let options = Options(signature.take_options());
    let headers = headers(signature.task, id, &options, applied)?;
    let properties = Properties {
        reply_to: options.text("reply_to").or_else(|| applied.reply_to.clone()),
        delivery_mode: options.get("delivery_mode").and_then(Value::as_i64),
        expiration: headers.expires.map(|expires| remaining_ms(&expires, applied.now)),
        ..Properties::default()
    };
    let mut args = signature.args;
    if let Some(previous) = applied.previous.as_ref().filter(|_| !signature.immutable) {
        args.insert(0, previous.clone());
    }
    let serializer = match options.text("serializer") {
        Some(name) => Some(
            Serializer::from_name(&name)
                .ok_or_else(|| Error::protocol(format!("unknown serializer {}", repr::text(&name, 100))))?,
        ),
        None => None,
    };
    Ok(Publish {
        message: Message { headers, args, kwargs: signature.kwargs, embed: embed(&options)?, properties },
        queue: options.queue(),
        exchange: options.text("exchange"),
        routing_key: options.text("routing_key"),
        priority: options.get("priority").and_then(Value::as_i64).or(applied.priority),
        serializer,
        compression: options.text("compression").as_deref().and_then(Compression::from_name),
    })
}

/// Options of a signature: null means absent.
struct Options(Map);

impl Options {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn text(&self, name: &str) -> Option<String> {
        self.get(name).and_then(Value::as_str).map(str::to_owned)
    }

    fn count(&self, name: &str) -> u32 {
        let count = self.get(name).and_then(Value::as_i64).unwrap_or(0);
        u32::try_from(count.max(0)).unwrap_or(u32::MAX)
    }

    /// A queue is a name, or the object of a declared queue.
    fn queue(&self) -> Option<String> {
        let queue = self.get("queue")?;
        queue.as_str().or_else(|| queue.get("name").and_then(Value::as_str)).map(str::to_owned)
    }

    fn map(&self, name: &str) -> Map {
        self.get(name).and_then(Value::as_map).cloned().unwrap_or_default()
    }

    fn signatures(&self, name: &str) -> Result<Option<Vec<Signature>>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::List(values)) => Ok(Some(values.iter().cloned().map(Signature::from_value).collect::<Result<_, _>>()?)),
            Some(one) => Ok(Some(vec![Signature::from_value(one.clone())?])),
        }
    }
}

fn headers(task: String, id: String, options: &Options, applied: &Applied) -> Result<Headers> {
    let eta = match (options.get("countdown").and_then(Value::as_f64), options.get("eta")) {
        (Some(seconds), _) if seconds != 0.0 => Some(later(applied.now, seconds)?),
        (_, Some(eta)) => Some(moment(eta)?),
        _ => None,
    };
    let expires = match options.get("expires") {
        Some(expires) => Some(expires.as_f64().map_or_else(|| moment(expires), |seconds| later(applied.now, seconds))?),
        None => None,
    };
    let names = options.get("stamped_headers").and_then(Value::as_list);
    let names: Option<Vec<String>> = names.map(|names| names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect());
    let stamped = names.iter().flatten().filter_map(|name| Some((name.clone(), options.0.get(name)?.clone())));
    let root_id = applied.root_id.clone().or_else(|| options.text("root_id")).unwrap_or_else(|| id.clone());
    Ok(Headers {
        shadow: options.text("shadow"),
        eta,
        expires,
        group: options.text("group_id"),
        group_index: options.get("group_index").and_then(Value::as_i64),
        retries: options.count("retries"),
        timelimit: TimeLimit {
            hard: options.get("time_limit").and_then(Value::as_f64),
            soft: options.get("soft_time_limit").and_then(Value::as_f64),
        },
        root_id: Some(root_id),
        parent_id: applied.parent_id.clone().or_else(|| options.text("parent_id")),
        argsrepr: options.text("argsrepr"),
        kwargsrepr: options.text("kwargsrepr"),
        origin: options.text("origin").or_else(|| applied.origin.clone()),
        ignore_result: options.get("ignore_result").map(Value::is_truthy),
        replaced_task_nesting: options.count("replaced_task_nesting"),
        stamps: stamped.collect(),
        stamped_headers: names,
        custom: custom(options, applied),
        ..Headers::new(task, id)
    })
}

/// The headers its caller made up, and the trace it belongs to.
fn custom(options: &Options, applied: &Applied) -> Map {
    let mut custom = options.map("headers");
    if !custom.contains_key("traceparent") {
        custom.extend(applied.trace.clone());
    }
    custom
}

fn embed(options: &Options) -> Result<Embed> {
    let chord = options.get("chord").cloned().map(Signature::from_value).transpose()?;
    Ok(Embed {
        callbacks: options.signatures("link")?,
        errbacks: options.signatures("link_error")?,
        chain: options.signatures("chain")?,
        chord: chord.map(Box::new),
        extra: Map::default(),
    })
}

fn moment(value: &Value) -> Result<Timestamp> {
    let text = special::text(value).or_else(|| value.as_str());
    Ok(Timestamp::parse(text.ok_or_else(|| Error::protocol(format!("not a time: {}", repr::value(value, 100))))?)?)
}

/// `now` and so many seconds. Beyond the year 9999 nobody could read it: Python's dates end there, and its `apply_async` raises as well.
pub(super) fn later(now: DateTime<Utc>, seconds: f64) -> Result<Timestamp> {
    #[allow(clippy::cast_possible_truncation)]
    let micros = TimeDelta::microseconds((seconds * 1e6) as i64);
    let moment = now.checked_add_signed(micros).filter(|moment| (1..=9999).contains(&moment.year()));
    moment.map(Timestamp::utc).ok_or_else(|| Error::protocol(format!("{seconds} seconds from now is no date")))
}

fn remaining_ms(expires: &Timestamp, now: DateTime<Utc>) -> String {
    (expires.moment() - now).num_milliseconds().max(0).to_string()
}
