//! Rows that a database hands over as one text. A driver copies and looks up every value of a row,
//! and sqlx hands them from SQLite's thread to another: for an order that takes longer than to read
//! it.

use std::str::FromStr;

use sqlx::error::BoxDynError;

use super::StoredInstant;
use crate::model::order::{EffectiveState, Mark};

/// The character between the fields of a row. No column that is packed may hold it or [`ROW`]: ids,
/// paths and words hold no control characters, and JSON escapes them.
pub(super) const FIELD: char = '\u{1f}';
/// The character between rows that are handed over as one text.
pub(super) const ROW: char = '\u{1e}';

/// A value of a packed row, in which NULL is an empty text.
pub(super) trait Field: Sized {
    fn read(text: &str) -> Result<Self, BoxDynError>;
}

impl Field for String {
    fn read(text: &str) -> Result<Self, BoxDynError> {
        Ok(text.to_owned())
    }
}

impl Field for StoredInstant {
    fn read(text: &str) -> Result<Self, BoxDynError> {
        Ok(Self::of_text(text))
    }
}

impl Field for bool {
    fn read(text: &str) -> Result<Self, BoxDynError> {
        match text {
            "1" | "t" => Ok(true),
            "0" | "f" => Ok(false),
            _ => Err(format!("unknown flag {text}").into()),
        }
    }
}

impl<T: Field> Field for Option<T> {
    fn read(text: &str) -> Result<Self, BoxDynError> {
        if text.is_empty() { Ok(None) } else { T::read(text).map(Some) }
    }
}

macro_rules! parsed {
    ($($type:ty),+) => {$(
        impl Field for $type {
            fn read(text: &str) -> Result<Self, BoxDynError> {
                Self::from_str(text).map_err(|_| format!("unknown value {text}").into())
            }
        }
    )+};
}

parsed!(i32, i64, EffectiveState, Mark);

/// A row that is handed over as one text.
pub(super) trait Packed: Sized {
    fn unpack(text: &str) -> Result<Self, BoxDynError>;
}

/// Says in which order the fields of a type are packed, and reads it from the first column of a row.
macro_rules! packed {
    ($row:ident { $($field:ident),+ $(,)? }) => {
        impl $crate::store::packed::Packed for $row {
            fn unpack(text: &str) -> Result<Self, sqlx::error::BoxDynError> {
                let mut fields = text.split($crate::store::packed::FIELD);
                let row = Self {$(
                    $field: $crate::store::packed::Field::read(
                        fields.next().ok_or("too few fields")?
                    )?,
                )+};
                if fields.next().is_some() {
                    return Err("too many fields".into());
                }
                Ok(row)
            }
        }

        impl<'r, R> sqlx::FromRow<'r, R> for $row
        where
            R: sqlx::Row,
            usize: sqlx::ColumnIndex<R>,
            &'r str: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
        {
            fn from_row(row: &'r R) -> sqlx::Result<Self> {
                let text = row.try_get(0)?;
                $crate::store::packed::Packed::unpack(text).map_err(sqlx::Error::Decode)
            }
        }
    };
}

pub(super) use packed;
