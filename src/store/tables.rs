//! The tables and columns from which copies, imports, additions and lists are generated. A column
//! of `orders` says which statements use it; `tests/it/tables.rs` compares the tables with the
//! migrations.

use ColumnType::{Bytes, Flag, Instant, Integer, Json, JsonText, Text};
use Use::{Assigned, Chosen, Given, Judged, Listed, Lived, Past};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// Text.
    Text,
    /// A whole number.
    Integer,
    /// True or false.
    Flag,
    /// An instant, in milliseconds.
    Instant,
    /// JSON that the database parses.
    Json,
    /// JSON that it stores verbatim.
    JsonText,
    /// Bytes.
    Bytes,
}

/// Which statements use a column of `orders`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Those that bring orders in: imports and additions.
    Given,
    /// Those that import an order with what it has been through.
    Lived,
    /// Those that select orders to change.
    Chosen,
    /// Those of them that assign it a value from the request.
    Assigned,
    /// Those that preview a change.
    Judged,
    /// Lists of orders.
    Listed,
    /// Histories.
    Past,
}

/// How a column gets its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// Written once, as part of the primary key.
    Key,
    /// Written.
    Value,
    /// Computed by the database.
    Generated,
}

/// A column of a table.
#[derive(Debug)]
pub struct TableColumn {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub holds: ColumnType,
    origin: Origin,
    uses: &'static [Use],
}

/// A table.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Its columns.
    pub columns: &'static [TableColumn],
}

const fn key(name: &'static str, holds: ColumnType, uses: &'static [Use]) -> TableColumn {
    TableColumn { name, holds, origin: Origin::Key, uses }
}

const fn value(name: &'static str, holds: ColumnType, uses: &'static [Use]) -> TableColumn {
    TableColumn { name, holds, origin: Origin::Value, uses }
}

const fn generated(name: &'static str, holds: ColumnType, uses: &'static [Use]) -> TableColumn {
    TableColumn { name, holds, origin: Origin::Generated, uses }
}

/// A column of a table whose statements are written out.
const fn plain(name: &'static str, holds: ColumnType) -> TableColumn {
    value(name, holds, &[])
}

const ORDERS: &[TableColumn] = &[
    key("controller_id", Text, &[Given, Past]),
    key("order_id", Text, &[Given, Chosen, Judged, Listed, Past]),
    generated("parent_id", Text, &[]),
    generated("root_id", Text, &[Chosen, Judged]),
    value("workflow_path", Text, &[Given, Chosen, Judged, Listed, Past]),
    value("workflow_version_id", Text, &[Given, Chosen, Judged, Listed, Past]),
    generated("folder", Text, &[Chosen]),
    value("state", Text, &[Given, Chosen, Listed]),
    value("suspended", Flag, &[Given, Chosen]),
    value("mark", Text, &[Given, Chosen, Judged, Listed]),
    value("scheduled_for", Instant, &[Given, Chosen, Listed, Past]),
    value("kill_requested", Instant, &[Lived, Chosen, Judged, Listed]),
    value("sigkill_at", Instant, &[Lived, Chosen]),
    value("created", Instant, &[Lived]),
    value("modified", Instant, &[Past]),
    value("priority", Integer, &[Given, Assigned, Listed]),
    value("arguments", Json, &[Given, Assigned, Listed, Past]),
    value("position", Json, &[Given, Assigned, Listed, Past]),
    value("reason", Text, &[Given, Chosen, Judged, Listed]),
    value("started", Instant, &[Lived]),
    value("state_since", Instant, &[Lived]),
    value("remove_when_terminated", Flag, &[Lived, Chosen]),
    value("history_id", Integer, &[Past]),
    generated("history_at", Instant, &[]),
];

/// Every table but that of the sessions, each after those that it refers to.
pub const TABLES: &[Table] = &[
    Table {
        name: "controllers",
        columns: &[
            plain("controller_id", Text),
            plain("created", Instant),
            plain("last_order_number", Integer),
        ],
    },
    Table {
        name: "workflows",
        columns: &[
            plain("controller_id", Text),
            plain("path", Text),
            plain("version_id", Text),
            generated("folder", Text, &[]),
            generated("name", Text, &[]),
            plain("created", Instant),
        ],
    },
    Table { name: "orders", columns: ORDERS },
    Table {
        name: "order_runs",
        columns: &[
            plain("controller_id", Text),
            plain("order_id", Text),
            plain("run", Integer),
            plain("agent", Text),
            plain("started", Instant),
            plain("lease_until", Instant),
            plain("ended", Instant),
            plain("exit_status", Integer),
            plain("signal", Integer),
            plain("failure", Text),
        ],
    },
    Table {
        name: "audit_logs",
        columns: &[
            plain("id", Integer),
            plain("controller_id", Text),
            plain("account", Text),
            plain("request", Text),
            plain("parameters", JsonText),
            plain("category", Text),
            plain("comment", Text),
            plain("time_spent", Integer),
            plain("ticket_link", Text),
            plain("outcome", Text),
            plain("affected", Integer),
            plain("request_id", Text),
            plain("client_address", Text),
            plain("created", Instant),
            plain("undoes", Integer),
        ],
    },
    Table {
        name: "audit_log_details",
        columns: &[
            plain("controller_id", Text),
            plain("audit_log_id", Integer),
            plain("order_id", Text),
            plain("workflow_path", Text),
            plain("workflow_version_id", Text),
            plain("folder", Text),
            plain("previous_state", Text),
            plain("new_state", Text),
            plain("mark", Text),
            plain("kill", Flag),
            plain("via_parent", Text),
            plain("created", Instant),
            plain("before", JsonText),
        ],
    },
    Table {
        name: "audit_seals",
        columns: &[
            plain("controller_id", Text),
            plain("number", Integer),
            plain("first_id", Integer),
            plain("last_id", Integer),
            plain("entries", Integer),
            plain("details", Integer),
            plain("previous_hash", Text),
            plain("hash", Text),
            plain("created", Instant),
            plain("digests", Bytes),
        ],
    },
    Table {
        name: "audit_cuts",
        columns: &[
            plain("controller_id", Text),
            plain("number", Integer),
            plain("last_seal", Integer),
            plain("last_id", Integer),
            plain("seal_hash", Text),
            plain("seals", Integer),
            plain("entries", Integer),
            plain("details", Integer),
            plain("last_created", Instant),
            plain("file", Text),
            plain("file_sha256", Text),
            plain("previous_hash", Text),
            plain("hash", Text),
            plain("audit_log_id", Integer),
            plain("created", Instant),
        ],
    },
    Table {
        name: "idempotency_keys",
        columns: &[
            plain("controller_id", Text),
            plain("account", Text),
            plain("key", Text),
            plain("request", Text),
            plain("body_sha256", Text),
            plain("audit_log_id", Integer),
            plain("affected", Integer),
            plain("response", Text),
            plain("created", Instant),
        ],
    },
    Table {
        name: "accounts",
        columns: &[
            plain("account", Text),
            plain("password_hash", Text),
            plain("disabled", Flag),
            plain("created", Instant),
        ],
    },
    Table { name: "roles", columns: &[plain("role", Text), plain("created", Instant)] },
    Table {
        name: "role_permissions",
        columns: &[plain("role", Text), plain("permission", Text), plain("controller_id", Text)],
    },
    Table {
        name: "role_folders",
        columns: &[plain("role", Text), plain("folder", Text), plain("recursive", Flag)],
    },
    Table { name: "account_roles", columns: &[plain("account", Text), plain("role", Text)] },
    Table {
        name: "orders_changes",
        columns: &[
            plain("id", Integer),
            plain("controller_id", Text),
            plain("order_id", Text),
            plain("operation", Text),
            plain("source", Text),
            plain("old_values", Json),
            plain("new_values", Json),
            plain("database_user", Text),
            plain("application", Text),
            plain("client_address", Text),
            plain("transaction_id", Integer),
            plain("created", Instant),
        ],
    },
];

/// The columns of `orders` that these statements use.
pub(super) fn of_orders(of: Use) -> impl Iterator<Item = &'static TableColumn> {
    ORDERS.iter().filter(move |column| column.uses.contains(&of))
}

impl TableColumn {
    /// Whether the database computes it.
    pub fn is_generated(&self) -> bool {
        self.origin == Origin::Generated
    }

    /// Whether an update can change it.
    pub(super) fn is_changeable(&self) -> bool {
        self.origin == Origin::Value
    }
}

impl Table {
    /// The columns that can be written.
    pub fn written(&self) -> impl Iterator<Item = &'static TableColumn> {
        self.columns.iter().filter(|column| !column.is_generated())
    }
}

/// A comma-separated list of items, each written by `form`, broken into lines.
pub(super) fn list<C>(
    things: impl IntoIterator<Item = C>,
    mut form: impl FnMut(C) -> String,
) -> String {
    let (mut list, mut line) = (String::new(), 0);
    for thing in things {
        let text = form(thing);
        if !list.is_empty() {
            list += if line + text.len() > LINE { ",\n    " } else { ", " };
            line = if line + text.len() > LINE { 0 } else { line };
        }
        line += text.len() + 2;
        list += &text;
    }
    list
}

/// The approximate length of a line, in characters.
const LINE: usize = 85;
