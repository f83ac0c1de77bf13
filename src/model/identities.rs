//! What the audit trail holds of people: names of accounts and addresses of clients, or keyed hashes of
//! them. docs/audit.md says why.

use std::sync::OnceLock;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use crate::model::audit::{AuditEntry, Parameters};

/// The shortest key, in bytes.
pub const MIN_KEY: usize = 16;

/// How many bytes of the hash a pseudonym has, and how many of that of the key.
const HASH: usize = 16;
const KEY_ID: usize = 4;

/// The members of parameters that name people.
const NAMES: [&str; 3] = ["account", "accounts", "sudoUser"];

/// How names and addresses are recorded.
pub struct Identities {
    key: Option<Hmac<Sha256>>,
    is_keyed: bool,
}

static IN_USE: OnceLock<Identities> = OnceLock::new();
static PLAIN: Identities = Identities { key: None, is_keyed: false };

impl std::fmt::Debug for Identities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identities").field("is_keyed", &self.is_keyed).finish_non_exhaustive()
    }
}

impl Identities {
    /// Those with a key, which is used only if `is_keyed`.
    ///
    /// # Errors
    ///
    /// If the key is missing or too short.
    pub fn with(key: Option<&[u8]>, is_keyed: bool) -> Result<Self, String> {
        let key = match key {
            Some(key) if key.len() < MIN_KEY => {
                return Err(format!("the key is shorter than {MIN_KEY} bytes"));
            }
            Some(key) => Hmac::new_from_slice(key).ok(),
            None if is_keyed => return Err("the key is missing".into()),
            None => None,
        };
        Ok(Self { key, is_keyed })
    }

    /// Uses these from now on, in the whole process. Later calls change nothing.
    pub fn install(self) {
        let _others = IN_USE.set(self);
    }

    /// Those in use.
    pub fn in_use() -> &'static Self {
        IN_USE.get().unwrap_or(&PLAIN)
    }

    /// The pseudonym of a name or an address, if there is a key: `keyed:` with the key's id and the
    /// hash. No account has a `:` in its name.
    pub fn pseudonym(&self, name: &str) -> Option<String> {
        let hash = |kind: &str, text: &str, length: usize| {
            let mut hmac = self.key.clone()?;
            hmac.update(kind.as_bytes());
            hmac.update(&[0]);
            hmac.update(text.as_bytes());
            Some(hex::encode(&hmac.finalize().into_bytes()[..length]))
        };
        Some(format!("keyed:{}:{}", hash("key", "", KEY_ID)?, hash("name", name, HASH)?))
    }

    /// A name or an address as it is recorded.
    pub fn recorded(&self, name: String) -> String {
        match self.pseudonym(&name) {
            Some(pseudonym) if self.is_keyed && !name.is_empty() => pseudonym,
            _ => name,
        }
    }

    /// An entry as it is recorded.
    #[must_use]
    pub fn entry(&self, mut entry: AuditEntry) -> AuditEntry {
        if self.is_keyed {
            entry.account = self.recorded(entry.account);
            entry.client_address = entry.client_address.map(|address| self.recorded(address));
            if let Some(parameters) = self.parameters(&entry.parameters) {
                entry.parameters = parameters;
            }
        }
        entry
    }

    /// The parameters without names, if there are any.
    fn parameters(&self, parameters: &Parameters) -> Option<Parameters> {
        let mut value: Value = serde_json::from_str(parameters.as_str()).ok()?;
        let members = value.as_object_mut()?;
        let mut has_names = false;
        for name in NAMES {
            if let Some(value) = members.get_mut(name) {
                has_names = true;
                self.hide(value);
            }
        }
        has_names.then(|| Parameters::new(value.to_string()))
    }

    fn hide(&self, value: &mut Value) {
        match value {
            Value::String(name) => *name = self.recorded(std::mem::take(name)),
            Value::Array(names) => names.iter_mut().for_each(|name| self.hide(name)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pseudonym_depends_on_the_key_and_the_name() {
        let with = |key: &str| Identities::with(Some(key.as_bytes()), true).unwrap();
        let (one, two) = (with("0123456789abcdef"), with("0123456789abcdeg"));
        assert_eq!(one.recorded("anna".into()), one.recorded("anna".into()));
        assert_ne!(one.recorded("anna".into()), one.recorded("berta".into()));
        assert_ne!(one.recorded("anna".into()), two.recorded("anna".into()));
        let (a, b) = (one.recorded("anna".into()), two.recorded("anna".into()));
        assert_ne!(a[..14], b[..14]);
        assert_eq!(a.len(), "keyed:".len() + 8 + 1 + 32);
        assert!(Identities::with(Some(b"short"), true).is_err());
        assert!(Identities::with(None, true).is_err());
        let plain = Identities::with(Some(b"0123456789abcdef"), false).unwrap();
        assert_eq!(plain.recorded("anna".into()), "anna");
        assert_eq!(plain.pseudonym("anna"), Some(a));
    }

    #[test]
    fn parameters_name_nobody() {
        let identities = Identities::with(Some(b"0123456789abcdef"), true).unwrap();
        let of = |text: &str| identities.parameters(&Parameters::new(text.into()));
        assert_eq!(of(r#"{"orderIds":["a"]}"#), None);
        let hidden = of(r#"{"account":"anna","accounts":["anna","b"],"sudoUser":"c","role":"r"}"#);
        let hidden = hidden.unwrap();
        assert!(!hidden.as_str().contains("anna"), "{hidden:?}");
        let value: Value = serde_json::from_str(hidden.as_str()).unwrap();
        assert_eq!(value["account"], value["accounts"][0]);
        assert_eq!(value["role"], "r");
    }
}
