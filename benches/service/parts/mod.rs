//! The parts of the benchmark, each in a file.

mod bulk;
mod calls;
mod cases;
mod edges;
pub mod peers;
mod sets;
mod single;
mod whole;

pub use self::bulk::{bulk, mixed};
pub use self::calls::calls;
pub use self::edges::edges;
pub use self::sets::sets;
pub use self::single::single;
pub use self::whole::{import, memory, start};
