//! Which values the audit trail must not keep, by the names of their fields.

/// Replaces a masked value.
pub const MASKED: &str = "********";
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

/// Whether a key is that of a secret.
pub fn is_secret(key: &str) -> bool {
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
    use super::*;

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
}
