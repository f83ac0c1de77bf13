//! Errors that scripts can tell apart by their exit code.

use serde_json::Value;

use super::escape::visible;
use crate::model::changing::NOT_EXIST;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Usage or configuration error, or no terminal without --yes.
    #[error("{0}")]
    Usage(String),
    /// What the request names is not there: no order to act on, no such order or workflow.
    #[error("{0}")]
    Nothing(String),
    /// The service refused the request.
    #[error("{0}")]
    Refused(String),
    /// The login, the session or the permission is missing.
    #[error("{0}")]
    NotPermitted(String),
    /// The person did not confirm.
    #[error("not confirmed: nothing was changed")]
    NotConfirmed,
    /// The service, or its database, cannot be reached.
    #[error("{0}")]
    Unreachable(String),
    /// The connection was lost with a request in flight.
    #[error("connection lost before the response arrived: {0}")]
    Aborted(String),
    /// Ctrl-C.
    #[error("interrupted: a request in flight may have taken effect")]
    Interrupted,
    /// Ctrl-C, or SIGTERM, before anything took effect.
    #[error("interrupted: nothing was {0}")]
    Undone(&'static str),
    /// Orders have not ended in this time.
    #[error("not all orders have ended after {0}")]
    TimedOut(String),
    /// A check has this many findings.
    #[error("findings: {0}")]
    Found(u64),
    /// An import has left out bad lines.
    #[error("{0}")]
    Rejected(String),
    /// Anything else, such as a response of another API.
    #[error("{0}")]
    Other(String),
    /// The reader of standard output has closed it (`| head`).
    #[error("standard output is closed")]
    OutputClosed,
}

impl CliError {
    pub(super) const USAGE: u8 = 2;
    pub(super) const REFUSED: u8 = 4;
    pub(super) const UNREACHABLE: u8 = 7;

    /// A wrong setting, for which a retry does not help.
    pub fn setting(error: anyhow::Error) -> Self {
        Self::Usage(format!("{error:#}"))
    }

    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::OutputClosed => 0,
            Self::Interrupted | Self::Undone(_) | Self::Other(_) => 1,
            Self::Usage(_) => Self::USAGE,
            Self::Nothing(_) => 3,
            Self::Refused(_) => Self::REFUSED,
            Self::NotPermitted(_) => 5,
            Self::NotConfirmed => 6,
            Self::Unreachable(_) | Self::Aborted(_) => Self::UNREACHABLE,
            Self::Found(_) | Self::Rejected(_) => 8,
            Self::TimedOut(_) => 10,
        }
    }

    /// The error of a response without success.
    pub(super) fn of_response(status: u16, text: &str) -> Self {
        let body: Value = serde_json::from_str(text).unwrap_or_default();
        let at = |pointer| body.pointer(pointer).and_then(Value::as_str);
        let code = at("/error/code").or(at("/errors/0/code"));
        let message = at("/error/message").or(at("/errors/0/message")).or(at("/message"));
        let message = match message {
            Some(message) if !message.is_empty() => visible(message),
            _ => format!("the response is HTTP {status}; is --url that of the API?"),
        };
        match (status, code) {
            (401 | 403 | 429 | 440, _) => Self::NotPermitted(message),
            // Those of a proxy have no message.
            (502..=504, _) => Self::Unreachable(message),
            (_, Some("JOC-400")) => {
                // The name of JOC's exception tells people nothing.
                Self::Nothing(message.strip_prefix(NOT_EXIST).unwrap_or(&message).into())
            }
            (_, Some("JOC-300" | "JOC-404" | "JOC-405" | "JOC-420")) => Self::Refused(message),
            (_, Some(code)) => Self::Other(format!("{}: {message}", visible(code))),
            (_, None) => Self::Other(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    pub(super) fn exit_codes_of_responses() {
        let joc = |code: &str, message: &str| {
            format!(r#"{{"error": {{"code": "{code}", "message": "{message}"}}}}"#)
        };
        for (status, text, code) in [
            (420, joc("JOC-400", "ControllerObjectNotExistException: No orders found."), 3),
            (420, joc("JOC-400", "orderId: there is no order 'a'"), 3),
            (420, joc("JOC-404", "controllerId: there is no controller 'gone'"), 4),
            (420, joc("JOC-405", "dateTo: 'No orders found.' is neither a date nor a period"), 4),
            (420, joc("JOC-420", "folder: there is no such field"), 4),
            (420, joc("JOC-300", "missing comment"), 4),
            (413, joc("JOC-420", "the body is larger than 8 bytes"), 4),
            (419, r#"{"errors": [{"code": "JOC-400", "message": "No orders found."}]}"#.into(), 3),
            (419, r#"{"errors": [{"code": "JOC-420", "message": "orders[0]: bad"}]}"#.into(), 4),
            (420, joc("JOC-500", "an internal error"), 1),
            (503, joc("JOC-500", "the database cannot be reached"), 7),
            (502, "<html>".into(), 7),
            (504, String::new(), 7),
            (401, r#"{"message": "wrong"}"#.into(), 5),
            (403, r#"{"message": "Access denied"}"#.into(), 5),
            (429, r#"{"message": "later"}"#.into(), 5),
            (440, "not JSON".into(), 5),
            (404, "<html>".into(), 1),
            (302, String::new(), 1),
        ] {
            assert_eq!(CliError::of_response(status, &text).exit_code(), code, "{status} {text}");
        }
        let nothing = joc("JOC-400", "ControllerObjectNotExistException: No orders found.");
        assert_eq!(CliError::of_response(420, &nothing).to_string(), "No orders found.");
        let failure = CliError::of_response(403, r#"{"message": "a\u001b[2Jb"}"#);
        assert_eq!(failure.to_string(), "a\\u{1b}[2Jb");
    }
}
