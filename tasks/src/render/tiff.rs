//! The images inside one TIFF file: finding them, and showing one of them to a decoder that only reads the first.
//!
//! A TIFF's images form a chain of directories. [`Page`] reads like the file itself, but its header points at one directory
//! of the chain, so that the `image` crate's decoder, with all its colour handling, decodes that one.

use std::collections::HashSet;
use std::io::{self, Read, Seek, SeekFrom};

/// More images than that are not read from one file.
const MOST: usize = 10_000;

/// How numbers are written in this file.
#[derive(Debug, Clone, Copy)]
struct Shape {
    little: bool,
    big: bool,
}

impl Shape {
    fn read(file: &mut impl Read) -> io::Result<Self> {
        let mut head = [0; 4];
        file.read_exact(&mut head)?;
        match head {
            [b'I', b'I', kind, 0] if kind == 42 || kind == 43 => Ok(Self { little: true, big: kind == 43 }),
            [b'M', b'M', 0, kind] if kind == 42 || kind == 43 => Ok(Self { little: false, big: kind == 43 }),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "not a TIFF header")),
        }
    }

    fn number(self, file: &mut impl Read, bytes: usize) -> io::Result<u64> {
        let mut raw = [0; 8];
        let raw = raw.get_mut(..bytes).ok_or(io::ErrorKind::InvalidInput)?;
        file.read_exact(raw)?;
        let join = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        Ok(if self.little { raw.iter().rev().fold(0, join) } else { raw.iter().fold(0, join) })
    }

    /// Bytes of an offset, and where the first directory's offset stands.
    fn offset(self) -> (usize, u64) {
        if self.big { (8, 8) } else { (4, 4) }
    }
}

/// Where each image's directory begins.
pub(super) fn directories<R: Read + Seek>(file: &mut R) -> io::Result<Vec<u64>> {
    file.seek(SeekFrom::Start(0))?;
    let shape = Shape::read(file)?;
    let (width, at) = shape.offset();
    file.seek(SeekFrom::Start(at))?;
    let mut next = shape.number(file, width)?;
    let (mut found, mut seen) = (Vec::new(), HashSet::new());
    // A chain that comes back to itself has no end; what was found until then is the file.
    while next != 0 && found.len() < MOST && seen.insert(next) {
        found.push(next);
        next = match after(file, shape, next) {
            Ok(next) => next,
            // A file cut in the middle still has its first images.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
            Err(error) => return Err(error),
        };
    }
    Ok(found)
}

/// The directory that follows the one at `start`.
fn after<R: Read + Seek>(file: &mut R, shape: Shape, start: u64) -> io::Result<u64> {
    file.seek(SeekFrom::Start(start))?;
    let (width, _) = shape.offset();
    let (counter, entry) = if shape.big { (8, 20) } else { (2, 12) };
    let entries = shape.number(file, counter)?;
    let skip = entries.checked_mul(entry).and_then(|skip| i64::try_from(skip).ok()).ok_or(io::ErrorKind::InvalidData)?;
    file.seek(SeekFrom::Current(skip))?;
    shape.number(file, width)
}

/// The file as if the directory at `directory` were its first.
#[derive(Debug)]
pub(super) struct Page<R> {
    file: R,
    header: Vec<u8>,
    position: u64,
}

impl<R: Read + Seek> Page<R> {
    pub(super) fn new(mut file: R, directory: u64) -> io::Result<Self> {
        file.seek(SeekFrom::Start(0))?;
        let shape = Shape::read(&mut file)?;
        let (width, at) = shape.offset();
        let mut header = vec![0; at as usize + width];
        file.seek(SeekFrom::Start(0))?;
        file.read_exact(&mut header)?;
        let offset =
            if shape.little { directory.to_le_bytes() } else { directory.rotate_left(64 - 8 * width as u32).to_be_bytes() };
        for (to, from) in header.iter_mut().skip(at as usize).zip(offset) {
            *to = from;
        }
        file.seek(SeekFrom::Start(0))?;
        Ok(Self { file, header, position: 0 })
    }
}

impl<R: Read + Seek> Read for Page<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = match usize::try_from(self.position).ok().and_then(|position| self.header.get(position..)) {
            Some(rest) if !rest.is_empty() => {
                let read = rest.len().min(out.len());
                out[..read].copy_from_slice(&rest[..read]);
                self.file.seek(SeekFrom::Start(self.position + read as u64))?;
                read
            }
            _ => self.file.read(out)?,
        };
        self.position += read as u64;
        Ok(read)
    }
}

impl<R: Read + Seek> Seek for Page<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = self.file.seek(to)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// Directories without entries, each pointing at the next.
    fn file(little: bool, big: bool, chain: &[u64]) -> Vec<u8> {
        let width = if big { 8 } else { 4 };
        let number = |value: u64, bytes: usize| -> Vec<u8> {
            if little { value.to_le_bytes()[..bytes].to_vec() } else { value.to_be_bytes()[8 - bytes..].to_vec() }
        };
        let mut out =
            if little { vec![b'I', b'I', if big { 43 } else { 42 }, 0] } else { vec![b'M', b'M', 0, if big { 43 } else { 42 }] };
        out.resize(width, 0);
        out.extend(number(chain[0], width));
        for (index, directory) in chain.iter().enumerate() {
            out.resize((*directory as usize).max(out.len()), 0);
            out.truncate(*directory as usize);
            out.extend(number(0, if big { 8 } else { 2 }));
            out.extend(number(chain.get(index + 1).copied().unwrap_or(0), width));
        }
        out
    }

    #[test]
    fn every_shape_of_tiff_shows_its_directories() {
        for (little, big) in [(true, false), (false, false), (true, true), (false, true)] {
            let bytes = file(little, big, &[100, 200, 300]);
            assert_eq!(directories(&mut Cursor::new(&bytes)).unwrap(), [100, 200, 300]);
            let mut page = Page::new(Cursor::new(&bytes), 300).unwrap();
            assert_eq!(directories(&mut page).unwrap(), [300], "little {little}, big {big}");
        }
    }

    #[test]
    fn a_circle_of_directories_ends() {
        let mut bytes = file(true, false, &[100, 200]);
        let last = bytes.len() - 4;
        bytes[last..].copy_from_slice(&100u32.to_le_bytes());
        assert_eq!(directories(&mut Cursor::new(&bytes)).unwrap(), [100, 200]);
    }

    #[test]
    fn a_cut_file_keeps_what_is_there_and_other_bytes_are_an_error() {
        let bytes = file(true, false, &[100, 200]);
        assert_eq!(directories(&mut Cursor::new(&bytes[..150])).unwrap(), [100, 200]);
        assert!(directories(&mut Cursor::new(b"GIF89a__")).is_err());
        assert!(directories(&mut Cursor::new(b"")).is_err());
    }
}
