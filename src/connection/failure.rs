//! Which failure of the driver means what: try again later, or the server refused.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::info::CLUSTER;
use crate::error::Error;

/// True if the connection cannot be used any more.
pub(super) fn breaks(cause: &RedisError) -> bool {
    cause.is_unrecoverable_error()
        || cause.is_io_error()
        || cause.is_connection_dropped()
        // After a failover this is the old master; the name may lead to the new one. A call that waited there is told so by UNBLOCKED.
        || matches!(cause.kind(), ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown))
        || cause.code() == Some("UNBLOCKED")
}

/// True if trying again does not help.
pub(super) fn lasts(cause: &RedisError) -> bool {
    use ServerErrorKind::{BusyLoading, ClusterDown, TryAgain};
    let never =
        matches!(cause.kind(), ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig | ErrorKind::RESP3NotSupported);
    // A master whose replicas are away (`min-replicas-to-write`) takes writes again when they are back.
    let later =
        matches!(cause.kind(), ErrorKind::Server(BusyLoading | ClusterDown | TryAgain)) || cause.code() == Some("NOREPLICAS");
    never || !(later || breaks(cause) || cause.is_timeout())
}

/// The driver's failure as the decision a caller can take.
pub(super) fn error(context: &str, cause: RedisError) -> Error {
    let cluster =
        matches!(cause.kind(), ErrorKind::Server(ServerErrorKind::Ask | ServerErrorKind::CrossSlot | ServerErrorKind::Moved));
    if cluster || cause.detail().is_some_and(|detail| detail.contains("cluster mode")) {
        return Error::config(format!("{context}: {CLUSTER}"));
    }
    if lasts(&cause) { Error::refused(context, cause) } else { Error::connection(context, cause) }
}
