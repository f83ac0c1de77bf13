//! Problems outside the seals: entries that the service cannot have written, overdue entries, and
//! details without an entry.

use chrono::{DateTime, Utc};

use super::ledger::{FindingSink, Ledger, Stray};
use crate::model::counted::counted;
use crate::model::finding::Finding;
use crate::model::window::iso;
use crate::store::Result;

/// Reports entries that the service cannot have written, whatever their controllers.
pub(super) async fn report_strays(ledger: &mut dyn Ledger, report: FindingSink<'_>) -> Result<()> {
    for Stray { controller_id, id } in ledger.strays().await? {
        let problem = if id < 1 || !controller_id.is_empty() {
            "the entry is forged: the database never drew its id"
        } else {
            "the entry is forged: it has no controller, not even '-'"
        };
        report(Finding {
            controller_id: Some(controller_id),
            seal: None,
            audit_log_id: Some(id),
            order_id: None,
            problem: problem.into(),
        });
    }
    Ok(())
}

/// Finds problems of a chain after its last seal.
pub(super) struct BrokenChains<'a> {
    pub ledger: &'a mut dyn Ledger,
    pub report: &'a mut (dyn FnMut(Finding) + Send),
}

impl BrokenChains<'_> {
    /// Reports them for a chain whose last seal covers entries up to `last_id`.
    pub(super) async fn find(
        &mut self,
        controller_id: &str,
        last_id: i64,
        before: DateTime<Utc>,
    ) -> Result<()> {
        let (overdue, first) = self.ledger.overdue(controller_id, last_id, before).await?;
        if let (Ok(overdue @ 1..), Some(first)) = (u64::try_from(overdue), first) {
            let problem = format!(
                "{} from here on, written before {}, {} no seal: sealing has stopped, or seals \
                 were removed",
                counted(overdue, "entry"),
                iso(&before),
                if overdue == 1 { "has" } else { "have" },
            );
            self.find_one(controller_id, first, problem);
        }
        for (id, details) in self.ledger.orphans(controller_id, last_id).await? {
            let details = counted(details.unsigned_abs(), "detail");
            let problem = format!("this controller has no such entry, but {details} of it");
            self.find_one(controller_id, id, problem);
        }
        Ok(())
    }

    fn find_one(&mut self, controller_id: &str, id: i64, problem: String) {
        (self.report)(Finding {
            controller_id: Some(controller_id.into()),
            seal: None,
            audit_log_id: Some(id),
            order_id: None,
            problem,
        });
    }
}
