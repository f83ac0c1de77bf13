//! A file that commands create: under another name until it is complete, and never over another one.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::NamedTempFile;

use super::error::CliError;
use crate::store;

/// A file that is not there under its name yet, and never will be unless it is kept.
pub(super) struct NewFile {
    file: NamedTempFile,
    path: PathBuf,
}

impl NewFile {
    /// Begins a file; refuses a name that is taken, even by a link to nothing.
    pub(super) fn create(path: &Path) -> Result<Self, CliError> {
        if path.symlink_metadata().is_ok() {
            return Err(refused(path, &io::ErrorKind::AlreadyExists.into()));
        }
        if path.file_name().is_none() {
            return Err(refused(path, &io::ErrorKind::InvalidFilename.into()));
        }
        let file = NamedTempFile::new_in(folder(path)).map_err(|error| refused(path, &error))?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// The file, from its beginning.
    pub(super) fn open(&self) -> io::Result<File> {
        self.file.reopen()
    }

    /// Gives it its name, once it is on disk.
    pub(super) fn keep(self) -> anyhow::Result<()> {
        let Self { file, path } = self;
        file.as_file().sync_all().with_context(|| path.display().to_string())?;
        file.persist_noclobber(&path).map_err(|error| refused(&path, &error.error))?;
        // The name must not be lost either. Other systems cannot open a folder.
        #[cfg(unix)]
        File::open(folder(&path))?.sync_all().with_context(|| path.display().to_string())?;
        Ok(())
    }
}

/// The error of a removal that a file was written for. The file goes, unless it may be the only copy.
pub(super) fn discarded(path: &Path, error: store::Error) -> anyhow::Error {
    let cause = match &error {
        store::Error::At { error, .. } => error,
        error => error,
    };
    if matches!(cause, store::Error::Unsettled) {
        let kept = format!("keep {}: it may be the only copy of what it holds", path.display());
        return anyhow::Error::from(error).context(kept);
    }
    match std::fs::remove_file(path) {
        Ok(()) => error.into(),
        Err(left) => anyhow::Error::from(error).context(format!("{}: {left}", path.display())),
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn refused(path: &Path, error: &io::Error) -> CliError {
    let reason = match error.kind() {
        io::ErrorKind::AlreadyExists => "is there already; name a new file".into(),
        _ => error.to_string(),
    };
    CliError::Usage(format!("--to {}: {reason}", path.display()))
}
