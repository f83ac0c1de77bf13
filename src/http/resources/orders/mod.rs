//! `/orders/…` and `/order/…`: a file for each kind of endpoint.

pub mod add;
pub mod history;
pub mod item;
pub mod list;
pub mod modify;
