//! The file of contexts: the services where the person is logged in. It has tokens, which open what
//! the person may do, so only its owner may read it. It never has passwords.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::api_url::api_url;
use crate::cli::error::CliError;
use crate::cli::escape::visible;
use crate::config::variable;

/// The variable that names another file.
const FILE: &str = "JOC_ORDERS_CONTEXTS_FILE";

/// What the file has.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Contexts {
    /// The context of commands that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) current: Option<String>,
    pub(super) contexts: BTreeMap<String, SavedContext>,
}

/// A service, and the session there.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SavedContext {
    #[serde(serialize_with = "write_url", deserialize_with = "read_url")]
    pub(super) url: Url,
    pub(super) account: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) controller_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ca_file: Option<PathBuf>,
    /// None after a logout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) token: Option<String>,
}

fn write_url<S: serde::Serializer>(url: &Url, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(url.as_str())
}

fn read_url<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
    api_url(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

impl Contexts {
    /// The context of this name.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub(super) fn named(&self, name: &str) -> Result<&SavedContext, CliError> {
        self.contexts.get(name).ok_or_else(|| {
            let name = visible(name);
            CliError::Usage(format!(
                "there is no context {name}; `joc-orders login --context {name}` makes it"
            ))
        })
    }
}

/// The contexts; none if there is no file.
///
/// # Errors
///
/// If others than its owner can read or change the file, or if it is no file of contexts.
pub(super) fn load() -> anyhow::Result<Contexts> {
    read(&path()?)
}

/// Changes the file. Whoever reads it meanwhile sees all of the change or nothing.
///
/// # Errors
///
/// As for [`load`], and if the file cannot be written.
pub(super) fn update<T>(
    change: impl FnOnce(&mut Contexts) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let path = path()?;
    let name = || path.display().to_string();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    make_folder(folder).with_context(name)?;
    // Two logins at the same time shall not lose one of them.
    let lock = File::create(path.with_extension("lock")).with_context(name)?;
    lock.lock().with_context(name)?;
    let mut contexts = read(&path)?;
    let result = change(&mut contexts)?;
    // A temporary file is readable by its owner only.
    let mut file = NamedTempFile::new_in(folder).with_context(name)?;
    file.write_all(format!("{:#}\n", serde_json::to_value(&contexts)?).as_bytes())
        .and_then(|()| file.as_file().sync_all())
        .with_context(name)?;
    file.persist(&path).with_context(name)?;
    Ok(result)
}

fn path() -> anyhow::Result<PathBuf> {
    if let Some(file) = variable(FILE) {
        return Ok(file.into());
    }
    let absolute = |path: &PathBuf| path.is_absolute();
    let config = variable("XDG_CONFIG_HOME").map(PathBuf::from).filter(absolute);
    let config = config.or_else(|| Some(std::env::home_dir().filter(absolute)?.join(".config")));
    let config = config.ok_or_else(|| {
        CliError::Usage(format!("no home folder for the file of contexts: set {FILE}"))
    })?;
    Ok(config.join("joc-orders/contexts.json"))
}

fn read(path: &Path) -> anyhow::Result<Contexts> {
    let problem = |problem: String| {
        CliError::Usage(format!("{}: {problem}", visible(&path.to_string_lossy())))
    };
    let mut file = match File::open(path) {
        // A variable such as HOME=/dev/null says that there is none.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Contexts::default());
        }
        file => file.map_err(|error| problem(error.to_string()))?,
    };
    refuse_others(&file, path)?;
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(|error| problem(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| {
        let text = format!("not a file of contexts: {error}; remove it and log in again");
        problem(visible(&text)).into()
    })
}

#[cfg(unix)]
fn refuse_others(file: &File, path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let mode = file.metadata()?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let path = visible(&path.to_string_lossy());
    let problem = format!(
        "{path}: others can read or change this file, which has access tokens (its mode is {:04o}): \
         run `chmod 600 {path}`, and log in again if somebody may have read it",
        mode & 0o7777
    );
    Err(CliError::Usage(problem).into())
}

#[cfg(not(unix))]
fn refuse_others(_file: &File, _path: &Path) -> anyhow::Result<()> {
    Ok(())
}

/// Makes the folder, which then is its owner's alone.
fn make_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}
