//! Converts the model's words to and from columns.

use sqlx::decode::Decode;
use sqlx::error::BoxDynError;
use sqlx::{Database, Type};

use crate::model::order::{EffectiveState, Mark};

macro_rules! columns_of_words {
    ($($word:ty),*) => {$(
        impl<DB: Database> Type<DB> for $word
        where
            str: Type<DB>,
        {
            fn type_info() -> DB::TypeInfo {
                <str as Type<DB>>::type_info()
            }

            fn compatible(info: &DB::TypeInfo) -> bool {
                <str as Type<DB>>::compatible(info)
            }
        }

        impl<'r, DB: Database> Decode<'r, DB> for $word
        where
            &'r str: Decode<'r, DB>,
        {
            fn decode(value: DB::ValueRef<'r>) -> Result<Self, BoxDynError> {
                let word = <&str as Decode<DB>>::decode(value)?;
                word.parse().map_err(|_| format!("unknown word {word}").into())
            }
        }
    )*};
}

columns_of_words!(EffectiveState, Mark);
