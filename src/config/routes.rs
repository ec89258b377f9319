//! Which queue a task goes to: the route table and the declared queues, as data with one question each.
//!
//! # Celery
//! Answers to `celery.app.routes.MapRoute` and to `task_queues`. An exact name ranks above any pattern, patterns rank in
//! the order they are written, and a pattern is a shell pattern only when it holds a `*`. Router functions are Python's and have no form in a file.

use indexmap::IndexMap;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value as Json};

use crate::protocol::glob::matches;

/// Where a task goes, and with which options.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Route {
    /// The queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// The exchange, instead of a queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exchange: Option<String>,
    /// The routing key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing_key: Option<String>,
    /// The priority; 0 is taken first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// After how many seconds the message is void.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<f64>,
}

/// The route table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskRoutes {
    /// Each router is asked in turn; inside one, exact names first.
    routers: Vec<Vec<(String, Route)>>,
}

impl TaskRoutes {
    /// The route of a task, if one is written for it.
    pub fn route(&self, task: &str) -> Option<&Route> {
        self.routers.iter().find_map(|router| {
            let exact = router.iter().rev().find(|(name, _)| name == task && !name.contains('*'));
            let pattern = || router.iter().find(|(name, _)| name.contains('*') && matches(name, task));
            exact.or_else(pattern).map(|(_, route)| route)
        })
    }

    /// Every name or pattern with its route, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Route)> {
        self.routers.iter().flatten().map(|(name, route)| (name.as_str(), route))
    }

    /// True when no route is written.
    pub fn is_empty(&self) -> bool {
        self.routers.iter().all(Vec::is_empty)
    }
}

fn route<E: serde::de::Error>(name: &str, value: Json) -> Result<(String, Route), E> {
    let route = match value {
        Json::String(queue) => Route { queue: Some(queue), ..Route::default() },
        value => Route::deserialize(value).map_err(|error| E::custom(format!("the route of {name:?}: {error}")))?,
    };
    Ok((name.to_owned(), route))
}

impl<'de> Deserialize<'de> for TaskRoutes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = |map: Map<String, Json>| map.into_iter().map(|(name, value)| route(&name, value)).collect();
        let routers = match Json::deserialize(deserializer)? {
            Json::Null => Vec::new(),
            Json::Object(map) => vec![table(map)?],
            Json::Array(routers) => routers
                .into_iter()
                .map(|router| match router {
                    Json::Object(map) => table(map),
                    Json::Array(pair) => match <[Json; 2]>::try_from(pair) {
                        Ok([Json::String(name), value]) => Ok(vec![route(&name, value)?]),
                        _ => Err(D::Error::custom("a route in a list is a pair of name and route")),
                    },
                    other => Err(D::Error::custom(format!("{other} is not a route: router functions are Python's"))),
                })
                .collect::<Result<_, _>>()?,
            other => return Err(D::Error::custom(format!("{other} is not a table of routes"))),
        };
        Ok(Self { routers: routers.into_iter().filter(|router: &Vec<_>| !router.is_empty()).collect() })
    }
}

impl Serialize for TaskRoutes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.routers.as_slice() {
            [] => serializer.collect_map(std::iter::empty::<(&str, &Route)>()),
            [one] => serializer.collect_map(one.iter().map(|(name, route)| (name, route))),
            many => serializer.collect_seq(
                many.iter().map(|router| router.iter().map(|(name, route)| (name.as_str(), route)).collect::<IndexMap<_, _>>()),
            ),
        }
    }
}

/// A queue with an exchange, a routing key or options of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueueOptions {
    /// The exchange; none: the default exchange, or the queue's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exchange: Option<String>,
    /// The exchange's type; none: `task_default_exchange_type`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exchange_type: Option<String>,
    /// The routing key; none: the queue's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing_key: Option<String>,
    /// Without effect on Redis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_arguments: Option<Map<String, Json>>,
}

/// The declared queues, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct TaskQueues(IndexMap<String, QueueOptions>);

impl TaskQueues {
    /// A queue's options.
    pub fn get(&self, queue: &str) -> Option<&QueueOptions> {
        self.0.get(queue)
    }

    /// The queues, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &QueueOptions)> {
        self.0.iter().map(|(name, options)| (name.as_str(), options))
    }

    /// True when none is declared.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de> Deserialize<'de> for TaskQueues {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Names(Vec<String>),
            Table(IndexMap<String, QueueOptions>),
        }
        Ok(match Option::<Form>::deserialize(deserializer)? {
            None => Self::default(),
            Some(Form::Names(names)) => Self(names.into_iter().map(|name| (name, QueueOptions::default())).collect()),
            Some(Form::Table(table)) => Self(table),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(text: &str) -> TaskRoutes {
        serde_json::from_str(text).unwrap()
    }

    fn queue(routes: &TaskRoutes, task: &str) -> Option<String> {
        routes.route(task).and_then(|route| route.queue.clone())
    }

    #[test]
    fn an_exact_name_ranks_above_a_pattern_written_before_it() {
        let routes = routes(r#"{"feed.*": "feeds", "feed.import": {"queue": "imports", "priority": 3}, "*": "rest"}"#);
        assert_eq!(queue(&routes, "feed.import").as_deref(), Some("imports"));
        assert_eq!(routes.route("feed.import").unwrap().priority, Some(3));
        assert_eq!(queue(&routes, "feed.export").as_deref(), Some("feeds"));
        assert_eq!(queue(&routes, "other").as_deref(), Some("rest"));
    }

    #[test]
    fn a_list_of_routers_is_asked_in_turn() {
        let routes = routes(r#"[["a.*", {"queue": "first"}], {"a.b": "second", "c": "third"}]"#);
        assert_eq!(queue(&routes, "a.b").as_deref(), Some("first"));
        assert_eq!(queue(&routes, "c").as_deref(), Some("third"));
        assert_eq!(queue(&routes, "d"), None);
    }

    #[test]
    fn an_unknown_route_option_is_an_error_that_names_it() {
        let error = serde_json::from_str::<TaskRoutes>(r#"{"a": {"qeue": "x"}}"#).unwrap_err().to_string();
        assert!(error.contains("qeue") && error.contains("queue"), "{error}");
    }

    #[test]
    fn queues_are_a_list_of_names_or_a_table() {
        let names: TaskQueues = serde_json::from_str(r#"["a", "b"]"#).unwrap();
        assert_eq!(names.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["a", "b"]);
        let table: TaskQueues = serde_json::from_str(r#"{"a": {"exchange": "x", "routing_key": "k"}}"#).unwrap();
        assert_eq!(table.get("a").unwrap().exchange.as_deref(), Some("x"));
    }
}
