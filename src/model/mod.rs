//! What the words of the contract mean: states, effects, selections, windows, permissions.
//! No I/O, no clock and no SQL; this module imports nothing of the crate.

pub mod audit;
pub mod order;
pub mod permission;
pub mod selection;
pub mod window;
