//! The formats of the input, and its limits.

use std::cell::Cell;
use std::rc::Rc;

/// The longest line, and the longest order of a response, in bytes.
pub(super) const MAX_LINE: u64 = 16 * 1024 * 1024;
pub(super) const TOO_LONG: &str = "is longer than 16 MiB";

/// The format of the input.
#[derive(Debug, Clone)]
pub enum InputFormat {
    /// JSON lines, each of which names its controller.
    Lines,
    /// A whole JOC `/orders` response.
    Response {
        /// The controller, which the response does not name.
        controller_id: String,
    },
    /// A table with a row of names.
    Table(Mapping),
}

/// How the input is read.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub(super) format: InputFormat,
    /// Fields and columns to ignore.
    pub(super) ignored: Vec<String>,
    /// Whether repeated orders replace each other.
    pub(super) replace: bool,
    /// Whether bad lines are left out.
    pub(super) is_lenient: bool,
}

/// Which columns of a table have which fields.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// The controller, unless a column has it.
    pub controller_id: Option<String>,
    /// Fields and the names of their columns. A column that has the name of a field needs no entry.
    pub columns: Vec<(String, String)>,
    /// Fields and what they have where there is no column, or an empty cell.
    pub defaults: Vec<(String, String)>,
    /// What separates cells.
    pub delimiter: u8,
}

/// How many bytes may still be read for the current order; `None`: no limit.
pub(super) type Budget = Rc<Cell<Option<u64>>>;
