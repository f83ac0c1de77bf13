//! What becomes of the orders that a cancel changed when it is undone.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::model::effect::Effect;
use crate::model::order::{Mark, State};

/// What becomes of an order whose date has passed meanwhile, and which would start at once.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Default,
    Deserialize,
    Serialize,
    JsonSchema,
    clap::ValueEnum,
    IntoStaticStr,
)]
#[strum(serialize_all = "lowercase")]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Overdue {
    /// It comes back suspended.
    #[default]
    Suspend,
    /// It comes back as it was.
    Run,
}

/// How an order stands to the cancel that changed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, EnumString, VariantArray)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum Fate {
    /// It was fresh.
    Fresh,
    /// It was fresh and suspended.
    FreshSuspended,
    /// It was fresh, suspended, and to be resumed.
    FreshResuming,
    /// It was fresh and to be suspended.
    FreshSuspending,
    /// It was fresh and not suspended, and its date has passed.
    Overdue,
    /// It only got the mark, which nobody has honoured yet, and had none before.
    Marked,
    /// The mark replaced `SUSPENDING`.
    MarkedSuspending,
    /// The mark replaced `RESUMING`.
    MarkedResuming,
    /// It had started.
    Started,
    /// Its job was killed.
    Killed,
    /// Something has changed it since: a request, an executor, or a script.
    Changed,
    /// It is the child of an order that no longer waits for it.
    ParentContinued,
    /// It is no longer in the database.
    Gone,
    /// The entry is older than the record of what orders were before.
    Unrecorded,
}

const RESTORED: Effect = Effect::named("RESTORED", "restored").state(State::Fresh).suspended(false);
const RESTORED_SUSPENDED: Effect =
    Effect::named("RESTORED_SUSPENDED", "restored").state(State::Fresh).suspended(true);
const RESTORED_RESUMING: Effect = Effect::named("RESTORED_RESUMING", "restored")
    .state(State::Fresh)
    .suspended(true)
    .marked(Mark::Resuming);
const RESTORED_SUSPENDING: Effect = Effect::named("RESTORED_SUSPENDING", "restored")
    .state(State::Fresh)
    .suspended(false)
    .marked(Mark::Suspending);
/// It would start at once, and comes back suspended instead.
const SUSPENDED: Effect =
    Effect::named("SUSPENDED", "suspended").state(State::Fresh).suspended(true);
const UNMARKED: Effect = Effect::named("UNMARKED", "unmarked").settled();
const SUSPENDING: Effect = Effect::named("SUSPENDING", "unmarked").marked(Mark::Suspending);
const RESUMING: Effect = Effect::named("RESUMING", "unmarked").marked(Mark::Resuming);

impl Fate {
    /// The word that the API and the statements use.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// What an undo does to the order; `None`: nothing, and the fate is the reason.
    pub fn effect(self, overdue: Overdue) -> Option<Effect> {
        match (self, overdue) {
            (Self::Fresh, _) | (Self::Overdue, Overdue::Run) => Some(RESTORED),
            (Self::FreshSuspended, _) => Some(RESTORED_SUSPENDED),
            (Self::FreshResuming, _) => Some(RESTORED_RESUMING),
            (Self::FreshSuspending, _) => Some(RESTORED_SUSPENDING),
            (Self::Overdue, Overdue::Suspend) => Some(SUSPENDED),
            (Self::Marked, _) => Some(UNMARKED),
            (Self::MarkedSuspending, _) => Some(SUSPENDING),
            (Self::MarkedResuming, _) => Some(RESUMING),
            (
                Self::Started
                | Self::Killed
                | Self::Changed
                | Self::ParentContinued
                | Self::Gone
                | Self::Unrecorded,
                _,
            ) => None,
        }
    }

    /// The fates in which an order is left alone.
    pub fn reasons() -> impl Iterator<Item = Self> {
        Self::VARIANTS.iter().copied().filter(|fate| fate.effect(Overdue::Run).is_none())
    }

    /// Why orders with this fate are left alone, as a verb in the past: `3 orders had started`.
    pub fn because(self) -> &'static str {
        match self {
            Self::Started => "had started",
            Self::Killed => "got a kill request",
            Self::Changed => "changed afterwards",
            Self::ParentContinued => "had a parent that no longer waits",
            Self::Gone => "disappeared",
            Self::Unrecorded => "left no record of what went before",
            _ => "could be restored",
        }
    }
}
