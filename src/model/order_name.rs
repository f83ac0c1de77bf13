//! The names of added orders, with which their ids end.

use std::sync::LazyLock;

use regex::Regex;

use crate::model::invalid::{Invalid, displayable};

/// The pattern of valid names, without the limit of length.
pub(crate) const PATTERN: &str =
    r"^[\p{L}\p{N}_]+(?:(?:-(?:\.-)*\.?|\.(?:-\.)*-?)[\p{L}\p{N}_]+)*$";
/// The longest name, in characters.
pub(crate) const MAX_ORDER_NAME: usize = 30;
/// The name of an order that is added without one by an account whose name has no character
/// that a name may have.
const FALLBACK: &str = "order";

/// Rejects an invalid name. By JOC's rules for names of objects, a name has letters, digits and
/// `_`, and between them `-` and `.`, neither twice in a row.
///
/// # Errors
///
/// A refusal of `field`.
pub fn check_order_name(field: &str, name: &str) -> Result<(), Invalid> {
    let problem = if name.is_empty() {
        "is empty".into()
    } else if name.chars().nth(MAX_ORDER_NAME).is_some() {
        format!("is longer than {MAX_ORDER_NAME} characters")
    } else if let Some(c) = name.chars().find(|c| !may_occur(*c)) {
        format!("'{}' is not allowed in '{}'", displayable(&c.to_string()), displayable(name))
    } else if name.starts_with(['-', '.']) || name.ends_with(['-', '.']) {
        format!("'{name}' begins or ends with a hyphen or a dot")
    } else if name.contains("--") || name.contains("..") {
        format!("'{name}' has hyphens or dots in a row")
    } else {
        return Ok(());
    };
    Err(Invalid::new(field, problem))
}

/// A name made of another text, as JOC makes one of the account's name.
pub fn order_name_of(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars().filter(|c| may_occur(*c)).take(MAX_ORDER_NAME) {
        if !(matches!(c, '-' | '.') && (name.is_empty() || name.ends_with(c))) {
            name.push(c);
        }
    }
    name.truncate(name.trim_end_matches(['-', '.']).len());
    if name.is_empty() { FALLBACK.into() } else { name }
}

/// Letters and numbers, as in [`PATTERN`]; `char::is_alphanumeric` accepts a few signs more.
static MAY_OCCUR: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[\p{L}\p{N}_.-]").ok());

fn may_occur(c: char) -> bool {
    MAY_OCCUR.as_ref().is_some_and(|regex| regex.is_match(c.encode_utf8(&mut [0; 4])))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_those_of_joc() {
        for name in ["a", "daily", "0a", "a-b.c_d", "täglich", "日次", &"x".repeat(30)] {
            assert_eq!(check_order_name("n", name), Ok(()), "{name}");
        }
        for name in [
            "",
            "a b",
            "a|b",
            "#a",
            "-a",
            "a.",
            "a--b",
            "a..b",
            "a/b",
            "a'b",
            "a\0",
            "a\u{202e}b",
            "a\u{301}",
            "aⒶ",
            "a\u{903}",
            &"x".repeat(31),
        ] {
            assert!(check_order_name("n", name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_name_can_be_made_of_any_account() {
        for (account, name) in [
            ("root", "root"),
            ("anna@example.com", "annaexample.com"),
            ("--a..b--", "a.b"),
            ("@@", "order"),
            ("a name that is longer than thirty characters", "anamethatislongerthanthirtycha"),
        ] {
            assert_eq!(order_name_of(account), name);
            assert_eq!(check_order_name("n", name), Ok(()));
        }
    }

    /// Mostly what a name may have.
    const ALMOST: &str = "[-.]?([a-zé9_Ⓐः/ ]{0,3}[-.]{0,2}){0,12}";

    fn is_name(name: &str) -> bool {
        let length = name.chars().count() <= MAX_ORDER_NAME;
        length && Regex::new(PATTERN).unwrap().is_match(name)
    }

    #[test]
    fn the_same_characters_may_occur_in_the_pattern() {
        let regex = Regex::new(PATTERN).unwrap();
        for c in '\0'..'\u{20000}' {
            let name = format!("a{c}b");
            assert_eq!(check_order_name("n", &name).is_ok(), regex.is_match(&name), "{c:?}");
        }
    }

    proptest! {
        #[test]
        fn names_are_those_of_the_pattern(name in prop_oneof![any::<String>(), ALMOST]) {
            prop_assert_eq!(check_order_name("n", &name).is_ok(), is_name(&name));
        }

        #[test]
        fn what_is_made_of_any_text_is_a_name(text in prop_oneof![any::<String>(), ALMOST]) {
            prop_assert!(is_name(&order_name_of(&text)), "{}", order_name_of(&text));
        }
    }
}
