//! Which failure of the driver means what: try again later, or the server refused.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::info::CLUSTER;
use crate::error::Error;

/// True if the connection cannot be used any more.
pub(super) fn breaks(cause: &RedisError) -> bool {
    cause.is_unrecoverable_error()
        || cause.is_io_error()
        || cause.is_connection_dropped()
        // After a failover this is the old master; the name may lead to the new one.
        || matches!(cause.kind(), ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown))
}

/// The driver's failure as the decision a caller can take.
pub(super) fn error(context: &str, cause: RedisError) -> Error {
    use ServerErrorKind::{Ask, BusyLoading, ClusterDown, CrossSlot, Moved, TryAgain};
    let cluster = matches!(cause.kind(), ErrorKind::Server(Ask | CrossSlot | Moved));
    if cluster || cause.detail().is_some_and(|detail| detail.contains("cluster mode")) {
        return Error::config(format!("{context}: {CLUSTER}"));
    }
    let never =
        matches!(cause.kind(), ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig | ErrorKind::RESP3NotSupported);
    let later = matches!(cause.kind(), ErrorKind::Server(BusyLoading | ClusterDown | TryAgain));
    if !never && (later || breaks(&cause) || cause.is_timeout()) {
        Error::connection(context, cause)
    } else {
        Error::refused(context, cause)
    }
}
