//! What is kept with the key of a request, so that its repetition gets the same response.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::add::Added;
use super::{Changed, Error, Result};
use crate::model::audit::AuditEntry;
use crate::model::once::IdempotencyKey;
use crate::model::window::iso;

/// How the first request with a key ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    /// `None`: to be looked up.
    pub audit_log_id: Option<i64>,
    pub affected: u64,
    /// The ids of added orders, in the order of the request.
    pub order_ids: Vec<String>,
}

/// The column `response`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    /// The instant of the request, by which the response is dated.
    at: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    order_ids: Vec<String>,
}

/// A row of `idempotency_keys`, without its key.
#[derive(Debug)]
pub(super) struct KeyRow {
    pub request: String,
    pub body_sha256: String,
    pub audit_log_id: i64,
    pub affected: i64,
    pub response: String,
}

/// An outcome that is kept with the key of its request.
pub(super) trait Repeatable: Sized {
    /// What is kept; `None`: the request was refused, and its key stays unused.
    fn kept(&self) -> Option<Kept>;
    /// The outcome again.
    fn again(audit_log_id: i64, affected: u64, order_ids: Vec<String>) -> Self;
}

impl Repeatable for Changed {
    fn kept(&self) -> Option<Kept> {
        let (audit_log_id, affected) = match *self {
            Self::Done { audit_log_id, affected } => (Some(audit_log_id), affected),
            Self::NoOrders => (None, 0),
            Self::TooMany { .. } | Self::Undone { .. } => return None,
        };
        Some(Kept { audit_log_id, affected, order_ids: Vec::new() })
    }

    fn again(audit_log_id: i64, affected: u64, _: Vec<String>) -> Self {
        match affected {
            0 => Self::NoOrders,
            affected => Self::Done { audit_log_id, affected },
        }
    }
}

impl Repeatable for Added {
    fn kept(&self) -> Option<Kept> {
        Some(Kept {
            audit_log_id: Some(self.audit_log_id),
            affected: self.order_ids.len() as u64,
            order_ids: self.order_ids.clone(),
        })
    }

    fn again(audit_log_id: i64, _: u64, order_ids: Vec<String>) -> Self {
        Self { audit_log_id, order_ids }
    }
}

impl Kept {
    /// The text of the column `response`.
    pub(super) fn response(&self, request: &AuditEntry) -> String {
        let at = iso(&request.created);
        serde_json::json!(Response { at, order_ids: self.order_ids.clone() }).to_string()
    }
}

impl KeyRow {
    /// The outcome of the first request, if this one is the same; it is noted as repeated.
    ///
    /// # Errors
    ///
    /// [`Error::KeyUsed`] if it is another one.
    pub(super) fn again<T: Repeatable>(self, request: &str, key: &IdempotencyKey) -> Result<T> {
        if self.request != request || self.body_sha256 != key.body_sha256 {
            return Err(Error::KeyUsed);
        }
        let broken = |error: String| Error::Data(format!("idempotency_keys.response: {error}"));
        let response: Response =
            serde_json::from_str(&self.response).map_err(|error| broken(error.to_string()))?;
        let first: DateTime<Utc> = response.at.parse().map_err(|_| broken(response.at))?;
        key.repeats(first);
        Ok(T::again(self.audit_log_id, self.affected.unsigned_abs(), response.order_ids))
    }
}

/// The keys of requests that have happened.
#[async_trait]
pub trait Keys {
    /// What a request that adds orders did if it repeats an earlier one.
    ///
    /// # Errors
    ///
    /// [`Error::KeyUsed`] if its key came with another request.
    async fn added_before(&self, request: &AuditEntry) -> Result<Option<Added>>;
    /// Removes the keys that have lived long enough, in portions, and returns how many.
    async fn forget_keys(&self) -> Result<u64>;
}
