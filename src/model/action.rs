//! What an action does to the selected orders, as tables: which orders, and what changes. The store
//! turns the tables into SQL, so a new action is a new list of rules here.

use strum::VariantArray;

use crate::model::effect::Effect;
use crate::model::order::{EffectiveState, LIVING, Mark, State};
use crate::model::undo::{Fate, Overdue};

/// It becomes `CANCELLED`.
const CANCELLED: Effect =
    Effect::named("CANCELLED", "cancelled").state(State::Cancelled).suspended(false).settled();
/// It keeps its state and gets the mark `CANCELLING`.
const CANCELLING: Effect = Effect::named("CANCELLING", "marked").marked(Mark::Cancelling);
/// As [`CANCELLING`], and its running job is to be killed.
const CANCEL_BY_KILL: Effect = Effect::named("KILL", "killed").marked(Mark::Cancelling).killed();
/// It is suspended at once.
const SUSPENDED: Effect = Effect::named("SUSPENDED", "suspended").suspended(true).settled();
/// It is suspended at once, and restarts what it waits for when it is resumed.
const RESET: Effect =
    Effect::named("RESET", "suspended").state(State::InProgress).suspended(true).settled();
/// It keeps its state and gets the mark `SUSPENDING`.
const SUSPENDING: Effect = Effect::named("SUSPENDING", "marked").marked(Mark::Suspending);
/// As [`SUSPENDING`], and its running job is to be killed.
const SUSPEND_BY_KILL: Effect = Effect::named("KILL", "killed").marked(Mark::Suspending).killed();
/// It continues in its state, or the request to suspend it is withdrawn.
const RESUMED: Effect = Effect::named("RESUMED", "resumed").suspended(false).settled();
/// It continues after its failure.
const RETRIED: Effect = Effect::named("RETRIED", "resumed").state(State::InProgress).settled();
/// It continues.
const CONTINUED: Effect = Effect::named("CONTINUED", "continued").state(State::InProgress);
/// It continues after a person's confirmation.
const CONFIRMED: Effect = Effect::named("CONFIRMED", "confirmed").state(State::InProgress);
/// Its priority changes.
const CHANGED: Effect = Effect::named("CHANGED", "changed");
/// It is hidden.
const REMOVED: Effect = Effect::named("REMOVED", "removed");
/// It is hidden as soon as it is terminal.
const REMOVED_LATER: Effect = Effect::named("REMOVED_WHEN_TERMINATED", "removedWhenTerminated");

/// A condition beside the effective state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// None.
    Always,
    /// The order has this mark already.
    Marked(Mark),
    /// No kill has been requested for its job yet.
    NotKilledYet,
    /// The order has this mark, and no kill has been requested for its job yet.
    MarkedNotKilled(Mark),
    /// It has a living descendant that the same request does not end.
    HeldByChildren,
    /// It waits for one of these reasons.
    WaitsFor(&'static [&'static str]),
    /// It stands like this to the cancel that is undone.
    Fated(Fate),
}

/// One line of an action's table: orders in one of these states that meet the condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The effective states it is about.
    pub states: &'static [EffectiveState],
    /// What else must hold.
    pub condition: Condition,
    /// What happens to such an order; `None`: it is not affected.
    pub effect: Option<Effect>,
}

/// What a request does to the orders that it selects.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// `/orders/cancel`
    Cancel {
        /// Whether running jobs are killed.
        kill: bool,
    },
    /// `/orders/suspend`
    Suspend {
        /// Whether running jobs are killed.
        kill: bool,
        /// Whether an order restarts what it waits for when it is resumed.
        reset: bool,
    },
    /// `/orders/resume`
    Resume {
        /// Where the orders continue, as JSON; `None`: where they are.
        position: Option<String>,
        /// What is merged into their arguments, as JSON; `None`: nothing.
        variables: Option<String>,
    },
    /// `/orders/confirm`
    Confirm,
    /// `/orders/continue`
    Continue,
    /// `/orders/change`
    Change {
        /// The new priority.
        priority: i32,
    },
    /// `/orders/remove_when_terminated`
    RemoveWhenTerminated,
    /// `/orders/cancel/undo`
    Undo {
        /// What becomes of orders whose date has passed.
        overdue: Overdue,
    },
}

/// An order as the conditions see it.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// Its effective state.
    pub state: EffectiveState,
    /// Its mark.
    pub mark: Option<Mark>,
    /// Whether a kill has been requested.
    pub killed: bool,
    /// Why it waits.
    pub reason: Option<&'a str>,
}

impl Situation<'_> {
    /// Whether an action with these rules affects such an order, regardless of its children.
    pub fn is_affected(&self, rules: &[Rule]) -> bool {
        let fits = |rule: &&Rule| {
            rule.states.contains(&self.state)
                && match rule.condition {
                    Condition::Always => true,
                    Condition::Marked(mark) => self.mark == Some(mark),
                    Condition::NotKilledYet => !self.killed,
                    Condition::MarkedNotKilled(mark) => self.mark == Some(mark) && !self.killed,
                    Condition::HeldByChildren | Condition::Fated(_) => false,
                    Condition::WaitsFor(reasons) => {
                        self.reason.is_some_and(|reason| reasons.contains(&reason))
                    }
                }
        };
        rules.iter().find(fits).is_some_and(|rule| rule.effect.is_some())
    }
}

/// The reasons to wait that `/orders/continue` ends: those that otherwise only time ends.
const TIME: &[&str] = &["DELAYED_AFTER_ERROR", "DELAYING_RETRY", "BETWEEN_CYCLES", "SLEEPING"];

impl Action {
    /// The action's table. The first rule that matches an order applies; without a match, the order
    /// is not affected.
    ///
    /// A running job is never taken away from its executor, only marked. An order that is already
    /// marked is affected only by something new, such as a kill. Cancelling a waiting order whose
    /// children continue marks it, too, since they join it.
    pub fn rules(&self) -> Vec<Rule> {
        use Condition::*;
        use EffectiveState::*;
        let rule = |states, condition, effect| Rule { states, condition, effect };
        let cancelling = rule(LIVING, Marked(Mark::Cancelling), None);
        let mut rules = Vec::new();
        match self {
            Self::Cancel { kill } => {
                if *kill {
                    rules.push(rule(&[Running], NotKilledYet, Some(CANCEL_BY_KILL)));
                }
                rules.extend([
                    cancelling,
                    rule(&[Running, InProgress], Always, Some(CANCELLING)),
                    rule(&[Waiting], HeldByChildren, Some(CANCELLING)),
                    rule(LIVING, Always, Some(CANCELLED)),
                ]);
            }
            Self::Suspend { kill, reset } => {
                rules.push(cancelling);
                if *kill {
                    rules.push(rule(&[Running], NotKilledYet, Some(SUSPEND_BY_KILL)));
                }
                rules.extend([
                    rule(LIVING, Marked(Mark::Suspending), None),
                    rule(&[Running, InProgress], Always, Some(SUSPENDING)),
                    rule(&[Suspended], Marked(Mark::Resuming), Some(SUSPENDED)),
                ]);
                if *reset {
                    rules.push(rule(&[Waiting, Prompting], HeldByChildren, Some(SUSPENDED)));
                    rules.push(rule(&[Waiting, Prompting], Always, Some(RESET)));
                }
                let at_once: &[_] = &[Pending, Scheduled, Blocked, Waiting, Prompting];
                rules.push(rule(at_once, Always, Some(SUSPENDED)));
            }
            Self::Resume { position, variables } => {
                rules.push(cancelling);
                // Its children would return to a place that it has left.
                if position.is_some() {
                    rules.push(rule(&[Suspended, Failed], HeldByChildren, None));
                }
                rules.push(rule(&[Suspended], Always, Some(RESUMED)));
                rules.push(rule(&[Failed], Always, Some(RETRIED)));
                // A running order already has its position and its arguments.
                if position.is_none() && variables.is_none() {
                    rules.push(rule(LIVING, MarkedNotKilled(Mark::Suspending), Some(RESUMED)));
                }
            }
            Self::Confirm => {
                rules.extend([cancelling, rule(&[Prompting], Always, Some(CONFIRMED))]);
            }
            Self::Continue => {
                rules.extend([cancelling, rule(&[Waiting], WaitsFor(TIME), Some(CONTINUED))]);
            }
            Self::Change { .. } => rules.push(rule(LIVING, Always, Some(CHANGED))),
            Self::RemoveWhenTerminated => rules.extend([
                rule(LIVING, Always, Some(REMOVED_LATER)),
                rule(&[Finished, Cancelled], Always, Some(REMOVED)),
            ]),
            Self::Undo { overdue } => rules.extend(Fate::VARIANTS.iter().filter_map(|fate| {
                let effect = fate.effect(*overdue)?;
                Some(rule(EffectiveState::VARIANTS, Fated(*fate), Some(effect)))
            })),
        }
        rules
    }

    /// The effects that the action can have.
    pub fn effects(&self) -> Vec<Effect> {
        let mut effects: Vec<Effect> = Vec::new();
        for effect in self.rules().into_iter().filter_map(|rule| rule.effect) {
            if !effects.contains(&effect) {
                effects.push(effect);
            }
        }
        effects
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::changing::{self, ChangeKind};
    use crate::model::effect::Assign;

    fn every_action() -> Vec<Action> {
        let mut actions = vec![
            Action::Resume { position: None, variables: None },
            Action::Resume { position: Some("[0]".into()), variables: None },
            Action::Confirm,
            Action::Continue,
            Action::Change { priority: 0 },
            Action::RemoveWhenTerminated,
            Action::Undo { overdue: Overdue::Suspend },
            Action::Undo { overdue: Overdue::Run },
        ];
        for kill in [false, true] {
            actions.push(Action::Cancel { kill });
            actions.extend([false, true].map(|reset| Action::Suspend { kill, reset }));
        }
        actions
    }

    /// The endpoint that takes an action.
    fn kind_of(action: &Action) -> &'static ChangeKind {
        match action {
            Action::Cancel { .. } => &changing::CANCEL,
            Action::Suspend { .. } => &changing::SUSPEND,
            Action::Resume { .. } => &changing::RESUME,
            Action::Confirm => &changing::CONFIRM,
            Action::Continue => &changing::CONTINUE,
            Action::Change { .. } => &changing::CHANGE,
            Action::RemoveWhenTerminated => &changing::REMOVE_WHEN_TERMINATED,
            Action::Undo { .. } => &changing::UNDO,
        }
    }

    #[test]
    fn an_effect_is_known_by_its_name() {
        for action in every_action() {
            let effects = action.effects();
            let mut names: Vec<&str> = effects.iter().map(|effect| effect.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), effects.len(), "{action:?}");
        }
    }

    #[test]
    fn no_effect_leads_to_what_the_schema_refuses() {
        let sets = |value: &Assign<Mark>| matches!(value, Assign::Set(_));
        for action in every_action() {
            for Rule { states, effect, .. } in action.rules() {
                let Some(effect) = effect else { continue };
                let running = states.contains(&EffectiveState::Running) && effect.state.is_none();
                let case = format!("{action:?} {}", effect.name);
                assert!(!(running && effect.suspended == Some(true)), "{case}: runs suspended");
                assert!(effect.kill != Assign::Set(()) || sets(&effect.mark), "{case}: no mark");
                let rests = effect.mark == Assign::Clear && effect.kill == Assign::Clear;
                assert!(!effect.ends() || rests, "{case}: terminal with something to do");
                assert!(effect.mark != Assign::Clear || rests, "{case}: a kill without a mark");
            }
        }
    }

    #[test]
    fn what_is_terminal_is_out_of_reach_and_only_leaves_sight() {
        let terminal = EffectiveState::VARIANTS.iter().copied().filter(|state| state.is_terminal());
        for state in terminal {
            let order = Situation { state, mark: None, killed: false, reason: None };
            for action in every_action() {
                let reaches_terminal = kind_of(&action).reaches_terminal;
                assert_eq!(order.is_affected(&action.rules()), reaches_terminal);
            }
        }
    }

    #[test]
    fn every_effect_is_counted() {
        for action in every_action() {
            let counts = kind_of(&action).counts;
            for effect in action.effects() {
                assert!(counts.iter().any(|(count, _)| *count == effect.count), "{effect:?}");
            }
        }
    }
}
