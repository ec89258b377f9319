//! Changing a worker: limits of tasks, slots, queues, events.
//!
//! # Celery
//! The control commands of `worker/control.py`. Differences: task events can be
//! switched off whatever the worker was started with; a queue is bound to the exchange of its own name only.

use super::arguments::Arguments;
use super::{Panel, failed, nok, ok};
use crate::config::{Autoscale, Rate};
use crate::protocol::event::Event;
use crate::protocol::exception::Exception;
use crate::protocol::repr;
use crate::protocol::value::Value;

impl Panel {
    pub(super) fn rate_limit(&self, arguments: Arguments<'_>) -> Result<Value, Exception> {
        let [task, rate] = arguments.required(["task_name", "rate_limit"])?;
        let rate = match read_rate(rate) {
            Ok(rate) => rate,
            Err(exception) => return Ok(nok(format!("Invalid rate limit string: {exception}"))),
        };
        let name = task.as_str().unwrap_or_default();
        let app = &self.shared.app;
        let Some(task) = app.registry().get(name) else {
            tracing::error!("Rate limit attempt for unknown task {name}");
            return Ok(nok("unknown task"));
        };
        self.shared.state.rates.set(&task.name, rate.clone());
        Ok(match rate {
            Some(rate) => {
                tracing::info!("New rate limit for tasks of type {name}: {}.", rate.as_str());
                ok("new rate limit set successfully")
            }
            None => {
                tracing::info!("Rate limits disabled for tasks of type {name}");
                ok("rate limit disabled successfully")
            }
        })
    }

    pub(super) fn time_limit(&self, arguments: Arguments<'_>) -> Value {
        let name = arguments.text("task_name").unwrap_or_default();
        let Some(task) = self.shared.app.registry().get(name) else {
            tracing::error!("Change time limit attempt for unknown task {name}");
            return nok("unknown task");
        };
        let (soft, hard) = (arguments.seconds("soft"), arguments.seconds("hard"));
        self.shared.state.set_time_limits(&task.name, (soft, hard));
        tracing::info!(?soft, ?hard, "New time limits for tasks of type {name}");
        ok("time limits set successfully")
    }

    pub(super) fn enable_events(&self) -> Value {
        if self.events.enable_tasks(true) {
            return ok("task events already enabled");
        }
        tracing::info!("Events of group {{task}} enabled by remote.");
        ok("task events enabled")
    }

    pub(super) fn disable_events(&self) -> Value {
        if !self.events.enable_tasks(false) {
            return ok("task events already disabled");
        }
        tracing::info!("Events of group {{task}} disabled by remote.");
        ok("task events disabled")
    }

    pub(super) fn heartbeat(&self) -> Value {
        self.events.send(&Event::heartbeat_on_demand());
        Value::Null
    }

    pub(super) fn pool_grow(&self, arguments: Arguments<'_>) -> Value {
        if self.shared.autoscale.is_some() {
            return nok("pool_grow is not supported with autoscale. Adjust autoscale range instead.");
        }
        let window = &self.shared.window;
        window.resize(window.slots.size().saturating_add(arguments.count("n", 1)));
        ok("pool will grow")
    }

    pub(super) fn pool_shrink(&self, arguments: Arguments<'_>) -> Result<Value, Exception> {
        if self.shared.autoscale.is_some() {
            return Ok(nok("pool_shrink is not supported with autoscale. Adjust autoscale range instead."));
        }
        let window = &self.shared.window;
        let (fewer, slots) = (arguments.count("n", 1), window.slots.size());
        if fewer >= slots {
            return Err(Exception::value_error(format!("Can't shrink pool: it has {slots} slots, and one must stay")));
        }
        window.resize(slots - fewer);
        Ok(ok("pool will shrink"))
    }

    /// Changes the bounds of a pool that sizes itself; the next look follows them.
    pub(super) fn autoscale(&self, arguments: Arguments<'_>) -> Result<Value, Exception> {
        let bounds = self.shared.autoscale.as_ref().ok_or_else(|| Exception::value_error("Autoscale not enabled"))?;
        let now = bounds.get();
        let new = Autoscale { max: arguments.count("max", now.max), min: arguments.count("min", now.min) };
        if new.max < new.min.max(1) {
            return Err(Exception::value_error(format!("max={} is less than min={}", new.max, new.min.max(1))));
        }
        bounds.set(new);
        Ok(ok(format!("autoscale now max={} min={}", new.max, new.min)))
    }

    pub(super) fn pool_restart(&self) -> Result<Value, Exception> {
        if !self.shared.app.settings().worker_pool_restarts {
            return Err(Exception::value_error("Pool restarts not enabled"));
        }
        if let Some(children) = self.shared.window.children() {
            children.restart();
        }
        Ok(ok("reload started"))
    }

    pub(super) async fn add_consumer(&self, arguments: Arguments<'_>) -> Result<Value, Exception> {
        let [queue] = arguments.required(["queue"])?;
        let Some(queue) = queue.as_str() else { return Err(Exception::type_error("queue must be a name")) };
        let elsewhere = |name: &str| arguments.text(name).is_some_and(|given| !given.is_empty() && given != queue);
        if elsewhere("exchange") || elsewhere("routing_key") {
            return Ok(nok("this worker binds a queue to the exchange of its own name only"));
        }
        let app = &self.shared.app;
        let declared = app.declared(&[queue.to_owned()]).map_err(|error| failed(&error))?;
        self.aside.broker.declare(&declared).await.map_err(|error| failed(&error))?;
        self.shared.state.queues.send_if_modified(|queues| {
            let new = !queues.iter().any(|known| known == queue);
            if new {
                queues.push(queue.to_owned());
            }
            new
        });
        tracing::info!("Started consuming from {queue}");
        Ok(ok(format!("add consumer {queue}")))
    }

    pub(super) fn cancel_consumer(&self, arguments: Arguments<'_>) -> Result<Value, Exception> {
        let [queue] = arguments.required(["queue"])?;
        let queue = queue.as_str().unwrap_or_default();
        self.shared.state.queues.send_if_modified(|queues| {
            let before = queues.len();
            queues.retain(|known| known != queue);
            queues.len() != before
        });
        tracing::info!("Stopped consuming from {queue}");
        Ok(ok(format!("no longer consuming from {queue}")))
    }
}

/// A rate, or none for one that means no limit; what is no rate is refused in Python's words: a number, or a number by `s`, `m` or `h`.
fn read_rate(rate: &Value) -> Result<Option<Rate>, Exception> {
    let text = rate.as_str().map_or_else(|| repr::value(rate, repr::MAX_LENGTH), str::to_owned);
    let (number, unit) = text.split_once('/').unwrap_or((&text, "s"));
    if !rate.is_truthy() {
        return Ok(None);
    }
    if number.trim().parse::<f64>().is_err() {
        let shown = repr::string(number);
        return Err(Exception::value_error(format!("could not convert string to float: {shown}")));
    }
    if !matches!(unit, "s" | "m" | "h") {
        return Err(Exception::builtin("KeyError", unit));
    }
    let rate = Rate::parse(&text).map_err(Exception::value_error)?;
    Ok(rate.interval().is_some().then_some(rate))
}
