//! Callbacks and errbacks of whole canvases: which of its tasks calls them.
//!
//! # Celery
//! `link` and `link_error` of each class of `canvas.py`.

use crate::protocol::Signature;

impl Signature {
    /// Calls `callback` with its value when it succeeds: of a chain the last step's, of a chord the body's. Of a group it is the first
    /// task that calls it, without a value: it says nothing about the others, for which there is the chord.
    #[must_use]
    pub fn link(mut self, callback: Signature) -> Self {
        if self.is_chord() {
            return self.map_part("body", |body| body.link(callback));
        }
        if self.is_group() {
            let callback = callback.immutable();
            return self.map_tasks(|place, task| if place == 0 { task.link(callback.clone()) } else { task });
        }
        self.extend_option("link", [callback.into_value()]);
        self
    }

    /// Calls `errback` with its id when it fails. Of a chain and of a group every task does, of a chord the body and the chords in its
    /// header; its header as well where `task_allow_error_cb_on_chord_header` says so.
    #[must_use]
    pub fn link_error(mut self, errback: Signature) -> Self {
        if self.is_group() {
            return self.map_tasks(|_, task| task.link_error(errback.clone()));
        }
        if self.is_chord() {
            self = self.map_tasks(|_, task| if task.is_chord() { task.link_error(errback.clone()) } else { task });
        }
        // A chord keeps its own until it is sent: only then the setting is known.
        self.extend_option("link_error", [errback.into_value()]);
        self
    }
}
