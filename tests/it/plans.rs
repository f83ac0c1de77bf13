//! An index serves each kind of selection, at 100,000 orders, also right after a bulk load by SQL;
//! with statistics, the index that fits best.

use joc_orders::model::action::Action;
use joc_orders::model::folders::Folder;
use joc_orders::model::order::{EffectiveState, StateWord};
use joc_orders::model::permission::Visible;
use joc_orders::model::selection::{Reach, Selection, Selectors, Sight, Unfiltered};
use joc_orders::model::workflow_id::WorkflowId;
use serde_json::json;

use crate::harness::{App, CONTROLLER, Kind, Order, start_time, until, with_controller};

mod trail;

/// 100,000 orders of 500 workflows in 100 folders; 30,000 are living, 1,000 of those are children.
async fn fill(app: &App) {
    let series = |last: u32| match app.db.kind() {
        Kind::Sqlite => format!(
            "(WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {last}) \
             SELECT n FROM s) s"
        ),
        Kind::Postgres => format!("generate_series(1, {last}) s (n)"),
    };
    let due = match app.db.kind() {
        Kind::Sqlite => "strftime('%Y-%m-%dT%H:%M:%fZ', '2026-11-01', '+' || n || ' minutes')",
        Kind::Postgres => "timestamptz '2026-11-01T00:00:00Z' + n * interval '1 minute'",
    };
    let state = "CASE WHEN n % 10 > 2 THEN 'FINISHED' WHEN n % 50 = 0 THEN 'FAILED' \
                 WHEN n % 70 = 1 THEN 'WAITING' ELSE 'FRESH' END";
    let sql = format!(
        "INSERT INTO workflows (controller_id, path, version_id) \
         SELECT '{CONTROLLER}', '/f' || (n % 10) || '/g' || (n % 100) || '/w' || n, '1' FROM {}; \
         INSERT INTO orders (controller_id, order_id, workflow_path, workflow_version_id, state, \
             scheduled_for) \
         SELECT '{CONTROLLER}', \
             CASE WHEN n % 100 = 2 THEN '#o' || (n - 1) || '|east' ELSE '#o' || n END, \
             '/f' || ((n % 500 + 1) % 10) || '/g' || ((n % 500 + 1) % 100) || '/w' || (n % 500 + 1), \
             '1', {state}, {due} FROM {}",
        series(500),
        series(100_000),
    );
    app.db.execute(&sql).await.unwrap();
}

fn selectors() -> Selectors {
    Selectors { controller_id: CONTROLLER.into(), ..Selectors::default() }
}

/// Every kind of selection, with suitable indexes on SQLite and PostgreSQL.
fn selections() -> Vec<(&'static str, Selectors, &'static [&'static str])> {
    const KEY: &[&str] = &["orders_living_id", "orders_pkey", "PRIMARY KEY"];
    const WORKFLOW: &[&str] = &["orders_living_workflow"];
    let folder = |folder: &str, recursive| Folder { folder: folder.into(), recursive };
    let workflow = |path: &str, version: Option<&str>| WorkflowId {
        path: path.into(),
        version_id: version.map(Into::into),
    };
    let cyclic = |n: u32| format!("#2026-12-01#C{n}-00001-20-o");
    let ids = |n: u32| (1..=n).map(|i| format!("#o{}", i * 10)).collect();
    vec![
        ("one id", Selectors { order_ids: ids(1), ..selectors() }, KEY),
        ("a thousand ids", Selectors { order_ids: ids(1000), ..selectors() }, KEY),
        ("a cycle", Selectors { order_ids: vec![cyclic(1)], ..selectors() }, KEY),
        (
            "many cycles",
            Selectors { order_ids: (1..=100).map(cyclic).collect(), ..selectors() },
            KEY,
        ),
        ("a folder", Selectors { folders: vec![folder("/f1/g1", false)], ..selectors() }, WORKFLOW),
        (
            "folders below",
            Selectors { folders: vec![folder("/f1/g1", true)], ..selectors() },
            WORKFLOW,
        ),
        (
            "many folders",
            Selectors {
                folders: (0..40).map(|i| folder(&format!("/f0/g{i}0"), true)).collect(),
                ..selectors()
            },
            WORKFLOW,
        ),
        (
            "a workflow",
            Selectors { workflow_ids: vec![workflow("/f1/g1/w1", None)], ..selectors() },
            WORKFLOW,
        ),
        (
            "a version of a workflow",
            Selectors { workflow_ids: vec![workflow("/f1/g1/w1", Some("1"))], ..selectors() },
            WORKFLOW,
        ),
        (
            "a bare name",
            Selectors { workflow_ids: vec![workflow("w1", None)], ..selectors() },
            WORKFLOW,
        ),
        (
            "a state",
            Selectors { states: vec![StateWord(Some(EffectiveState::Failed))], ..selectors() },
            &["orders_living_state"],
        ),
        (
            "a window",
            Selectors {
                date_from: Some("2026-11-23T12:00:00".into()),
                date_to: Some("2026-11-23T12:10:00".into()),
                ..selectors()
            },
            &["orders_living_scheduled"],
        ),
    ]
}

fn resolve(selectors: Selectors, deep: bool) -> Selection {
    let mut selection = selectors.resolve(start_time(), Unfiltered::Refuse, Reach::Living).unwrap();
    selection.sight = vec![Sight { states: &[], visible: Visible::Everything }];
    selection.deep = deep;
    selection
}

async fn check(app: &App, when: &str, strictly: bool) {
    for (what, selectors, fitting) in selections() {
        for deep in [false, true] {
            let mut selection = resolve(selectors.clone(), deep);
            selection.whole_cycles = true;
            let plan = app.store.plan(&selection, &Action::Cancel { kill: true }).await.unwrap();
            let short = |step: &String| step.chars().take(200).collect::<String>();
            let shown = plan.iter().map(short).collect::<Vec<_>>().join("\n");
            let read_whole = plan.iter().any(|step| {
                let step = step.trim_start_matches([' ', '-', '>']);
                step.contains("Seq Scan on orders")
                    || (step.starts_with("SCAN o") && !step.contains("USING INDEX"))
                    || step == "SCAN orders"
            });
            assert!(!read_whole, "{when}, {what}, deep {deep}: reads all orders:\n{shown}");
            if !strictly {
                continue;
            }
            let fits = fitting.iter().any(|index| shown.contains(index));
            assert!(fits, "{when}, {what}, deep {deep}: expected {fitting:?} in\n{shown}");
            let children = shown.contains("orders_living_children");
            assert!(children, "{when}, {what}, deep {deep}: children are not found:\n{shown}");
        }
    }
}

/// The plan of the last golden statement of a name, with these values in place of its parameters.
async fn golden_plan(app: &App, name: &str, values: &[&str]) -> String {
    let (folder, explain) = match app.db.kind() {
        Kind::Sqlite => ("sqlite", "EXPLAIN QUERY PLAN"),
        Kind::Postgres => ("postgres", "EXPLAIN"),
    };
    let path = format!("{}/tests/golden/{folder}/{name}.sql", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let statements = text.trim_end().trim_end_matches(';');
    let mut sql = statements.rsplit(";\n").next().unwrap().to_owned();
    // From the last on, since $1 begins $10.
    for (i, value) in values.iter().enumerate().rev() {
        sql = sql.replace(&format!("${}", i + 1), value);
    }
    for value in values {
        sql = sql.replacen('?', value, 1);
    }
    let plan = app.db.rows(&format!("{explain} {sql}")).await.unwrap();
    format!("{plan:?}")
}

/// Indexes serve what is read of one day or one workflow.
async fn check_reads(app: &App) {
    let controller = &*format!("'{CONTROLLER}'");
    let day = ["'2027-01-01T00:00:00.000Z'", "'2027-01-02T00:00:00.000Z'"];
    let plan = golden_plan(app, "summary", &[controller, day[0], day[1]]).await;
    assert!(plan.contains("orders_terminal_started"), "{plan}");

    let values = match app.db.kind() {
        Kind::Sqlite => vec![controller, "'[\"/f1/g1/w1\"]'", controller, controller],
        Kind::Postgres => {
            vec![controller, "'{/f1/g1/w1}'", day[0], controller, day[0], controller]
        }
    };
    let workflow = golden_plan(app, "workflow", &values).await;
    for index in ["orders_living_workflow", "orders_terminal_workflow"] {
        assert!(workflow.contains(index), "{index}: {workflow}");
    }

    // A list is read in the order of its ids, and an index alone counts terminal orders.
    let (list, snapshot, only) = match app.db.kind() {
        Kind::Sqlite => {
            (vec![controller, controller], vec![controller, day[0], controller], "COVERING INDEX")
        }
        Kind::Postgres => (
            vec![controller, day[0], controller],
            vec![day[0], controller, day[0], controller],
            "Index Only Scan using",
        ),
    };
    if app.db.kind() == Kind::Sqlite {
        let values = [controller, controller, "'/f1/g1/'", "'/f1/g10'", "100"];
        let folder = golden_plan(app, "list", &values).await;
        assert!(folder.contains("orders_living_workflow"), "{folder}");
    }
    let list = golden_plan(app, "list_all", &list).await;
    assert!(list.contains("orders_living_id"), "{list}");
    let snapshot = golden_plan(app, "snapshot_horizon", &snapshot).await;
    assert!(snapshot.contains(&format!("{only} orders_terminal_workflow")), "{snapshot}");
}

/// Indexes serve the overviews.
async fn check_overviews(app: &App) {
    let (controller, now) = (&*format!("'{CONTROLLER}'"), "'2026-11-23T12:34:56.789Z'");
    let [ten, eleven, twelve, one, half] = [
        "'2026-11-23T10:00:00.000Z'",
        "'2026-11-23T11:00:00.000Z'",
        "'2026-11-23T12:00:00.000Z'",
        "'2026-11-23T13:00:00.000Z'",
        "'2026-11-23T13:30:00.000Z'",
    ];
    let (schedule, folders) = match app.db.kind() {
        Kind::Sqlite => (
            vec![twelve, eleven, one, controller, ten, half, controller, now, controller],
            vec![controller, "'/f1/g1/'", "'/f1/g10'"],
        ),
        Kind::Postgres => (
            vec![
                twelve, eleven, one, now, controller, ten, half, now, controller, now, now,
                controller,
            ],
            vec![now, controller, "'/f1/g1/'", "'/f1/g10'"],
        ),
    };
    let plan = golden_plan(app, "overview_schedule_of_all", &schedule).await;
    // For what is overdue, a third of them here, SQLite takes the index that has all columns.
    let covering = "COVERING INDEX orders_living_workflow";
    let served = |index: &str| plan.matches(index).count();
    assert_eq!(served("orders_living_scheduled") + served(covering), 3, "{plan}");
    assert!(served(covering) < 2, "{plan}");
    let plan = golden_plan(app, "overview_folders", &folders).await;
    assert!(plan.contains("orders_living_workflow"), "{plan}");
}

on_both! {
    async fn every_selection_uses_a_suitable_index(kind: Kind) {
        let app = App::start(kind, &[]).await;
        fill(&app).await;
        check(&app, "right after a bulk load", false).await;
        let statistics = match kind {
            Kind::Sqlite => "ANALYZE",
            // Only where all rows of a page are known to be visible is an index enough.
            Kind::Postgres => "VACUUM ANALYZE",
        };
        app.db.execute(statistics).await.unwrap();
        // SQLite's connections read statistics together with the schema.
        let app = app.replica(&[]).await;
        check(&app, "with statistics", true).await;
        check_reads(&app).await;
        check_overviews(&app).await;
    }
}

/// PostgreSQL writes a new version of a row without index entries (HOT) if no indexed column changes
/// and its page has room.
#[tokio::test(flavor = "multi_thread")]
async fn suspends_and_resumes_of_fresh_orders_write_to_no_index() {
    let app = App::with(Kind::Postgres, &["a", "b", "c"].map(Order::new)).await;
    let ids = with_controller(json!({"orderIds": ["a", "b", "c"]}));
    app.post("/orders/suspend", &ids).await.ok();
    app.post("/orders/resume", &ids).await.ok();
    let updates = async |column: &str| {
        let sql = format!("SELECT {column} FROM pg_stat_user_tables WHERE relname = 'orders'");
        app.db.count(&sql).await
    };
    // The server counts with a delay.
    until("the updates are counted", async || updates("n_tup_upd").await == 6).await;
    assert_eq!(updates("n_tup_hot_upd").await, 6);
}
