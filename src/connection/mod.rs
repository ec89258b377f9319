//! Redis itself: URLs, TLS, a connection that comes back, scripts, and which failure means what.
//!
//! Above this room only `broker/redis` and `backend/redis` name the driver; no public type contains one of its types.
//!
//! # Celery
//! kombu's and Celery's `redis.py`, connection part. Differences: Redis Cluster is refused; of a list only a master is taken, and a
//! sentinel is believed as far as the server it names says the same; a `rediss://` URL without options verifies certificates (kombu does
//! not).

mod client;
mod dial;
mod failure;
mod family;
mod info;
mod link;
mod location;
mod reply;
pub(crate) mod results;
mod route;
mod script;
mod sentinel;
mod server;
mod tls;
mod transaction;
mod url;

pub(crate) use self::info::{eviction, info};
pub(crate) use self::link::{Link, Live};
pub(crate) use self::location::{command, locate};
pub use self::reply::Reply;
pub(crate) use self::script::{Call, Script};
pub use self::server::SentinelOptions;
pub(crate) use self::server::Server;
