//! The password of an encrypted PDF, apart from what was asked: beside the job's own files, so that messages, entries and archives have
//! only its name, and it goes when these go.

use super::request::ProcessDocument;
use crate::error::{Code, DocumentError, Stage};
use crate::store::{Key, Store};

/// Where a job's password of this name lies.
fn key(job_id: &str, name: &str) -> Result<Key, DocumentError> {
    Key::job(job_id, &format!("password-{name}"))
}

impl ProcessDocument {
    /// Puts a password into the store, for a call that bears its name as `password_ref`.
    pub async fn keep_password(store: &Store, job_id: &str, name: &str, password: String) -> Result<(), DocumentError> {
        store.put(&key(job_id, name)?, password.into_bytes()).await
    }

    /// Where the password lies, if it was kept apart.
    pub(crate) fn password_key(&self, job_id: &str) -> Result<Option<Key>, DocumentError> {
        self.password_ref.as_deref().map(|name| key(job_id, name)).transpose()
    }

    /// The password, as it was said or as it was kept apart.
    pub(crate) async fn password(&self, store: &Store, job_id: &str) -> Result<Option<String>, DocumentError> {
        let Some(key) = self.password_key(job_id)? else { return Ok(self.password.clone()) };
        let kept = store.get(&key).await?.and_then(|bytes| String::from_utf8(bytes.into()).ok());
        let missing = || {
            let message = format!("the password of job {job_id} is not in this worker's store");
            DocumentError::new(Code::StorageFailed, Stage::Open, message)
        };
        kept.map(Some).ok_or_else(missing)
    }
}
