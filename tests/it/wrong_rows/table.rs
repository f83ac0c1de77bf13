//! The wrong rows.

use crate::harness::{HASH, Kind, quote};

/// A wrong row: the name of the rule that it violates, its table, and the columns with the values
/// of the wrong row and of a similar valid one.
pub type Wrong = (&'static str, &'static str, &'static str, String, String);

pub fn wrong_rows(kind: Kind) -> Vec<Wrong> {
    let mut rows: Vec<Wrong> = Vec::new();
    let mut order = |name, columns, wrong: &str, right: &str| {
        let id = rows.len();
        let of = |values: &str| format!("'prod', 'o{id:02}', '/sos/eod', '1', {values}");
        rows.push((name, "orders", columns, of(wrong), of(right)));
    };
    let (early, late) = ("'2026-01-01T00:00:00.000Z'", "'2026-01-02T00:00:00.000Z'");
    let pair = |a: &str, b: &str| format!("'RUNNING', {a}, {b}");
    order(
        "orders_fresh_has_not_started",
        "created, started",
        &format!("{early}, {late}"),
        &format!("{early}, NULL"),
    );
    order(
        "orders_fresh_has_not_started",
        "mark, kill_requested, sigkill_at",
        &format!("'CANCELLING', {early}, {late}"),
        "'CANCELLING', NULL, NULL",
    );
    for state in ["FRESH", "FINISHED", "CANCELLED"] {
        order(
            "orders_reason_is_of_a_started_order",
            "state, reason",
            &format!("'{state}', 'FORKED'"),
            &format!("'{state}', NULL"),
        );
    }
    for state in ["FRESH", "WAITING"] {
        order(
            "orders_resuming_is_suspended",
            "state, mark, suspended",
            &format!("'{state}', 'RESUMING', FALSE"),
            &format!("'{state}', 'RESUMING', TRUE"),
        );
    }
    for columns in
        ["state, created, started", "state, created, modified", "state, created, state_since"]
    {
        order("orders_created_comes_first", columns, &pair(late, early), &pair(late, late));
    }
    order(
        "orders_created_comes_first",
        "state, created, started",
        "'RUNNING', '2999-01-02T00:00:00.000Z', '2999-01-01T00:00:00.000Z'",
        "'RUNNING', '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z'",
    );

    let mut row = |name, table, columns, wrong: &str, right: &str| {
        rows.push((name, table, columns, wrong.to_owned(), right.to_owned()));
    };
    row("controllers_id_is_no_dash", "controllers", "controller_id", "'-'", "'--'");
    for (i, wrong) in
        ["9007199254740992", "-9007199254740992", "9223372036854775807"].iter().enumerate()
    {
        let right = wrong.replace("9223372036854775807", "9007199254740991").replace("992", "991");
        row(
            "controllers_numbers_are_below_2_53",
            "controllers",
            "controller_id, last_order_number",
            &format!("'n{i}', {wrong}"),
            &format!("'n{i}', {right}"),
        );
    }
    for (wrong, right) in [
        ("/a/../b", "/a/..b"),
        ("/..", "/..."),
        ("/a/..", "/a/b.."),
        ("/./c", "/.c"),
        ("/d/.", "/d."),
    ] {
        row(
            "workflows_path_has_no_dots",
            "workflows",
            "controller_id, path, version_id",
            &format!("'prod', '{wrong}', '1'"),
            &format!("'prod', '{right}', '1'"),
        );
    }
    let (salt, hash) = HASH.split_once("p=1$").unwrap().1.split_once('$').unwrap();
    for (i, wrong) in [
        "$argon2id$",
        "$argon2id$v=19$m=19456,t=2,p=1$",
        &format!("$argon2id${salt}${hash}{hash}"),
        &format!("$argon2id$v=19$m=19456,t=2,p=1${salt}{hash}"),
        &HASH.replace("c29t", "c 9t"),
        &HASH.replace("c29t", "c$9t"),
        &HASH.replace("v=19", "v-19"),
        &HASH.replace("c29t", "ü29t"),
        &format!("{HASH}{}", "A".repeat(500)),
    ]
    .iter()
    .enumerate()
    {
        row(
            "accounts_password_is_hashed",
            "accounts",
            "account, password_hash",
            &format!("'a{i}', {}", quote(wrong)),
            &format!("'a{i}', {}", quote(HASH)),
        );
    }
    row(
        "role_permissions_are_known",
        "role_permissions",
        "role, permission",
        "'r', 'sos:products:controller:orders:cancle'",
        "'r', 'sos:products:controller:orders:cancel'",
    );
    if kind == Kind::Postgres {
        // SQLite has always rejected those.
        row(
            "role_folders_are_paths",
            "role_folders",
            "role, folder",
            &format!("'r', '/{}'", "x".repeat(299)),
            &format!("'r', '/{}'", "x".repeat(254)),
        );
    }
    for (wrong, right) in [("/a/../b", "/a/..b"), ("/..", "/...")] {
        let values = |folder| format!("'r', '{folder}'");
        row(
            "role_folders_are_paths",
            "role_folders",
            "role, folder",
            &values(wrong),
            &values(right),
        );
    }
    let session = |a: &str, b: &str| format!("'{}', 'root', {a}, {b}", "0".repeat(64));
    row(
        "sessions_end_after_they_begin",
        "sessions",
        "token_hash, account, created, expires",
        &session(late, early),
        &session(early, late),
    );

    if kind == Kind::Postgres {
        // SQLite has always rejected these, except 2027-02-31, which has a test of its own.
        let at = "'9999-12-31T23:59:59.999Z'";
        for wrong in [
            "'infinity'",
            "'-infinity'",
            "'10000-01-01T00:00:00Z'",
            "'0001-12-31T23:59:59.999Z BC'",
        ] {
            row(
                "controllers_instants_are_valid",
                "controllers",
                "controller_id, created",
                &format!("translate({wrong}, ':', ''), {wrong}"),
                &format!("translate({wrong}, ':', ''), {at}"),
            );
            row(
                "workflows_instants_are_valid",
                "workflows",
                "controller_id, path, version_id, created",
                &format!("'prod', '/i', {wrong}, {wrong}"),
                &format!("'prod', '/i', {wrong}, {at}"),
            );
            row(
                "accounts_instants_are_valid",
                "accounts",
                "account, password_hash, created",
                &format!("replace({wrong}, ':', ''), '{HASH}', {wrong}"),
                &format!("replace({wrong}, ':', ''), '{HASH}', {at}"),
            );
            row(
                "roles_instants_are_valid",
                "roles",
                "role, created",
                &format!("{wrong}, {wrong}"),
                &format!("{wrong}, {at}"),
            );
        }
        let session = |at: &str| format!("'{}', 'root', {at}", "1".repeat(64));
        row(
            "sessions_instants_are_valid",
            "sessions",
            "token_hash, account, expires",
            &session("'infinity'"),
            &session(at),
        );
        let order = |id: &str, values: &str| {
            format!("'prod', '{id}', '/sos/eod', '1', 'RUNNING', 'CANCELLING', {values}")
        };
        let columns = "state, mark, kill_requested, sigkill_at";
        row(
            "orders_instants_are_valid",
            "orders",
            columns,
            &order("i1", &format!("{early}, 'infinity'")),
            &order("i1", &format!("{early}, {late}")),
        );
        row(
            "orders_instants_are_valid",
            "orders",
            columns,
            &order("i2", &format!("'-infinity', {early}")),
            &order("i2", &format!("{early}, {late}")),
        );
        for (id, columns) in [
            ("created", "state, mark, modified, created"),
            ("modified", "state, mark, created, modified"),
            ("started", "state, mark, created, started"),
            ("state_since", "state, mark, created, state_since"),
        ] {
            let first = if id == "created" { "'20000-01-01T00:00:00Z'" } else { early };
            row(
                "orders_instants_are_valid",
                "orders",
                columns,
                &order(id, &format!("{first}, '20000-01-01T00:00:00Z'")),
                &order(id, &format!("{late}, {late}")),
            );
        }
    }
    rows
}

pub fn insert((_, table, columns, ..): &Wrong, values: &str) -> String {
    let key = match *table {
        "orders" => "controller_id, order_id, workflow_path, workflow_version_id, ",
        _ => "",
    };
    format!("INSERT INTO {table} ({key}{columns}) VALUES ({values})")
}
