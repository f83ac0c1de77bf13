//! The audit entries of administration, each in the transaction of its change.

use serde_json::Value;

use super::audit;
use super::backend::DbConnection;
use crate::model::administrator::Administrator;
use crate::model::audit::{Category, Outcome};
use crate::store::Result;

/// Records a change by an administrator, if there is one.
pub(super) async fn record(
    connection: &mut DbConnection,
    by: Option<Administrator>,
    category: Category,
    controller_id: Option<&str>,
    parameters: Value,
) -> Result<()> {
    if let Some(by) = by {
        let entry = by.entry(category, controller_id, parameters);
        audit::insert(connection, &entry, Outcome::Done, 0).await?;
    }
    Ok(())
}
