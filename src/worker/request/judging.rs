//! The verdict on a delivery. What takes long to read is read beside the threads that all tasks share.
//!
//! # Celery
//! A Python worker decodes in its one main process: while it unpacks a large body it does nothing else.

use std::sync::Arc;

use tokio::task::{JoinError, spawn_blocking};

use super::{Request, Shared};
use crate::broker::Delivery;
use crate::worker::strategy::{Rules, Verdict};

/// Longer messages take longer to read than others should wait; a compressed one may be small and take long.
const LONG: usize = 64 << 10;

impl Request {
    /// What to do with the delivery. An error: judging it broke.
    pub(super) async fn judged(&self) -> Result<Verdict, JoinError> {
        if !takes_long(&self.delivery.envelope) {
            return Ok(self.shared.judge(&self.delivery));
        }
        let (shared, delivery) = (Arc::clone(&self.shared), self.delivery.clone());
        spawn_blocking(move || shared.judge(&delivery)).await
    }
}

impl Shared {
    fn judge(&self, delivery: &Delivery) -> Verdict {
        let rules = Rules {
            registry: self.app.registry(),
            decode: &self.decode,
            nodename: &self.nodename,
            max_deliveries: self.app.settings().celeriac.max_deliveries,
            max_message_bytes: self.app.settings().celeriac.max_message_bytes,
        };
        rules.judge(delivery, self.app.broker().now())
    }
}

fn takes_long(envelope: &[u8]) -> bool {
    envelope.len() > LONG || std::str::from_utf8(envelope).is_ok_and(|text| text.contains("\"compression\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_large_or_compressed_takes_long_to_read() {
        assert!(!takes_long(br#"{"body": "W1sxLCAyXSwge30sIHt9XQ==", "headers": {"task": "proj.add"}}"#));
        assert!(takes_long(br#"{"body": "eJyLjo7VUQAA", "headers": {"compression": "application/x-gzip"}}"#));
        assert!(takes_long(&[b'x'; LONG + 1]));
    }
}
