//! How a request names a workflow.

use schemars::{JsonSchema, Schema};
use serde::Deserialize;

use crate::model::checks::{check_name, check_workflow_path};
use crate::model::invalid::Invalid;
use crate::model::texts;

/// A workflow, named by path or by name, in one version or in all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline, transform = |schema: &mut Schema| texts::alias(schema, "versionId", "version"))]
pub struct WorkflowId {
    /// An absolute path, or, without a leading `/`, the name of workflows in any folder.
    #[schemars(with = "texts::WorkflowPath")]
    pub path: String,
    /// The version; none: every version.
    #[serde(default, alias = "version")]
    #[schemars(with = "Option<texts::Name>")]
    pub version_id: Option<String>,
}

/// The folder of a workflow's path; `None` for a bare name.
pub fn folder_of(path: &str) -> Option<&str> {
    match path.rsplit_once('/')? {
        ("", _) => Some("/"),
        (folder, _) => Some(folder),
    }
}

impl WorkflowId {
    /// Whether `path` is the name of workflows in any folder.
    pub fn is_bare_name(&self) -> bool {
        !self.path.starts_with('/')
    }

    /// The folder of its path; `None` for a bare name.
    pub fn folder(&self) -> Option<&str> {
        folder_of(&self.path)
    }

    /// Treats an empty version as none, as JOC does.
    pub fn without_empty_version(mut self) -> Self {
        self.version_id = self.version_id.filter(|version| !version.is_empty());
        self
    }

    /// Rejects an invalid path or version; `place` is the object's place in the request.
    pub fn check(&self, place: &str) -> Result<(), Invalid> {
        let field = format!("{place}.path");
        check_workflow_path(&field, &self.path)?;
        match &self.version_id {
            Some(version) => check_name(&format!("{place}.versionId"), version),
            None => Ok(()),
        }
    }

    /// The workflows without repetitions: none twice, none both in one version and in all.
    pub fn without_repetition(mut workflows: Vec<Self>) -> Vec<Self> {
        // No version sorts before any.
        workflows.sort_unstable();
        workflows.dedup_by(|next, kept| {
            next.path == kept.path
                && (kept.version_id.is_none() || next.version_id == kept.version_id)
        });
        workflows
    }
}
