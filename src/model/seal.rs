//! Seals over the audit trail: what is hashed and how. A seal covers one controller's entries since
//! the previous seal, with their details, and the previous seal. docs/audit.md documents the
//! encoding for independent verifiers.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub mod matching;

/// The previous hash in the first seal of a chain.
pub const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A SHA-256.
pub type Digest = [u8; 32];

/// The beginning of a [`Digest`], which is enough to find a row that differs.
pub type Short = [u8; 8];

/// The row of `audit_logs`. Instants are texts, as the API writes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the columns, which docs/schema.md explains")]
pub struct EntryRow {
    pub controller_id: String,
    pub id: i64,
    pub account: String,
    pub request: String,
    pub parameters: String,
    pub category: String,
    pub comment: Option<String>,
    pub time_spent: Option<i64>,
    pub ticket_link: Option<String>,
    pub outcome: String,
    pub affected: i64,
    pub request_id: String,
    pub client_address: Option<String>,
    pub created: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<i64>,
}

/// The row of `audit_log_details`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the columns, which docs/schema.md explains")]
pub struct DetailRow {
    pub controller_id: String,
    pub audit_log_id: i64,
    pub order_id: String,
    pub workflow_path: String,
    pub workflow_version_id: String,
    pub folder: String,
    pub previous_state: String,
    pub new_state: String,
    pub mark: Option<String>,
    pub kill: bool,
    pub via_parent: Option<String>,
    pub created: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
}

/// A row of `audit_seals`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// The part that an auditor keeps.
    pub line: SealLine,
    /// The hash of the seal before, or [`NO_HASH`].
    pub previous_hash: String,
    /// What [`Content::digests`] was.
    pub digests: Vec<u8>,
}

/// A seal as an auditor keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SealLine {
    /// The controller, or [`crate::model::checks::NO_CONTROLLER`].
    pub controller_id: String,
    /// Counts from 1 for each controller.
    pub number: i64,
    /// The first entry that it covers.
    pub first_id: i64,
    /// The last entry that it covers.
    pub last_id: i64,
    /// How many entries it covers.
    pub entries: i64,
    /// How many rows of details it covers.
    pub details: i64,
    /// SHA-256 in hexadecimal digits.
    pub hash: String,
    /// When it was made.
    pub created: String,
}

/// Hashes fields, each with its length before it, so that none can be taken for another.
pub(super) struct FieldHasher(Sha256);

impl FieldHasher {
    pub(super) fn of(kind: &str) -> Self {
        Self(Sha256::new()).text(kind)
    }

    pub(super) fn text(self, value: &str) -> Self {
        self.maybe(Some(value))
    }

    fn maybe(mut self, value: Option<&str>) -> Self {
        match value {
            None => self.0.update([0]),
            Some(text) => {
                self.0.update([1]);
                self.0.update((text.len() as u64).to_be_bytes());
                self.0.update(text);
            }
        }
        self
    }

    /// A column that came later. Without a value it adds nothing, so that older hashes stay valid.
    fn later(self, value: Option<&str>) -> Self {
        match value {
            None => self,
            Some(_) => self.maybe(value),
        }
    }

    pub(super) fn integer(self, value: i64) -> Self {
        self.text(&value.to_string())
    }

    pub(super) fn digest(self) -> Digest {
        self.0.finalize().into()
    }
}

impl EntryRow {
    /// The hash of all its columns.
    pub fn digest(&self) -> Digest {
        FieldHasher::of("audit_logs")
            .text(&self.controller_id)
            .integer(self.id)
            .text(&self.account)
            .text(&self.request)
            .text(&self.parameters)
            .text(&self.category)
            .maybe(self.comment.as_deref())
            .maybe(self.time_spent.map(|minutes| minutes.to_string()).as_deref())
            .maybe(self.ticket_link.as_deref())
            .text(&self.outcome)
            .integer(self.affected)
            .text(&self.request_id)
            .maybe(self.client_address.as_deref())
            .text(&self.created)
            .later(self.undoes.map(|id| id.to_string()).as_deref())
            .digest()
    }
}

impl DetailRow {
    /// The hash of all its columns.
    pub fn digest(&self) -> Digest {
        FieldHasher::of("audit_log_details")
            .text(&self.controller_id)
            .integer(self.audit_log_id)
            .text(&self.order_id)
            .text(&self.workflow_path)
            .text(&self.workflow_version_id)
            .text(&self.folder)
            .text(&self.previous_state)
            .text(&self.new_state)
            .maybe(self.mark.as_deref())
            .integer(self.kill.into())
            .maybe(self.via_parent.as_deref())
            .text(&self.created)
            .later(self.before.as_deref())
            .digest()
    }
}

/// What a seal covers, row by row: entries by id, after each its details by order id.
#[derive(Debug, Clone, Default)]
pub struct Content {
    hash: Sha256,
    digests: Vec<u8>,
    /// Where the present group of `digests` begins.
    group: Option<usize>,
    ids: Option<(i64, i64)>,
    entries: i64,
    details: i64,
}

/// How long the head of a group of digests is: an id, a count, the entry's own.
const HEAD: usize = 24;

impl Content {
    /// Adds an entry.
    pub fn entry(&mut self, id: i64, digest: &Digest) {
        self.hash.update(digest);
        self.begin(id, short(digest));
        self.ids = Some((self.ids.map_or(id, |(first, _)| first), id));
        self.entries += 1;
    }

    /// Adds a detail of an entry; the entry may be missing.
    pub fn detail(&mut self, audit_log_id: i64, digest: &Digest) {
        self.hash.update(digest);
        let group = match self.group {
            Some(group) if self.digests[group..].starts_with(&audit_log_id.to_be_bytes()) => group,
            _ => self.begin(audit_log_id, Short::default()),
        };
        self.digests.extend(short(digest));
        let count = ((self.digests.len() - group - HEAD) / size_of::<Short>()) as u64;
        self.digests[group + 8..group + 16].copy_from_slice(&count.to_be_bytes());
        self.details += 1;
    }

    fn begin(&mut self, id: i64, entry: Short) -> usize {
        let group = self.digests.len();
        self.digests.extend(id.to_be_bytes());
        self.digests.extend(0_u64.to_be_bytes());
        self.digests.extend(entry);
        self.group = Some(group);
        group
    }

    /// For each entry its id, the number of its details, and the beginnings of its digest and of
    /// theirs; numbers have 8 bytes, big-endian.
    pub fn digests(&self) -> &[u8] {
        &self.digests
    }

    /// The seal over it; `None` if there is no entry. `created` is a text as in a row.
    pub fn seal(
        mut self,
        controller_id: &str,
        previous: Option<&SealLine>,
        created: String,
    ) -> Option<Seal> {
        let (first_id, last_id) = self.ids?;
        let line = SealLine {
            controller_id: controller_id.into(),
            number: previous.map_or(1, |previous| previous.number + 1),
            first_id,
            last_id,
            entries: self.entries,
            details: self.details,
            hash: String::new(),
            created,
        };
        let previous_hash = previous.map_or(NO_HASH, |previous| &previous.hash).to_owned();
        let digests = std::mem::take(&mut self.digests);
        let mut seal = Seal { line, previous_hash, digests };
        seal.line.hash = seal.hash_over(self);
        Some(seal)
    }
}

impl Seal {
    /// The hash that the seal has if this is what it covers.
    pub fn hash_over(&self, content: Content) -> String {
        let content: Digest = content.hash.finalize().into();
        let line = &self.line;
        let digest = FieldHasher::of("audit_seals")
            .text(&line.controller_id)
            .integer(line.number)
            .integer(line.first_id)
            .integer(line.last_id)
            .integer(line.entries)
            .integer(line.details)
            .text(&self.previous_hash)
            .text(&line.created)
            .text(&hex::encode(content))
            .digest();
        hex::encode(digest)
    }
}

fn short(digest: &Digest) -> Short {
    let mut short = Short::default();
    short.copy_from_slice(&digest[..size_of::<Short>()]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail() -> DetailRow {
        DetailRow {
            controller_id: "prod".into(),
            audit_log_id: 1,
            order_id: "a".into(),
            workflow_path: "/sos/eod".into(),
            workflow_version_id: "1".into(),
            folder: "/sos".into(),
            previous_state: "RUNNING".into(),
            new_state: "RUNNING".into(),
            mark: None,
            kill: false,
            via_parent: None,
            created: "2026-11-23T12:34:56.789Z".into(),
            before: None,
        }
    }

    /// Independent verifiers rely on the encoding: it never changes.
    #[test]
    fn the_encoding_is_the_documented_one() {
        let mut bytes = Vec::new();
        for field in [
            Some("audit_log_details"),
            Some("prod"),
            Some("1"),
            Some("a"),
            Some("/sos/eod"),
            Some("1"),
            Some("/sos"),
            Some("RUNNING"),
            Some("RUNNING"),
            None,
            Some("0"),
            None,
            Some("2026-11-23T12:34:56.789Z"),
        ] {
            match field {
                None => bytes.push(0),
                Some(text) => {
                    bytes.extend([1, 0, 0, 0, 0, 0, 0, 0, text.len() as u8]);
                    bytes.extend(text.as_bytes());
                }
            }
        }
        let expected: Digest = Sha256::digest(bytes).into();
        assert_eq!(detail().digest(), expected);
    }

    #[test]
    fn no_two_rows_are_the_same() {
        let (mut moved, mut empty) = (detail(), detail());
        moved.workflow_path = "/sos/eo".into();
        moved.workflow_version_id = "d1".into();
        empty.mark = Some(String::new());
        let digests = [detail().digest(), moved.digest(), empty.digest()];
        assert!(digests[0] != digests[1] && digests[0] != digests[2]);
    }
}
