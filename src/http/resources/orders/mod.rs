//! `/orders/…` and `/order/…`: a file for each kind of endpoint.

pub mod add;
mod cycles;
pub mod history;
pub mod item;
pub mod list;
pub mod modify;
pub mod undo;
