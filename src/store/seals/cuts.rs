//! Verifies the cuts: that each is sealed, and that the chain continues behind it.

use super::ledger::{FindingSink, Ledger, Range};
use crate::model::archive::{Cut, broken_cuts, hash_of};
use crate::model::checks::NO_CONTROLLER;
use crate::model::counted::counted;
use crate::model::finding::Finding;
use crate::model::seal::Seal;
use crate::store::Result;
use futures_util::TryStreamExt;

fn finding(cut: &Cut, problem: String) -> Finding {
    Finding {
        controller_id: Some(cut.controller_id.clone()),
        seal: Some(cut.last_seal),
        audit_log_id: None,
        order_id: None,
        problem,
    }
}

/// Reports cuts that were changed or removed: the latest archiving has recorded a hash over all.
pub(super) async fn report_cuts(
    ledger: &mut dyn Ledger,
    cuts: &[Cut],
    report: FindingSink<'_>,
) -> Result<()> {
    for (cut, problem) in broken_cuts(cuts) {
        report(finding(cut, problem.into()));
    }
    let Some(latest) = cuts.iter().max_by_key(|cut| cut.audit_log_id) else { return Ok(()) };
    let id = latest.audit_log_id;
    let range = Range { controller_id: NO_CONTROLLER, after: id.saturating_sub(1), upto: id };
    let entry = ledger.entries(range, 1).try_next().await?;
    let recorded = entry.and_then(|entry| {
        let parameters: serde_json::Value = serde_json::from_str(&entry.parameters).ok()?;
        parameters.get("cuts")?.as_str().map(str::to_owned)
    });
    let problem = match recorded {
        None => "the cut is not recorded: entries were removed without `audit archive`",
        Some(recorded) if recorded != hash_of(cuts) => {
            "the cuts are not those that were recorded: one was added, changed or removed"
        }
        Some(_) => return Ok(()),
    };
    report(Finding { audit_log_id: Some(id), seal: None, ..finding(latest, problem.into()) });
    Ok(())
}

/// Reports what should not be before a cut, and returns the seal behind it, if it is there.
pub(super) async fn behind(
    ledger: &mut dyn Ledger,
    cut: &Cut,
    report: FindingSink<'_>,
) -> Result<Option<Seal>> {
    let counts = ledger.returned(cut).await?;
    for (count, noun) in counts.into_iter().zip(["entry", "detail", "seal"]) {
        if count > 0 {
            let rows = counted(count.unsigned_abs(), noun);
            let are = if count == 1 { "is" } else { "are" };
            let problem = format!("{rows} from before the cut {are} there, which {are} archived");
            report(finding(cut, problem));
        }
    }
    let seal = ledger.page(&cut.controller_id, cut.last_seal - 1).try_next().await?;
    let seal = seal.map(Seal::from).filter(|seal| seal.line.number == cut.last_seal);
    match &seal {
        None => report(finding(cut, "the seal of the cut was removed".into())),
        Some(Seal { line, .. }) if (&line.hash, line.last_id) != (&cut.seal_hash, cut.last_id) => {
            report(finding(cut, "the seal of the cut was changed".into()));
        }
        Some(_) => {}
    }
    Ok(seal)
}
