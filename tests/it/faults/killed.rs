//! PostgreSQL stops and comes back in the middle of requests.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Clients, becomes_ready, cancel, compare, works};
use crate::harness::{Cluster, Database, Order, Served, until};

/// Whether a statement of the service takes long.
const LARGE: &str = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'joc-orders'
                     AND state = 'active' AND now() - query_start > interval '80 milliseconds'";

/// Longer than the service needs to notice that the server is gone, and then waits for it.
const LONG: Duration = Duration::from_secs(17);

/// Clients cancel, one of them many orders at once, while the server is stopped by a signal and
/// stays away for a while.
async fn outage(signal: &str, away: Duration) {
    let mut cluster = tokio::task::spawn_blocking(Cluster::start).await.unwrap();
    let db = Database::of(&cluster).await;
    let clients = Clients::with(&db, 6000).await;
    let large: Vec<String> = (0..20_000).map(|i| format!("large {i:05}")).collect();
    let order = |id: &String| Order::new(id).workflow("/large/job", "1");
    db.insert(&large.iter().map(order).collect::<Vec<_>>()).await;
    db.insert(&[Order::new("meanwhile")]).await;
    let mut served = Served::over(&db, &[]);
    let token = served.login().await;

    let operator = async {
        clients.call(20).await;
        until("a statement takes long", async || db.count(LARGE).await > 0).await;
        tokio::task::block_in_place(|| cluster.tell(signal));
        let ended = Instant::now();
        becomes_ready(&served, 503, Duration::from_secs(6)).await;
        assert_eq!(served.page("/health").await.ok(), json!({"alive": true}));
        let comes_back = async {
            tokio::time::sleep(away.saturating_sub(ended.elapsed())).await;
            tokio::task::block_in_place(|| cluster.tell("start"));
        };
        let ids = ["meanwhile".to_owned()];
        let meanwhile = cancel(&served, &token, "meanwhile", &ids, None);
        let (meanwhile, ()) = tokio::join!(meanwhile, comes_back);
        becomes_ready(&served, 200, Duration::from_secs(15)).await;
        clients.call(20).await;
        clients.stop();
        meanwhile
    };
    let large = async {
        clients.call(10).await;
        let fields = json!({"folders": [{"folder": "/large"}]});
        cancel(&served, &token, "large", &large, Some(fields)).await
    };
    let (mut told, large, meanwhile) =
        tokio::join!(clients.cancel(&served, &token, 4), large, operator);
    told.extend([large, meanwhile]);
    told.push(works(&mut served, &db, &token, "afterwards").await);
    let outcomes = compare(&db, &told).await;
    eprintln!("{signal}: {outcomes:?}");
    assert!(outcomes.done > 10, "{outcomes:?}");
    if away > LONG {
        // At least the requests that arrived while it was away.
        assert!(outcomes.refused > 0, "{outcomes:?}");
    } else {
        // It is back before the service stops trying to find out what became of the changes.
        assert_eq!(outcomes.unsettled, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn survives_a_long_outage_of_postgresql() {
    outage("QUIT", LONG + Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn survives_a_short_outage_of_postgresql() {
    outage("KILL", Duration::from_secs(4)).await;
}
