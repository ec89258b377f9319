//! What routes take out of a request. What cannot be read is a problem in words, like everything else that is refused.

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequest, Request};
use axum::http::StatusCode;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::problem::Problem;

/// What stands in the path.
#[derive(Debug, FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Problem))]
pub(super) struct Path<T>(pub(super) T);

/// The parameters behind the `?`.
#[derive(Debug, FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Problem))]
pub(super) struct Query<T>(pub(super) T);

/// A small body of JSON: an object, or null where there may be none.
#[derive(Debug)]
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let axum::Json(body) = <axum::Json<Value> as FromRequest<S>>::from_request(request, state).await?;
        Self::of(body)
    }
}

impl<T: DeserializeOwned, S: Send + Sync> OptionalFromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    /// `None`: there is no body.
    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Problem> {
        let body = <axum::Json<Value> as OptionalFromRequest<S>>::from_request(request, state).await?;
        body.map(|axum::Json(body)| Self::of(body)).transpose()
    }
}

impl<T: DeserializeOwned> JsonBody<T> {
    fn of(body: Value) -> Result<Self, Problem> {
        object(body).map(Self).map_err(|error| Problem::invalid(format!("the body: {error}")))
    }
}

/// What is to be an object, and is none where it is a list: serde would take the list's values for the fields in their order.
pub(super) fn object<'de, D: Deserializer<'de>, T: DeserializeOwned>(given: D) -> Result<T, D::Error> {
    let given = Value::deserialize(given)?;
    if given.is_array() {
        return Err(D::Error::custom("a list, where an object is expected"));
    }
    serde_json::from_value(given).map_err(D::Error::custom)
}

/// Fields as a type that needs none of them. What is wrong is said of the field that it is wrong of.
pub(super) fn read<T: DeserializeOwned>(fields: Map<String, Value>) -> Result<T, Problem> {
    let all = |fields: Map<String, Value>| serde_json::from_value::<T>(fields.into());
    all(fields.clone()).map_err(|error| {
        let alone = |(name, value): (String, Value)| all(Map::from_iter([(name.clone(), value)])).err().map(|error| (name, error));
        let of_one = fields.into_iter().find_map(alone);
        Problem::invalid(of_one.map_or_else(|| error.to_string(), |(name, error)| format!("{name}: {error}")))
    })
}

impl From<PathRejection> for Problem {
    /// A path that cannot be read leads nowhere.
    fn from(rejection: PathRejection) -> Self {
        let text = format!("there is nothing at this path: {}", rejection.body_text());
        Self::new(StatusCode::NOT_FOUND, "not_found", text)
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::invalid(rejection.body_text())
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        let status = rejection.status();
        let code = if status == StatusCode::PAYLOAD_TOO_LARGE { "too_large" } else { "invalid" };
        Self::new(status, code, rejection.body_text())
    }
}
