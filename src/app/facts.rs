//! What a program's tasks tell of themselves: metrics of their own, and figures beside a worker's in `inspect stats`.
//!
//! # Celery
//! Has no such thing: what reads `stats` there passes over names it does not know.

use std::fmt;

use prometheus_client::registry::Registry;

use crate::protocol::value::Value;

type Metrics = dyn Fn(&mut Registry) + Send + Sync;
type Figure = dyn Fn() -> Value + Send + Sync;

/// All of it.
#[derive(Default)]
pub(crate) struct Facts {
    metrics: Vec<Box<Metrics>>,
    figures: Vec<(String, Box<Figure>)>,
}

impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.figures.iter().map(|(name, _)| name)).finish()
    }
}

impl Facts {
    pub(super) fn add_metrics(&mut self, enter: impl Fn(&mut Registry) + Send + Sync + 'static) {
        self.metrics.push(Box::new(enter));
    }

    pub(super) fn add_figure(&mut self, name: &str, figure: impl Fn() -> Value + Send + Sync + 'static) {
        self.figures.push((name.to_owned(), Box::new(figure)));
    }

    /// Enters the metrics.
    pub(super) fn register(&self, registry: &mut Registry) {
        self.metrics.iter().for_each(|enter| enter(registry));
    }

    /// The figures as they are now.
    pub(crate) fn figures(&self) -> impl Iterator<Item = (String, Value)> + '_ {
        self.figures.iter().map(|(name, figure)| (name.clone(), figure()))
    }
}
