//! What must hold between orders and their audit trail, as queries for violations. Both databases
//! run the same text, so these are not sqlx's checked macros, which are for one database each. A
//! rule is one statement, so it sees one snapshot.

pub(in crate::store) use self::rows::of_rows;

mod rows;

/// A rule, which returns `controller_id`, `audit_log_id`, `order_id` and the problem.
pub(in crate::store) struct Invariant {
    /// The query.
    pub sql: &'static str,
    /// Whether an import or a script may break it, within what they are allowed to change.
    pub strict: bool,
}

const fn always(sql: &'static str) -> Invariant {
    Invariant { sql, strict: false }
}

const fn strict(sql: &'static str) -> Invariant {
    Invariant { sql, strict: true }
}

/// That the undo of its entry restored the order of the detail `d`.
macro_rules! undone {
    () => {
        "EXISTS (
                 SELECT 1 FROM audit_log_details n
                 JOIN audit_logs u ON u.controller_id = n.controller_id AND u.id = n.audit_log_id
                 WHERE n.controller_id = d.controller_id AND n.order_id = d.order_id
                     AND u.undoes = d.audit_log_id)"
    };
}

/// A strict rule about orders `o`, without those that a captured change by plain SQL explains: the
/// check reports that change itself.
macro_rules! uncaptured {
    ($rule:expr, $explains:literal $(,)?) => {
        strict(concat!(
            $rule,
            "
         WHERE NOT EXISTS (SELECT 1 FROM orders_changes c
                           WHERE c.controller_id = o.controller_id AND c.order_id = o.order_id
                               AND c.source = 'SQL' AND ",
            $explains,
            ")"
        ))
    };
}

/// That no archived entry may explain what happened to an order at an instant of it.
macro_rules! uncut {
    ($happened:literal) => {
        concat!(
            "NOT EXISTS (SELECT 1 FROM audit_cuts u
                           WHERE u.controller_id = orders.controller_id AND (",
            $happened,
            "))"
        )
    };
}

/// Every rule. SQLite may lack statistics, so it must have no quadratic plan to choose: orders are
/// looked up by their key (CROSS JOIN keeps the order of the tables), and missing rows are found by
/// EXCEPT.
///
/// Before a cut, an archived entry may explain what an order is, so the strict rules say nothing.
///
/// An order that was deleted and recreated under its id is younger than the old order's details,
/// which say nothing about it.
pub(in crate::store) const RULES: &[Invariant] = &[
    always(
        "SELECT l.controller_id, l.id AS audit_log_id, CAST(NULL AS TEXT) AS order_id,
             'affected is ' || l.affected || ', and there are ' || l.details || ' details'
                 AS problem
         FROM (SELECT a.controller_id, a.id, a.affected,
                   (SELECT count(*) FROM audit_log_details d
                    WHERE d.controller_id = a.controller_id AND d.audit_log_id = a.id) AS details
               FROM audit_logs a) l
         WHERE l.affected <> l.details",
    ),
    always(
        "SELECT controller_id, id AS audit_log_id, CAST(NULL AS TEXT) AS order_id,
             'the outcome is DONE, and no order is affected' AS problem
         FROM audit_logs
         WHERE outcome = 'DONE' AND category = 'CONTROLLER' AND affected = 0",
    ),
    // Rows of the trail that are older than the rules that refuse them now.
    always(
        "SELECT controller_id, id AS audit_log_id, CAST(NULL AS TEXT) AS order_id, CASE
             WHEN id < 1 OR id > 9007199254740991 THEN 'the id is none that the database draws'
             WHEN controller_id = '' THEN 'the controller is empty'
             WHEN account = '' THEN 'the account is empty'
             WHEN request = '' THEN 'the request is empty'
             WHEN request_id = '' THEN 'the request id is empty'
             ELSE 'the parameters are no object' END AS problem
         FROM audit_logs
         WHERE id < 1 OR id > 9007199254740991 OR controller_id = '' OR account = ''
             OR request = '' OR request_id = ''
             OR ltrim(CAST(parameters AS TEXT)) NOT LIKE '{%'",
    ),
    always(
        "SELECT d.controller_id, d.audit_log_id, d.order_id, CASE
             WHEN d.previous_state NOT IN ('NONE', 'PENDING', 'SCHEDULED', 'BLOCKED', 'SUSPENDED',
                 'INPROGRESS', 'RUNNING', 'WAITING', 'PROMPTING', 'FAILED', 'FINISHED',
                 'CANCELLED') THEN 'the detail has the state ' || d.previous_state
             WHEN d.mark NOT IN ('CANCELLING', 'SUSPENDING', 'RESUMING')
             THEN 'the detail has the mark ' || d.mark
             ELSE 'the detail has the state ' || d.new_state END AS problem
         FROM audit_log_details d
         WHERE d.previous_state NOT IN ('NONE', 'PENDING', 'SCHEDULED', 'BLOCKED', 'SUSPENDED',
                 'INPROGRESS', 'RUNNING', 'WAITING', 'PROMPTING', 'FAILED', 'FINISHED', 'CANCELLED')
             OR d.new_state NOT IN ('PENDING', 'SCHEDULED', 'BLOCKED', 'SUSPENDED',
                 'INPROGRESS', 'RUNNING', 'WAITING', 'PROMPTING', 'FAILED', 'FINISHED', 'CANCELLED')
             OR d.mark NOT IN ('CANCELLING', 'SUSPENDING', 'RESUMING')",
    ),
    always(
        "SELECT s.controller_id, CAST(NULL AS BIGINT) AS audit_log_id, CAST(NULL AS TEXT) AS order_id,
             'seal ' || s.number || ' begins before the end of the one before it' AS problem
         FROM audit_seals s
         JOIN audit_seals p ON p.controller_id = s.controller_id AND p.number = s.number - 1
         WHERE s.first_id <= p.last_id",
    ),
    always(
        "SELECT d.controller_id, d.audit_log_id, CAST(NULL AS TEXT) AS order_id,
             'there is no entry for ' || count(*) || ' details' AS problem
         FROM audit_log_details d
         WHERE NOT EXISTS (SELECT 1 FROM audit_logs l
                           WHERE l.controller_id = d.controller_id AND l.id = d.audit_log_id)
         GROUP BY d.controller_id, d.audit_log_id",
    ),
    always(
        concat!(
            "SELECT d.controller_id, d.audit_log_id, d.order_id,
             'the order was ' || d.new_state || ' then, and is ' || o.state AS problem
         FROM audit_log_details d
         CROSS JOIN orders o
         WHERE o.controller_id = d.controller_id AND o.order_id = d.order_id
             AND d.new_state IN ('FINISHED', 'CANCELLED') AND o.state <> d.new_state
             AND o.created <= d.created AND NOT ",
            undone!(),
        ),
    ),
    always(
        concat!(
            "SELECT d.controller_id, max(d.audit_log_id) AS audit_log_id, d.order_id,
             'the order was changed after it had ended' AS problem
         FROM audit_log_details d
         CROSS JOIN orders o
         WHERE o.controller_id = d.controller_id AND o.order_id = d.order_id
             AND o.created <= d.created
         GROUP BY d.controller_id, d.order_id
         HAVING max(CASE WHEN d.previous_state NOT IN ('FINISHED', 'CANCELLED')
                    THEN d.audit_log_id END)
             > min(CASE WHEN d.new_state IN ('FINISHED', 'CANCELLED') AND NOT ",
            undone!(),
            " THEN d.audit_log_id END)",
        ),
    ),
    always(
        "SELECT r.controller_id, CAST(NULL AS BIGINT) AS audit_log_id, r.order_id,
             'there is no order for run ' || r.run AS problem
         FROM order_runs r
         WHERE NOT EXISTS (SELECT 1 FROM orders o
                           WHERE o.controller_id = r.controller_id AND o.order_id = r.order_id)",
    ),
    // An import may replace an order that is running.
    strict(
        "SELECT r.controller_id, CAST(NULL AS BIGINT) AS audit_log_id, r.order_id,
             'run ' || r.run || ' has not ended, and the order is ' || o.state AS problem
         FROM order_runs r
         CROSS JOIN orders o
         WHERE o.controller_id = r.controller_id AND o.order_id = r.order_id
             AND r.ended IS NULL AND o.state <> 'RUNNING'",
    ),
    // Orders not written since the request. An executor that writes in the same millisecond may
    // clear a mark or end the order, but nothing else.
    always(
        "SELECT d.controller_id, d.audit_log_id, d.order_id,
             'the order is not as the call left it: ' || CASE
                 WHEN o.mark <> d.mark THEN 'its mark is ' || o.mark
                 WHEN o.mark = d.mark THEN 'no kill is requested'
                 ELSE 'it is not suspended' END AS problem
         FROM audit_log_details d
         CROSS JOIN orders o
         WHERE o.controller_id = d.controller_id AND o.order_id = d.order_id AND o.modified = d.created
             AND (o.mark <> d.mark OR o.mark = d.mark AND d.kill AND o.kill_requested IS NULL
                OR d.new_state = 'SUSPENDED' AND NOT o.suspended
                    AND o.state NOT IN ('FINISHED', 'CANCELLED'))
             AND NOT EXISTS (SELECT 1 FROM audit_log_details n
                             WHERE n.controller_id = d.controller_id AND n.order_id = d.order_id
                                 AND n.audit_log_id > d.audit_log_id)",
    ),
    uncaptured!(
        concat!(
            "SELECT controller_id, CAST(NULL AS BIGINT) AS audit_log_id, order_id,
             'no entry says who marked it ' || mark AS problem
         FROM (SELECT controller_id, order_id, mark FROM orders
               WHERE mark IS NOT NULL AND ",
            uncut!("orders.created <= u.last_created"),
            "
               EXCEPT SELECT controller_id, order_id, mark FROM audit_log_details) o"
        ),
        "c.new_values ->> 'mark' = o.mark",
    ),
    uncaptured!(
        concat!(
            "SELECT controller_id, CAST(NULL AS BIGINT) AS audit_log_id, order_id,
             'no entry says who requested its kill' AS problem
         FROM (SELECT controller_id, order_id, kill_requested FROM orders
               WHERE mark IS NOT NULL AND kill_requested IS NOT NULL AND ",
            uncut!("orders.kill_requested <= u.last_created"),
            "
               EXCEPT SELECT controller_id, order_id, created FROM audit_log_details WHERE kill) o"
        ),
        "c.new_values ->> 'kill_requested' IS NOT NULL",
    ),
    // Orders that were imported in this state have no state_since.
    uncaptured!(
        concat!(
            "SELECT controller_id, CAST(NULL AS BIGINT) AS audit_log_id, order_id,
             'no entry says who cancelled it' AS problem
         FROM (SELECT controller_id, order_id FROM orders
               WHERE state = 'CANCELLED' AND state_since IS NOT NULL AND ",
            uncut!(
                "orders.state_since <= u.last_created
                 OR orders.started IS NOT NULL AND orders.created <= u.last_created"
            ),
            "
               EXCEPT SELECT controller_id, order_id FROM audit_log_details
               WHERE new_state = 'CANCELLED' OR mark = 'CANCELLING') o"
        ),
        "c.new_values ->> 'state' = 'CANCELLED'",
    ),
    uncaptured!(
        concat!(
            "SELECT controller_id, CAST(NULL AS BIGINT) AS audit_log_id, order_id,
             'no entry says who suspended it' AS problem
         FROM (SELECT controller_id, order_id FROM orders
               WHERE suspended AND state_since IS NOT NULL AND ",
            uncut!("orders.created <= u.last_created"),
            "
               EXCEPT SELECT controller_id, order_id FROM audit_log_details
               WHERE new_state = 'SUSPENDED' OR mark = 'SUSPENDING') o"
        ),
        "CAST(c.new_values ->> 'suspended' AS TEXT) IN ('true', '1')",
    ),
    // Before its start and after its end, only requests change an order, apart from its state. In
    // between, executors may.
    uncaptured!(
        concat!(
            "SELECT controller_id, CAST(NULL AS BIGINT) AS audit_log_id, order_id,
             'no audit entry for its last change' AS problem
         FROM (SELECT controller_id, order_id, modified FROM orders
               WHERE modified > created AND state IN ('FRESH', 'FINISHED', 'CANCELLED')
                   AND modified <> coalesce(state_since, created) AND ",
            uncut!("orders.modified <= u.last_created"),
            "
               EXCEPT SELECT controller_id, order_id, created FROM audit_log_details) o"
        ),
        "c.created >= o.modified",
    ),
    uncaptured!(
        concat!(
            "SELECT controller_id, CAST(NULL AS BIGINT) AS audit_log_id, order_id,
             'no audit entry for its last change' AS problem
         FROM (SELECT controller_id, order_id FROM orders
               WHERE modified > created AND state NOT IN ('FRESH', 'FINISHED', 'CANCELLED')
                   AND state_since IS NULL AND started IS NULL AND ",
            uncut!("orders.created <= u.last_created"),
            "
               EXCEPT SELECT controller_id, order_id FROM audit_log_details) o"
        ),
        "c.new_values ->> 'modified' IS NOT NULL",
    ),
    uncaptured!(
        concat!(
            "SELECT controller_id, CAST(NULL AS BIGINT) AS audit_log_id, order_id,
             'no entry says who took it out of sight' AS problem
         FROM (SELECT controller_id, order_id FROM orders
               WHERE remove_when_terminated AND ",
            uncut!("orders.created <= u.last_created"),
            "
               EXCEPT SELECT d.controller_id, d.order_id
               FROM audit_log_details d
               JOIN audit_logs l ON l.controller_id = d.controller_id AND l.id = d.audit_log_id
               WHERE l.request LIKE './orders/remove_when_terminated%') o"
        ),
        "CAST(c.new_values ->> 'remove_when_terminated' AS TEXT) IN ('true', '1')",
    ),
];
