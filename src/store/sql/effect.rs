//! What the effects of an action assign, as SQL for the affected order `a`.

use super::quoted;
use crate::model::action::Action;
use crate::model::effect::{Assign, Effect};
use crate::model::order::{Mark, State};

/// The columns that get a value from the request.
pub(super) fn assigned(action: &Action) -> &'static [&'static str] {
    match action {
        Action::Change { .. } => &["priority"],
        Action::RemoveWhenTerminated => &["remove_when_terminated"],
        Action::Resume { position, variables } => match (position, variables) {
            (None, None) => &[],
            (Some(_), None) => &["position"],
            (None, Some(_)) => &["arguments"],
            (Some(_), Some(_)) => &["position", "arguments"],
        },
        _ => &[],
    }
}

/// The new state of the order `of`, if an effect sets one.
pub(super) fn new_state(effects: &[Effect], of: &str) -> Option<String> {
    let word = |state: State| format!("'{}'", state.as_str());
    case(effects, &format!("{of}.state"), |effect| effect.state.map(word))
}

/// Its new `suspended`, if an effect sets it.
pub(super) fn new_suspended(effects: &[Effect], of: &str) -> Option<String> {
    let word = |suspended| if suspended { "TRUE".into() } else { "FALSE".into() };
    case(effects, &format!("{of}.suspended"), |effect| effect.suspended.map(word))
}

/// Its new mark, if an effect sets or clears it.
pub(super) fn new_mark(effects: &[Effect], of: &str) -> Option<String> {
    let word = |mark: Mark| format!("'{}'", mark.as_str());
    case(effects, &format!("{of}.mark"), |effect| match effect.mark {
        Assign::Keep => None,
        Assign::Clear => Some("NULL".into()),
        Assign::Set(mark) => Some(word(mark)),
    })
}

/// The new value: a CASE over the effects that set it, if any does.
pub(super) fn case(
    effects: &[Effect],
    otherwise: &str,
    value: impl Fn(&Effect) -> Option<String>,
) -> Option<String> {
    let cases: Vec<String> = effects
        .iter()
        .filter_map(|effect| Some(format!(" WHEN '{}' THEN {}", effect.name, value(effect)?)))
        .collect();
    (!cases.is_empty()).then(|| format!("CASE a.effect{} ELSE {otherwise} END", cases.concat()))
}

/// The names of the effects for which `which` holds, if any.
pub(super) fn named(effects: &[Effect], which: impl Fn(&Effect) -> bool) -> Option<String> {
    let names = quoted(effects.iter().filter(|effect| which(effect)).map(|effect| effect.name));
    (!names.is_empty()).then_some(names)
}
