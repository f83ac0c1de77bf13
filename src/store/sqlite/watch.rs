//! Checks that the database's file name still means the file that was opened. SQLite reopens files
//! by name, so it would mix two databases if the file were replaced: new connections would open the
//! new file, and SQLite would take its `-shm`, which processes share, for that of the old one.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::store::{Error, Result};

/// What may have happened to a file.
const REPLACED: &str = "was replaced";
const EMPTIED: &str = "was emptied";

/// The files of a database while it is open.
#[derive(Debug)]
pub(super) struct Watch {
    file: Watched,
    /// The files beside it, if they exist.
    log: Option<Watched>,
    index: Option<Watched>,
    /// What happened to them, once a change has been noticed.
    lost: OnceLock<String>,
}

#[derive(Debug)]
struct Watched {
    what: &'static str,
    path: PathBuf,
    /// Device and inode.
    id: (u64, u64),
    may_be_empty: bool,
}

/// The path of a file beside the database, where SQLite looks for it: symbolic links are followed.
pub(super) fn beside(file: &Path, end: &str) -> PathBuf {
    let mut file = fs::canonicalize(file).unwrap_or_else(|_| file.into()).into_os_string();
    file.push(end);
    file.into()
}

fn id(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

impl Watched {
    fn new(what: &'static str, path: PathBuf, may_be_empty: bool) -> io::Result<Self> {
        Ok(Self { what, id: id(&fs::metadata(&path)?), path, may_be_empty })
    }

    /// What happened to the file, if it changed.
    fn look(&self) -> io::Result<Option<&'static str>> {
        match fs::metadata(&self.path) {
            Ok(now) if id(&now) != self.id => Ok(Some(REPLACED)),
            Ok(now) if now.len() == 0 && !self.may_be_empty => Ok(Some(EMPTIED)),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Some("was deleted")),
            Err(error) => Err(error),
        }
    }
}

impl Watch {
    /// Watches a file to which a connection is open, which keeps the files beside it.
    pub(super) fn over(file: &Path) -> io::Result<Self> {
        let side = |what, end, may_be_empty| {
            let path = beside(file, end);
            path.exists().then(|| Watched::new(what, path, may_be_empty)).transpose()
        };
        Ok(Self {
            file: Watched::new("the database file", file.into(), false)?,
            log: side("the database's -wal file", "-wal", true)?,
            index: side("the database's -shm file", "-shm", false)?,
            lost: OnceLock::new(),
        })
    }

    /// Fails permanently once a file has changed. It takes a few microseconds, so every use of the
    /// database begins with it.
    pub(super) fn check(&self) -> Result<()> {
        if let Some(lost) = self.lost.get() {
            return Err(Error::Lost(lost.clone()));
        }
        for file in [&self.file].into_iter().chain(&self.log).chain(&self.index) {
            let Some(problem) = file.look().map_err(sqlx::Error::Io)? else { continue };
            let lost = format!("{} {problem}", file.what);
            if self.lost.set(lost.clone()).is_ok() {
                let path = file.path.display();
                tracing::error!(%path, "{lost}: nothing is read or written until a restart");
            }
            return Err(Error::Lost(lost));
        }
        Ok(())
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost.get().is_some()
    }

    /// Whether nothing may be closed or written any more: the files beside the database belong to
    /// another one by now, or a file was emptied and may be about to be overwritten, while the index
    /// is mapped into memory.
    pub(super) fn is_off_limits(&self) -> bool {
        let looks = [Some(&self.file), self.log.as_ref(), self.index.as_ref()];
        let mut problems = looks.into_iter().flatten().map(|file| (file.what, file.look()));
        problems.any(|(what, problem)| match problem {
            Ok(Some(REPLACED)) => what != self.file.what,
            Ok(problem) => problem == Some(EMPTIED),
            Err(_) => true,
        })
    }

    /// The length of the write-ahead log.
    pub(super) fn log_length(&self) -> u64 {
        let log = self.log.as_ref().and_then(|log| fs::metadata(&log.path).ok());
        log.map_or(0, |log| log.len())
    }
}
