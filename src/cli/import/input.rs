//! The input, which is read twice: a file as it is, anything else by a temporary file.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::error::CliError;

/// An input.
pub(super) enum Input {
    /// A file.
    File(File),
    /// What can be read only once.
    Stream(Box<dyn Read + Send>),
}

impl Input {
    /// Opens a file, or standard input for `-`, with a progress bar on a terminal.
    pub(super) fn open(path: &Path) -> Result<(Self, ProgressBar), CliError> {
        let (input, size) = if path == Path::new("-") {
            (Self::Stream(Box::new(io::stdin())), None)
        } else {
            let unreadable = |error| CliError::Usage(format!("{}: {error}", path.display()));
            let file = File::open(path).map_err(unreadable)?;
            let metadata = file.metadata().map_err(unreadable)?;
            if metadata.is_dir() {
                return Err(unreadable(io::ErrorKind::IsADirectory.into()));
            }
            match metadata.is_file() {
                true => (Self::File(file), Some(metadata.len())),
                false => (Self::Stream(Box::new(file)), None),
            }
        };
        let progress = match size {
            _ if !io::stderr().is_terminal() => ProgressBar::hidden(),
            Some(size) => ProgressBar::new(size)
                .with_style(style("{wide_bar} {msg} {bytes} of {total_bytes}, {eta} left")),
            None => {
                let spinner =
                    ProgressBar::new_spinner().with_style(style("{spinner} {msg} {bytes}"));
                spinner.enable_steady_tick(Duration::from_millis(200));
                spinner
            }
        };
        Ok((input, progress))
    }

    /// Reads it for the first time, and makes it a file.
    pub(super) fn first(&mut self, progress: &ProgressBar) -> io::Result<Box<dyn Read + Send>> {
        progress.set_message("checking");
        let kept = match self {
            Self::File(file) => return Ok(Box::new(progress.wrap_read(file.try_clone()?))),
            Self::Stream(_) => tempfile::tempfile()?,
        };
        let spool = kept.try_clone()?;
        match std::mem::replace(self, Self::File(kept)) {
            Self::File(file) => Ok(Box::new(file)),
            Self::Stream(inner) => {
                Ok(Box::new(Spooled { inner: progress.wrap_read(inner), spool }))
            }
        }
    }

    /// The input from its start.
    pub(super) fn again(mut self) -> io::Result<Self> {
        if let Self::File(file) = &mut self {
            file.rewind()?;
        }
        Ok(self)
    }

    /// Reads it for the second time.
    pub(super) fn second(self, progress: &ProgressBar) -> io::Result<Box<dyn Read + Send>> {
        progress.set_message("importing");
        progress.set_position(0);
        match self {
            Self::File(file) => Ok(Box::new(progress.wrap_read(file))),
            Self::Stream(stream) => Ok(stream),
        }
    }
}

/// Keeps what it reads.
struct Spooled<R> {
    inner: R,
    spool: File,
}

impl<R: Read> Read for Spooled<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.spool.write_all(buffer.get(..read).unwrap_or_default())?;
        Ok(read)
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
