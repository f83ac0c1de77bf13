//! Conditions about folders.

use super::{Dialect, Sql};
use crate::model::folders::{Folder, Folders};
use crate::store::tables::ColumnType::Text;

/// From this many folders on, orders are found through their workflows: a long chain of OR is more
/// than a database can plan or even parse.
pub(super) const MANY_FOLDERS: usize = 32;

/// Adds the condition that an order, or a workflow with the same columns, is in one of the folders.
pub(super) fn push_in_folders<DB: Dialect>(
    sql: &mut Sql<DB>,
    controller_id: &str,
    folders: &Folders,
) {
    if folders.len() < MANY_FOLDERS || folders.are_all() {
        // What is in a folder and below it is one range of paths.
        return push_any(sql, folders, |sql, folder| {
            let [low, high] = below(&folder.folder);
            sql.push("(o.workflow_path >= ").text(&low);
            sql.push(" AND o.workflow_path < ").text(&high);
            if !folder.recursive {
                // Not the column of the folder, which no index of orders has.
                let start =
                    i64::try_from(low.chars().count()).unwrap_or(i64::MAX).saturating_add(1);
                sql.push(" AND substr(o.workflow_path, CAST(").integer(start);
                sql.push(" AS integer)) NOT LIKE '%/%'");
            }
            sql.push(")");
        });
    }
    sql.push("o.workflow_path IN ").nested(|sql| {
        sql.push("SELECT w.path FROM workflows w\nWHERE w.folder");
        push_among_folders(sql, folders, |sql| {
            sql.push("SELECT DISTINCT w.folder FROM workflows w WHERE w.controller_id = ");
            sql.key(controller_id);
        });
        sql.push("\n  AND w.controller_id = ").key(controller_id);
    });
}

/// Adds the condition that a column is one of the folders, by a chain of OR.
pub(super) fn push_in_few_folders<DB: Dialect>(sql: &mut Sql<DB>, column: &str, folders: &Folders) {
    push_any(sql, folders, |sql, folder| {
        if folder.recursive {
            // A folder and those below it are not one range, since `/sos-x` lies between them, but
            // an index scan reads one range.
            let [low, high] = below(&folder.folder);
            sql.push(format_args!("({column} >= ")).text(&folder.folder);
            sql.push(format_args!(" AND {column} < ")).text(&high);
            sql.push(format_args!(" AND ({column} >= ")).text(&low);
            sql.push(format_args!(" OR {column} = ")).text(&folder.folder);
            sql.push("))");
        } else {
            sql.push(format_args!("{column} = ")).text(&folder.folder);
        }
    });
}

/// Adds the condition of one of the folders, by a chain of OR.
fn push_any<DB: Dialect>(
    sql: &mut Sql<DB>,
    folders: &Folders,
    push_one: impl Fn(&mut Sql<DB>, &Folder),
) {
    if folders.is_empty() || folders.are_all() {
        sql.push(if folders.is_empty() { "FALSE" } else { "TRUE" });
        return;
    }
    sql.push("(");
    for (i, folder) in folders.iter().enumerate() {
        push_one(sql.push(if i == 0 { "" } else { "\n    OR " }), folder);
    }
    sql.push(")");
}

/// Adds the condition, after a column that holds a workflow's folder, that it is one of these
/// folders, for any number of folders and workflows. `push_known` adds the query of the folders
/// that the column can have.
///
/// A join of folders with ranges would be quadratic. But the ranges do not overlap, so they and the
/// folders are merged in one order: a folder is in a range if it is below the highest end of the
/// ranges that begin before it.
pub(super) fn push_among_folders<DB: Dialect>(
    sql: &mut Sql<DB>,
    folders: &Folders,
    push_known: impl FnOnce(&mut Sql<DB>),
) {
    let ranges: Vec<(&str, Option<[String; 2]>)> = folders
        .iter()
        .map(|f| (f.folder.as_str(), f.recursive.then(|| below(&f.folder))))
        .collect();
    let rows = ranges.iter().map(|(folder, range)| {
        let [low, high] = range.as_ref().map_or([None, None], |r| [Some(&*r[0]), Some(&*r[1])]);
        [Some(*folder), low, high]
    });
    sql.push(" IN ").nested(|sql| {
        sql.push("WITH r AS MATERIALIZED (SELECT r.folder, r.low, r.high FROM ");
        sql.rows(&[("folder", Text), ("low", Text), ("high", Text)], rows);
        sql.push("),\nf AS MATERIALIZED (");
        push_known(sql);
        sql.push(
            ")\n\
             SELECT r.folder FROM r\n\
             UNION ALL\n\
             SELECT m.folder\n\
             FROM (\n    \
                 SELECT s.folder, s.is_folder, max(s.high) OVER (ORDER BY s.folder) AS high\n    \
                 FROM (\n        \
                     SELECT f.folder, f.folder AS high, TRUE AS is_folder FROM f\n        \
                     UNION ALL\n        \
                     SELECT r.low, r.high, FALSE FROM r WHERE r.low IS NOT NULL\n    \
                 ) s\n\
             ) m\n\
             WHERE m.is_folder AND m.folder < m.high",
        );
    });
}

/// The folders below a folder as a half-open range: '0' follows '/'.
fn below(folder: &str) -> [String; 2] {
    let folder = folder.trim_end_matches('/');
    [format!("{folder}/"), format!("{folder}0")]
}
