//! sqlx's checked macros for the files in `both/`, which are compiled once for each database.
//! There, too, they are called `query!`, `query_as!` and `query_scalar!`; they take a statement in
//! PostgreSQL's dialect. A capitalised word between two literals stands for SQL that differs; this
//! file translates it.

/// Assembles a statement for one of the databases and passes it on to sqlx's macro.
macro_rules! checked {
    // Locks the rows. On SQLite a writing transaction is exclusive anyway.
    ($database:ident $query:tt $sql:tt FOR_UPDATE $($rest:tt)*) => {
        checked!(@either $database $query $sql [" FOR UPDATE"] [""] $($rest)*)
    };
    // An empty text that sorts by its bytes.
    ($database:ident $query:tt $sql:tt EMPTY_TEXT $($rest:tt)*) => {
        checked!(@either $database $query $sql [r#" '' COLLATE "C" "#] [" '' "] $($rest)*)
    };
    // The column `created` as the API writes it, whatever instant it holds.
    ($database:ident $query:tt $sql:tt CREATED $($rest:tt)*) => {
        checked!(@either $database $query $sql
            [r#" CASE WHEN created >= '0001-01-01Z' AND isfinite(created)
                   THEN to_char(created AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
                   ELSE created::text END AS "created!" "#]
            [" created "] $($rest)*)
    };
    // The column `parameters`, which PostgreSQL knows to be JSON.
    ($database:ident $query:tt $sql:tt PARAMETERS $($rest:tt)*) => {
        checked!(@either $database $query $sql
            [r#" parameters::text AS "parameters!" "#] [" parameters "] $($rest)*)
    };
    // The column `before`, likewise.
    ($database:ident $query:tt $sql:tt BEFORE $($rest:tt)*) => {
        checked!(@either $database $query $sql [" before::text "] [" before "] $($rest)*)
    };
    // How long keys of requests are kept, by the clock of the database.
    ($database:ident $query:tt $sql:tt A_WEEK_AGO $($rest:tt)*) => {
        checked!(@either $database $query $sql
            [" now() - interval '7 days' "]
            [" strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-7 days') "] $($rest)*)
    };
    (@either postgres $query:tt { $($sql:tt)+ } [$text:literal] $other:tt $($rest:tt)*) => {
        checked!(postgres $query { $($sql)+ + $text } $($rest)*)
    };
    (@either sqlite $query:tt { $($sql:tt)+ } $other:tt [$text:literal] $($rest:tt)*) => {
        checked!(sqlite $query { $($sql)+ + $text } $($rest)*)
    };
    ($database:ident $query:tt { $($sql:tt)+ } $text:literal $($rest:tt)*) => {
        checked!($database $query { $($sql)+ + $text } $($rest)*)
    };
    ($database:ident [$query:ident $($record:tt)*] { $($sql:tt)+ } $(, $($args:tt)*)?) => {
        sqlx::$query!($($record)* $($sql)+ $(, $($args)*)?)
    };
}
