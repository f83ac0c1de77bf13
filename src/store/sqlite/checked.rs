//! sqlx's checked macros for SQLite. sqlx's cache identifies a statement by its text alone, so a
//! comment makes the text differ from PostgreSQL's.

macro_rules! query {
    ($($statement:tt)+) => { checked!(sqlite [query] { "/* SQLite */ " } $($statement)+) };
}

macro_rules! query_as {
    ($record:path, $($statement:tt)+) => {
        checked!(sqlite [query_as $record,] { "/* SQLite */ " } $($statement)+)
    };
}

macro_rules! query_scalar {
    ($($statement:tt)+) => { checked!(sqlite [query_scalar] { "/* SQLite */ " } $($statement)+) };
}

pub(super) use query;
pub(super) use query_as;
pub(super) use query_scalar;
