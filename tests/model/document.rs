//! `docs/lifecycle.md` and the model say the same.
