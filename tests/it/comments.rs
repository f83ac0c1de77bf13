//! The comments of the tables, views and columns on PostgreSQL say what docs/schema.md says of them.
//!
//! With `UPDATE_COMMENTS=1` the newest migration is rewritten to set those that differ.

use std::collections::BTreeMap;
use std::fs;

use joc_orders::store;

use crate::docs::SCHEMA;
use crate::harness::{Database, Kind, latest, versions};

/// A table or view, and one of its columns; an empty column means the whole.
type Subject = (String, String);
type Comments = BTreeMap<Subject, String>;

/// The line above the generated statements at the end of a migration.
const MARKER: &str = "-- Comments from docs/schema.md, written by UPDATE_COMMENTS=1.\n";

/// A text without Markdown.
fn plain(markdown: &str) -> String {
    let (mut text, mut rest) = (String::new(), markdown);
    // A link keeps its text.
    while let Some((before, after)) = rest.split_once("](") {
        let (link, next) = after.split_once(')').expect("the end of a link");
        let (start, label) = before.rsplit_once('[').expect("the text of a link");
        assert!(!link.contains(' '), "no link: {markdown}");
        text.push_str(start);
        text.push_str(label);
        rest = next;
    }
    text.push_str(rest);
    text.replace("\\|", "|").replace(['`'], "").replace("**", "").trim().to_owned()
}

/// The cells of a row, which are divided by bars that have no backslash.
fn cells(row: &str) -> Vec<String> {
    let row = row.trim_start_matches('|').trim_end().trim_end_matches('|');
    row.replace("\\|", "\0")
        .split('|')
        .map(|cell| cell.replace('\0', "\\|").trim().into())
        .collect()
}

/// What the page says of each table, view and column. A section is named after its table, and its first
/// paragraph describes it up to the keys; the last cell of a row describes its column.
fn documented() -> Comments {
    let mut comments = Comments::new();
    let (mut of, mut heading, mut paragraph) = (String::new(), String::new(), String::new());
    let mut in_columns = false;
    for line in SCHEMA.lines().chain([""]) {
        if line.starts_with('#') {
            heading =
                line.trim_start_matches(['#', ' ']).trim_start_matches("The view ").to_owned();
            of = heading.clone();
        } else if line.starts_with("| column |") {
            in_columns = true;
            comments.entry((of.clone(), String::new())).or_default();
        } else if in_columns && line.starts_with("| `") {
            let cells = cells(line);
            comments.insert((of.clone(), plain(&cells[0])), plain(cells.last().unwrap()));
        } else if line.is_empty() {
            in_columns = false;
            // Only the first paragraph counts.
            if !paragraph.is_empty() && !heading.is_empty() {
                let text = plain(&paragraph);
                let text = text.split("Primary key:").next().unwrap().trim().to_owned();
                comments.insert((heading.clone(), String::new()), text);
                heading.clear();
            }
            paragraph.clear();
        } else if !line.starts_with(['|', '-']) && !line.starts_with("```") {
            paragraph = format!("{paragraph} {line}");
        }
    }
    // The view has all columns of the table, and one more.
    let view = "orders_effective";
    let columns: Vec<_> = comments.iter().filter(|((of, _), _)| of == "orders").collect();
    let columns: Vec<_> =
        columns.into_iter().map(|((_, c), text)| (c.clone(), text.clone())).collect();
    for (column, text) in columns.into_iter().filter(|(column, _)| !column.is_empty()) {
        comments.insert((view.into(), column), text);
    }
    comments
}

/// The comments of the database, empty where there is none.
async fn stored(db: &Database) -> Comments {
    let rows = db
        .rows(
            "SELECT c.relname::text, coalesce(a.attname, '')::text,
                 coalesce(col_description(c.oid, a.attnum), obj_description(c.oid, 'pg_class'), '')
             FROM pg_class c
             JOIN (SELECT attrelid, attname, attnum FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped
                   UNION ALL SELECT oid, NULL, 0 FROM pg_class) a ON a.attrelid = c.oid
             WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v')
                 AND NOT c.relispartition AND c.relname <> '_sqlx_migrations'",
        )
        .await
        .unwrap();
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    rows.iter().map(|row| ((text(&row[0]), text(&row[1])), text(&row[2]))).collect()
}

/// What the database lacks of the page, as statements. Panics if the page lacks something.
async fn differences(db: &Database) -> Vec<String> {
    let (documented, stored) = (documented(), stored(db).await);
    let views = "SELECT relname::text FROM pg_class WHERE relkind = 'v'";
    let views = db.rows(views).await.unwrap().concat();
    let mut statements = Vec::new();
    let mut lacking = Vec::new();
    for (subject @ (of, column), comment) in &stored {
        match documented.get(subject).filter(|text| !text.is_empty()) {
            None if column.is_empty() => lacking.push(of.clone()),
            None => lacking.push(format!("{of}.{column}")),
            Some(text) if text == comment => {}
            Some(text) => {
                let kind = if views.contains(&Some(of.clone())) { "VIEW" } else { "TABLE" };
                let what = match column.is_empty() {
                    true => format!("{kind} {of}"),
                    false if column.chars().any(char::is_uppercase) => {
                        format!("COLUMN {of}.\"{column}\"")
                    }
                    false => format!("COLUMN {of}.{column}"),
                };
                statements.push(format!("COMMENT ON {what} IS '{}';\n", text.replace('\'', "''")));
            }
        }
    }
    assert!(lacking.is_empty(), "docs/schema.md does not describe: {lacking:?}");
    let is_there = |(of, column): &&Subject| {
        !column.is_empty() && !stored.contains_key(&(of.clone(), column.clone()))
    };
    let gone: Vec<_> = documented.keys().filter(is_there).collect();
    assert!(gone.is_empty(), "docs/schema.md describes what is not there: {gone:?}");
    statements
}

#[tokio::test(flavor = "multi_thread")]
async fn the_comments_say_what_the_documentation_says() {
    let db = Database::create(Kind::Postgres).await;
    if std::env::var_os("UPDATE_COMMENTS").is_some() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgres");
        let newest = format!("{:04}_", latest());
        let is_newest = |name: &str| name.starts_with(&newest) && name.ends_with(".up.sql");
        let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
        let is_file =
            |path: &std::path::PathBuf| is_newest(path.file_name().unwrap().to_str().unwrap());
        let file = { files }.find(is_file).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        let text = text.split(MARKER).next().unwrap().trim_end().to_owned() + "\n";
        // The database as the newest migration leaves it without its comments.
        let before = versions().into_iter().rev().nth(1).unwrap_or(0);
        store::migrate(&db.owner, Some(0)).await.unwrap();
        store::migrate(&db.owner, Some(before)).await.unwrap();
        db.execute(&text).await.unwrap();
        let statements = differences(&db).await.concat();
        let block =
            if statements.is_empty() { String::new() } else { format!("\n{MARKER}{statements}") };
        fs::write(&file, text + &block).unwrap();
        return;
    }
    let statements = differences(&db).await;
    assert!(
        statements.is_empty(),
        "these comments differ; UPDATE_COMMENTS=1 cargo test --locked --test it the_comments writes them \
         into the newest migration:\n{}",
        statements.concat()
    );
}
