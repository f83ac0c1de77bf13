//! Hashes the input while it is read, for the audit trail.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

/// An input that hashes what is read of it.
pub(in crate::cli) struct Hashed<R> {
    inner: R,
    hash: Sha256,
    bytes: u64,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct InputDigest {
    /// The SHA-256 in hexadecimal.
    pub(in crate::cli) sha256: String,
    /// How much it is.
    pub(in crate::cli) bytes: u64,
}

impl<R: Read> Hashed<R> {
    pub(in crate::cli) fn over(inner: R) -> Self {
        Self { inner, hash: Sha256::new(), bytes: 0 }
    }

    pub(in crate::cli) fn finish(self) -> InputDigest {
        InputDigest { sha256: hex::encode(self.hash.finalize()), bytes: self.bytes }
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(to)?;
        self.hash.update(&to[..read]);
        self.bytes += read as u64;
        Ok(read)
    }
}
