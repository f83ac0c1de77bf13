//! Texts with JOC's wildcards.

use super::{Dialect, Sql};

/// Whether a text has wildcards.
pub(in crate::store) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// Adds the condition that a column is the text, or matches it if it has wildcards.
pub(super) fn push_matches<DB: Dialect>(sql: &mut Sql<DB>, column: &str, text: &str) {
    sql.push(column);
    if is_pattern(text) {
        sql.like(text);
    } else {
        sql.push(" = ").text(text);
    }
}

/// A pattern for SQLite's GLOB, where brackets are special, too.
#[cfg(feature = "sqlite")]
pub(in crate::store) fn glob(pattern: &str) -> String {
    pattern.replace('[', "[[]")
}

/// A pattern for LIKE.
#[cfg(feature = "postgres")]
pub(in crate::store) fn like(pattern: &str) -> String {
    let mut like = String::with_capacity(pattern.len());
    for c in pattern.chars() {
        match c {
            '*' => like.push('%'),
            '?' => like.push('_'),
            '%' | '_' | '\\' => like.extend(['\\', c]),
            c => like.push(c),
        }
    }
    like
}
