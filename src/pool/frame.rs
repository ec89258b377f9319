//! The words parent and child exchange: length-prefixed frames, each a MessagePack head followed by the encoded payload.
//!
//! The length is four bytes, big end first. The payload is encoded straight into the frame and decoded straight out of it,
//! and bytes are bytes in MessagePack, so an image costs a copy and no more.

use std::io::{self, Read};

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::error::Failure;
use super::options::Settings;
use super::sandbox::Sandbox;

const PREFIX: usize = 4;

/// The first frame a child receives: what it must know before it can serve.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Start {
    pub(super) sandbox: Sandbox,
    pub(super) settings: Settings,
    pub(super) nice: i32,
    pub(super) max_frame: u64,
}

/// The first frame a child sends: it is ready, and this is what could not be had.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Hello {
    /// Parts of the sandbox this kernel does not give.
    pub(super) missing: Vec<String>,
    /// Functions whose factory failed.
    pub(super) unready: Vec<(String, Failure)>,
}

/// Before the encoded arguments.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CallHead {
    pub(super) function: String,
}

/// Before the encoded value, which follows `Done` only.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ReplyHead {
    Done,
    Failed(Failure),
    /// As `Failed`, and the child is not to be used again.
    Panicked(Failure),
    /// The function's factory failed when the child started.
    Unready(Failure),
    NotRegistered,
    Codec(String),
    /// The value is larger than a frame may be.
    TooLarge {
        bytes: u64,
        limit: u64,
    },
}

/// A whole frame: prefix, head and, after the head, `payload`.
pub(super) fn with_payload(head: &impl Serialize, payload: &impl Serialize) -> Result<Vec<u8>, rmp_serde::encode::Error> {
    let mut frame = vec![0; PREFIX];
    rmp_serde::encode::write_named(&mut frame, head)?;
    rmp_serde::encode::write_named(&mut frame, payload)?;
    Ok(sealed(frame))
}

/// A whole frame: prefix and head.
pub(super) fn bare(head: &impl Serialize) -> Result<Vec<u8>, rmp_serde::encode::Error> {
    let mut frame = vec![0; PREFIX];
    rmp_serde::encode::write_named(&mut frame, head)?;
    Ok(sealed(frame))
}

/// A reply without a value. Its head is made of text only and always encodes.
pub(super) fn reply(head: &ReplyHead) -> Vec<u8> {
    bare(head).unwrap_or_default()
}

/// How many bytes of `frame` count against the cap.
pub(super) fn body_len(frame: &[u8]) -> u64 {
    frame.len().saturating_sub(PREFIX) as u64
}

fn sealed(mut frame: Vec<u8>) -> Vec<u8> {
    // A body of 4 GiB and more is refused by the cap before it is sent; saturating keeps its prefix a refusal too.
    let length = u32::try_from(frame.len() - PREFIX).unwrap_or(u32::MAX);
    frame[..PREFIX].copy_from_slice(&length.to_be_bytes());
    frame
}

/// Decodes the head of `body` and leaves the payload.
pub(super) fn head<T: DeserializeOwned>(body: &Bytes) -> Result<(T, Bytes), rmp_serde::decode::Error> {
    let mut rest: &[u8] = body;
    let head = rmp_serde::from_read(&mut rest)?;
    Ok((head, body.slice(body.len() - rest.len()..)))
}

/// Reads one frame's body, blocking; `None` when the other side has closed.
pub(super) fn read(from: &mut impl Read, max: u64) -> io::Result<Option<Bytes>> {
    let mut prefix = [0; PREFIX];
    match from.read_exact(&mut prefix) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut body = vec![0; checked(prefix, max)?];
    from.read_exact(&mut body)?;
    Ok(Some(body.into()))
}

/// Reads one frame's body; `None` when the other side has closed.
pub(super) async fn read_async(from: &mut (impl AsyncRead + Unpin), max: u64) -> io::Result<Option<Bytes>> {
    let mut prefix = [0; PREFIX];
    match from.read_exact(&mut prefix).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut body = vec![0; checked(prefix, max)?];
    from.read_exact(&mut body).await?;
    Ok(Some(body.into()))
}

fn checked(prefix: [u8; PREFIX], max: u64) -> io::Result<usize> {
    let length = u32::from_be_bytes(prefix);
    if length == u32::MAX || u64::from(length) > max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {length} bytes, {max} allowed")));
    }
    Ok(length as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_and_payload_come_back_as_they_went() {
        let frame = with_payload(&ReplyHead::Done, &("page", Bytes::from(vec![7; 300]))).unwrap();
        let body = read(&mut frame.as_slice(), 1024).unwrap().unwrap();
        let (head, payload) = head::<ReplyHead>(&body).unwrap();
        assert!(matches!(head, ReplyHead::Done));
        let value: (String, Bytes) = rmp_serde::from_slice(&payload).unwrap();
        assert_eq!(value, ("page".to_owned(), Bytes::from(vec![7; 300])));
        assert!(frame.len() < 330, "bytes travel as bytes, not as a list of numbers: {}", frame.len());
    }

    #[test]
    fn a_frame_above_the_cap_is_refused_before_it_is_read() {
        let frame = with_payload(&ReplyHead::Done, &"x".repeat(100)).unwrap();
        assert_eq!(read(&mut frame.as_slice(), 50).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_closed_socket_is_an_end_and_a_cut_frame_is_an_error() {
        assert_eq!(read(&mut [].as_slice(), 50).unwrap(), None);
        let frame = bare(&ReplyHead::Done).unwrap();
        assert!(read(&mut &frame[..frame.len() - 1], 50).is_err());
    }
}
