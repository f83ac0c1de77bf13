//! Rows that are wrong by themselves.

use crate::model::permission::known::permissions;
use crate::store::copy;
use crate::store::sql::Dialect;

/// Tables, each with the SQL of a row's controller, entry, order and further name.
const NAMED: &[(&str, [&str; 4])] = &[
    ("controllers", ["controller_id", "NULL", "NULL", "''"]),
    (
        "workflows",
        ["controller_id", "NULL", "NULL", "'workflow ' || path || ' ' || version_id || ': '"],
    ),
    ("orders", ["controller_id", "NULL", "order_id", "''"]),
    ("order_runs", ["controller_id", "NULL", "order_id", "'run ' || run || ': '"]),
    ("audit_logs", ["controller_id", "id", "NULL", "''"]),
    ("audit_log_details", ["controller_id", "audit_log_id", "order_id", "'the detail: '"]),
    ("audit_seals", ["controller_id", "NULL", "NULL", "'seal ' || number || ': '"]),
    ("audit_cuts", ["controller_id", "NULL", "NULL", "'cut ' || number || ': '"]),
    ("accounts", ["'-'", "NULL", "NULL", "'account ' || account || ': '"]),
    ("roles", ["'-'", "NULL", "NULL", "'role ' || role || ': '"]),
    (
        "role_permissions",
        ["'-'", "NULL", "NULL", "'role ' || role || ', permission ' || permission || ': '"],
    ),
    ("role_folders", ["'-'", "NULL", "NULL", "'role ' || role || ', folder ' || folder || ': '"]),
    ("sessions", ["'-'", "NULL", "NULL", "'session of ' || account || ': '"]),
    ("orders_changes", ["controller_id", "NULL", "order_id", "'captured change ' || id || ': '"]),
];

/// Invalid rows by table, named like the triggers of migration 6: PostgreSQL has these names, and
/// SQLite's messages begin with them. Older releases accepted such rows.
const WRONG: &[(&str, &str, &str)] = &[
    ("controllers", "controllers_id_is_no_dash", "controller_id = '-'"),
    (
        "controllers",
        "controllers_numbers_are_below_2_53",
        "last_order_number NOT BETWEEN -9007199254740991 AND 9007199254740991",
    ),
    (
        "workflows",
        "workflows_path_has_no_dots",
        "path || '/' LIKE '%/./%' OR path || '/' LIKE '%/../%'",
    ),
    (
        "orders",
        "orders_fresh_has_not_started",
        "state = 'FRESH' AND (started IS NOT NULL OR kill_requested IS NOT NULL)",
    ),
    (
        "orders",
        "orders_reason_is_of_a_started_order",
        "reason IS NOT NULL AND state IN ('FRESH', 'FINISHED', 'CANCELLED')",
    ),
    ("orders", "orders_resuming_is_suspended", "mark = 'RESUMING' AND NOT suspended"),
    (
        "orders",
        "orders_created_comes_first",
        "started < created OR modified < created OR state_since < created",
    ),
    (
        "order_runs",
        "order_runs_living_has_lease",
        "(ended IS NULL AND lease_until IS NULL) OR (ended IS NOT NULL AND lease_until IS NOT NULL)",
    ),
    (
        "order_runs",
        "order_runs_living_has_no_result",
        "ended IS NULL
             AND (exit_status IS NOT NULL OR signal IS NOT NULL OR failure IS NOT NULL)",
    ),
    (
        "accounts",
        "accounts_password_is_hashed",
        "password_hash NOT LIKE '$argon2id$v=%$m=%,t=%,p=%$%$%'
             OR length(password_hash) NOT BETWEEN 60 AND 500
             OR length(password_hash) - length(replace(password_hash, '$', '')) <> 5
             OR trim(password_hash, 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
                 || '0123456789+/=,$') <> ''",
    ),
    (
        "role_folders",
        "role_folders_are_paths",
        "length(folder) > 255 OR folder || '/' LIKE '%/./%' OR folder || '/' LIKE '%/../%'",
    ),
    ("sessions", "sessions_end_after_they_begin", "expires < created"),
];

/// The rules for single rows of the wanted tables, as queries like those below.
pub(in crate::store) fn of_rows<DB: Dialect>(is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let mut rules = Vec::new();
    let mut rule = |table: &str, problem: &str, condition: &str| {
        if !is_wanted(table) {
            return;
        }
        let Some((_, [controller, entry, order, name])) = NAMED.iter().find(|(t, _)| *t == table)
        else {
            return;
        };
        rules.push(format!(
            "SELECT {controller} AS controller_id, CAST({entry} AS BIGINT) AS audit_log_id,
                 CAST({order} AS TEXT) AS order_id, {name} || {problem} AS problem
             FROM {table} WHERE {condition}"
        ));
    };
    for (table, _) in NAMED {
        for column in copy::instants(table) {
            let problem = format!("'{column} is not a valid instant: ' || CAST({column} AS TEXT)");
            rule(table, &problem, &DB::is_no_instant(column));
        }
    }
    for (table, name, condition) in WRONG {
        rule(table, &format!("'it breaks {name}'"), condition);
    }
    let known: Vec<_> = permissions().map(|permission| format!("'{permission}'")).collect();
    let unknown = format!("permission NOT IN ({})", known.join(", "));
    rule("role_permissions", "'it breaks role_permissions_are_known'", &unknown);
    rules
}
