//! What the audit trail keeps of a request's body: JSON on one line, with secrets masked.

use serde_json::Value;

use crate::http::context::body::not_json;
use crate::http::error::ApiError;
use crate::model::arguments::check_number;
use crate::model::audit::Parameters;
use crate::model::invalid::{Invalid, displayable};
use crate::model::json::Json;

/// Replaces a masked value.
const MASKED: &str = "********";
/// Parts of keys that mean a secret. Only a key's letters and digits are compared.
const SECRET_PARTS: [&str; 14] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "passwort",
    "kennwort",
    "pwd",
    "secret",
    "token",
    "credential",
    "authorization",
    "apikey",
    "accesskey",
    "privatekey",
];
/// Words of keys that mean a secret. As parts they would match harmless words, such as `compass`.
const SECRET_WORDS: [&str; 8] = ["auth", "bearer", "cookie", "jwt", "otp", "pass", "pin", "pw"];
/// The fields for the name, in an object that holds a name and a value.
const NAMES: [&str; 2] = ["key", "name"];
/// The fields for the value.
const VALUES: [&str; 2] = ["value", "values"];

/// A body as the audit trail keeps it; an empty one means `{}`.
pub fn for_audit(body: &[u8]) -> Result<Parameters, ApiError> {
    let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
    let Json(mut value) = serde_json::from_slice(body).map_err(not_json)?;
    mask(&mut value).map_err(|invalid| Invalid {
        field: invalid.field.trim_start_matches('.').into(),
        ..invalid
    })?;
    Ok(Parameters::new(value.to_string()))
}

/// Masks secrets, and rejects numbers that queries of the audit trail could not read.
fn mask(value: &mut Value) -> Result<(), Invalid> {
    let within = |place: String| {
        move |invalid: Invalid| Invalid { field: place + &invalid.field, ..invalid }
    };
    match value {
        Value::Array(values) => {
            for (i, value) in values.iter_mut().enumerate() {
                mask(value).map_err(|invalid| within(format!("[{i}]"))(invalid))?;
            }
        }
        Value::Object(fields) => {
            let is_one_of = |key: &str, keys: [&str; 2]| {
                keys.iter().any(|known| known.eq_ignore_ascii_case(key))
            };
            let names_secret = fields
                .iter()
                .any(|(key, value)| is_one_of(key, NAMES) && value.as_str().is_some_and(is_secret));
            for (key, value) in fields {
                if is_secret(key) || names_secret && is_one_of(key, VALUES) {
                    *value = MASKED.into();
                } else {
                    mask(value)
                        .map_err(|invalid| within(format!(".{}", displayable(key)))(invalid))?;
                }
            }
        }
        Value::Number(number) => check_number("", number)?,
        _ => {}
    }
    Ok(())
}

/// Whether a key is that of a secret.
fn is_secret(key: &str) -> bool {
    let words = words(key);
    let joined: String = words.split(' ').collect();
    SECRET_PARTS.iter().any(|part| joined.contains(part))
        || words.split(' ').any(|word| SECRET_WORDS.contains(&word))
}

/// The words of a key in lower case, with spaces between them: those of `dbPass`, `DB_PASS`,
/// `db-pass2` and `DBPass` are `db` and `pass`.
fn words(key: &str) -> String {
    let mut words = String::with_capacity(key.len());
    let mut before = ' ';
    let mut chars = key.chars().peekable();
    while let Some(c) = chars.next() {
        let next_is_small = chars.peek().is_some_and(|next| next.is_lowercase());
        let begins = before.is_alphabetic() != c.is_alphabetic()
            || c.is_uppercase()
                && (before.is_lowercase() || before.is_uppercase() && next_is_small);
        if (begins || !c.is_alphanumeric()) && !words.is_empty() && !words.ends_with(' ') {
            words.push(' ');
        }
        if c.is_alphanumeric() {
            words.extend(c.to_lowercase());
        }
        before = c;
    }
    words.truncate(words.trim_end().len());
    words
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::audit::Outcome;

    fn kept(body: &str) -> String {
        for_audit(body.as_bytes()).unwrap().kept(Outcome::Done).into_owned()
    }

    #[test]
    fn words_of_keys_are_split_however_they_are_joined() {
        for (key, expected) in [
            ("dbPass", "db pass"),
            ("DB_PASS", "db pass"),
            ("db-pass2", "db pass 2"),
            ("DBPass", "db pass"),
            ("X-Api-Key", "x api key"),
            ("HTTPSProxy", "https proxy"),
            ("pass", "pass"),
            ("__", ""),
            ("", ""),
            ("größe.Maß", "größe maß"),
        ] {
            assert_eq!(words(key), expected, "{key}");
        }
    }

    #[test]
    fn keys_that_name_secrets_are_known() {
        for key in [
            "password",
            "Password",
            "dbPassword",
            "dbpassword",
            "DB_PASSWORD",
            "pass_word",
            "pwd",
            "dbpwd",
            "DB_PWD",
            "pass",
            "dbPass",
            "DB-PASS",
            "pass1",
            "passphrase",
            "passPhrase",
            "passwd",
            "api_key",
            "api-key",
            "apikey",
            "apiKey",
            "X-Api-Key",
            "aws_access_key",
            "privateKey",
            "private_key",
            "ssh.private.key",
            "authorization",
            "Authorization",
            "proxy-authorization",
            "auth",
            "accessToken",
            "refresh_token",
            "credentials",
            "client_secret",
            "Cookie",
            "jwt",
            "pin",
            "bearer",
            "kennwort",
        ] {
            assert!(is_secret(key), "{key}");
        }
        for key in [
            "compass",
            "bypass",
            "bypassCache",
            "passenger",
            "passed",
            "passive",
            "author",
            "authors",
            "authority",
            "pinned",
            "spin",
            "key",
            "keys",
            "monkey",
            "name",
            "value",
            "orderIds",
            "controllerId",
            "workflowPath",
            "arguments",
            "opwave",
            "private",
            "access",
            "timeSpent",
            "comment",
            "keyboard",
            "",
        ] {
            assert!(!is_secret(key), "{key}");
        }
    }

    #[test]
    fn an_empty_body_is_kept_as_an_object() {
        assert_eq!(kept(""), "{}");
        assert_eq!(kept(" \n"), "{}");
    }

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        let body =
            r#"{"controllerId":"c","variables":[{"dbPassword":"x","n":{"accessToken":[1]}}]}"#;
        let masked = r#"{"controllerId":"c","variables":[{"dbPassword":"********","n":{"accessToken":"********"}}]}"#;
        assert_eq!(kept(body), masked);
    }

    #[test]
    fn values_beside_the_name_of_a_secret_are_masked() {
        for (name, value) in
            [("name", "value"), ("key", "value"), ("Name", "VALUE"), ("key", "values")]
        {
            let body =
                json!({"list": [{name: "db-password", value: ["x"]}, {name: "db", value: "y"}]});
            let masked =
                json!({"list": [{name: "db-password", value: MASKED}, {name: "db", value: "y"}]});
            assert_eq!(kept(&body.to_string()), masked.to_string());
        }
        // Neither their order nor the other fields matter.
        let body = r#"{"value":1,"type":"t","name":"pass","nested":{"value":2}}"#;
        let masked = r#"{"value":"********","type":"t","name":"pass","nested":{"value":2}}"#;
        let sorted = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(sorted(&kept(body)), sorted(masked));
        assert_eq!(
            kept(r#"{"name":["password"],"value":1}"#),
            r#"{"name":["password"],"value":1}"#
        );
    }

    #[test]
    fn numbers_beside_secrets_stay_as_they_are_written() {
        let body = r#"{"a":1.50,"n":12345678901234567890123,"pass":1.50,"x":[-0,1e-7]}"#;
        let masked = r#"{"a":1.50,"n":12345678901234567890123,"pass":"********","x":[-0,1e-7]}"#;
        assert_eq!(kept(body), masked);
    }
}
