//! Passwords: argon2id, with the same work whether or not the account exists.

use std::sync::LazyLock;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};

/// The shortest password, in characters.
pub const MIN_PASSWORD: usize = 8;

/// A dummy hash, so that timing does not reveal unknown accounts.
static DUMMY: LazyLock<Option<String>> =
    LazyLock::new(|| hash(&rand::random::<u128>().to_string()).ok());

/// Checks a new password.
///
/// # Errors
///
/// If it is too short.
pub fn check(password: &str) -> Result<(), String> {
    if password.chars().count() >= MIN_PASSWORD {
        return Ok(());
    }
    Err(format!("a password must have at least {MIN_PASSWORD} characters"))
}

/// The argon2id hash of a password, in PHC form, with a salt of its own.
///
/// # Errors
///
/// If there is no random salt, or the password is too long to hash.
pub fn hash(password: &str) -> anyhow::Result<String> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    Ok(hash.map_err(|error| anyhow::anyhow!("cannot hash the password: {error}"))?.to_string())
}

/// Whether a password matches a hash. Takes as long without a hash.
pub fn verify(password: &str, hash: Option<&str>) -> bool {
    let Some(known) = hash.or(DUMMY.as_deref()) else {
        return false;
    };
    let matches = PasswordHash::new(known)
        .is_ok_and(|known| Argon2::default().verify_password(password.as_bytes(), &known).is_ok());
    matches && hash.is_some()
}
