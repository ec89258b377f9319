//! The model's side of the document tasks against a server on this machine that says what each test wants.

mod fake;
mod page;
mod summary;
