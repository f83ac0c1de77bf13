//! What capture records of an order, and which changes are reports of executors.

use crate::store::tables::{TABLES, Table, TableColumn};

/// The columns that executors report. `docs/executors.md` has their statements.
const REPORTED: [&str; 10] = [
    "state",
    "suspended",
    "mark",
    "kill_requested",
    "sigkill_at",
    "modified",
    "position",
    "reason",
    "started",
    "state_since",
];

/// The columns whose values are recorded: all that can be written.
pub(in crate::store) fn recorded() -> impl Iterator<Item = &'static TableColumn> {
    TABLES.iter().filter(|table| table.name == "orders").flat_map(Table::written)
}

/// As [`recorded`], for a new row. Its history id is drawn, on SQLite only after the insert.
pub(in crate::store) fn recorded_at_first() -> impl Iterator<Item = &'static TableColumn> {
    recorded().filter(|column| column.name != "history_id")
}

/// The condition that an update of `OLD` to `NEW` is one that `docs/executors.md` gives; it may be
/// null. `same` is the condition that a column is unchanged, `now` the instant of the statement.
pub(in crate::store) fn is_report(same: impl Fn(&str) -> String, now: &str) -> String {
    let others: Vec<_> = recorded()
        .filter(|column| !REPORTED.contains(&column.name))
        .map(|column| same(column.name))
        .collect();
    let [state, suspended, mark] = ["state", "suspended", "mark"].map(&same);
    let [kill_requested, sigkill_at] = ["kill_requested", "sigkill_at"].map(&same);
    let [state_since, started] = ["state_since", "started"].map(&same);
    // A mark is only cleared, and then its order is what it asked for.
    format!(
        "{}
        AND (NEW.modified <> OLD.modified OR NEW.modified = {now})
        AND ({state} AND {suspended} AND {state_since} OR NEW.state_since = NEW.modified)
        AND ({started} OR OLD.started IS NULL AND NEW.started = NEW.modified)
        AND ({mark} OR NEW.mark IS NULL)
        AND ({kill_requested} OR NEW.kill_requested IS NULL)
        AND ({sigkill_at} OR NEW.sigkill_at IS NULL)
        AND CASE WHEN {mark} THEN {suspended} AND NEW.state <> 'CANCELLED'
                OR coalesce(NEW.mark, '') = '' AND NEW.state = 'FINISHED'
            WHEN OLD.mark = 'CANCELLING' THEN NEW.state = 'CANCELLED'
            WHEN NEW.state = 'CANCELLED' THEN FALSE
            WHEN OLD.mark = 'SUSPENDING' THEN NEW.suspended OR NEW.state = 'FINISHED'
            ELSE NOT NEW.suspended END
        AND ({state} OR OLD.state <> 'FRESH' OR OLD.mark = 'CANCELLING'
            OR NEW.state = 'RUNNING' AND NOT OLD.suspended)
        AND ({state} OR NEW.state <> 'RUNNING' OR OLD.mark IS NULL)",
        others.join(" AND "),
    )
}

/// The condition that a new row may be the child of an order that an executor forks.
pub(in crate::store) const IS_CHILD: &str = "NEW.state = 'FRESH' AND NOT NEW.suspended \
     AND NEW.mark IS NULL AND NEW.started IS NULL AND NEW.parent_id IS NOT NULL";

/// The triggers, each with what fires it.
#[cfg(feature = "sqlite")]
pub(in crate::store) const TRIGGERS: [(&str, &str); 3] = [
    ("orders_capture_insert", "INSERT"),
    ("orders_capture_update", "UPDATE"),
    ("orders_capture_delete", "DELETE"),
];
