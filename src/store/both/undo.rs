//! The undo of a cancel.

use async_trait::async_trait;

use super::backend::{Backend, DbConnection};
use super::checked::query_scalar;
use crate::model::audit::AuditEntry;
use crate::model::permission::Visible;
use crate::model::selection::Selection;
use crate::store::Result;
use crate::store::sql::undo::{Left, entry};
use crate::store::undo::{LeftOrders, Undo, UndoneEntry};

#[async_trait]
impl Undo for Backend {
    async fn find_undone(
        &self,
        controller_id: &str,
        audit_log_id: i64,
        visible: &Visible,
    ) -> Result<Option<UndoneEntry>> {
        let entries = self.all(entry(controller_id, audit_log_id, visible), false).await?;
        Ok(entries.into_iter().next())
    }

    async fn left(
        &self,
        selection: &Selection,
        audit_log_id: i64,
        undone_by: Option<i64>,
        visible: &Visible,
        limit: u32,
    ) -> Result<LeftOrders> {
        let left = Left { selection, audit_log_id, undone_by, visible };
        let counts: Vec<(String, i64)> = self.all(left.count(), false).await?;
        let counts = counts.into_iter().map(|(fate, orders)| (fate, orders.unsigned_abs()));
        Ok(LeftOrders {
            counts: counts.collect(),
            orders: self.all(left.first(limit), false).await?,
        })
    }
}

/// The entry that has undone the one that a request is to undo.
pub(in super::super) async fn undone_by(
    connection: &mut DbConnection,
    request: &AuditEntry,
) -> Result<Option<i64>> {
    let Some(id) = request.undoes else { return Ok(None) };
    let undone_by = query_scalar!(
        r#"SELECT max(id) AS "id: i64" FROM audit_logs
           WHERE controller_id = $1 AND undoes = $2 AND outcome = 'DONE'"#,
        request.controller_id,
        id,
    );
    Ok(undone_by.fetch_one(connection).await?)
}
