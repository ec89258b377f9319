//! Gives waiting calls to idle children.
