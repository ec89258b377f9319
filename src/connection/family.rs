//! What links to one server share: the way there, which server it is at present, and that it has become silent.

use std::sync::{Arc, Mutex, Weak};

use tokio::time::Instant;

use super::Server;
use super::link::{Inner, lock};
use super::route::Route;
use crate::error::Result;

/// Links that were made from each other.
pub(super) struct Family {
    pub(super) server: Server,
    pub(super) route: Route,
    /// Since when a call of some link had no answer: a connection on which nothing was heard since then is not trusted any more, though
    /// nobody asked anything on it, so that a hole in the network costs all of them one deadline together.
    pub(super) silence: Mutex<Option<Instant>>,
    /// The server that the last connection was made to. A connection to another one is left: what is written there may be lost.
    place: Mutex<Option<Arc<str>>>,
    links: Mutex<Vec<Weak<Inner>>>,
}

impl Family {
    pub(super) fn new(server: &Server) -> Result<Arc<Self>> {
        Ok(Arc::new(Self {
            server: server.clone(),
            route: Route::new(server)?,
            silence: Mutex::default(),
            place: Mutex::default(),
            links: Mutex::default(),
        }))
    }

    /// Takes up a new link.
    pub(super) fn join(&self, link: &Arc<Inner>) {
        let mut links = lock(&self.links);
        links.retain(|link| link.strong_count() > 0);
        links.push(Arc::downgrade(link));
    }

    /// True while this is the server that links lead to.
    pub(super) fn is_at(&self, place: &Arc<str>) -> bool {
        lock(&self.place).as_ref().is_none_or(|present| present == place)
    }

    /// A link has connected to the server at `place`: who is connected to another one follows.
    pub(super) fn arrived(&self, place: &Arc<str>) {
        let before = lock(&self.place).replace(Arc::clone(place));
        let Some(before) = before.filter(|before| before != place) else { return };
        tracing::warn!(server = %self.server.redacted(), from = %before, to = %place, "Redis has another master; following it");
        let links = lock(&self.links).clone();
        for link in links.iter().filter_map(Weak::upgrade) {
            link.leave_other_than(place);
        }
    }
}
