//! Making one connection to one server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, PushInfo, PushKind, RedisError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Gets what the server sends unasked, and `Disconnection` from the driver. Must not block.
pub(crate) type PushSender = Arc<dyn Fn(PushInfo) + Send + Sync>;

/// Makes the connections of one link.
pub(super) struct Dialer {
    pub(super) pushes: Option<PushSender>,
}

/// A new connection.
pub(super) struct Dialed {
    pub(super) connection: MultiplexedConnection,
    /// Set when the driver lost it.
    pub(super) broken: Arc<AtomicBool>,
    /// The server it leads to.
    pub(super) place: Arc<str>,
}

impl Dialer {
    pub(super) async fn dial(&self, client: &Client, place: Arc<str>) -> Result<Dialed, RedisError> {
        let broken = Arc::new(AtomicBool::new(false));
        let (flag, forward) = (broken.clone(), self.pushes.clone());
        let on_push = move |push: PushInfo| -> Result<(), ()> {
            if push.kind == PushKind::Disconnection {
                flag.store(true, Ordering::Release);
            }
            if let Some(forward) = &forward {
                forward(push);
            }
            Ok(())
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(None)
            .set_pipeline_buffer_size(1024)
            .set_push_sender(on_push);
        let connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        Ok(Dialed { connection, broken, place })
    }

    /// Says that the connection is given up, as the driver does where it notices by itself.
    pub(super) fn hang_up(&self) {
        if let Some(forward) = &self.pushes {
            forward(PushInfo { kind: PushKind::Disconnection, data: Vec::new() });
        }
    }
}
