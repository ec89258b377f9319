//! The signature of a remote control request: who made it has the key, and nobody has changed it since.
//!
//! It stands in a header of the message, `signature`, where a worker that knows nothing of it passes it over:
//! `v1:<seconds since 1970>:<nonce>:<hex of HMAC-SHA256>`, over `<exchange>:v1:<seconds>:<nonce>`, a line feed, and the body's bytes as they are
//! sent. Method, arguments, nodes, ticket and the way of the reply are all in the body; a canonical form of them is not needed.
//!
//! # Celery
//! None: `security_key` signs tasks, never remote control.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// The header it stands in.
pub const SIGNATURE: &str = "signature";
const VERSION: &str = "v1";
/// The block of SHA-256.
const BLOCK: usize = 64;
/// A nonce is remembered, so it must not be large.
const LONGEST_NONCE: usize = 64;

/// The key of remote control.
#[derive(Clone)]
pub struct ControlKey(Hmac<Sha256>);

/// What a valid signature says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// When it was made, seconds since 1970.
    pub at: i64,
    /// What no other has.
    pub nonce: String,
}

impl ControlKey {
    /// A key from its text, of any length.
    pub fn new(key: &str) -> Self {
        // As HMAC has it: a block of zeros with the key before them, or the hash of one that is longer.
        let mut block = [0; BLOCK];
        let hash = Sha256::digest(key);
        let key = if key.len() > BLOCK { hash.as_slice() } else { key.as_bytes() };
        block.iter_mut().zip(key).for_each(|(place, byte)| *place = *byte);
        Self(Hmac::new(&block.into()))
    }

    /// The signature of a body that is sent through an exchange.
    pub fn sign(&self, exchange: &str, signed: &Signed, body: &[u8]) -> String {
        let stamp = format!("{VERSION}:{}:{}", signed.at, signed.nonce);
        let mac = self.mac(exchange, &stamp, body).finalize().into_bytes();
        let hex: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{stamp}:{hex}")
    }

    /// What a signature says, if it is one of this key, exchange and body.
    pub fn verify(&self, exchange: &str, signature: &str, body: &[u8]) -> Option<Signed> {
        let (stamp, hex) = signature.rsplit_once(':')?;
        let [VERSION, at, nonce] = stamp.split(':').collect::<Vec<_>>()[..] else { return None };
        // In constant time.
        self.mac(exchange, stamp, body).verify_slice(&bytes(hex)?).ok()?;
        (nonce.len() <= LONGEST_NONCE).then_some(Signed { at: at.parse().ok()?, nonce: nonce.to_owned() })
    }

    fn mac(&self, exchange: &str, stamp: &str, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(format!("{exchange}:{stamp}\n").as_bytes());
        mac.update(body);
        mac
    }
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?, 16).ok()).collect()
}

impl fmt::Debug for ControlKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ControlKey(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"method": "shutdown"}"#;

    fn signed() -> Signed {
        Signed { at: 1_700_000_000, nonce: "n-1".to_owned() }
    }

    /// As `hmac.new(b"a key of sixteen", b'celery.pidbox:v1:1700000000:n-1\n{"method": "shutdown"}', "sha256")` in Python.
    #[test]
    fn a_signature_is_pythons_hmac_of_exchange_time_nonce_and_body() {
        let signature = ControlKey::new("a key of sixteen").sign("celery.pidbox", &signed(), BODY);
        assert_eq!(signature, "v1:1700000000:n-1:8e228d8f03d6a2b7e55dd24124c68792decfd09c3410a0ebb205b14c84b53c22");
    }

    #[test]
    fn only_what_was_signed_is_verified() {
        let key = ControlKey::new("a key of sixteen");
        let signature = key.sign("celery.pidbox", &signed(), BODY);
        assert_eq!(key.verify("celery.pidbox", &signature, BODY), Some(signed()));
        assert_eq!(key.verify("other.pidbox", &signature, BODY), None);
        assert_eq!(key.verify("celery.pidbox", &signature, br#"{"method": "shutdowm"}"#), None);
        assert_eq!(ControlKey::new("another key 1234").verify("celery.pidbox", &signature, BODY), None);
        let later = signature.replace("1700000000", "1700000001");
        for forged in [
            later.as_str(),
            "",
            "v1",
            "v1:::",
            "v1:1:n:zz",
            "v1:1:n:0",
            "v2:1:n:00",
            "v1:1:n:é0",
            &signature[..signature.len() - 2],
        ] {
            assert_eq!(key.verify("celery.pidbox", forged, BODY), None, "{forged}");
        }
    }

    #[test]
    fn a_key_is_not_shown() {
        assert_eq!(format!("{:?}", ControlKey::new("hunter2hunter2hunter2")), "ControlKey(***)");
    }
}
