//! The celeriac program.
fn main() {}
