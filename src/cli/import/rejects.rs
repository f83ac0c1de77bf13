//! The file that takes bad lines, in a form that can be imported once they are mended: lines as
//! they are, each after comments with its errors; rows of a table with a column for the errors.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use csv::ByteRecord;

use crate::cli::error::CliError;
use crate::model::counted::counted;

/// The column of a table that has the errors.
pub(super) const ERRORS: &str = "import_error";

/// A file of bad lines.
#[derive(Debug)]
pub(super) struct Rejects(BufWriter<File>);

impl Rejects {
    /// Creates the file.
    ///
    /// # Errors
    ///
    /// If it is there already, or cannot be written.
    pub(super) fn create(path: &Path) -> Result<Self, CliError> {
        let refused = |error: io::Error| {
            let reason = match error.kind() {
                io::ErrorKind::AlreadyExists => "is there already; name a new file".into(),
                _ => error.to_string(),
            };
            CliError::Usage(format!("--rejects {}: {reason}", path.display()))
        };
        Ok(Self(BufWriter::new(File::create_new(path).map_err(refused)?)))
    }

    /// Adds a line without its end.
    pub(super) fn line(&mut self, place: &str, errors: &[String], line: &[u8]) -> io::Result<()> {
        for error in errors {
            writeln!(self.0, "# {place}: {error}")?;
        }
        self.0.write_all(line)?;
        self.0.write_all(b"\n")
    }

    /// Adds what is left of a line.
    pub(super) fn rest(&mut self, rest: &[u8]) -> io::Result<()> {
        self.0.write_all(rest)
    }

    /// Adds a row of a table, its first row being that of the names.
    pub(super) fn row(&mut self, delimiter: u8, row: &ByteRecord, errors: &str) -> io::Result<()> {
        let mut writer =
            csv::WriterBuilder::new().delimiter(delimiter).flexible(true).from_writer(&mut self.0);
        writer.write_record(row.iter().chain([errors.as_bytes()]))?;
        writer.flush()
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The result of an import without its bad lines.
pub(super) fn rejected(lines: u64, path: &Path, problems: &str) -> CliError {
    let lines = counted(lines, "bad line");
    CliError::Rejected(format!("{lines} went to {}{problems}", path.display()))
}
