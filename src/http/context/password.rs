//! Passwords: argon2id, and the same work whether or not there is an account.

use std::sync::LazyLock;

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};

/// The shortest password, in characters.
pub const MIN_PASSWORD: usize = 8;

/// A hash that no password has been told of, to be verified in place of a missing one.
static NOBODYS: LazyLock<Option<String>> =
    LazyLock::new(|| hash(&rand::random::<u128>().to_string()).ok());

/// Whether a password may be given to an account.
///
/// # Errors
///
/// What is wrong with it.
pub fn check(password: &str) -> Result<(), String> {
    if password.chars().count() >= MIN_PASSWORD {
        return Ok(());
    }
    Err(format!("a password has at least {MIN_PASSWORD} characters"))
}

/// The argon2id hash of a password, in PHC form, with a salt of its own.
///
/// # Errors
///
/// If the machine gives no random salt or the password is too long to hash.
pub fn hash(password: &str) -> anyhow::Result<String> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    Ok(hash.map_err(|error| anyhow::anyhow!("the password cannot be hashed: {error}"))?.to_string())
}

/// Whether a password is the hashed one. Takes as long where there is no hash.
pub fn verify(password: &str, hash: Option<&str>) -> bool {
    let Some(known) = hash.or(NOBODYS.as_deref()) else {
        return false;
    };
    let matches = PasswordHash::new(known)
        .is_ok_and(|known| Argon2::default().verify_password(password.as_bytes(), &known).is_ok());
    matches && hash.is_some()
}
