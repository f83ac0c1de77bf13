//! A rejected field, and how messages quote what a client sent.

/// How many characters of a client's text a message quotes.
const QUOTED_CHARS: usize = 60;
/// The same for a message that quotes the text itself.
const MESSAGE_CHARS: usize = 100;

/// A rejected field of a request, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Invalid {
    /// How clients are to take it.
    pub kind: InvalidKind,
    /// The field's place in the request: `workflowIds[2].path`.
    pub field: String,
    /// What is wrong, or what is expected.
    pub problem: String,
}

/// What is wrong with a field, as JOC's codes tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidKind {
    /// Any mistake but those about dates.
    Field,
    /// A date, period or time zone that cannot be read, or a window that is empty.
    Date,
}

impl Invalid {
    /// Rejects `field`.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { kind: InvalidKind::Field, field: field.into(), problem: problem.into() }
    }

    /// Rejects a date, a period, a time zone or a window.
    pub fn date(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { kind: InvalidKind::Date, ..Self::new(field, problem) }
    }
}

/// A client's text, shortened and with control characters escaped, so that it can harm neither
/// logs nor terminals.
pub(crate) fn displayable(text: &str) -> String {
    // escape_debug also covers characters that are invisible or change the text's direction.
    shown(text, QUOTED_CHARS, |c| c.escape_debug().collect())
}

/// As [`displayable`], in quotes.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", displayable(text))
}

/// As [`displayable`], for a message that already quotes a client's text.
pub(crate) fn displayable_quoting(message: &str) -> String {
    shown(message, MESSAGE_CHARS, |c| match c {
        '\'' | '"' | '\\' => c.into(),
        c => c.escape_debug().collect(),
    })
}

fn shown(text: &str, most: usize, show: impl Fn(char) -> String) -> String {
    let mut shown: String = text.chars().take(most).map(show).collect();
    if text.chars().nth(most).is_some() {
        shown.push('…');
    }
    shown
}
