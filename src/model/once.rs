//! `Idempotency-Key`: by its key, a request that is sent again is known to be the same.

use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use crate::model::invalid::Invalid;

/// The name of the header field.
pub const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
/// The longest key, in characters.
const MAX_KEY: usize = 255;

/// The key of a request, and the hash of its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The key.
    pub text: String,
    /// The SHA-256 of the body as it came, in hexadecimal digits.
    pub body_sha256: String,
    /// The instant of the first request with the key, if this one repeats it.
    repeats: Arc<OnceLock<DateTime<Utc>>>,
}

impl IdempotencyKey {
    /// A key: 1 to 255 printable characters of ASCII.
    ///
    /// # Errors
    ///
    /// Names the header field.
    pub fn new(text: &[u8], body: &[u8]) -> Result<Self, Invalid> {
        let invalid = |problem: String| Invalid::new(IDEMPOTENCY_KEY, problem);
        if text.is_empty() {
            return Err(invalid("is empty".into()));
        }
        if text.len() > MAX_KEY {
            return Err(invalid(format!("is longer than {MAX_KEY} characters")));
        }
        if !text.iter().all(|byte| (b' '..=b'~').contains(byte)) {
            return Err(invalid("may consist only of printable ASCII characters".into()));
        }
        let text = String::from_utf8_lossy(text).into_owned();
        let body_sha256 = hex::encode(Sha256::digest(body));
        Ok(Self { text, body_sha256, repeats: Arc::default() })
    }

    /// Notes that the request repeats one of this instant.
    pub fn repeats(&self, first: DateTime<Utc>) {
        let _known = self.repeats.set(first);
    }

    /// The instant of the request that this one repeats.
    pub fn first(&self) -> Option<DateTime<Utc>> {
        self.repeats.get().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_printable_and_not_too_long() {
        let longest = "k".repeat(255);
        for key in ["k", " ~", longest.as_str()] {
            assert_eq!(IdempotencyKey::new(key.as_bytes(), b"").unwrap().text, key);
        }
        for key in ["", "a\tb", "\u{7f}", "ü", &"k".repeat(256)] {
            let error = IdempotencyKey::new(key.as_bytes(), b"").unwrap_err().to_string();
            assert!(error.starts_with("Idempotency-Key: "), "{error}");
        }
    }
}
