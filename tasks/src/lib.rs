//! Document tasks.
