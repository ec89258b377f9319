//! Sessions of people: a key's name and an end, signed, in a cookie. Nothing is kept here; a key that is taken away or changed ends
//! its sessions.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::keys::{Key, Keys};

/// The cookie's name.
pub(super) const COOKIE: &str = "celeriac_session";

/// Signs sessions and knows its own again.
pub(super) struct Sessions {
    mac: Hmac<Sha256>,
    /// Seconds a session lasts.
    pub(super) age: u64,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").field("age", &self.age).finish_non_exhaustive()
    }
}

impl Sessions {
    /// With a secret that several services share; without one, sessions end with this process.
    pub(super) fn new(secret: Option<&str>, age: u64) -> Result<Self, String> {
        let own = || format!("{}{}", uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
        let secret = secret.map_or_else(own, str::to_owned);
        let mac = Hmac::new_from_slice(secret.as_bytes()).map_err(|error| error.to_string())?;
        Ok(Self { mac, age })
    }

    /// A session for this key's owner, from this time on, in seconds.
    pub(super) fn issue(&self, key: &Key, now: u64) -> String {
        let until = now.saturating_add(self.age);
        let seal: String = self.sealed(key, until).finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}.{until}.{seal}", key.name)
    }

    /// Whose session this is, if it is one of ours and not over.
    pub(super) fn open<'k>(&self, cookie: &str, keys: &'k Keys, now: u64) -> Option<&'k Key> {
        let mut parts = cookie.split('.');
        let (name, until, seal) = (parts.next()?, parts.next()?.parse::<u64>().ok()?, super::keys::from_hex(parts.next()?)?);
        let key = keys.named(name).filter(|_| parts.next().is_none() && now < until)?;
        // Compares in constant time.
        self.sealed(key, until).verify_slice(&seal).ok().map(|()| key)
    }

    fn sealed(&self, key: &Key, until: u64) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(format!("celeriac session\n{}\n{until}\n", key.name).as_bytes());
        mac.update(&key.digest);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(entry: &str) -> Keys {
        Keys::parse(&[entry.to_owned()]).unwrap()
    }

    #[test]
    fn a_session_is_good_until_it_is_over_for_its_key_alone() {
        let (keys_now, sessions) = (keys("ann:admin:0123456789abcdef"), Sessions::new(Some("secret"), 100).unwrap());
        let cookie = sessions.issue(keys_now.named("ann").unwrap(), 1000);
        let opens = |cookie: &str, keys: &Keys, now| sessions.open(cookie, keys, now).is_some();
        assert!(opens(&cookie, &keys_now, 1000) && opens(&cookie, &keys_now, 1099));
        assert!(!opens(&cookie, &keys_now, 1100), "over");
        assert!(!opens(&cookie, &keys("ann:admin:another key that is new"), 1000), "the key was changed");
        assert!(!opens(&cookie, &keys("bob:admin:0123456789abcdef"), 1000), "the key was taken away");
        assert!(Sessions::new(None, 100).unwrap().open(&cookie, &keys_now, 1000).is_none(), "another's secret");
        assert!(Sessions::new(Some("secret"), 5).unwrap().open(&cookie, &keys_now, 1000).is_some(), "another of the same secret");
    }

    #[test]
    fn a_session_that_was_touched_is_none() {
        let (keys, sessions) = (keys("ann:admin:0123456789abcdef"), Sessions::new(None, 100).unwrap());
        let cookie = sessions.issue(keys.named("ann").unwrap(), 1000);
        for at in 0..cookie.len() {
            let mut touched = cookie.clone().into_bytes();
            touched[at] ^= 1;
            let touched = String::from_utf8(touched).unwrap();
            assert!(sessions.open(&touched, &keys, 1000).is_none(), "{touched}");
        }
        for other in ["", "ann", "ann.9999999999", "ann.9999999999.", &format!("{cookie}.x"), &cookie[..cookie.len() - 2]] {
            assert!(sessions.open(other, &keys, 1000).is_none(), "{other}");
        }
    }
}
