//! What suspend, resume, confirm, continue, change and hiding do to an order. What they have in
//! common is in `calls`.

use serde_json::Value;

use crate::harness::{App, Response, with_controller};

mod others;
mod resume;
mod suspend;

async fn call(app: &App, call: &str, fields: Value) -> Response {
    app.post(&format!("/orders/{call}"), &with_controller(fields)).await
}

/// The audit details of the latest request, as `id: before > after`, with mark and kill.
async fn audited(app: &App) -> Vec<String> {
    let sql = "SELECT order_id || ': ' || previous_state || ' > ' || new_state \
               || coalesce(' ' || mark, '') || CASE WHEN kill THEN ' kill' ELSE '' END \
               FROM audit_log_details \
               WHERE audit_log_id = (SELECT max(id) FROM audit_logs) ORDER BY order_id";
    app.db.rows(sql).await.unwrap().into_iter().flatten().flatten().collect()
}

async fn states(app: &App) -> Vec<String> {
    let rows = app.db.rows("SELECT order_id FROM orders ORDER BY order_id").await.unwrap();
    let mut states = Vec::new();
    for id in rows.into_iter().flatten().flatten() {
        states.push(format!("{id}: {}", app.db.state(&id).await));
    }
    states
}

/// The value of a column of an order, parsed if it is JSON.
async fn column(app: &App, id: &str, column: &str) -> Value {
    let sql = format!("SELECT {column} FROM orders WHERE order_id = '{id}'");
    match &app.db.rows(&sql).await.unwrap()[0][0] {
        None => Value::Null,
        Some(text) => serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into()),
    }
}
