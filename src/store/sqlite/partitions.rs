//! SQLite has no partitions.

use sqlx::sqlite::SqliteConnection;

use crate::store::Result;
use crate::store::archive::Stretch;

/// Leaves all to be deleted.
pub(super) async fn drop_archived(
    _: &mut SqliteConnection,
    stretches: &[Stretch],
) -> Result<Vec<Stretch>> {
    Ok(stretches.to_vec())
}

/// Makes nothing.
pub(super) async fn make_room(_: &mut SqliteConnection, _: &str, _: usize) -> Result<()> {
    Ok(())
}
