//! Faults that need help from outside: `shim.c`, preloaded into the program.

use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use tempfile::{NamedTempFile, TempDir};

use crate::harness::{Database, ROOT, Served, program};

/// The shim, compiled once.
fn shim() -> PathBuf {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/faults/shim.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]);
        compiler.arg(folder.path().join("shim.so")).arg(source);
        assert!(compiler.status().expect("cc").success());
        folder
    });
    folder.path().join("shim.so")
}

/// The current fault, in a file that the shim reads.
pub struct Faults(NamedTempFile);

impl Faults {
    /// Starts the service on a faulty machine.
    pub fn under(db: &Database, args: &[&str], ahead: i64) -> (Self, Served) {
        let faults = Self(NamedTempFile::new().unwrap());
        faults.set_clock(ahead);
        faults.fill_disk(false);
        faults.forbid_writing(false);
        let mut command = program(&db.url);
        command.args(args).env("JOC_ORDERS_ROOT_PASSWORD", ROOT.1);
        command.env("LD_PRELOAD", shim()).env("FAULTS", faults.0.path());
        (faults, Served::start(command))
    }

    /// Sets the clock this many seconds ahead of the machine's.
    pub fn set_clock(&self, ahead: i64) {
        self.0.as_file().write_all_at(&ahead.to_ne_bytes(), 0).unwrap();
    }

    /// Makes the disk read-only.
    pub fn forbid_writing(&self, forbidden: bool) {
        self.0.as_file().write_all_at(&i64::from(forbidden).to_ne_bytes(), 16).unwrap();
    }

    pub fn fill_disk(&self, full: bool) {
        self.0.as_file().write_all_at(&i64::from(full).to_ne_bytes(), 8).unwrap();
    }
}
