//! Makes untrusted text safe for a terminal.

use std::borrow::Cow;

/// Escapes control characters, and those that change the direction of text, as `\u{1b}` and the
/// like.
pub(super) fn visible(text: &str) -> String {
    let escaped = |c: char| if acts(c) { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escaped).collect()
}

/// Like [`visible`], for JSON text, whose value stays the same.
pub(super) fn escaped_json(text: &str) -> String {
    let escaped = |c: char| -> Cow<'_, str> {
        if c != '\n' && acts(c) {
            format!("\\u{:04x}", u32::from(c)).into()
        } else {
            c.to_string().into()
        }
    };
    text.chars().map(escaped).collect()
}

fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn json_for_a_terminal_is_the_same_json() {
        let value = json!({"a": "\u{1b}\u{9b}\u{202e}\n\\"});
        let text = escaped_json(&format!("{value:#}"));
        assert!(!text.contains('\u{9b}') && !text.contains('\u{202e}'), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
