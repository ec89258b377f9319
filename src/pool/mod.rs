//! Room: pool.
