//! The names of things in the store, typed so that no caller can name anything outside it.

use crate::error::{Code, DocumentError, Stage};

/// The name of one object in the store.
///
/// Every part is made of letters, digits, `-`, `_`, `.` and `=` (other bytes of a job's id are written `=XX`), no part is
/// empty or begins with a dot: a key can neither leave the store's root nor meet another job's key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(String);

/// A page's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageFile {
    /// The rendered page.
    Image,
    /// The same, small.
    Thumb,
    /// Its text.
    Text,
    /// What it hands on to the summary.
    Digest,
    /// Its record, written last: a page is done when this exists.
    Record,
}

impl PageFile {
    /// The file's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Image => "image.jpg",
            Self::Thumb => "thumb.jpg",
            Self::Text => "text.txt",
            Self::Digest => "digest.json",
            Self::Record => "page.json",
        }
    }
}

const LONGEST_ID: usize = 200;

impl Key {
    /// A document as it came in, by the SHA-256 of its bytes in hexadecimal.
    pub fn source(sha256: &str) -> Result<Self, DocumentError> {
        if sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(refused(format!("{sha256:?} is not a SHA-256 in hexadecimal")));
        }
        Ok(Self(format!("documents/{}/source", sha256.to_ascii_lowercase())))
    }

    /// A page's file; pages count from 1.
    pub fn page(job_id: &str, page: u32, file: PageFile) -> Result<Self, DocumentError> {
        Ok(Self(format!("{}/pages/{page:06}/{}", job_root(job_id)?, file.name())))
    }

    /// One of the job's own files, such as `job.json`, `result.json` or `audio/1.wav`.
    pub fn job(job_id: &str, file: &str) -> Result<Self, DocumentError> {
        let file = Self::parse(file)?;
        Ok(Self(format!("{}/{}", job_root(job_id)?, file.0)))
    }

    /// Everything of a job, as a prefix to list or delete under.
    pub fn job_prefix(job_id: &str) -> Result<Self, DocumentError> {
        Ok(Self(job_root(job_id)?))
    }

    /// A key as somebody outside wrote it.
    ///
    /// # Errors
    /// `source_refused` unless every part is plain: no `..`, no leading `/`, no backslash, no control character.
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'=');
        let good = |part: &str| !part.is_empty() && !part.starts_with('.') && part.len() <= 255 && part.bytes().all(plain);
        if text.len() > 1000 || !text.split('/').all(good) {
            return Err(refused(format!("{text:?} is not a key of the store")));
        }
        Ok(Self(text.to_owned()))
    }

    /// The key as text, parts divided by `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn refused(message: String) -> DocumentError {
    DocumentError::new(Code::SourceRefused, Stage::Fetch, message)
}

fn job_root(job_id: &str) -> Result<String, DocumentError> {
    if job_id.is_empty() || job_id.len() > LONGEST_ID {
        return Err(DocumentError::new(
            Code::SourceRefused,
            Stage::Fetch,
            format!("a job's id has 1 to {LONGEST_ID} bytes; this one has {}", job_id.len()),
        ));
    }
    let mut root = String::from("jobs/");
    for byte in job_id.bytes() {
        // A dot at any place is encoded, so neither `..` nor a hidden file can come out of it.
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            root.push(char::from(byte));
        } else {
            root.push_str(&format!("={byte:02X}"));
        }
    }
    // A file name has at most 255 bytes; three for each encoded one would pass that.
    if root.len() > 255 {
        return Err(refused(format!("a job's id of {} bytes with so many special characters is too long", job_id.len())));
    }
    Ok(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_as_documented() {
        let sha = "9F".repeat(32);
        assert_eq!(Key::source(&sha).unwrap().as_str(), format!("documents/{}/source", "9f".repeat(32)));
        assert_eq!(Key::page("5c0f-1", 123, PageFile::Image).unwrap().as_str(), "jobs/5c0f-1/pages/000123/image.jpg");
        assert_eq!(Key::job("5c0f", "audio/1.wav").unwrap().as_str(), "jobs/5c0f/audio/1.wav");
    }

    #[test]
    fn a_job_id_of_any_characters_stays_one_folder() {
        for (id, folder) in [
            ("..", "jobs/=2E=2E"),
            ("../../etc", "jobs/=2E=2E=2F=2E=2E=2Fetc"),
            ("a\0b", "jobs/a=00b"),
            ("jöb", "jobs/j=C3=B6b"),
            ("a=2E", "jobs/a=3D2E"),
        ] {
            assert_eq!(Key::job_prefix(id).unwrap().as_str(), folder);
        }
        assert!(Key::job_prefix("").is_err());
        assert!(Key::job_prefix(&"x".repeat(201)).is_err());
        assert!(Key::job_prefix(&"/".repeat(100)).is_err());
    }

    #[test]
    fn a_key_from_outside_cannot_leave_the_root() {
        for bad in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "a/../b",
            "a/./b",
            "a//b",
            "a/",
            "a\\b",
            "a\0b",
            "a b",
            "~/x",
            "jobs/../../x",
            "a/..",
            "ä",
            ".spool/x",
        ] {
            assert!(Key::parse(bad).is_err(), "{bad:?} was taken");
        }
        assert!(Key::parse("uploads/2026/report.pdf").is_ok());
    }
}
