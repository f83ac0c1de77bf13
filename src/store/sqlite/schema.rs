//! The parts of a schema on SQLite, which keeps the text of each definition.

use sqlx::migrate::Migration;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, Executor};

use super::steps::MIGRATOR;
use crate::store::Result;
use crate::store::schema::SchemaPart;

/// The parts of the schema.
pub(super) async fn parts(connection: &mut SqliteConnection) -> Result<Vec<SchemaPart>> {
    let rows: Vec<SchemaPart> = sqlx::query_as(
        "SELECT type AS kind, tbl_name AS \"of\", name, sql AS definition FROM main.sqlite_schema
         WHERE sql IS NOT NULL AND name <> '_sqlx_migrations' ORDER BY rowid",
    )
    .fetch_all(connection)
    .await?;
    let mut parts = Vec::new();
    for mut row in rows {
        row.definition = plain(&row.definition);
        if row.kind == "table" {
            split(row, &mut parts);
        } else {
            parts.push(row);
        }
    }
    Ok(parts)
}

/// The schema after each migration, with its number.
pub(super) async fn stages() -> Result<Vec<(i64, Vec<SchemaPart>)>> {
    let mut connection = SqliteConnection::connect_with(&SqliteConnectOptions::new()).await?;
    let mut stages = Vec::new();
    let up = |migration: &&Migration| migration.migration_type.is_up_migration();
    for migration in MIGRATOR.iter().filter(up) {
        connection.execute(sqlx::raw_sql(migration.sql.clone())).await?;
        stages.push((migration.version, parts(&mut connection).await?));
    }
    connection.close().await?;
    Ok(stages)
}

/// A statement without comments, and with whitespace outside quotes collapsed to one space.
pub(super) fn plain(sql: &str) -> String {
    let mut text = String::with_capacity(sql.len());
    let mut chars = sql.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' | '"' | '`' => {
                text.push(c);
                for quoted in chars.by_ref() {
                    text.push(quoted);
                    if quoted == c {
                        break;
                    }
                }
            }
            '-' if chars.peek() == Some(&'-') => {
                chars.by_ref().find(|c| *c == '\n');
                blank(&mut text);
            }
            '/' if chars.peek() == Some(&'*') => {
                chars.next();
                let mut last = ' ';
                chars.by_ref().find(|c| std::mem::replace(&mut last, *c) == '*' && *c == '/');
                blank(&mut text);
            }
            c if c.is_ascii_whitespace() => blank(&mut text),
            c => {
                // Dropped columns and comments leave extra spaces.
                if matches!(c, ')' | ',') && text.ends_with(' ') {
                    text.pop();
                }
                text.push(c);
            }
        }
    }
    text.trim_end().to_owned()
}

fn blank(text: &mut String) {
    if !text.ends_with([' ', '(']) {
        text.push(' ');
    }
}

/// Splits a table into its columns and constraints, at commas.
fn split(table: SchemaPart, parts: &mut Vec<SchemaPart>) {
    let SchemaPart { kind, of, name, definition } = table;
    let open = definition.find('(').unwrap_or(definition.len());
    let (mut depth, mut quote, mut start) = (0_usize, None, open + 1);
    let mut items = Vec::new();
    let mut end = definition.len();
    for (at, c) in definition.char_indices().skip_while(|(at, _)| *at < open) {
        match (c, quote) {
            (c, Some(q)) if c == q => quote = None,
            (_, Some(_)) => {}
            ('\'' | '"' | '`', None) => quote = Some(c),
            ('(', None) => depth += 1,
            (')', None) if depth == 1 => {
                items.push(&definition[start..at]);
                end = at + 1;
                break;
            }
            (')', None) => depth = depth.saturating_sub(1),
            (',', None) if depth == 1 => {
                items.push(&definition[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    let options = definition.get(end..).unwrap_or_default().trim().to_owned();
    parts.push(SchemaPart { kind, of: of.clone(), name, definition: options });
    for item in items.into_iter().map(str::trim) {
        let mut words = item.split(' ');
        let first = words.next().unwrap_or_default();
        let (kind, name) = match first.to_ascii_uppercase().as_str() {
            "CONSTRAINT" => ("constraint", words.next().unwrap_or_default()),
            "PRIMARY" | "FOREIGN" | "UNIQUE" | "CHECK" => ("constraint", item),
            _ => ("column", first),
        };
        parts.push(SchemaPart {
            kind: kind.into(),
            of: of.clone(),
            name: name.trim_matches('"').into(),
            definition: item.into(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_split_into_its_parts() {
        let sql = "CREATE TABLE a (\n  x TEXT NOT NULL -- why, not\n  CHECK (x IN (',', ')''', '--')), /* , */\n  \
            \"y\" INTEGER  DEFAULT (1, 2),\n  PRIMARY KEY (x, y), CONSTRAINT c CHECK (x > 'a  b')\n)  STRICT,\n WITHOUT ROWID";
        let table = SchemaPart {
            kind: "table".into(),
            of: "a".into(),
            name: "a".into(),
            definition: plain(sql),
        };
        let mut parts = Vec::new();
        split(table, &mut parts);
        let parts: Vec<_> =
            parts.iter().map(|p| [&*p.kind, &p.name, &p.definition].join(": ")).collect();
        assert_eq!(
            parts,
            [
                "table: a: STRICT, WITHOUT ROWID",
                "column: x: x TEXT NOT NULL CHECK (x IN (',', ')''', '--'))",
                "column: y: \"y\" INTEGER DEFAULT (1, 2)",
                "constraint: PRIMARY KEY (x, y): PRIMARY KEY (x, y)",
                "constraint: c: CONSTRAINT c CHECK (x > 'a  b')",
            ]
        );
    }
}
