//! What a change would do.

use super::backend::Backend;
use super::built::Db;
use crate::model::action::Action;
use crate::model::selection::Selection;
use crate::store::sql::Sql;
use crate::store::sql::change::push_preview;
use crate::store::sql::selection::{plans_alike, push_judged};
use crate::store::{Preview, Result, preview};

impl Backend {
    /// See [`crate::store::Orders::preview`].
    pub(in super::super) async fn show_preview(
        &self,
        selection: &Selection,
        action: &Action,
        limit: u32,
    ) -> Result<Preview> {
        let sql = push_query(Sql::at(selection.now), selection, action, limit);
        let texts: Vec<(String,)> = self.all(sql, plans_alike(selection)).await?;
        preview(action, &texts)
    }
}

/// Adds the query of a preview.
pub(in super::super) fn push_query(
    mut sql: Sql<Db>,
    selection: &Selection,
    action: &Action,
    limit: u32,
) -> Sql<Db> {
    push_judged(&mut sql, selection);
    push_preview(&mut sql, selection, action, limit);
    sql
}
