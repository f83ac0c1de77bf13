//! Copies out of and into PostgreSQL.

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::sync::mpsc::{Receiver, Sender};

use super::PgStore;
use crate::store::Result;
use crate::store::copy::{
    Batch, Copies, HAS_DATA, Kind, Progress, TABLES, TRAIL, Table, count, expect_no_data, json,
    send,
};

#[async_trait]
impl Copies for PgStore {
    async fn size(&self) -> Result<u64> {
        let count = sqlx::query_scalar::<_, i64>(AssertSqlSafe(count()));
        Ok(count.fetch_one(&self.pool).await?.unsigned_abs())
    }

    async fn dump(&self, to: Sender<Batch>) -> Result<()> {
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let mut transaction = self.pool.begin_with(begin).await?;
        for table in TABLES {
            let sql = AssertSqlSafe(select(table));
            let rows = sqlx::query_scalar(sql).fetch(&mut *transaction);
            if !send(table, rows, &to).await? {
                return Ok(());
            }
        }
        let _gone = to.send(Batch::End).await;
        Ok(())
    }

    async fn load(&self, mut from: Receiver<Batch>, progress: Progress<'_>) -> Result<bool> {
        let mut transaction = self.pool.begin().await?;
        let tables: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
        let lock = format!("LOCK TABLE {} IN EXCLUSIVE MODE", tables.join(", "));
        sqlx::query(AssertSqlSafe(lock)).execute(&mut *transaction).await?;
        expect_no_data(sqlx::query_scalar(HAS_DATA).fetch_one(&mut *transaction).await?)?;
        sqlx::query!("DELETE FROM roles WHERE true").execute(&mut *transaction).await?;
        let rules = suspend_rules(&mut transaction).await?;
        while let Some(batch) = from.recv().await {
            let Batch::Rows(table, rows) = batch else {
                // A forged id may be so high that it would leave none for what is to come.
                sqlx::query!(
                    "SELECT setval(pg_get_serial_sequence('audit_logs', 'id'), max(id))
                     FROM audit_logs WHERE id BETWEEN 1 AND 4503599627370496
                     HAVING max(id) IS NOT NULL"
                )
                .fetch_optional(&mut *transaction)
                .await?;
                sqlx::raw_sql(AssertSqlSafe(rules)).execute(&mut *transaction).await?;
                let analyze = format!("ANALYZE {}", tables.join(", "));
                sqlx::query(AssertSqlSafe(analyze)).execute(&mut *transaction).await?;
                transaction.commit().await?;
                return Ok(true);
            };
            let sql = AssertSqlSafe(insert(table));
            sqlx::query(sql).bind(json(&rows)).execute(&mut *transaction).await?;
            progress(table, rows.len());
        }
        Ok(false)
    }
}

/// Takes the rules off the trail that are for its new rows alone, and gives the statements that
/// put them back. Until the transaction ends, nobody else writes to it.
async fn suspend_rules(connection: &mut PgConnection) -> Result<String> {
    let rules = sqlx::query!(
        r#"SELECT format('ALTER TABLE %s DROP CONSTRAINT %I;', conrelid::regclass, conname) AS "off!",
               format('ALTER TABLE %s ADD CONSTRAINT %I %s;', conrelid::regclass, conname,
                   pg_get_constraintdef(oid)) AS "on!"
           FROM pg_constraint
           WHERE contype = 'c' AND NOT convalidated
               AND conrelid IN (SELECT to_regclass(t)::oid FROM unnest($1::text[]) t)
           UNION ALL
           SELECT format('ALTER TABLE %s DISABLE TRIGGER %I;', tgrelid::regclass, tgname),
               format('ALTER TABLE %s ENABLE TRIGGER %I;', tgrelid::regclass, tgname)
           FROM pg_trigger
           WHERE NOT tgisinternal AND tgenabled = 'O' AND tgtype & 4 <> 0
               AND tgrelid IN (SELECT to_regclass(t)::oid FROM unnest($1::text[]) t)"#,
        &TRAIL as &[&str],
    )
    .fetch_all(&mut *connection)
    .await?;
    let off: String = rules.iter().map(|rule| &*rule.off).collect();
    sqlx::raw_sql(AssertSqlSafe(off)).execute(connection).await?;
    Ok(rules.into_iter().map(|rule| rule.on).collect())
}

fn select(table: &Table) -> String {
    let columns = table.list(|_, name, kind| match kind {
        Kind::Text | Kind::Integer => name.into(),
        Kind::Flag => format!("{name}::integer"),
        Kind::Json | Kind::JsonText => format!("{name}::text"),
        Kind::Bytes => format!("encode({name}, 'hex')"),
        Kind::Instant => {
            format!(r#"to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"#)
        }
    });
    format!("SELECT json_build_array({columns})::text FROM {}", table.name)
}

fn insert(table: &Table) -> String {
    let values = table.list(|i, _, kind| match kind {
        Kind::Text => format!("value ->> {i}"),
        Kind::Integer => format!("(value ->> {i})::bigint"),
        Kind::Flag => format!("(value ->> {i})::integer::boolean"),
        Kind::Json => format!("(value ->> {i})::jsonb"),
        Kind::JsonText => format!("(value ->> {i})::json"),
        Kind::Bytes => format!("decode(value ->> {i}, 'hex')"),
        Kind::Instant => format!("(value ->> {i})::timestamptz"),
    });
    format!(
        "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {values} \
         FROM json_array_elements($1::text::json)",
        table.name,
        table.names(),
    )
}
