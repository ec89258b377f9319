//! A Celery-compatible worker runtime: speaks Celery 5.7's protocol over Redis, and never loses a task.

pub mod app;
pub mod backend;
pub mod beat;
pub mod broker;
pub mod canvas;
#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
mod connection;
pub mod control;
pub mod data;
pub mod dead_letters;
pub mod error;
pub mod events;
pub mod metrics;
mod outage;
pub mod pool;
pub mod producer;
pub mod protocol;
pub mod result;
mod revocations;
mod routing;
pub mod schedules;
pub mod settlement;
pub mod spill;
pub mod task;
#[cfg(feature = "otel")]
pub mod traces;
#[cfg(not(feature = "otel"))]
mod traces;
pub mod worker;

pub use error::{Error, Result};
