//! Permissions and the audit trail: the field `auditLog`, the entry of a request, and attempts that
//! are denied.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::http::context::body::Whole;
use crate::http::context::parameters;
use crate::http::context::request::Context;
use crate::http::error::{ApiError, Caller};
use crate::model::audit::{AuditEntry, Category, Outcome};
use crate::model::checks::check_controller_id;
use crate::model::identities::Identities;
use crate::model::invalid::{Invalid, quoted};
use crate::model::permission::{Permission, Visible};

/// The longest `auditLog.comment`, in characters.
const MAX_COMMENT: usize = 2000;
/// The longest `auditLog.ticketLink`, in characters.
const MAX_TICKET_LINK: usize = 255;

/// What the texts may consist of.
const TEXT: &str = r"^[^<>\x00]*$";

/// `auditLog`: why a request is made.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct AuditLog {
    /// The reason for the request. The service may require it.
    #[schemars(length(max = MAX_COMMENT), regex(pattern = TEXT), example = "billing is down")]
    comment: Option<String>,
    /// Time spent, in minutes.
    time_spent: Option<Whole<u32>>,
    /// Link to the ticket.
    #[schemars(length(max = MAX_TICKET_LINK), regex(pattern = TEXT), example = "OPS-4711")]
    ticket_link: Option<String>,
}

impl AuditLog {
    /// Rejects texts that are too long or could be markup.
    pub fn check(&self) -> Result<(), Invalid> {
        let texts = [
            ("auditLog.comment", &self.comment, MAX_COMMENT),
            ("auditLog.ticketLink", &self.ticket_link, MAX_TICKET_LINK),
        ];
        for (field, text, max) in texts {
            let text = text.as_deref().unwrap_or_default();
            if text.chars().nth(max).is_some() {
                return Err(Invalid::new(field, format!("is longer than {max} characters")));
            }
            if let Some(c) = text.chars().find(|c| matches!(c, '<' | '>' | '\0')) {
                return Err(Invalid::new(field, format!("{c:?} is not allowed in it")));
            }
        }
        Ok(())
    }
}

impl Context {
    /// The entry of a change in the audit trail, with the key of the request.
    pub fn audit_entry(&self, controller_id: &str, why: &AuditLog) -> Result<AuditEntry, ApiError> {
        let key = self.idempotency_key()?;
        Ok(AuditEntry { key, ..self.attempt(controller_id, why)? })
    }

    /// The entry of an attempt that changes nothing, and uses up no key.
    fn attempt(&self, controller_id: &str, why: &AuditLog) -> Result<AuditEntry, ApiError> {
        Ok(Identities::in_use().entry(AuditEntry {
            controller_id: controller_id.into(),
            account: self.principal.account.clone(),
            request: self.name(),
            parameters: parameters::for_audit(&self.bytes)?,
            category: Category::Controller,
            comment: why.comment.clone(),
            time_spent: why.time_spent.map(|Whole(minutes)| i64::from(minutes)),
            ticket_link: why.ticket_link.clone(),
            request_id: self.request_id(),
            client_address: self.client_address(),
            created: self.now,
            undoes: None,
            key: None,
        }))
    }

    /// The response to a denied request. The attempt is audited unless there were too many: audit
    /// entries are never deleted.
    pub async fn deny(
        &self,
        permission: Permission,
        controller_id: &str,
        why: &AuditLog,
    ) -> Result<ApiError, ApiError> {
        let account = &self.principal.account;
        let caller = Caller { account: Some(account.clone()), address: self.client_address() };
        if let Err(wait) = self.service.denials.count(account) {
            return Ok(ApiError::TooManyDenied(caller, wait));
        }
        let entry = self.attempt(controller_id, why)?;
        let recorded = self.store().record(&entry, Outcome::Denied).await;
        self.has_changed();
        recorded?;
        Ok(ApiError::Denied(caller, permission, controller_id.into()))
    }

    /// Checks that the controller exists and that the account has the permission for it. Returns
    /// the permitted folders.
    pub async fn permit(
        &self,
        permission: Permission,
        controller_id: &str,
        why: &AuditLog,
    ) -> Result<Visible, ApiError> {
        self.check_controller(controller_id).await?;
        match self.principal.may(permission, controller_id) {
            Some(visible) => {
                self.progress.allowed();
                Ok(visible)
            }
            None => Err(self.deny(permission, controller_id, why).await?),
        }
    }

    /// Like [`Context::permit`], for a read request, which has no comment.
    pub async fn permit_reading(
        &self,
        permission: Permission,
        controller_id: &str,
    ) -> Result<Visible, ApiError> {
        self.permit(permission, controller_id, &AuditLog::default()).await
    }

    /// Rejects an unknown controller.
    pub async fn check_controller(&self, controller_id: &str) -> Result<(), ApiError> {
        check_controller_id(controller_id)?;
        if self.service.controllers.contains_key(controller_id) {
            return Ok(());
        }
        if self.store().knows_controller(controller_id).await? {
            self.service.controllers.insert(controller_id.into(), ());
            return Ok(());
        }
        let problem = format!("there is no controller {}", quoted(controller_id));
        Err(ApiError::UnknownController(Invalid::new("controllerId", problem)))
    }

    /// Rejects a change without a comment, where the settings demand one.
    pub fn check_comment(&self, why: &AuditLog) -> Result<(), ApiError> {
        let demanded = self.service.settings.comment_required;
        if demanded && why.comment.as_deref().is_none_or(str::is_empty) {
            return Err(ApiError::MissingComment);
        }
        Ok(())
    }
}
