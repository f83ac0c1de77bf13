//! sqlx's checked macros for PostgreSQL.

macro_rules! query {
    ($($statement:tt)+) => { checked!(postgres [query] { "" } $($statement)+) };
}

macro_rules! query_as {
    ($record:path, $($statement:tt)+) => {
        checked!(postgres [query_as $record,] { "" } $($statement)+)
    };
}

macro_rules! query_scalar {
    ($($statement:tt)+) => { checked!(postgres [query_scalar] { "" } $($statement)+) };
}

pub(super) use query;
pub(super) use query_as;
pub(super) use query_scalar;
