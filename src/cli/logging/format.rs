//! The two forms of a log line.

use std::fmt::{self, Write as _};

use chrono::{Local, Utc};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// Fields that Celery's messages already say in words.
const SAID: &[&str] = &["task_id", "task_name", "runtime", "eta", "queue", "retries", "root_id", "parent_id", "nodename"];

/// `[2026-11-22 00:34:31,065: INFO/MainProcess] message`, and what the message does not say as `name=value` behind it.
pub(super) struct Celery {
    pub(super) color: bool,
}

impl<S, N> FormatEvent<S, N> for Celery
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let (name, color) = celery_level(*event.metadata().level());
        let time = Local::now().format("%Y-%m-%d %H:%M:%S,%3f");
        let mut line = Text::default();
        event.record(&mut line);
        let said = one_line(line.message + &line.fields);
        if self.color && !color.is_empty() {
            write!(writer, "{color}[{time}: {name}/MainProcess] {said}\x1b[0m")?;
        } else {
            write!(writer, "[{time}: {name}/MainProcess] {said}")?;
        }
        writeln!(writer)
    }
}

/// Without line breaks and other control characters: names and ids come from outside, and must not be able to write lines of their own.
fn one_line(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    text.chars().fold(String::with_capacity(text.len()), |mut line, character| {
        if character.is_control() {
            line.extend(character.escape_default())
        } else {
            line.push(character)
        }
        line
    })
}

fn celery_level(level: Level) -> (&'static str, &'static str) {
    match level {
        Level::ERROR => ("ERROR", "\x1b[1;31m"),
        Level::WARN => ("WARNING", "\x1b[1;33m"),
        Level::INFO => ("INFO", ""),
        Level::DEBUG | Level::TRACE => ("DEBUG", "\x1b[34m"),
    }
}

#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Text {
    fn add(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let name = field.name();
        // Writing into a String cannot fail.
        let _ = match name {
            "message" => self.message.write_fmt(value),
            name if SAID.contains(&name) => Ok(()),
            name => write!(self.fields, " {name}={value}"),
        };
    }
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        if value.contains(' ') { self.add(field, format_args!("{value:?}")) } else { self.add(field, format_args!("{value}")) }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format_args!("{value:?}"));
    }
}

/// One JSON object: `ts`, `level`, `target`, `msg`, and the fields of the spans around it and its own.
pub(super) struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        let mut line = Map::new();
        line.insert("ts".into(), Utc::now().format("%Y-%m-%dT%H:%M:%S%.3f+00:00").to_string().into());
        line.insert("level".into(), celery_level(*metadata.level()).0.into());
        line.insert("target".into(), metadata.target().into());
        line.insert("msg".into(), Value::Null);
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            if let Some(fields) = extensions.get::<FormattedFields<JsonFields>>()
                && let Ok(Value::Object(fields)) = serde_json::from_str(fields)
            {
                line.extend(fields);
            }
        }
        event.record(&mut Fields(&mut line));
        writeln!(writer, "{}", Value::Object(line))
    }
}

struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn set(&mut self, field: &Field, value: impl Into<Value>) {
        let name = if field.name() == "message" { "msg" } else { field.name() };
        self.0.insert(name.into(), value.into());
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Memory {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    impl Memory {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn log() {
        let span = tracing::info_span!("task", task_id = "abc", queue = "q");
        let _entered = span.enter();
        tracing::warn!(task_id = "abc", count = 2, error = "it broke", "Task {} retry", "tasks.x[abc]");
    }

    #[test]
    fn text_lines_have_celerys_form() {
        let memory = Memory::default();
        let subscriber = tracing_subscriber::fmt().with_writer(memory.clone()).event_format(Celery { color: false }).finish();
        tracing::subscriber::with_default(subscriber, log);
        let line = memory.text();
        let (time, rest) = line[1..].split_at(23);
        assert!(chrono::NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M:%S,%3f").is_ok(), "{time}");
        assert_eq!(rest, ": WARNING/MainProcess] Task tasks.x[abc] retry count=2 error=\"it broke\"\n");
    }

    #[test]
    fn a_name_from_outside_cannot_write_a_line_of_its_own() {
        let memory = Memory::default();
        let subscriber = tracing_subscriber::fmt().with_writer(memory.clone()).event_format(Celery { color: false }).finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(reason = "a\nb", "Task {} received", "x\n[2026-01-01 00:00:00,000: ERROR/MainProcess] \x1b[31mforged");
        });
        let text = memory.text();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(
            text.contains(r"x\n[2026-01-01 00:00:00,000: ERROR/MainProcess] \u{1b}[31mforged") && text.contains(r"reason=a\nb"),
            "{text}"
        );
    }

    #[test]
    fn json_lines_hold_the_fields_of_span_and_event() {
        let memory = Memory::default();
        let builder = tracing_subscriber::fmt().fmt_fields(JsonFields::new()).with_writer(memory.clone());
        tracing::subscriber::with_default(builder.event_format(Json).finish(), log);
        let line: Map<String, Value> = serde_json::from_str(&memory.text()).unwrap();
        assert_eq!(line["msg"], "Task tasks.x[abc] retry");
        assert_eq!((&line["level"], &line["queue"], &line["count"]), (&"WARNING".into(), &"q".into(), &2.into()));
    }
}
