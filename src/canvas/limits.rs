//! How much a canvas may come to. It is weighed as it lies in the message, before anything of it is copied: a body that every task of a
//! header carries makes a few megabytes into terabytes otherwise.
//!
//! # Celery
//! Has no such limits: there a canvas grows until its process dies.

use crate::error::{Error, Result};
use crate::protocol::{Map, Message, Signature, Value};

/// How many messages one canvas may come to at once: more are sent by a task that sends its parts, and are never in one script call.
pub const MAX_MESSAGES: u64 = 100_000;
/// How many bytes its messages may have together. They are all in memory until they are published.
pub const MAX_BYTES: u64 = 256 << 20;
/// How many bytes may be copied while a canvas is frozen and taken apart. Each composition is copied once for every one around it, so a
/// large part that lies deep in others would take minutes.
pub const MAX_COPIED: u64 = 8 * MAX_BYTES;
/// How deep compositions may lie in each other: each level takes a part of the stack, and is copied once for each around it.
pub const MAX_NESTING: usize = 32;
/// What a message has beside its arguments: headers and properties.
const ENVELOPE: u64 = 1024;
/// What a signature has beside its arguments and options.
const SIGNATURE: u64 = 256;
/// How often a composition is frozen while it is sent: as a part of its whole, with its options, and by itself.
const FREEZES: u64 = 3;

/// Refuses a canvas that is not wholly readable or comes to too much. `carried` is what each of its messages gets beside its own, in bytes.
pub(super) fn check(signature: &Signature, carried: u64) -> Result<()> {
    let weight = weigh(&Looked::at(signature), 0)?;
    if weight.messages > MAX_MESSAGES {
        let message =
            format!("a canvas of {} messages; at most {MAX_MESSAGES} are sent at once: send it in parts", weight.messages);
        return Err(Error::protocol(message));
    }
    if weight.copied > MAX_COPIED {
        return Err(Error::protocol("compositions too large for how deep they lie in each other: send the inner ones from a task"));
    }
    let bytes = weight.sent.saturating_add(weight.tasks.saturating_mul(carried));
    if bytes > MAX_BYTES {
        let message = format!("a canvas of {bytes} bytes; at most {MAX_BYTES} are sent at once: pass references to large values");
        return Err(Error::protocol(message));
    }
    Ok(())
}

/// Refuses a chord of too many parts.
pub(crate) fn check_chord(parts: u64, most: u64) -> Result<()> {
    if parts <= most {
        return Ok(());
    }
    let advice = "make it a chord of chords, each of fewer";
    Err(Error::too_large(format!("a chord of {parts} parts; at most {most} are sent (celeriac.max_chord_parts): {advice}")))
}

/// The bytes of what follows a task and of its stamps, which what replaces it gets in its place.
pub(super) fn carried(message: &Message) -> u64 {
    let embed = &message.embed;
    let lists = [&embed.callbacks, &embed.errbacks, &embed.chain];
    let signatures = lists.into_iter().flatten().flatten().chain(embed.chord.as_deref());
    let bytes = |signature: &Signature| Looked::at(signature).shared.saturating_add(size_of_map(&signature.kwargs));
    signatures.map(bytes).fold(size_of_map(&message.headers.stamps), u64::saturating_add)
}

/// About how many bytes a value takes as text.
pub(crate) fn size(value: &Value) -> u64 {
    match value {
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => 8,
        Value::BigInt(text) | Value::String(text) => 2 + text.len() as u64,
        Value::List(values) => values.iter().map(|value| 2 + size(value)).sum(),
        Value::Map(map) => size_of_map(map),
    }
}

fn size_of_map(map: &Map) -> u64 {
    map.iter().map(|(key, value)| 4 + key.len() as u64 + size(value)).sum()
}

/// A part of a canvas, weighed.
#[derive(Debug, Clone, Copy, Default)]
struct Weight {
    /// As data, where it travels in another's message.
    bytes: u64,
    /// How many plain tasks are in it.
    tasks: u64,
    /// How many messages are sent when it is applied.
    messages: u64,
    /// How many bytes those have.
    sent: u64,
    /// How many bytes freezing it copies: it and every part of it.
    frozen: u64,
    /// How many bytes applying it copies: every part that is sent is frozen again.
    copied: u64,
}

impl Weight {
    fn and(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            tasks: self.tasks.saturating_add(other.tasks),
            messages: self.messages.saturating_add(other.messages),
            sent: self.sent.saturating_add(other.sent),
            frozen: self.frozen.saturating_add(other.frozen),
            copied: self.copied.saturating_add(other.copied),
        }
    }

    /// The same where each message has so many bytes more.
    fn each_with(self, shared: u64) -> Self {
        Self { sent: self.sent.saturating_add(self.messages.saturating_mul(shared)), ..self }
    }

    /// A composition of these parts, with so many bytes of its own.
    fn composed(self, own: u64) -> Self {
        let bytes = self.bytes.saturating_add(own).saturating_add(SIGNATURE);
        let frozen = self.frozen.saturating_add(bytes);
        Self { bytes, frozen, copied: self.copied.saturating_add(frozen.saturating_mul(FREEZES)), ..self }
    }
}

/// A signature that is looked at where it lies.
struct Looked<'a> {
    kind: Option<&'a str>,
    kwargs: Option<&'a Map>,
    /// The bytes of its arguments, options and unknown keys: a whole hands them on.
    shared: u64,
    /// The bytes of its errbacks: a chain hands them to every step.
    errbacks: u64,
}

impl<'a> Looked<'a> {
    fn at(signature: &'a Signature) -> Self {
        let args: u64 = signature.args.iter().map(size).sum();
        Self {
            kind: signature.subtask_type.as_deref(),
            kwargs: Some(&signature.kwargs),
            shared: args + size_of_map(&signature.options) + size_of_map(&signature.extra),
            errbacks: signature.options.get("link_error").map_or(0, size),
        }
    }

    fn in_value(value: &'a Value) -> Result<Self> {
        let map = value.as_map().filter(|map| map.get("task").is_some_and(|task| task.as_str().is_some()));
        let map = map.ok_or_else(|| Error::protocol("a part of a canvas is no signature"))?;
        let rest = map.iter().filter(|(key, _)| key.as_str() != "kwargs");
        let errbacks = map.get("options").and_then(|options| options.get("link_error")).map_or(0, size);
        Ok(Self {
            kind: map.get("subtask_type").and_then(Value::as_str),
            kwargs: map.get("kwargs").and_then(Value::as_map),
            shared: rest.map(|(key, value)| 4 + key.len() as u64 + size(value)).sum(),
            errbacks,
        })
    }

    fn part(&self, name: &str) -> Option<&'a Value> {
        self.kwargs?.get(name)
    }
}

fn weigh(part: &Looked<'_>, depth: usize) -> Result<Weight> {
    if depth > MAX_NESTING {
        return Err(Error::protocol(format!("compositions nested deeper than {MAX_NESTING}")));
    }
    match part.kind {
        Some("group") => Ok(together(part.part("tasks"), depth)?.each_with(part.shared).composed(part.shared)),
        Some("chain") => weigh_chain(part, depth),
        Some("chord") => weigh_chord(part, depth),
        Some("chunks") => Ok(weigh_chunks(part)),
        _ => {
            let bytes = part.shared.saturating_add(part.kwargs.map_or(0, size_of_map)).saturating_add(SIGNATURE);
            Ok(Weight { bytes, tasks: 1, messages: 1, sent: bytes.saturating_add(ENVELOPE), frozen: bytes, copied: bytes })
        }
    }
}

/// Members of a group, or the header of a chord.
fn together(members: Option<&Value>, depth: usize) -> Result<Weight> {
    members
        .and_then(Value::as_list)
        .unwrap_or_default()
        .iter()
        .try_fold(Weight::default(), |sum, member| Ok(sum.and(weigh(&Looked::in_value(member)?, depth + 1)?)))
}

/// The first step is sent; the others travel with it.
fn weigh_chain(chain: &Looked<'_>, depth: usize) -> Result<Weight> {
    let steps = chain.part("tasks").and_then(Value::as_list).unwrap_or_default();
    let (mut first, mut rest) = (Weight::default(), Weight::default());
    for step in steps {
        let step = weigh(&Looked::in_value(step)?, depth + 1)?;
        // An empty group sends nothing: what comes after it is sent in its place.
        let place = if first.messages == 0 { &mut first } else { &mut rest };
        *place = place.and(step);
    }
    let spread = chain.shared.saturating_add(first.and(rest).tasks.saturating_mul(chain.errbacks));
    let sent = first.each_with(rest.bytes.saturating_add(spread));
    Ok(Weight { messages: sent.messages, sent: sent.sent, ..first.and(rest) }.composed(spread))
}

/// Every task of the header carries the body.
fn weigh_chord(chord: &Looked<'_>, depth: usize) -> Result<Weight> {
    let header = match chord.part("header") {
        Some(whole @ Value::Map(_)) => weigh(&Looked::in_value(whole)?, depth + 1)?,
        members => together(members, depth)?,
    };
    let body = chord.part("body").map(Looked::in_value).transpose()?.ok_or_else(|| Error::protocol("a chord without a body"))?;
    let body = weigh(&body, depth + 1)?;
    let rest = chord.kwargs.into_iter().flatten().filter(|(key, _)| !matches!(key.as_str(), "header" | "body"));
    let shared = chord.shared.saturating_add(rest.map(|(_, value)| size(value)).sum::<u64>());
    let sent = if header.messages == 0 { body.each_with(shared) } else { header.each_with(body.bytes.saturating_add(shared)) };
    Ok(Weight { messages: sent.messages, sent: sent.sent, ..header.and(body) }.composed(shared))
}

/// So many argument lists a message.
fn weigh_chunks(chunks: &Looked<'_>) -> Weight {
    let count = chunks.part("it").and_then(Value::as_list).unwrap_or_default().len() as u64;
    let size_of = |name: &str| chunks.part(name).map_or(0, size);
    let each = chunks.part("n").and_then(Value::as_i64).and_then(|n| u64::try_from(n).ok()).unwrap_or(1).max(1);
    let messages = count.div_ceil(each);
    let shared = chunks.shared.saturating_add(size_of("task")).saturating_add(ENVELOPE);
    let sent = size_of("it").saturating_add(messages.saturating_mul(shared));
    Weight { bytes: sent, tasks: messages, messages, sent, frozen: sent, copied: sent }
}
