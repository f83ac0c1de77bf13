//! Cancels, previews and lists the selections of a thousand orders.

use serde_json::json;

use crate::bench::Bench;
use crate::by_hand;
use crate::data::SELECTED;
use crate::set::Set;
use crate::targets::{CANCELS, READS};

pub async fn sets(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    let session = bench.session().await?;
    for set in Set::THOUSANDS {
        let name = format!("cancel {}", set.name());
        let runs = bench.args.runs;
        bench.cancel(&session, (&CANCELS, &name), (set, SELECTED), runs).await?;
    }
    for set in Set::THOUSANDS {
        let (call, body) = ("/orders/cancel/preview", set.request());
        let statements = bench.beside(call, &body, by_hand::preview(set)).await?;
        let name = format!("preview {}", set.name());
        bench.read(&session, (&READS, &name), (call, &body), &statements).await?;
    }
    // Lists have no `deep`.
    for set in Set::THOUSANDS.into_iter().filter(|set| *set != Set::Deep) {
        let (call, mut body) = ("/orders", set.request());
        body["limit"] = json!(-1);
        let name = format!("list {}", set.name());
        bench.read(&session, (&READS, &name), (call, &body), &by_hand::list(set)).await?;
    }
    session.service.stop()
}
