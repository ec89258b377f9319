//! What lies on the wire: recorded by real Celery 5.7, read and written here to the same bytes; and canvases, played through to their end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod canvases;
mod following;
mod messages;
mod monitors;
mod player;
mod properties;
mod random_canvases;
mod remote;
mod results;
mod stamping;
mod vectors;
