//! Which cryptography TLS uses here: ring, for every HTTP client of the process.

/// Makes ring the process's provider, which reqwest, object_store and async-openai ask for when they build a client.
///
/// A provider that the program installed before stays: then this changes nothing.
pub fn use_ring() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
