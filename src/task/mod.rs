//! Room: task.
