//! What one call says: its arguments, and how it is published. `Signature::new("proj.add").arg(1).queue("sums")`.
//!
//! # Celery
//! `Signature.s/.si/.clone/.set` of `canvas.py`, and the options of `Task.apply_async`.

use serde::Serialize;

use crate::error::Result;
use crate::protocol::headers::{UNIQUE_FOR, UNIQUE_KEY};
use crate::protocol::{Compression, Map, Serializer, Signature, Timestamp, Value, to_value};

/// Options whose value a partial keeps: another one would stall the canvas.
const KEPT: [&str; 2] = ["group_id", "stamped_headers"];

/// Arguments; reading a signature is in [`crate::protocol::signature`].
impl Signature {
    /// Adds a positional argument.
    #[must_use]
    pub fn arg(mut self, value: impl Into<Value>) -> Self {
        self.args.push(value.into());
        self
    }

    /// Adds positional arguments.
    #[must_use]
    pub fn args(mut self, values: impl IntoIterator<Item = Value>) -> Self {
        self.args.extend(values);
        self
    }

    /// Adds a keyword argument.
    #[must_use]
    pub fn kwarg(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.kwargs.insert(name.into(), value.into());
        self
    }

    /// Adds the fields of a struct (or the entries of a map) as keyword arguments.
    pub fn with<T: Serialize + ?Sized>(mut self, arguments: &T) -> Result<Self> {
        match to_value(arguments)? {
            Value::Map(map) => self.kwargs.extend(map),
            Value::Null => {}
            other => self.args.push(other),
        }
        Ok(self)
    }

    /// Completes a partial call, as a value handed on does: `args` go in **front** of its own, `kwargs` are added to its own, `options`
    /// replace its own (but not its group and its stamps). Arguments go to the first task of a chain, to every task of a group, to the
    /// header of a chord; an immutable call takes none.
    ///
    /// ```
    /// use celeriac::protocol::{Map, Signature, Value};
    ///
    /// let power = Signature::new("proj.power").arg(2);
    /// assert_eq!(power.partial([Value::from(10)], Map::default(), Map::default()).args, [Value::from(10), Value::from(2)]);
    /// ```
    #[must_use]
    pub fn partial(mut self, args: impl IntoIterator<Item = Value>, kwargs: Map, options: Map) -> Self {
        let stamps: Vec<String> = self.stamp_names().map(str::to_owned).collect();
        let kept = |name: &String| KEPT.contains(&name.as_str()) || stamps.contains(name);
        let options = options.into_iter().filter(|(name, _)| !kept(name) || !self.options.contains_key(name));
        let options: Map = options.collect();
        self.options.extend(options);
        let args: Vec<Value> = args.into_iter().collect();
        if self.immutable || args.is_empty() && kwargs.is_empty() {
            return self;
        }
        if self.is_plain() {
            self.args.splice(0..0, args);
            self.kwargs.extend(kwargs);
            return self;
        }
        let reached = if self.is_chain() { 1 } else { usize::MAX };
        self.map_tasks(|place, task| match place < reached {
            true => task.partial(args.clone(), kwargs.clone(), Map::default()),
            false => task,
        })
    }

    /// Puts other positional arguments in place of its own.
    #[must_use]
    pub fn replace_args(mut self, args: impl IntoIterator<Item = Value>) -> Self {
        self.args = args.into_iter().collect();
        self
    }

    /// Puts other keyword arguments in place of its own.
    #[must_use]
    pub fn replace_kwargs(mut self, kwargs: Map) -> Self {
        self.kwargs = kwargs;
        self
    }

    /// Takes no value from the task before it. Of a group, and of a chord's header, every task.
    #[must_use]
    pub fn immutable(mut self) -> Self {
        if self.is_group() || self.is_chord() {
            return self.map_tasks(|_, task| task.immutable());
        }
        self.immutable = true;
        if self.is_chain() {
            return self.map_tasks(|place, task| if place == 0 { task.immutable() } else { task });
        }
        self
    }
}

/// Options. On a chain most go to its first task, on a group to all, on a chord to header and body.
impl Signature {
    /// Sets any publish option, by Celery's name.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.set_option(name, value);
        self
    }

    /// Names its queue. Without, `task_routes` and then `task_default_queue` say where it goes.
    #[must_use]
    pub fn queue(self, queue: impl Into<String>) -> Self {
        self.set("queue", queue.into())
    }

    /// Publishes it to an exchange with a routing key instead of straight into a queue: it goes to every queue that is bound so.
    #[must_use]
    pub fn exchange(self, exchange: impl Into<String>, routing_key: impl Into<String>) -> Self {
        self.set("exchange", exchange.into()).routing_key(routing_key)
    }

    /// The routing key, where the exchange is the queue's.
    #[must_use]
    pub fn routing_key(self, routing_key: impl Into<String>) -> Self {
        self.set("routing_key", routing_key.into())
    }

    /// Sets its priority: 0 is served first, 9 last.
    #[must_use]
    pub fn priority(self, priority: i64) -> Self {
        self.set("priority", priority)
    }

    /// Runs it so many seconds after it was published.
    #[must_use]
    pub fn countdown(self, seconds: f64) -> Self {
        self.set("countdown", seconds)
    }

    /// Runs it not before a moment.
    #[must_use]
    pub fn eta(self, moment: impl Into<Timestamp>) -> Self {
        self.set("eta", moment.into().to_string())
    }

    /// Runs it not after a moment.
    #[must_use]
    pub fn expires(self, moment: impl Into<Timestamp>) -> Self {
        self.set("expires", moment.into().to_string())
    }

    /// Runs it not later than so many seconds after it was published.
    #[must_use]
    pub fn expires_in(self, seconds: f64) -> Self {
        self.set("expires", seconds)
    }

    /// Kills it after so many seconds.
    #[must_use]
    pub fn time_limit(self, seconds: f64) -> Self {
        self.set("time_limit", seconds)
    }

    /// Asks it to stop after so many seconds.
    #[must_use]
    pub fn soft_time_limit(self, seconds: f64) -> Self {
        self.set("soft_time_limit", seconds)
    }

    /// How its arguments are written; its workers must accept it (`accept_content`). YAML and pickle are not written.
    #[must_use]
    pub fn serializer(self, serializer: Serializer) -> Self {
        self.set("serializer", serializer.name())
    }

    /// How its body is compressed.
    #[must_use]
    pub fn compression(self, compression: Compression) -> Self {
        self.set("compression", compression.content_type())
    }

    /// Whether its result is thrown away, whatever its own setting says.
    #[must_use]
    pub fn ignore_result(self, ignore: bool) -> Self {
        self.set("ignore_result", ignore)
    }

    /// The name that logs and events show instead.
    #[must_use]
    pub fn shadow(self, name: impl Into<String>) -> Self {
        self.set("shadow", name.into())
    }

    /// What logs and events show instead of its positional and keyword arguments, which may be secret.
    #[must_use]
    pub fn shown_as(self, argsrepr: impl Into<String>, kwargsrepr: impl Into<String>) -> Self {
        self.set("argsrepr", argsrepr.into()).set("kwargsrepr", kwargsrepr.into())
    }

    /// Makes it the only one of its task with this key: it is refused while another is queued or running. For a task, not for a canvas,
    /// whose tasks would keep each other out.
    #[must_use]
    pub fn unique_key(self, key: impl Into<String>) -> Self {
        self.header(UNIQUE_KEY, key.into())
    }

    /// How many seconds it keeps others out at the longest, counted from when a worker last received it; its ETA is added.
    #[must_use]
    pub fn unique_for(self, seconds: f64) -> Self {
        self.header(UNIQUE_FOR, seconds)
    }

    /// Chooses its id: of a chain its last step's, of a chord its body's.
    #[must_use]
    pub fn id(mut self, task_id: impl Into<String>) -> Self {
        super::inherit::force(&mut self, "task_id", Value::String(task_id.into()));
        self
    }

    /// Adds a custom header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        let headers = self.options.entry("headers".to_owned()).or_insert_with(Value::map);
        if let Some(map) = headers.as_map_mut() {
            map.insert(name.into(), value.into());
        }
        self
    }
}
