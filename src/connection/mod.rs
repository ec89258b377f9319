//! Redis itself: URLs, TLS, a connection that comes back, scripts, and which failure means what.
//!
//! Above this room only `broker/redis` and `backend/redis` name the driver; no public type contains one of its types.
//!
//! # Celery
//! kombu's and Celery's `redis.py`, connection part. Differences: sentinel, failover lists and Redis Cluster are refused, and a `rediss://`
//! URL without options verifies certificates (kombu does not).

mod failure;
mod info;
mod link;
mod location;
pub(crate) mod results;
mod script;
mod tls;
mod transaction;
mod url;

pub(crate) use self::info::{eviction, info};
pub(crate) use self::link::{Link, Live};
pub(crate) use self::location::{command, locate};
pub(crate) use self::script::{Call, Script};
pub(crate) use self::url::Server;
