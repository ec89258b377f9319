//! API keys: who may do what, known by the hash of what he presents.

use std::hint::black_box;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

/// What somebody may do; each role may what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Look.
    Read,
    /// Hand in jobs, and act on them.
    Operate,
    /// Act on queues, workers and dead letters, and read who did what.
    Admin,
}

impl Role {
    /// Its word.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}

/// The fewest characters of a key that stands in the settings as it is.
const SHORTEST: usize = 16;

/// A key. What was presented to make it is forgotten; its hash is not shown either.
pub(super) struct Key {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) digest: [u8; 32],
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.name, self.role.as_str())
    }
}

/// All keys.
#[derive(Debug, Default)]
pub(super) struct Keys(Vec<Key>);

impl Keys {
    /// From `name:role:key` or `name:role:sha256=HEX`. The error never repeats a key.
    pub(super) fn parse(entries: &[String]) -> Result<Self, String> {
        let mut keys = Self::default();
        for (number, entry) in (1..).zip(entries) {
            let key = parse(entry).map_err(|why| format!("key {number}: {why}"))?;
            if keys.named(&key.name).is_some() {
                return Err(format!("key {number}: there is another of the name {}", key.name));
            }
            keys.0.push(key);
        }
        Ok(keys)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }

    /// Whose key this is. It takes as long for one that is nearly right, and wherever in the list the right one stands.
    pub(super) fn find(&self, presented: &str) -> Option<&Key> {
        let digest = Sha256::digest(presented.as_bytes()).into();
        self.0.iter().fold(None, |found, key| if same(&key.digest, &digest) { Some(key) } else { found })
    }

    /// The key of a name.
    pub(super) fn named(&self, name: &str) -> Option<&Key> {
        self.0.iter().find(|key| key.name == name)
    }
}

/// Compares every byte, whatever the first ones say.
fn same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    let differs = one.iter().zip(other).fold(0, |differs, (one, other)| black_box(differs | (one ^ other)));
    black_box(differs) == 0
}

fn parse(entry: &str) -> Result<Key, String> {
    let mut parts = entry.splitn(3, ':');
    let (Some(name), Some(role), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("write NAME:ROLE:KEY, or NAME:ROLE:sha256=HEX".into());
    };
    let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
        return Err("a name has 1 to 64 letters, digits, - or _".into());
    }
    let role = match role {
        "read" => Role::Read,
        "operate" => Role::Operate,
        "admin" => Role::Admin,
        _ => return Err(format!("the role of {name} is one of read, operate, admin")),
    };
    let digest = match key.strip_prefix("sha256=") {
        Some(hex) => from_hex(hex).ok_or_else(|| format!("sha256= of {name} is followed by 64 hexadecimal digits"))?,
        None if key.len() < SHORTEST => {
            return Err(format!("the key of {name} has fewer than {SHORTEST} characters; `openssl rand -hex 24` makes a good one"));
        }
        None => Sha256::digest(key.as_bytes()).into(),
    };
    Ok(Key { name: name.into(), role, digest })
}

pub(super) fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(entries: &[&str]) -> Result<Keys, String> {
        Keys::parse(&entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_key_is_known_as_itself_and_by_its_hash() {
        // printf %s 'a key of some length' | sha256sum
        let hash = "ci:operate:sha256=5afbba28feb5a84023888380ce9f64debee4490ec169dcd53be8b9b3df35dfce";
        let keys = parse(&["ann:admin:colons: are fine here", hash]).unwrap();
        let found = |key: &str| keys.find(key).map(|key| (key.name.as_str(), key.role));
        assert_eq!(found("colons: are fine here"), Some(("ann", Role::Admin)));
        assert_eq!(found("a key of some length"), Some(("ci", Role::Operate)));
        for wrong in ["", "a key of some lengtH", "colons: are fine her", &hash[11..], &hash[18..]] {
            assert_eq!(found(wrong), None, "{wrong}");
        }
        assert!(Role::Read < Role::Operate && Role::Operate < Role::Admin);
    }

    #[test]
    fn every_byte_counts_and_every_key_is_looked_at() {
        let zero = [0; 32];
        for at in 0..32 {
            for bit in 0..8 {
                let mut other = zero;
                other[at] = 1 << bit;
                assert!(!same(&zero, &other), "{at} {bit}");
            }
        }
        assert!(same(&zero, &zero));
        // The comparison does not end at the first that fits: of two with one key, the last is found.
        let keys = parse(&["first:read:the same key for two", "second:admin:the same key for two"]).unwrap();
        assert_eq!(keys.find("the same key for two").map(|key| key.name.as_str()), Some("second"));
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        for (entry, word) in [
            ("canary-canary-canary", "NAME:ROLE:KEY"),
            ("ann:canary-canary-canary", "NAME:ROLE:KEY"),
            (":admin:canary-canary-canary", "a name has"),
            ("a b:admin:canary-canary-canary", "a name has"),
            ("ann:root:canary-canary-canary", "role of ann"),
            ("ann:admin:canary", "fewer than 16"),
            ("ann:admin:sha256=canary", "64 hexadecimal"),
        ] {
            let error = parse(&["ok:read:0123456789abcdef", entry]).unwrap_err();
            assert!(error.starts_with("key 2: ") && error.contains(word) && !error.contains("canary"), "{entry}: {error}");
        }
        assert!(parse(&["a:read:0123456789abcdef", "a:read:0123456789abcdeg"]).unwrap_err().contains("another of the name a"));
        let shown = format!("{:?}", parse(&["ann:admin:canary-canary-canary"]).unwrap());
        assert_eq!(shown, "Keys([ann:admin])");
    }
}
