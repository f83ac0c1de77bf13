//! Which orders a request selects: one type for all actions on orders, and the checks of the request
//! fields it is built from.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use crate::model::checks::{check_controller_id, check_name};
use crate::model::cycle::Cycle;
use crate::model::folders::{Folder, Folders};
use crate::model::invalid::{Invalid, quoted};
use crate::model::order::{EffectiveState, StateWord};
use crate::model::permission::Visible;
use crate::model::window::Window;
use crate::model::workflow_id::WorkflowId;

/// Maximum orders in a preview, which, unlike a list, is not streamed.
pub const MAX_PREVIEWED: u32 = 10_000;

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
    pub states: Vec<StateWord>,
    /// `dateFrom`
    pub date_from: Option<String>,
    /// `dateTo`
    pub date_to: Option<String>,
    /// `timeZone`
    pub time_zone: Option<String>,
}

/// The selector that applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// These orders.
    Orders(Vec<String>),
    /// The orders of these workflows.
    Workflows(Vec<WorkflowId>),
    /// The orders of the workflows in these folders.
    Folders(Folders),
    /// The orders that this entry of the audit trail changed.
    Entry(i64),
    /// Every order of the controller.
    Everything,
    /// No order: none can be in the states that were asked for.
    Nothing,
}

/// The orders that a request selects: those that match all of its fields.
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
    /// Orders that are `SCHEDULED` at this instant or later are left out: the
    /// [horizon](crate::model::window::of_list) of a list.
    pub horizon: Option<DateTime<Utc>>,
    /// The instant of the request, at which effective states are judged.
    pub now: DateTime<Utc>,
    /// Whether orders that have started are skipped (`orderType: FreshOnly`).
    pub fresh_only: bool,
    /// Whether the descendants of selected orders are included.
    pub deep: bool,
    /// Whether a fresh order that is named by id stands for every fresh order of its cycle.
    pub whole_cycles: bool,
    /// Since when they have their state.
    pub state_window: Window,
    /// Which orders the request may touch at all.
    pub reach: Reach,
    /// Where the account can see orders: an order must match one of these.
    pub sight: Vec<Sight>,
}

/// Which orders a request may touch at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Those that are not terminal.
    Living,
    /// Terminal ones that are not hidden.
    Ended,
    /// Both.
    InSight,
    /// Those that are neither hidden nor to be hidden when terminal.
    NotRemoved,
    /// All of them.
    Any,
}

/// Where an account can see orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// The effective states; empty: any.
    pub states: &'static [EffectiveState],
    /// The folders.
    pub visible: Visible,
}

/// What to do with a request without any selector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Unfiltered {
    /// Reject it: a script whose variable is empty does not mean every order.
    #[default]
    Refuse,
    /// Select every order of the controller that the account may act on, as in JOC.
    Allow,
}

impl Selectors {
    /// Checks every field, and decides which selectors count.
    ///
    /// `orderIds` override `workflowIds`, which override `folders`; `orderIds` also override
    /// `states`, but not the window. States that no order within `reach` has select nothing, also if
    /// no others are given. `reach` limits which orders the request may touch; until
    /// `sight` is set, the selection is empty. Overridden fields must be valid, too.
    ///
    /// # Errors
    ///
    /// The first invalid field.
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
                return Err(Invalid::new(field, format!("{} occurs twice", quoted(id))));
            }
        }
        for (i, workflow) in self.workflow_ids.iter().enumerate() {
            workflow.check(&format!("workflowIds[{i}]"))?;
        }
        let folders = Folders::checked(self.folders)?;
        let window = Window::resolve(
            self.date_from.as_deref(),
            self.date_to.as_deref(),
            self.time_zone.as_deref(),
            now,
        )?;

        let any_state = self.states.is_empty();
        let states = self.states.into_iter().filter_map(|StateWord(state)| state);
        let mut states: Vec<EffectiveState> =
            states.filter(|state| reach != Reach::Living || !state.is_terminal()).collect();
        let subject = if !self.order_ids.is_empty() {
            states.clear();
            Subject::Orders(self.order_ids)
        } else if !any_state && states.is_empty() {
            Subject::Nothing
        } else if !self.workflow_ids.is_empty() {
            Subject::Workflows(WorkflowId::without_repetition(self.workflow_ids))
        } else if !folders.is_empty() {
            Subject::Folders(folders)
        } else {
            if any_state && window.is_unbounded() && unfiltered == Unfiltered::Refuse {
                return Err(Invalid::new(
                    "orderIds, workflowIds, folders, states, dateFrom, dateTo",
                    "at least one selector is required; to select every order of the controller, \
                     send folders: [{\"folder\": \"/\"}]",
                ));
            }
            Subject::Everything
        };
        Ok(Selection { states, window, ..Selection::of(self.controller_id, subject, reach, now) })
    }
}

impl Selection {
    /// All that the subject names, in sight of nobody yet.
    pub fn of(controller_id: String, subject: Subject, reach: Reach, now: DateTime<Utc>) -> Self {
        Self {
            controller_id,
            subject,
            states: Vec::new(),
            window: Window::UNBOUNDED,
            horizon: None,
            now,
            fresh_only: false,
            deep: false,
            whole_cycles: false,
            state_window: Window::UNBOUNDED,
            reach,
            sight: Vec::new(),
        }
    }

    /// The named ids that stand for their cycles if their orders are fresh, each with its cycle.
    pub fn cycles(&self) -> impl Iterator<Item = (&str, Cycle<'_>)> {
        let ids = match &self.subject {
            Subject::Orders(ids) if self.whole_cycles => ids.as_slice(),
            _ => &[],
        };
        ids.iter().filter_map(|id| Some((id.as_str(), Cycle::of(id)?)))
    }

    /// Whether there are such ids.
    pub fn has_cycles(&self) -> bool {
        self.cycles().next().is_some()
    }

    /// Whether the account can see orders in some folders only.
    pub fn is_limited(&self) -> bool {
        let everything = |s: &Sight| s.visible == Visible::Everything;
        !self.sight.iter().all(everything)
            && !self.sight.iter().any(|s| s.states.is_empty() && everything(s))
    }

    /// Whether the request names a folder, or a workflow by its path, where the account can see
    /// nothing. A bare name tells no folder.
    pub fn names_hidden(&self) -> bool {
        let is_hidden = |folder: &str| !self.sight.iter().any(|s| s.visible.shows(folder));
        match &self.subject {
            Subject::Folders(folders) => folders
                .iter()
                .any(|folder| self.in_sight(&Folders::of(vec![folder.clone()])).is_empty()),
            Subject::Workflows(workflows) => {
                workflows.iter().filter_map(WorkflowId::folder).any(is_hidden)
            }
            Subject::Orders(_) | Subject::Entry(_) | Subject::Everything | Subject::Nothing => {
                false
            }
        }
    }

    /// The requested folders in which the account can see anything.
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
