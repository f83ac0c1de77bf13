//! `/orders/…` and `/order/…`: a file for each kind of call.

pub(super) mod add;
pub(super) mod history;
pub(super) mod item;
pub(super) mod list;
pub(super) mod modify;
