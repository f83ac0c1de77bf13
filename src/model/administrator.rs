//! Who administers the service by the command line, for the audit trail.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::model::audit::{AuditEntry, Category, Parameters};
use crate::model::checks::{NO_CONTROLLER, check_stored_controller_id};
use crate::model::identities::Identities;

/// Who runs a command that administers the service, and which command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Administrator {
    /// The user of the operating system, `os:anna`. An account's name has no `:`, so it cannot be
    /// mistaken for one.
    pub account: String,
    /// Who the user says to be behind `sudo`. It is only a hint: everyone may set it.
    pub sudo_user: Option<String>,
    /// The command: `joc-orders role assign`.
    pub request: String,
    /// An id for its entries.
    pub request_id: String,
    /// The present.
    pub now: DateTime<Utc>,
}

impl Administrator {
    /// The audit entry of a change. `parameters` is an object that says what was changed and holds
    /// no secret. The entry belongs to the controller that the change concerns, if it is one.
    pub fn entry(
        self,
        category: Category,
        controller_id: Option<&str>,
        mut parameters: Value,
    ) -> AuditEntry {
        if let Some(sudo_user) = self.sudo_user {
            parameters["sudoUser"] = json!(sudo_user);
        }
        // Old grants may be for what is no controller id any more.
        let controller_id = controller_id.filter(|id| check_stored_controller_id(id).is_ok());
        Identities::in_use().entry(AuditEntry {
            controller_id: controller_id.unwrap_or(NO_CONTROLLER).into(),
            account: self.account,
            request: self.request,
            parameters: Parameters::new(parameters.to_string()),
            category,
            comment: None,
            time_spent: None,
            ticket_link: None,
            request_id: self.request_id,
            client_address: None,
            created: self.now,
            undoes: None,
            key: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_belongs_to_a_controller_only_if_it_is_one() {
        let administrator = Administrator {
            account: "os:anna".into(),
            sudo_user: Some("o'\"\u{1}".into()),
            request: "joc-orders role grant".into(),
            request_id: "r".into(),
            now: DateTime::UNIX_EPOCH,
        };
        let controllers = [
            (Some("prod"), "prod"),
            (None, "-"),
            (Some("*"), "-"),
            (Some("a/b"), "-"),
            (Some(""), "-"),
        ];
        for (given, stored) in controllers {
            let entry =
                administrator.clone().entry(Category::Identity, given, json!({"role": "a"}));
            assert_eq!(entry.controller_id, stored);
            let parameters = entry.parameters.kept(crate::model::audit::Outcome::Done);
            assert_eq!(parameters, r#"{"role":"a","sudoUser":"o'\"\u0001"}"#);
        }
    }
}
