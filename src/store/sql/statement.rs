//! A statement in the making.

use std::fmt::Display;

use chrono::{DateTime, Utc};
use sqlx::QueryBuilder;

use super::Dialect;
use crate::store::packed;
use crate::store::tables::ColumnType;

/// The text of one or more statements and its bound values. It is broken into lines, so that it is
/// readable in logs and in `tests/golden/`.
pub(in crate::store) struct Sql<DB: Dialect> {
    builder: QueryBuilder<DB>,
    /// How many brackets are open that have lines of their own.
    depth: usize,
    /// Whether the statement has a table expression already.
    has_with: bool,
}

impl<DB: Dialect> Sql<DB> {
    pub(in crate::store) fn new() -> Self {
        Self { builder: QueryBuilder::new(""), depth: 0, has_with: false }
    }

    /// Starts from existing text.
    pub(in crate::store) fn of(text: impl Into<String>) -> Self {
        Self { builder: QueryBuilder::new(text), ..Self::new() }
    }

    /// Starts a text whose statements see the effective states of an instant.
    pub(in crate::store) fn at(at: DateTime<Utc>) -> Self {
        Self { builder: DB::begin(at), ..Self::new() }
    }

    /// Continues a text.
    #[cfg(feature = "sqlite")]
    pub(in crate::store) fn over(builder: QueryBuilder<DB>) -> Self {
        Self { builder, ..Self::new() }
    }

    /// What sqlx sends.
    pub(in crate::store) fn builder(&mut self) -> &mut QueryBuilder<DB> {
        &mut self.builder
    }

    pub(in crate::store) fn push(&mut self, text: impl Display) -> &mut Self {
        if self.depth == 0 {
            self.builder.push(text);
        } else {
            let line = format!("\n{}", "    ".repeat(self.depth));
            self.builder.push(text.to_string().replace('\n', &line));
        }
        self
    }

    /// Adds a common table expression that is computed once.
    pub(in crate::store) fn with(&mut self, name: &str, body: impl FnOnce(&mut Self)) -> &mut Self {
        self.expression(name, "AS MATERIALIZED ", body)
    }

    /// Adds a common table expression that changes something.
    #[cfg(feature = "postgres")]
    pub(in crate::store) fn with_change(
        &mut self,
        name: &str,
        body: impl FnOnce(&mut Self),
    ) -> &mut Self {
        self.expression(name, "AS ", body)
    }

    fn expression(&mut self, name: &str, how: &str, body: impl FnOnce(&mut Self)) -> &mut Self {
        self.push(if self.has_with { ",\n" } else { "WITH " }).push(name).push(" ").push(how);
        self.has_with = true;
        self.nested(body)
    }

    /// Adds something in brackets, on lines of its own.
    pub(in crate::store) fn nested(&mut self, body: impl FnOnce(&mut Self)) -> &mut Self {
        self.depth += 1;
        body(self.push("(\n"));
        self.depth -= 1;
        self.push("\n)")
    }

    /// Adds a row as one text, the column `packed`; `push_fields` adds its fields, none of which may
    /// be null.
    pub(in crate::store) fn packed(&mut self, push_fields: impl FnOnce(&mut Self)) -> &mut Self {
        self.push("concat_ws(").character(packed::FIELD).push(", ");
        push_fields(self);
        self.push(") AS packed")
    }

    /// Adds a character as an expression.
    pub(in crate::store) fn character(&mut self, character: char) -> &mut Self {
        self.push(format_args!("{}({})", DB::CHARACTER, u32::from(character)))
    }

    /// Begins another statement of the same text.
    #[cfg(feature = "sqlite")]
    pub(in crate::store) fn end(&mut self) -> &mut Self {
        self.has_with = false;
        self.push(";\n")
    }

    /// See [`Dialect::push_rows`].
    pub(in crate::store) fn rows<'v, const N: usize>(
        &mut self,
        columns: &[(&str, ColumnType)],
        rows: impl IntoIterator<Item = [Option<&'v str>; N]>,
    ) -> &mut Self {
        DB::push_rows(&mut self.builder, columns, rows.into_iter().collect());
        self
    }
}

/// The parts that differ by database: see the functions of [`Dialect`].
macro_rules! dialect {
    ($($name:ident => $push:ident($($value:ident: $type:ty),+);)+) => {
        impl<DB: Dialect> Sql<DB> {$(
            #[doc = concat!("See [`Dialect::", stringify!($push), "`].")]
            pub(in crate::store) fn $name(&mut self, $($value: $type),+) -> &mut Self {
                DB::$push(&mut self.builder, $($value),+);
                self
            }
        )+}
    };
}

dialect! {
    orders => push_orders(at: DateTime<Utc>);
    text => push_text(text: &str);
    optional => push_optional(text: Option<&str>);
    key => push_key(text: &str);
    instant => push_instant(at: DateTime<Utc>);
    created => push_created(at: DateTime<Utc>);
    integer => push_integer(number: impl Into<Option<i64>>);
    among => push_among(texts: Vec<&str>);
    like => push_like(pattern: &str);
    json => push_json(json: &str);
    member => push_json_member(column: &str, name: &str);
    merged => push_merged(column: &str, json: &str);
    new_state => push_new_state(controller_id: &str, at: DateTime<Utc>, state: &str, suspended: &str);
}
