//! What a checker found: which row of which controller, and what is wrong with it.

use std::fmt;

use serde::Serialize;

/// Something that a checker found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The controller; none: it is about the schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller_id: Option<String>,
    /// The seal, by its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seal: Option<i64>,
    /// The entry, `audit_logs.id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit_log_id: Option<i64>,
    /// The order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    /// What is wrong with it.
    pub problem: String,
}

impl Finding {
    /// Something about the schema.
    pub fn of_schema(problem: String) -> Self {
        Self { controller_id: None, seal: None, audit_log_id: None, order_id: None, problem }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(controller_id) = &self.controller_id else {
            return f.write_str(&self.problem);
        };
        f.write_str(controller_id)?;
        if let Some(number) = self.seal {
            write!(f, ", seal {number}")?;
        }
        if let Some(id) = self.audit_log_id {
            write!(f, ", audit log {id}")?;
        }
        if let Some(id) = &self.order_id {
            write!(f, ", order {id}")?;
        }
        write!(f, ": {}", self.problem)
    }
}
