//! Which orders a request means: the one type that all actions on orders share, and the check
//! of the request fields that it is made of.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use schemars::{JsonSchema, Schema};
use serde::Deserialize;

use crate::model::audit::NO_CONTROLLER;
use crate::model::folders::Folders;
use crate::model::order::EffectiveState;
use crate::model::permission::Visible;
use crate::model::texts;
use crate::model::window::{Window, WindowError, displayable};

/// How many orders a preview lists at the most: unlike a list, it is held as a whole.
pub const MAX_PREVIEWED: u32 = 10_000;
/// The longest order id, workflow path or version, in characters.
pub const MAX_NAME: usize = 255;
/// The longest controller id, in characters.
pub const MAX_CONTROLLER_ID: usize = 100;
/// What no controller id contains, as JOC's schema of `controllerId` has it.
const NOT_IN_CONTROLLER_ID: &str = r#"/\<>?!&:;()"|*^"#;

/// A field of a request that is refused, and what was expected of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {expected}")]
pub struct Invalid {
    /// The field's place in the request: `workflowIds[2].path`.
    pub field: String,
    /// What it should be.
    pub expected: String,
}

impl Invalid {
    /// A refusal of `field`.
    pub fn new(field: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { field: field.into(), expected: expected.into() }
    }
}

impl From<WindowError> for Invalid {
    fn from(error: WindowError) -> Self {
        // The message of a window error begins with its field.
        let message = error.to_string();
        let (field, expected) = message.split_once(": ").unwrap_or(("dateFrom", &message));
        Self::new(field, expected)
    }
}

/// The selecting fields of a request, as they were sent.
#[derive(Debug, Clone, Default)]
pub struct Selectors {
    /// `controllerId`
    pub controller_id: String,
    /// `orderIds`
    pub order_ids: Vec<String>,
    /// `workflowIds`
    pub workflow_ids: Vec<WorkflowId>,
    /// `folders`
    pub folders: Vec<Folder>,
    /// `states`
    pub states: Vec<EffectiveState>,
    /// `dateFrom`
    pub date_from: Option<String>,
    /// `dateTo`
    pub date_to: Option<String>,
    /// `timeZone`
    pub time_zone: Option<String>,
}

/// A workflow that a request names: by path or by name, in one version or in all.
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

/// A folder of workflows, with or without the folders below it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct Folder {
    /// An absolute path; `/` is the root.
    #[schemars(with = "texts::FolderPath")]
    pub folder: String,
    /// Whether the folders below it are meant too; JOC's default is that they are.
    #[serde(default = "recursive_by_default", deserialize_with = "recursive_or_default")]
    #[schemars(with = "Option<bool>")]
    pub recursive: bool,
}

impl Folder {
    /// Whether it is the folder, or means it as one below.
    pub fn contains(&self, folder: &str) -> bool {
        match folder.strip_prefix(self.folder.as_str()) {
            Some("") => true,
            Some(rest) => self.recursive && (self.folder == "/" || rest.starts_with('/')),
            None => false,
        }
    }

    /// Whether all that it means is meant by the other one too.
    pub fn lies_in(&self, other: &Self) -> bool {
        other.contains(&self.folder) && (other.recursive || !self.recursive)
    }
}

fn recursive_by_default() -> bool {
    true
}

fn recursive_or_default<'de, D: serde::Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    Ok(Option::deserialize(value)?.unwrap_or_else(recursive_by_default))
}

/// What a request names orders by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// These orders.
    Orders(Vec<String>),
    /// The orders of these workflows.
    Workflows(Vec<WorkflowId>),
    /// The orders of the workflows in these folders.
    Folders(Folders),
    /// Every order of the controller.
    Everything,
}

/// The orders that a request means: those that meet all of its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The controller.
    pub controller_id: String,
    /// What names the orders.
    pub subject: Subject,
    /// The effective states; empty: any.
    pub states: Vec<EffectiveState>,
    /// When they are scheduled.
    pub window: Window,
    /// The instant of the request, at which effective states are judged.
    pub now: DateTime<Utc>,
    /// Whether orders that have started are left alone (`orderType: FreshOnly`).
    pub fresh_only: bool,
    /// Whether the descendants of what is selected are taken along.
    pub deep: bool,
    /// Since when they have their state.
    pub state_window: Window,
    /// Which orders a call may touch at all.
    pub reach: Reach,
    /// Where the account can see orders: an order must be in sight of one of these.
    pub sight: Vec<Sight>,
}

/// Which orders a call may touch at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Those that are not terminal.
    Living,
    /// Those, and terminal ones that are not removed from sight.
    InSight,
    /// Those that are not to be removed from sight when they are terminal, or are so already.
    NotRemoved,
}

/// Where an account can see orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// What is said of orders in these effective states; empty: in any.
    pub states: &'static [EffectiveState],
    /// The folders.
    pub visible: Visible,
}

/// What a request without any selector means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Unfiltered {
    /// It is refused: a script whose variable was empty did not mean every order.
    #[default]
    Refuse,
    /// Every order of the controller that the account may act on, as in JOC.
    Allow,
}

impl Selectors {
    /// Checks every field and decides which of them count.
    ///
    /// `orderIds` come before `workflowIds`, and these before `folders`; with `orderIds`,
    /// `states` do not count either, but the window does. `reach` says which orders the call
    /// may touch; until `sight` is set, the selection is empty. Fields that do not count must be
    /// well-formed all the same.
    ///
    /// # Errors
    ///
    /// The first field that is refused.
    pub fn resolve(
        self,
        now: DateTime<Utc>,
        unfiltered: Unfiltered,
        reach: Reach,
    ) -> Result<Selection, Invalid> {
        check_controller_id(&self.controller_id)?;
        let mut seen = HashSet::with_capacity(self.order_ids.len());
        for (i, id) in self.order_ids.iter().enumerate() {
            check_name(&format!("orderIds[{i}]"), id)?;
            if !seen.insert(id.as_str()) {
                let field = format!("orderIds[{i}]");
                return Err(Invalid::new(field, format!("{} is there twice", quoted(id))));
            }
        }
        for (i, workflow) in self.workflow_ids.iter().enumerate() {
            workflow.check(&format!("workflowIds[{i}]"))?;
        }
        let folders = Folders::checked(self.folders)?;
        if reach == Reach::Living
            && let Some(i) = self.states.iter().position(|state| state.is_terminal())
        {
            let problem = format!("{} orders do not change any more", self.states[i].as_str());
            return Err(Invalid::new(format!("states[{i}]"), problem));
        }
        let window = Window::resolve(
            self.date_from.as_deref(),
            self.date_to.as_deref(),
            self.time_zone.as_deref(),
            now,
        )?;

        let mut states = self.states;
        let subject = if !self.order_ids.is_empty() {
            states.clear();
            Subject::Orders(self.order_ids)
        } else if !self.workflow_ids.is_empty() {
            Subject::Workflows(without_repetition(self.workflow_ids))
        } else if !folders.is_empty() {
            Subject::Folders(folders)
        } else {
            if states.is_empty() && window.is_unbounded() && unfiltered == Unfiltered::Refuse {
                return Err(Invalid::new(
                    "orderIds, workflowIds, folders, states, dateFrom, dateTo",
                    "at least one is expected, since without any every order of the controller \
                     would be meant; to mean that, send folders: [{\"folder\": \"/\"}]",
                ));
            }
            Subject::Everything
        };
        Ok(Selection {
            controller_id: self.controller_id,
            subject,
            states,
            window,
            now,
            fresh_only: false,
            deep: false,
            state_window: Window::UNBOUNDED,
            reach,
            sight: Vec::new(),
        })
    }
}

impl Selection {
    /// Of the folders that the request names, those in which the account can see anything.
    pub fn in_sight(&self, folders: &Folders) -> Folders {
        let mut seen = Vec::new();
        for sight in &self.sight {
            match &sight.visible {
                Visible::Everything => return folders.clone(),
                Visible::Folders(visible) => seen.extend_from_slice(visible),
            }
        }
        folders.intersection(&Folders::of(seen))
    }
}

impl WorkflowId {
    /// Whether `path` is the name of workflows in any folder.
    pub fn is_bare_name(&self) -> bool {
        !self.path.starts_with('/')
    }

    /// Takes an empty version for none, as JOC does.
    pub fn without_empty_version(mut self) -> Self {
        self.version_id = self.version_id.filter(|version| !version.is_empty());
        self
    }

    /// Refuses what can be no path or no version; `place` is the object's in the request.
    pub fn check(&self, place: &str) -> Result<(), Invalid> {
        let field = format!("{place}.path");
        check_workflow_path(&field, &self.path)?;
        match &self.version_id {
            Some(version) => check_name(&format!("{place}.versionId"), version),
            None => Ok(()),
        }
    }
}

/// The workflows without those that are named twice, or in one version and in all.
fn without_repetition(mut workflows: Vec<WorkflowId>) -> Vec<WorkflowId> {
    // No version comes before any.
    workflows.sort_unstable();
    workflows.dedup_by(|next, kept| {
        next.path == kept.path && (kept.version_id.is_none() || next.version_id == kept.version_id)
    });
    workflows
}

/// Refuses what can be no controller id.
pub fn check_controller_id(id: &str) -> Result<(), Invalid> {
    check_text("controllerId", id, MAX_CONTROLLER_ID)?;
    match id.chars().find(|c| NOT_IN_CONTROLLER_ID.contains(*c)) {
        Some(c) => Err(Invalid::new("controllerId", format!("'{c}' is not allowed in it"))),
        None => Ok(()),
    }
}

/// Refuses what can be no controller in the database: as [`check_controller_id`], and
/// [`NO_CONTROLLER`].
pub fn check_stored_controller_id(id: &str) -> Result<(), Invalid> {
    check_controller_id(id)?;
    if id == NO_CONTROLLER {
        let problem = format!("'{NO_CONTROLLER}' stands for no controller");
        return Err(Invalid::new("controllerId", problem));
    }
    Ok(())
}

/// Refuses what can be neither a workflow's path nor its name.
pub fn check_workflow_path(field: &str, path: &str) -> Result<(), Invalid> {
    check_name(field, path)?;
    if path.starts_with('/') {
        check_segments(field, path)
    } else if path.contains('/') {
        let problem = format!("{} is neither an absolute path nor a name", quoted(path));
        Err(Invalid::new(field, problem))
    } else {
        Ok(())
    }
}

/// Refuses what can be no folder: `/`, or `/a/b` without a `/` at its end.
pub fn check_folder(field: &str, folder: &str) -> Result<(), Invalid> {
    check_name(field, folder)?;
    if folder == "/" { Ok(()) } else { check_segments(field, folder) }
}

/// Refuses what can be no folder or path in the database: as [`check_folder`], and a part that is
/// `.` or `..`.
pub fn check_stored_folder(field: &str, folder: &str) -> Result<(), Invalid> {
    check_folder(field, folder)?;
    if folder.split('/').any(|name| matches!(name, "." | "..")) {
        let problem = format!("{} has a part that is . or ..", quoted(folder));
        return Err(Invalid::new(field, problem));
    }
    Ok(())
}

/// Refuses `folders` if one of them can be no folder.
pub fn check_folders(folders: &[Folder]) -> Result<(), Invalid> {
    let mut all = folders.iter().enumerate();
    all.try_for_each(|(i, f)| check_folder(&format!("folders[{i}].folder"), &f.folder))
}

/// Refuses what can be no name, path, id or version: 1 to 255 characters, none of control.
pub fn check_name(field: &str, name: &str) -> Result<(), Invalid> {
    check_text(field, name, MAX_NAME)
}

fn check_text(field: &str, text: &str, max: usize) -> Result<(), Invalid> {
    let length = text.chars().take(max + 1).count();
    if length == 0 {
        Err(Invalid::new(field, "is empty"))
    } else if length > max {
        Err(Invalid::new(field, format!("is longer than {max} characters")))
    } else if text.chars().any(|c| c.is_ascii_control()) {
        Err(Invalid::new(field, format!("{} has a control character", quoted(text))))
    } else {
        Ok(())
    }
}

fn check_segments(field: &str, path: &str) -> Result<(), Invalid> {
    let well_formed =
        path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(|name| !name.is_empty()));
    if well_formed {
        Ok(())
    } else {
        let problem = format!("{} is not an absolute path such as /sos/billing", quoted(path));
        Err(Invalid::new(field, problem))
    }
}

/// A client's text in quotes, fit for display.
fn quoted(text: &str) -> String {
    format!("'{}'", displayable(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(folder: &str) -> Vec<&str> {
        folder.split('/').filter(|name| !name.is_empty()).collect()
    }

    proptest! {
        #[test]
        fn a_folder_contains_what_begins_with_its_names(
            folder in "/|(/[ab%]{1,2}){1,3}", other in "/|(/[ab%]{1,2}){1,4}", recursive in any::<bool>(),
        ) {
            let contains = Folder { folder: folder.clone(), recursive }.contains(&other);
            let below = names(&other).starts_with(&names(&folder));
            prop_assert_eq!(contains, below && (recursive || folder == other));
        }
    }
}
