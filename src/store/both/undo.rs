//! The undo of a cancel.

use async_trait::async_trait;

use super::backend::{Backend, DbConnection};
use super::built::Db;
use crate::model::audit::AuditEntry;
use crate::model::selection::{Selection, Sight};
use crate::store::Result;
use crate::store::sql::Sql;
use crate::store::sql::undo::{entry, left, push_undone_by};
use crate::store::undo::{LeftOrders, Undo, UndoneEntry};

#[async_trait]
impl Undo for Backend {
    async fn find_undone(
        &self,
        controller_id: &str,
        audit_log_id: i64,
        sight: &[Sight],
    ) -> Result<Option<UndoneEntry>> {
        let entries = self.all(entry(controller_id, audit_log_id, sight), false).await?;
        Ok(entries.into_iter().next())
    }

    async fn left(
        &self,
        selection: &Selection,
        audit_log_id: i64,
        undone_by: Option<i64>,
        limit: u32,
    ) -> Result<LeftOrders> {
        let rows = self.all(left(selection, audit_log_id, undone_by, limit), false).await?;
        Ok(LeftOrders::of(rows))
    }
}

/// The entry that has undone the one that a request is to undo.
pub(in super::super) async fn undone_by(
    connection: &mut DbConnection,
    request: &AuditEntry,
) -> Result<Option<i64>> {
    let Some(id) = request.undoes else { return Ok(None) };
    let mut sql = Sql::<Db>::new();
    push_undone_by(&mut sql, &request.controller_id, id);
    Ok(sql.builder().build_query_scalar().fetch_one(connection).await?)
}
