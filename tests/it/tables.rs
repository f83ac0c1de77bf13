//! The program's list of tables and columns is that of the schema.

use joc_orders::store::tables::{ColumnType, TABLES};

use crate::harness::{Database, Kind};

/// What a column of this declared type may hold.
fn may_hold(kind: Kind, declared: &str) -> &'static [ColumnType] {
    use ColumnType::*;
    match (kind, declared) {
        (Kind::Sqlite, "TEXT") => &[Text, Instant, Json, JsonText],
        (Kind::Sqlite, "INTEGER") => &[Integer, Flag],
        (Kind::Sqlite, "BLOB") | (Kind::Postgres, "bytea") => &[Bytes],
        (Kind::Postgres, "text") => &[Text],
        (Kind::Postgres, "bigint" | "integer") => &[Integer],
        (Kind::Postgres, "boolean") => &[Flag],
        (Kind::Postgres, "timestamp with time zone") => &[Instant],
        (Kind::Postgres, "jsonb") => &[Json],
        (Kind::Postgres, "json") => &[JsonText],
        _ => &[],
    }
}

/// What the list and the schema say differently.
async fn differences(db: &Database) -> Vec<String> {
    // pragma_table_xinfo says of a generated column that it is hidden: 2 or 3.
    let columns = db.rows(match db.kind() {
        Kind::Sqlite => {
            "SELECT t.name, c.name, c.type, CAST(c.hidden > 1 AS TEXT)
            FROM sqlite_schema t, pragma_table_xinfo(t.name) c
            WHERE t.type = 'table' AND t.name NOT LIKE '\\_sqlx%' ESCAPE '\\'
            AND t.name NOT LIKE 'sqlite%' AND t.name <> 'sessions'"
        }
        Kind::Postgres => {
            "SELECT c.table_name, c.column_name, c.data_type,
                CASE c.is_generated WHEN 'ALWAYS' THEN '1' ELSE '0' END
            FROM information_schema.columns c
            JOIN information_schema.tables t USING (table_schema, table_name)
            WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE'
            AND c.table_name NOT IN ('_sqlx_migrations', 'sessions')
            AND NOT EXISTS (SELECT 1 FROM pg_class p
                WHERE p.oid = to_regclass(quote_ident(c.table_name)) AND p.relispartition)"
        }
    });
    let mut differences = Vec::new();
    let mut unseen: Vec<_> = TABLES
        .iter()
        .flat_map(|table| table.columns.iter().map(|column| (table.name, column.name)))
        .collect();
    for row in columns.await.unwrap() {
        let [table, column, declared, generated] = [0, 1, 2, 3].map(|i| row[i].as_deref().unwrap());
        unseen.retain(|listed| *listed != (table, column));
        let listed = TABLES.iter().find(|listed| listed.name == table);
        let columns = listed.map(|table| table.columns).unwrap_or_default();
        match columns.iter().find(|listed| listed.name == column) {
            None => differences.push(format!("{table}.{column} is not listed")),
            Some(listed) if !may_hold(db.kind(), declared).contains(&listed.holds) => {
                differences.push(format!("{table}.{column} is {declared}, not {:?}", listed.holds));
            }
            Some(listed) if listed.is_generated() != (generated == "1") => {
                differences.push(format!("{table}.{column} is generated, or is not"));
            }
            Some(_) => {}
        }
    }
    differences
        .extend(unseen.iter().map(|(table, column)| format!("{table}.{column} is not there")));
    differences
}

on_both! {
    async fn the_columns_listed_are_those_of_the_schema(kind: Kind) {
        let db = Database::create(kind).await;
        assert_eq!(differences(&db).await, [""; 0]);
        // As a migration would that forgets the list.
        db.execute("ALTER TABLE orders ADD COLUMN title text").await.unwrap();
        assert_eq!(differences(&db).await, ["orders.title is not listed"]);
    }
}
