//! The lock that tells whether a request may still change something.

/// The key of a request's own advisory lock. Its transaction holds the lock in shared mode from
/// before its first change until it ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lock(pub i64);

impl Lock {
    pub(super) fn of_a_call() -> Self {
        Self(rand::random())
    }
}
