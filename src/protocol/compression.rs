//! Compressed bodies and results, unpacked never beyond a given size.
//!
//! # Celery
//! `kombu/compression.py`. `gzip` is a zlib stream there (RFC 1950), and so it is here.

use std::io::{Read, Write};

use crate::error::{Error, Result};

/// How a body or a result is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// `application/x-gzip`: a zlib stream, whatever its name says.
    Zlib,
    /// `application/x-bz2`.
    Bzip2,
    /// `application/x-lzma`: an .xz container.
    Xz,
    /// `application/x-brotli`.
    Brotli,
    /// `application/zstd`.
    Zstd,
}

/// Why data could not be unpacked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecompressError {
    /// It would be larger than allowed.
    #[error("larger than {0} bytes when unpacked")]
    TooLarge(usize),
    /// It is damaged, or not compressed this way.
    #[error("not {0}")]
    Damaged(&'static str),
}

impl Compression {
    /// By its name in settings or its content type.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "zlib" | "gzip" | "application/x-gzip" => Some(Self::Zlib),
            "bzip2" | "bzip" | "application/x-bz2" => Some(Self::Bzip2),
            "lzma" | "xz" | "application/x-lzma" => Some(Self::Xz),
            "brotli" | "application/x-brotli" => Some(Self::Brotli),
            "zstd" | "zstandard" | "application/zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// The content type, as in the header `compression`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Zlib => "application/x-gzip",
            Self::Bzip2 => "application/x-bz2",
            Self::Xz => "application/x-lzma",
            Self::Brotli => "application/x-brotli",
            Self::Zstd => "application/zstd",
        }
    }

    /// Packs `data`.
    pub fn compress(self, data: &[u8]) -> Result<Vec<u8>> {
        self.pack(data).map_err(|error| Error::protocol(format!("cannot compress as {}: {error}", self.content_type())))
    }

    fn pack(self, data: &[u8]) -> std::io::Result<Vec<u8>> {
        let out = Vec::new();
        match self {
            Self::Zlib => {
                let mut writer = flate2::write::ZlibEncoder::new(out, flate2::Compression::default());
                writer.write_all(data)?;
                writer.finish()
            }
            Self::Bzip2 => {
                let mut writer = bzip2::write::BzEncoder::new(out, bzip2::Compression::best());
                writer.write_all(data)?;
                writer.finish()
            }
            Self::Xz => {
                let mut writer = liblzma::write::XzEncoder::new(out, 6);
                writer.write_all(data)?;
                writer.finish()
            }
            Self::Brotli => {
                let mut packed = out;
                let mut writer = brotli::CompressorWriter::new(&mut packed, 4096, 5, 22);
                writer.write_all(data)?;
                drop(writer);
                Ok(packed)
            }
            Self::Zstd => zstd::stream::encode_all(data, 3),
        }
    }

    /// Unpacks `data`, but never more than `limit` bytes.
    pub fn decompress(self, data: &[u8], limit: usize) -> Result<Vec<u8>, DecompressError> {
        let reader: Box<dyn Read + '_> = match self {
            Self::Zlib => Box::new(flate2::read::ZlibDecoder::new(data)),
            Self::Bzip2 => Box::new(bzip2::read::MultiBzDecoder::new(data)),
            Self::Xz => Box::new(self.xz(data, limit)?),
            Self::Brotli => Box::new(brotli::Decompressor::new(data, 4096)),
            Self::Zstd => Box::new(self.zstd(data)?),
        };
        let mut out = Vec::new();
        let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        reader.take(most).read_to_end(&mut out).map_err(|_| DecompressError::Damaged(self.content_type()))?;
        if out.len() > limit { Err(DecompressError::TooLarge(limit)) } else { Ok(out) }
    }

    /// An .xz header may ask for gigabytes of dictionary: it gets what the output could need, and a little.
    fn xz(self, data: &[u8], limit: usize) -> Result<impl Read + '_, DecompressError> {
        let memory = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(128 << 20);
        let stream = liblzma::stream::Stream::new_stream_decoder(memory, liblzma::stream::CONCATENATED)
            .map_err(|_| DecompressError::Damaged(self.content_type()))?;
        Ok(liblzma::bufread::XzDecoder::new_stream(data, stream))
    }

    fn zstd(self, data: &[u8]) -> Result<impl Read + '_, DecompressError> {
        let mut reader = zstd::stream::read::Decoder::new(data).map_err(|_| DecompressError::Damaged(self.content_type()))?;
        reader.window_log_max(27).map_err(|_| DecompressError::Damaged(self.content_type()))?;
        Ok(reader)
    }
}
